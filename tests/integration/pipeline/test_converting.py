# SPDX-License-Identifier: GPL-2.0-or-later
"""Converters of an order that is left: they have as long as the attempt has, and no longer."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from omero_adi_plugin.containers.converters import Converters
from omero_adi_plugin.orders import Entry, Order, Target, TargetKind
from omero_adi_plugin.pipeline.converting import Converting
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.outcome import ShuttingDown, Stopped
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.settings import Settings
from tests.fixtures.foundry import TWO, WAIT, Foundry
from tests.fixtures.podman import Podman


@pytest.mark.timeout(120)  # a converter that is waited for has 600 s
def test_a_converter_is_ended_when_its_worker_has_no_time_any_more(podman: Podman, tmp_path: Path) -> None:
    source, temp = tmp_path / "data" / "scan.ome.tif", tmp_path / "inplace"
    source.parent.mkdir()
    source.write_bytes(b"as it came from the microscope")
    temp.mkdir()
    foundry = Foundry(podman, temp)
    settings = Settings(
        ingest_tracking_db=SecretStr("postgresql://u@h/d"),
        base_dir=source.parent.parent,
        shutdown_timeout=600,
        **foundry.settings,
    )
    preprocessing = Preprocessing(id=1, container=podman.converter(WAIT + TWO))
    order = Order(
        uuid=str(uuid4()),
        user="ada",
        group="lab",
        target=Target(kind=TargetKind.DATASET, id=1),
        entries=(Entry(path=str(source)),),
        preprocessing=preprocessing,
    )
    asked = []

    def stopped(running: int, waiting: int, silent: float) -> None:
        asked.append((running, waiting, silent))
        raise Stopped(ShuttingDown())

    def over() -> None:
        if asked:
            raise ShuttingDown

    converting = Converting(
        order,
        preprocessing,
        attempt=1,
        owner="here:1",
        settings=settings,
        converters=Converters(settings),
        gate=FileGate(roots=Roots.of(settings, order.group), reader_account=None, settle_seconds=0),
        on_wait=stopped,
        check=over,
    )
    with pytest.raises(Stopped):
        list(converting.over(order.entries))
    converting.close()
    assert asked[0][:2] == (1, 0)
    assert foundry.containers(order.uuid) == []
    assert foundry.left(source.parent) == []
