# SPDX-License-Identifier: GPL-2.0-or-later
"""After a takeover OMERO.server may still be importing what the lost worker began: that is waited for, while it can end well."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

import pytest

from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.importers.inplace import InPlace
from omero_adi_plugin.importers.markers import find_marked, in_work
from omero_adi_plugin.orders import Claim, FileStep, Marker
from omero_adi_plugin.pipeline.outcome import Cancelled
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.sessions import Account, Logins, OmeroSession
from tests.fixtures.holds import Hold
from tests.fixtures.importing import QUICK, planned
from tests.fixtures.omero import ServerHere
from tests.fixtures.runs import Runs
from tests.fixtures.waiting import WAIT_SECONDS, wait_until


@pytest.fixture
def omero_account(server_here: ServerHere) -> Account:
    """The server is in this process, so that it can be held up."""
    return server_here.account


class Lost:
    """A worker that has lost the order, while the server goes on with its import, until it is let go."""

    def __init__(self, runs: Runs, session: OmeroSession, claim: Claim, hold: Hold) -> None:
        self.session, self.hold, self.claim = session, hold, claim
        self._order = claim.text.read()
        self._importer = InPlace(session, skip=QUICK, patience_seconds=60, parallel_files=1, bioformats=None)
        self._thread = threading.Thread(target=self._import)
        self._lab = runs.lab

    def __enter__(self) -> Self:
        self._thread.start()
        self.hold.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.let_go()
        self._thread.join(WAIT_SECONDS)

    def _import(self) -> None:
        plan = planned(self._order.entries[0].path)
        marker = Marker(uuid=self._order.uuid, attempt=1, key=plan.key)
        try:
            self._importer.run(plan=plan, target=self._order.target, marker=marker, on_step=lambda *_, **__: None)
        except AdiError:  # somebody has deleted it, or ended the session
            return

    def attempts(self) -> list[int]:
        """Which attempts' filesets are there."""
        found = find_marked(self._lab.session, uuid=self._order.uuid, target=self._order.target, statistics=False)
        return [each.marker.attempt for each in found]

    def in_work(self) -> set[int]:
        ids = [fileset for (fileset,) in self._lab.session.query("select f.id from Fileset f")]
        return in_work(self._lab.session, ids)


@contextmanager
def lost(runs: Runs, server: ServerHere, moment: str) -> Iterator[Lost]:
    claim = runs.order(runs.samples.three_images())
    with (
        Logins(server.account) as logins,
        logins.act_for(runs.lab.user, runs.lab.group) as session,
        Lost(runs, session, claim, Hold(server, moment)) as worker,
    ):
        yield worker


def second(claim: Claim) -> Claim:
    return replace(claim, lease=replace(claim.lease, attempt=2))


def waits(progress: Progress) -> bool:
    return "still importing" in progress.words


def test_what_the_server_brings_to_its_end_is_adopted(runs: Runs, server_here: ServerHere) -> None:
    seen: list[Progress] = []
    with lost(runs, server_here, "import.step.1.before") as worker:
        assert len(worker.in_work()) == 1
        taker = threading.Thread(target=runs.run, args=(second(worker.claim),), kwargs={"on_progress": seen.append})
        taker.start()
        wait_until(lambda: any(map(waits, seen)), what="the wait for the server")
        worker.hold.let_go()
        taker.join(WAIT_SECONDS)
        assert worker.attempts() == [1]
    assert runs.steps(worker.claim) == {"three.ome.tif": FileStep.ANNOTATED}
    assert len(runs.lab.images()) == 3
    assert len(runs.lab.key_values(runs.lab.images()[0])) == 1


def test_what_does_not_come_to_its_end_in_time_is_begun_anew(runs: Runs, server_here: ServerHere) -> None:
    runs.settings = runs.settings.model_copy(update={"takeover_patience_seconds": 0})
    with lost(runs, server_here, "import.step.1.before") as worker:
        runs.run(second(worker.claim))
        assert worker.attempts() == [2]
    assert worker.attempts() == [2]
    assert len(runs.lab.images()) == 3


def test_what_nobody_brings_to_its_end_is_not_waited_for(runs: Runs, server_here: ServerHere) -> None:
    seen: list[Progress] = []
    with lost(runs, server_here, "import.step.1.before") as worker:
        assert len(worker.in_work()) == 1
        sessions = server_here.server.sessions
        sessions.end(sessions.get(worker.session.client.getSessionId()))
        assert worker.in_work() == set()
        runs.run(second(worker.claim), on_progress=seen.append)
        assert worker.attempts() == [2]
    assert not any(map(waits, seen))


def test_what_the_server_was_not_told_to_import_is_not_waited_for(runs: Runs, server_here: ServerHere) -> None:
    with lost(runs, server_here, "import.registered") as worker:
        assert worker.in_work() == set()
        runs.run(second(worker.claim))
        assert worker.attempts() == [2]
    wait_until(lambda: worker.attempts() == [2], what="the lost worker's tidying up")


def test_an_order_that_is_called_off_meanwhile_ends_and_leaves_no_half(runs: Runs, server_here: ServerHere) -> None:
    seen: list[Progress] = []
    runs.guard.stop = lambda _: Cancelled(by="me") if any(map(waits, seen)) else None
    with lost(runs, server_here, "import.step.1.before") as worker:
        with pytest.raises(Cancelled):
            runs.run(second(worker.claim), on_progress=seen.append)
        assert worker.attempts() == []
    assert runs.lab.images() == []
