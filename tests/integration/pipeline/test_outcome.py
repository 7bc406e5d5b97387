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
    NoRoomToConvert,
    NotPermitted,
    OmeroDown,
    PodmanDown,
    ScriptRefused,
    SessionOver,
    StorageDown,
    UserUnknown,
)
from omero_adi_plugin.orders import Claim, FileStep, LedgerFile, Route, Target, TargetKind
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay, LateStart, NoProgress, ShuttingDown, TimeUp, settle
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
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
        StorageDown(folder="/data", why="is empty"),
        PodmanDown(host="h", why="it is not installed"),
        NoRoomToConvert(folder="/data", free_bytes=1, needed_bytes=2),
        ShuttingDown(),
        GaveWay("gave way to orders of others after 100 filesets"),
        TimeUp(minutes=60, whole=False),
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


@pytest.mark.parametrize(
    "error",
    [DiskFull(path="/OMERO"), NotPermitted("-"), ScriptRefused(words="no package"), LateStart(seconds=1900, minutes=60)],
)
def test_a_script_that_meets_trouble_of_the_surroundings_holds_its_user_up_longer_each_time(
    error: AdiError, queue: Queue, claim: Claim, settings: Settings, tracking: Tracking
) -> None:
    """It cannot tell a service, which would pause: so the queue must keep each order from being launched again at once."""
    pauses: list[int] = []
    for _ in range(3):
        settle(queue, claim, error, settings=settings, alone=True)
        [[held_up, failures, seconds]] = tracking.sql(
            "SELECT held_up, failures, extract(epoch FROM run_after - clock_timestamp())::float FROM adi_order"
        )
        assert (held_up, failures) == (len(pauses) + 1, 0)
        pauses.append(round(seconds / settings.surroundings_seconds))
        tracking.sql("UPDATE adi_order SET run_after = now()")
        again = queue.claim(owner="me:1")
        assert again is not None
        claim = again
    assert pauses == [1, 2, 4]
    settle(queue, claim, GaveWay("gave way"), settings=settings, alone=True)
    assert tracking.sql("SELECT held_up FROM adi_order") == [(0,)]


def test_who_gave_way_is_due_at_once_and_the_trail_says_why(
    queue: Queue, claim: Claim, settings: Settings, tracking: Tracking
) -> None:
    settle(queue, claim, GaveWay("gave way to orders of others after 100 filesets"), settings=settings)
    assert queue.claim(owner="me:1") is not None
    assert tracking.description(claim.lease.order) == "Attempt 2: gave way to orders of others after 100 filesets"
    outcomes = "SELECT outcome FROM adi_attempt WHERE uuid = %s ORDER BY attempt"
    assert tracking.sql(outcomes, claim.lease.order) == [("given back",), (None,)]


def test_what_a_person_called_off_ends_with_who_did_it_and_is_not_tried_again(
    queue: Queue, claim: Claim, settings: Settings, tracking: Tracking
) -> None:
    tracking.sql("UPDATE adi_order SET cancel_requested = true, cancelled_by = 'ada@lab on 2026-11-28 09:30 UTC'")
    extension = queue.extend(claim.lease)
    assert extension.cancelled_by is not None
    settle(queue, claim, Cancelled(by=extension.cancelled_by), settings=settings)
    assert state(tracking, claim) == ("cancelled", 0, "Import Failed")
    assert tracking.description(claim.lease.order).startswith("Cancelled by ada@lab on 2026-11-28 09:30 UTC, while it was")
    assert tracking.sql("SELECT cancel_requested, cancelled_by FROM adi_order") == [(False, None)]
    assert queue.claim(owner="me:1") is None


@pytest.mark.parametrize(
    ("error", "alone"),
    [
        (StorageDown(folder="/data", why="is empty"), False),
        (PodmanDown(host="h", why="it is not installed"), False),
        (PodmanDown(host="h", why="it is not installed"), True),
    ],
)
def test_what_only_some_orders_need_is_looked_for_less_and_less_often_and_holds_nobody_else_up(
    error: AdiError, *, alone: bool, queue: Queue, claim: Claim, settings: Settings, tracking: Tracking
) -> None:
    pauses = []
    for _ in range(3):
        settle(queue, claim, error, settings=settings, alone=alone)
        [[seconds]] = tracking.sql("SELECT extract(epoch FROM run_after - clock_timestamp())::float FROM adi_order")
        assert tracking.sql("SELECT held_up FROM adi_order") == [(0,)]
        pauses.append(round(seconds / settings.surroundings_seconds))
        tracking.sql("UPDATE adi_order SET run_after = now()")
        again = queue.claim(owner="me:1")
        assert again is not None
        claim = again
    assert pauses == [1, 2, 3]


def test_failures_are_counted_anew_when_the_attempt_got_on(
    queue: Queue, claim: Claim, settings: Settings, tracking: Tracking, database_url: str
) -> None:
    database = Database(database_url, name="test")
    try:
        for number in range(settings.failures_allowed + 2):  # each brings one file in, and then fails
            line = LedgerFile(entry=f"/{number}", key=f"/{number}", route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=number)
            Ledger(database, claim.lease).record(line)
            settle(queue, claim, ConnectionBroken(doing="importing"), settings=settings)
            assert state(tracking, claim) == ("waiting", 1, "Import Started")
            tracking.sql("UPDATE adi_order SET run_after = now()")
            again = queue.claim(owner="me:1")
            assert again is not None
            claim = again
        settle(queue, claim, ConnectionBroken(doing="importing"), settings=settings)  # this one does not
    finally:
        database.close()
    assert state(tracking, claim) == ("failed", 1, "Import Failed")


SHORT_LIVED = (TimeUp(minutes=60, whole=True), SessionOver())


@pytest.mark.parametrize("error", [*SHORT_LIVED, LateStart(seconds=1900, minutes=60)])
def test_the_end_of_a_script_is_no_failure_of_an_order_that_got_on(
    error: AdiError, queue: Queue, claim: Claim, settings: Settings, tracking: Tracking, database: Database
) -> None:
    for number in range(settings.failures_allowed + 1):
        line = LedgerFile(entry=f"/{number}", key=f"/{number}", route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=number)
        Ledger(database, claim.lease).record(line)
        settle(queue, claim, error, settings=settings)
        assert state(tracking, claim) == ("waiting", 0, "Import Started")
        again = queue.claim(owner="me:1")
        assert again is not None, "it goes on at once"
        claim = again


@pytest.mark.parametrize(
    "error",
    [
        *SHORT_LIVED,
        ConnectionBroken(doing="importing"),
        NoProgress(seconds=7200, doing="0/1 /data/a.tif: importing"),
        ZeroDivisionError("a bug"),
    ],
)
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
