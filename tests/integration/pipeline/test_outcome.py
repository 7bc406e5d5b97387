# SPDX-License-Identifier: GPL-2.0-or-later
"""How an attempt ends is decided by the type of what ended it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    ConnectionBroken,
    DatabaseDown,
    DiskFull,
    FileMissing,
    LeaseLost,
    NotPermitted,
    OmeroDown,
    UserUnknown,
)
from omero_adi_plugin.orders import Claim, Target, TargetKind
from omero_adi_plugin.pipeline.outcome import ShuttingDown, settle
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.services import Tracking


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings.load(ingest_tracking_db=database_url, failures_allowed=2)


@pytest.fixture
def queue(database_url: str, settings: Settings) -> Iterator[Queue]:
    database = Database(database_url, name="test")
    yield Queue(database, lease_seconds=settings.lease_seconds)
    database.close()


@pytest.fixture
def claim(database_url: str, queue: Queue) -> Claim:
    target = Target(kind=TargetKind.DATASET, id=1)
    database = Database(database_url, name="test")
    claim = submit_claimed(database, queue, user="u", group="g", target=target, files=["/data/a.tif"], owner="me:1")
    database.close()
    return claim


def state(tracking: Tracking, claim: Claim) -> tuple[str, int, str]:
    [[state, failures]] = tracking.sql("SELECT state, failures FROM adi_order WHERE uuid = %s", claim.lease.order)
    return state, failures, tracking.stages(claim.lease.order)[-1]


def test_nothing_wrong_is_completed(queue: Queue, claim: Claim, settings: Settings, tracking: Tracking) -> None:
    settle(queue, claim, None, settings=settings)
    assert state(tracking, claim) == ("completed", 0, "Import Completed")


@pytest.mark.parametrize("error", [UserUnknown(user="x"), FileMissing(path="/data/a.tif")])
def test_permanent_trouble_fails_the_order_at_once_with_its_sentence(
    error: AdiError, queue: Queue, claim: Claim, settings: Settings, tracking: Tracking
) -> None:
    settle(queue, claim, error, settings=settings)
    assert state(tracking, claim) == ("failed", 0, "Import Failed")
    assert tracking.description(claim.lease.order) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        OmeroDown(where="h:1", why="x"),
        DatabaseDown(where="h:1/d", why="x"),
        DiskFull(path="/OMERO"),
        ConfigurationError("The password is wrong."),
        NotPermitted("The database account may not do that."),
        ShuttingDown(),
    ],
)
def test_no_order_is_to_blame_for_the_surroundings(
    error: AdiError, queue: Queue, claim: Claim, settings: Settings, tracking: Tracking
) -> None:
    for _ in range(settings.failures_allowed + 1):
        settle(queue, claim, error, settings=settings)
        assert state(tracking, claim) == ("waiting", 0, "Import Started")
        tracking.sql("UPDATE adi_order SET run_after = now()")
        again = queue.claim(owner="me:1")
        assert again is not None
        claim = again


@pytest.mark.parametrize("error", [ConnectionBroken(doing="importing"), ZeroDivisionError("a bug")])
def test_transient_trouble_is_tried_again_later_but_not_for_ever(
    error: Exception, queue: Queue, claim: Claim, settings: Settings, tracking: Tracking
) -> None:
    settle(queue, claim, error, settings=settings)
    assert state(tracking, claim) == ("waiting", 1, "Import Started")
    assert queue.claim(owner="me:1") is None, "there is a pause first"
    tracking.sql("UPDATE adi_order SET run_after = now()")
    again = queue.claim(owner="me:1")
    assert again is not None
    assert "Attempt 2" in tracking.description(claim.lease.order)
    settle(queue, again, error, settings=settings)
    assert state(tracking, claim) == ("failed", 1, "Import Failed")
    assert "tried 2 times" in tracking.description(claim.lease.order)


def test_who_has_lost_the_lease_writes_nothing(queue: Queue, claim: Claim, settings: Settings, tracking: Tracking) -> None:
    tracking.sql("UPDATE adi_order SET lease_token = gen_random_uuid()")
    for error in (None, LeaseLost(uuid=claim.lease.order), UserUnknown(user="x"), ConnectionBroken(doing="x")):
        with pytest.raises(LeaseLost):
            settle(queue, claim, error, settings=settings)
    assert state(tracking, claim) == ("running", 0, "Import Started")
