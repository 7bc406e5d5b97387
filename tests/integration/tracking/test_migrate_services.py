# SPDX-License-Identifier: GPL-2.0-or-later
"""The migration for fair claims, losses and services: up and down with rows in all that is new, and claims on what it leaves."""

from __future__ import annotations

from contextlib import closing

from omero_adi_plugin.orders import Limits
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.losses import free_lapsed
from omero_adi_plugin.tracking.migrate import current, exclusively, upgrade
from omero_adi_plugin.tracking.pruning import prune
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.tables import AttemptOutcome
from omero_adi_plugin.tracking.tracks import PLUGIN, PLUGIN_HEAD, move
from tests.fixtures.migrating import rows
from tests.fixtures.producer import Producer

BEFORE = "d27b9e4f1c83"
OLD_COLUMNS = (
    "uuid, imports_id, user_name, group_name, state, attempt, failures, priority, run_after, note, cancel_requested, "
    "skip_existing, lease_owner, lease_token, lease_until, created_at, finished_at"
)
LEFT = (
    f"SELECT {OLD_COLUMNS} FROM adi_order ORDER BY uuid",
    "SELECT uuid, attempt, imports_id, owner, started_at FROM adi_attempt ORDER BY uuid, attempt",
    "SELECT taken_over_at, taken_over_id, watched_id, scanned_at, paused_at, paused_by FROM adi_control",
    "SELECT * FROM imports ORDER BY id",
)
NEW = "SELECT uuid, deaths, lapses, places, doing, cancelled_by FROM adi_order ORDER BY uuid"


def go_to(url: str, revision: str) -> None:
    with exclusively(url) as connection:
        move(connection, PLUGIN, revision)  # type: ignore[arg-type]  # services move to an end only; alembic goes to any


def fill(producer: Producer) -> None:
    """Write rows that have something in all that is new."""
    producer.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, attempt, deaths, lapses, places, doing, "
        "cancelled_by, cancel_requested, lease_owner, lease_token, lease_until) "
        "VALUES ('runs', 1, 'ann', 'Demo', 'running', 8, 2, 9, 3, "
        "'1/2 /a: reading', 'ann@desk', true, 'h:1', gen_random_uuid(), now() - interval '1 second')"
    )
    for number, outcome in enumerate([None, *AttemptOutcome]):
        producer.sql(
            "INSERT INTO adi_attempt (uuid, attempt, owner, ended_at, outcome, why) VALUES ('runs', %s, 'h:1', now(), %s, 'why')",
            number,
            outcome,
        )
    producer.sql("INSERT INTO adi_turn VALUES ('ann', now())")
    producer.sql(
        "INSERT INTO adi_service (id, host, pid, version, workers, trouble, trouble_since) "
        "VALUES (gen_random_uuid(), 'h', 1, '1', '[{\"pid\": 2}]', 'why', now())"
    )
    producer.sql("UPDATE adi_control SET paused_at = now(), paused_by = 'ann@desk', draining = true, pruned_at = now()")


def test_down_and_up_again_keeps_all_that_is_not_new(database_url: str) -> None:
    producer = Producer(database_url)
    producer.pending("runs")
    fill(producer)
    before = [rows(database_url, query) for query in LEFT]
    go_to(database_url, BEFORE)
    assert current(database_url).plugin == BEFORE
    assert [rows(database_url, query) for query in LEFT] == before
    upgrade(database_url)
    assert current(database_url).plugin == PLUGIN_HEAD
    assert [rows(database_url, query) for query in LEFT] == before
    assert rows(database_url, NEW) == [("runs", 0, 0, 0, None, None)]
    assert rows(database_url, "SELECT DISTINCT outcome, why FROM adi_attempt") == [(None, None)]
    assert rows(database_url, "SELECT draining, pruned_at FROM adi_control") == [(False, None)]


def test_orders_of_an_older_version_go_on(database_url: str) -> None:
    producer = Producer(database_url)
    go_to(database_url, BEFORE)
    for uuid in ("waits", "runs", "ended", "ended long ago"):
        producer.pending(uuid)
    producer.sql(
        f"INSERT INTO adi_order ({OLD_COLUMNS}) VALUES "
        "('waits', 1, 'ann', 'Demo', 'waiting', 1, 1, 0, now(), 'busy', false, false, NULL, NULL, NULL, now(), NULL), "
        "('runs', 2, 'bob', 'Demo', 'running', 1, 0, 0, now(), NULL, false, true, 'h:1', gen_random_uuid(), now(), now(), NULL), "
        "('ended', 3, 'bob', 'Demo', 'failed', 1, 0, 0, now(), NULL, false, true, NULL, NULL, NULL, now(), now()), "
        "('ended long ago', 4, 'bob', 'Demo', 'failed', 1, 0, 0, now(), NULL, false, true, NULL, NULL, NULL, now(), '2020-1-1')"
    )
    producer.sql("DELETE FROM adi_inbox")
    producer.pending("ended long ago", stage="Import Failed")
    upgrade(database_url)
    producer.sql("UPDATE adi_control SET scanned_at = now(), watched_id = 100000")
    with closing(Database(database_url, name="tests")) as database:
        queue = Queue(database, lease_seconds=60, limits=Limits(per_user=1, per_group=2, in_flight=2))
        assert [loss.uuid for loss in free_lapsed(database)] == ["runs"]
        claims = [queue.claim(owner="h:2") for _ in range(3)]
        assert [claim and (claim.lease.order, claim.lease.attempt, claim.failures) for claim in claims] == [
            ("waits", 2, 1),
            ("runs", 2, 0),
            None,
        ]
        assert prune(database, keep_days=90) == 1
    assert rows(database_url, "SELECT uuid FROM adi_order ORDER BY uuid") == [("ended",), ("runs",), ("waits",)]
