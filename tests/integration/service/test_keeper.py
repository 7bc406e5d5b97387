# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker that may not go on notices it: its lease is gone, the database is out of reach, or the service ends."""

from __future__ import annotations

import time

import pytest

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.orders import Claim, Target, TargetKind
from omero_adi_plugin.pipeline.outcome import ShuttingDown
from omero_adi_plugin.service.deadline import Deadline
from omero_adi_plugin.service.keeper import LeaseKeeper
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.postgres import execute
from tests.fixtures.services import Tracking
from tests.fixtures.waiting import wait_until


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings.load(ingest_tracking_db=database_url, lease_seconds=5, heartbeat_seconds=1)


@pytest.fixture
def queue(database: Database, settings: Settings) -> Queue:
    return Queue(database, lease_seconds=settings.lease_seconds)


@pytest.fixture
def claim(database: Database, queue: Queue) -> Claim:
    target = Target(kind=TargetKind.DATASET, id=1)
    return submit_claimed(database, queue, user="u", group="g", target=target, files=["/data/a.tif"], owner="me:1")


def must_stop(keeper: LeaseKeeper) -> bool:
    try:
        keeper.check()
    except LeaseLost:
        return True
    return False


def test_a_lease_is_extended_for_as_long_as_the_work_takes(
    claim: Claim, queue: Queue, settings: Settings, tracking: Tracking
) -> None:
    with LeaseKeeper(claim, queue=queue, settings=settings) as keeper:
        wait_until(lambda: tracking.sql("SELECT 1 FROM adi_order WHERE lease_until > %s", claim.lease.until), what="a heartbeat")
        keeper.check()


def test_a_worker_whose_order_was_taken_over_stops(claim: Claim, queue: Queue, settings: Settings, tracking: Tracking) -> None:
    with LeaseKeeper(claim, queue=queue, settings=settings) as keeper:
        tracking.sql("UPDATE adi_order SET lease_token = gen_random_uuid()")
        wait_until(lambda: must_stop(keeper), what="the stop")


def test_a_worker_that_cannot_reach_the_database_stops_before_another_may_take_over(
    claim: Claim, queue: Queue, settings: Settings, database: Database, database_url: str, postgres_url: str
) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    with LeaseKeeper(claim, queue=queue, settings=settings) as keeper:
        database.close()
        execute(
            postgres_url,
            f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        try:
            wait_until(lambda: must_stop(keeper), what="the stop", seconds=settings.lease_seconds + 10)
        finally:
            execute(postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_when_the_service_ends_the_order_may_be_finished_until_the_deadline(
    claim: Claim, queue: Queue, settings: Settings
) -> None:
    deadline = Deadline()
    with LeaseKeeper(claim, queue=queue, settings=settings, deadline=deadline) as keeper:
        keeper.check()
        deadline.in_seconds(3600)
        keeper.check()
    over = Deadline()
    over.in_seconds(0)
    over.in_seconds(3600)  # the first deadline stays
    with LeaseKeeper(claim, queue=queue, settings=settings, deadline=over) as keeper, pytest.raises(ShuttingDown):
        keeper.check()


def test_who_cannot_ask_whether_others_wait_goes_on(claim: Claim, settings: Settings) -> None:
    nowhere = Queue(Database("postgresql://nobody@localhost:1/none", name="tests"), lease_seconds=settings.lease_seconds)
    keeper = LeaseKeeper(claim, queue=nowhere, settings=settings)
    keeper.safe_point(settled=settings.yield_after_filesets)


def test_a_right_that_was_taken_away_for_a_moment_costs_no_lease(
    claim: Claim, queue: Queue, settings: Settings, tracking: Tracking
) -> None:
    """The database refuses to extend, and then does it again: whoever keeps the lease goes on trying."""
    refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$"
    tracking.sql(refuse)
    tracking.sql("CREATE TRIGGER refuse BEFORE UPDATE ON adi_order FOR EACH ROW EXECUTE FUNCTION refuse()")
    with LeaseKeeper(claim, queue=queue, settings=settings) as keeper:
        time.sleep(1.5 * settings.heartbeat_seconds)  # the first heartbeat is refused
        tracking.sql("DROP TRIGGER refuse ON adi_order")
        wait_until(lambda: tracking.sql("SELECT 1 FROM adi_order WHERE lease_until > %s", claim.lease.until), what="a heartbeat")
        keeper.check()
