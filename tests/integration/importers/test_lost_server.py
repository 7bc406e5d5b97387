# SPDX-License-Identifier: GPL-2.0-or-later
"""A server that is killed, or hangs, in the middle of an import: told as what it is, and no harm to the next attempt."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from omero.model import DatasetI
from omero.rtypes import rstring

from omero_adi_plugin.errors import ConnectionBroken, OmeroDown
from omero_adi_plugin.importers.inplace import InPlace
from omero_adi_plugin.importers.markers import delete_fileset, find_marked
from omero_adi_plugin.orders import FileStep, Marker, Target, TargetKind
from omero_adi_plugin.sessions import Logins
from tests.fixtures.importing import QUICK, planned
from tests.fixtures.omero import OmeroServer, started
from tests.fixtures.waiting import freeze

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.importers.protocol import OnStep
    from omero_adi_plugin.sessions import OmeroSession


def log_in(server: OmeroServer, *, call_milliseconds: int = 60_000) -> Logins:
    return Logins(server.account, call_milliseconds=call_milliseconds)


def import_into(session: OmeroSession, target: Target, path: Path, on_step: OnStep) -> int:
    importer = InPlace(session, skip=QUICK, patience_seconds=60, parallel_files=1, bioformats=None)
    plan = planned(path)
    return importer.run(plan=plan, target=target, marker=Marker(uuid="order", attempt=1, key=plan.key), on_step=on_step)


def nothing(step: FileStep, /, *, fileset: int) -> None:
    del step, fileset


@pytest.mark.parametrize("moment", [FileStep.CREATED, FileStep.VERIFYING])
def test_a_killed_server_leaves_a_half_that_the_next_attempt_replaces(tmp_path: Path, one: Path, moment: FileStep) -> None:
    data = tmp_path / "omero"
    with started(data) as server:
        server.add_group("lab")
        server.add_user("ada", "secret", ["lab"])

        def kill(step: FileStep, /, *, fileset: int) -> None:
            if step is moment:
                server.stop(signal.SIGKILL)

        with log_in(server) as logins, logins.act_for("ada", "lab") as session:
            target = Target(kind=TargetKind.DATASET, id=new_dataset(session))
            with pytest.raises((ConnectionBroken, OmeroDown)):
                import_into(session, target, one, kill)
            with pytest.raises(OmeroDown):
                logins.act_for("ada", "lab")
    with started(data) as server, log_in(server) as logins, logins.act_for("ada", "lab") as session:
        (half,) = find_marked(session, uuid="order", target=target, statistics=False)
        assert (half.complete, half.images) == (False, ())
        delete_fileset(session, half.fileset)
        fileset = import_into(session, target, one, nothing)
        (whole,) = find_marked(session, uuid="order", target=target, statistics=False)
        assert (whole.fileset, whole.complete, whole.linked) == (fileset, True, True)


def test_a_server_that_hangs_does_not_hold_a_worker(tmp_path: Path) -> None:
    with started(tmp_path / "omero") as server, log_in(server, call_milliseconds=1000) as logins:
        service = logins.service()
        assert server.process is not None
        freeze(server.process.pid)
        began = time.monotonic()
        try:
            with pytest.raises(ConnectionBroken):
                service.query("select e.id from Experimenter e")
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert time.monotonic() - began < 10


def new_dataset(session: OmeroSession) -> int:
    dataset = DatasetI()
    dataset.setName(rstring("my images"))
    return int(session.factory.getUpdateService().saveAndReturnObject(dataset).getId().getValue())
