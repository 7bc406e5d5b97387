# SPDX-License-Identifier: GPL-2.0-or-later
"""What a worker's guard counts: progress, but no waiting; time spent on an order, before it gives way to others."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from omero_adi_plugin.errors import DatabaseDown
from omero_adi_plugin.orders import Claim, FileStep, Target, TargetKind
from omero_adi_plugin.pipeline.outcome import GaveWay, NoProgress
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.service import keeper as keeping
from omero_adi_plugin.service.keeper import LeaseKeeper
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order
from tests.fixtures.services import Tracking

TARGET = Target(kind=TargetKind.DATASET, id=1)


class Clock:
    """The clock of the keeper, which goes as the test likes."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings.load(
        ingest_tracking_db=database_url, lease_seconds=100_000, no_progress_seconds=3600, yield_after_filesets=10
    )


@pytest.fixture
def claim(database: Database, queue: Queue) -> Claim:
    return submit_claimed(database, queue, user="u", group="g", target=TARGET, files=["/data/a.tif"], owner="me:1")


def progress(*, moved: bool) -> Progress:
    return Progress(entry="/data/a.tif", step=FileStep.VERIFYING, done=0, total=1, words="importing", moved=moved)


def test_to_wait_is_no_progress(claim: Claim, queue: Queue, settings: Settings, clock: Clock) -> None:
    keeper = LeaseKeeper(claim, queue=queue, settings=settings)
    clock.now += 3000
    keeper.note(progress(moved=True))
    clock.now += 3000
    keeper.check()
    keeper.note(progress(moved=False))
    clock.now += 3000
    with pytest.raises(NoProgress, match=r"100 minutes.*0/1 /data/a\.tif: importing"):
        keeper.check()


def test_an_order_gives_way_after_as_much_time_as_it_took_to_take_it_up(
    claim: Claim, queue: Queue, settings: Settings, clock: Clock, database: Database, tracking: Tracking
) -> None:
    submit_order(database, user="other", group="g", target=TARGET, files=["/data/b.tif"])
    tracking.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name)"
        " SELECT uuid, id, user_name, group_name FROM imports WHERE user_name = 'other'"
    )
    keeper = LeaseKeeper(claim, queue=queue, settings=settings)
    clock.now += 50  # 100,000 filesets are adopted
    keeper.safe_point(settled=0)
    clock.now += 40
    keeper.safe_point(settled=1000)
    clock.now += 20
    with pytest.raises(GaveWay, match="after 1001 filesets"):
        keeper.safe_point(settled=1001)
    keeper.safe_point(settled=1005)
    keeper.safe_point(settled=3)  # counted anew, in another session
    with pytest.raises(GaveWay):
        keeper.safe_point(settled=13)


def test_places_that_an_order_has_stay_when_no_more_can_be_asked_for(
    claim: Claim, queue: Queue, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> int:
        raise DatabaseDown(where="here", why="this is a test")

    keeper = LeaseKeeper(claim, queue=queue, settings=settings)
    real = queue.widen
    monkeypatch.setattr(queue, "widen", away)
    with pytest.raises(DatabaseDown):
        keeper.places(wanted=1)  # it has none yet
    monkeypatch.setattr(queue, "widen", real)
    clock.now += 60
    assert keeper.places(wanted=1) == 1
    monkeypatch.setattr(queue, "widen", away)
    clock.now += 60
    assert keeper.places(wanted=8) == 1
