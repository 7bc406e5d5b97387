# SPDX-License-Identifier: GPL-2.0-or-later
"""Query plans: what is asked often reads its index, however long the history; slowness shows here and not at a site."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.prepared import Prepared
from omero_adi_plugin.tracking.sql import statements
from tests.fixtures.postgres import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

ORDERS = 333_400
NEWEST = 3 * ORDERS  # a million rows
USERS = 50
RUNNING = 239
LEASE = {"uuid": "o7", "token": uuid4()}
SWEPT = {"uuid": "o2000", "attempt": 1}
SCAN = {"after_id": NEWEST - 1000, "ours_id": NEWEST}
LIMITS = {"per_user": 40, "per_group": 2000, "in_flight": 2000, "in_script": True, "scripts": 2000}
CLAIM = {"owner": "host:1", "token": uuid4(), "lease_seconds": 60, "user": None, "group": None, "without": None, **LIMITS}
ORDERED = {"uuid": "o7", "imports_id": 21, "user": "ann", "group": "Demo", "skip_existing": False}
KEPT = {"keep_days": 90, "late_ids": 1000, "batch": 50}
ASKED: dict[str, dict[str, Any]] = {
    "queue.sql claim": CLAIM,
    "queue.sql content": {"imports_id": 7},
    "queue.sql others_wait": {"without": "o1401", **LIMITS},
    "queue.sql others_due": {"user": "ann", "without": None, **LIMITS},
    "queue.sql hand_over": {**LEASE, "launch": uuid4(), "owner": "s:1", "lease_seconds": 60, "user": "ann", "group": "Demo"},
    "queue.sql handed_over": {"uuid": "o7", "attempt": 1, "owner": "h:1"},
    "queue.sql widen": {**LEASE, "wanted": 2, "in_flight": 2000},
    "queue.sql wait_if_lapsed": LEASE,
    "queue.sql extend": {**LEASE, "lease_seconds": 60, "doing": None, "in_flight": 6},
    "queue.sql finish": {**LEASE, "state": "completed"},
    "queue.sql give_back": {**LEASE, "note": "", "failures": 1, "after_seconds": 1},
    "queue.sql hold_up": {**LEASE, "note": "", "first_seconds": 10.0, "longest_seconds": 600.0},
    "queue.sql got_on": {"uuid": "o7", "attempt": 1},
    "queue.sql wake_limited": {},
    "queue.sql wake_intake": {"uuid": "o7"},
    "queue.sql next_due_seconds": {},
    "queue.sql pending": {},
    "losses.sql lapsed": {},
    "losses.sql of_worker": {"owner": "h:1"},
    "losses.sql lost": {"uuids": ["o7", "o1401"]},
    "losses.sql wait_again": {"uuid": "o1401", "note": "", "deaths": 1, "lapses": 0, "after_seconds": 0},
    "losses.sql fail": {"uuid": "o1401"},
    "check.sql unswept": {"seconds": 4500},
    "sweeps.sql any_due": {"delay_seconds": 900},
    "sweeps.sql claim": {"delay_seconds": 900, "lease_seconds": 600},
    "sweeps.sql wanted": {**SWEPT, "delay_seconds": 900, "lease_seconds": 600},
    "sweeps.sql done": SWEPT,
    "sweeps.sql put_off": {**SWEPT, "seconds": 60, "delay_seconds": 900, "counts": True},
    "ledger.sql suspect": LEASE,
    "pruning.sql due": {"every_seconds": 3600},
    "pruning.sql ended": {**KEPT, "most_lines": 10_000},
    "pruning.sql forget": {"uuids": ["o7", "o8"]},
    "pruning.sql forget_actions": {**KEPT, "actions": ["retried"]},
    "pruning.sql forget_turns": {"keep_days": 90},
    "pruning.sql forget_services": {"silent_seconds": 86_400},
    "pruning.sql pruned": {},
    "services.sql leave": {"id": uuid4()},
    "submit.sql append": {**ORDERED, "destination_type": "", "destination_id": "", "files": "", "file_names": None}
    | {"preprocessing_id": None},
    "submit.sql claim": {**ORDERED, "earlier": 2, "owner": "desk:1", "lease_seconds": 60},
    "submit.sql wait": {**ORDERED, "earlier": 2, "priority": 0},
    "submit.sql drop_event": {"uuid": "o7"},
    "audit.sql attempt": {"uuid": "o7", "attempt": 2, "imports_id": 20, "owner": "h:1"},
    "audit.sql end_attempt": {"uuid": "o7", "attempt": 1, "outcome": "completed", "why": None},
    "audit.sql append": {"imports_id": 7, "stage": "Import Completed", "description": None},
    "intake.sql due_events": {"batch": 200},
    "intake.sql fill_timestamps": {"uuids": ["o7", "o8"]},
    "intake.sql attempts_before": {"imports_id": 20},
    "intake.sql know": {"imports_id": 20},
    "intake.sql take_in": {"uuids": ["o7", "o8"], "asked": ["o7"]},
    "intake.sql still_pending": {"uuids": ["o7", "o8"]},
    "intake.sql drop_events": {"ids": [7, 8]},
    "intake.sql put_off_events": {"ids": [7, 8], "seconds": 300},
    "intake.sql span": {"pending_days": 10, "late_ids": 1000},
    "intake.sql reconcile": {**SCAN, "seconds": 3600},
    "intake.sql scanned": {},
    "takeover.sql lock": {},
    "takeover.sql newest": {},
    "takeover.sql watched": {"watched_id": NEWEST},
    "views.sql orders": {"uuid": None, "user": None, "state": None, "limit": 25},
    "views.sql stages": {"uuid": "o7"},
    "operating.sql again": {"uuid": "o7"},
    "inventory.sql orders": {"uuid": "o7"},
    "inventory.sql open": {"uuid": "o7"},
    "inventory.sql filesets": {"uuids": ["o7", "o8"]},
    "inventory.sql lines": {"uuids": ["o7", "o8"], "after_uuid": "o7", "after_key": "/a", "most": 500},
    "inventory.sql known": {"uuid": "o7"},
    "inventory.sql forget": {"uuid": "o7", "filesets": [7]},
    "advice.sql undone": {"uuid": "o7"},
    "advice.sql held_up": {"user": "ann", "group": "Demo"},
    "status.sql held_up": {},
    "operating.sql newest": {"uuid": "o7"},
    "operating.sql content": {"uuid": "o7"},
    "operating.sql call_off_events": {"uuid": "o7"},
}


SMALL = {"adi_inbox", "adi_control", "adi_conversion", "adi_turn", "adi_service", "imports_preprocessing"}
"""Tables with so few rows that reading them from end to end is right."""


@pytest.fixture(scope="module")
def database(postgres_url: str, template: str) -> Iterator[Database]:
    """333,400 orders with 1,000,200 rows; 200 of 50 users wait, 239 run; 20 others are in the inbox; 240 are of 10 days."""
    name = f"adi_test_{uuid4().hex}"
    execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        execute(url, *history())
        with closing(Database(url, name="tests")) as database:
            yield database
    finally:
        execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


INDEXES = {
    "ix_imports_uuid": "uuid",
    "ix_imports_user_name": "user_name",
    "imports_ix_uuid_timestamp": "uuid, timestamp",
}


def history() -> Iterator[str]:
    """Commands that write what a database holds after many years; order n has the rows 3n - 2 to 3n.

    Most of that would be forgotten by then. Without triggers and foreign keys, and with indexes afterwards, it takes some 6 s.
    """
    unasked = "SET session_replication_role = replica; "
    at = f"now() - make_interval(hours => {ORDERS} - n)"
    each = f"FROM generate_series(1, {ORDERS}) n"
    yield f"DROP INDEX {', '.join(INDEXES)}"
    yield (
        f"{unasked}INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp) "
        f"SELECT 'Demo', 'user' || n % {USERS}, '1', 'Dataset', stage, 'o' || n, '[\"/a\"]', {at} "
        f"{each}, unnest(ARRAY['Import Pending', 'Import Started', 'Import Completed']) "
        "WITH ORDINALITY AS stages (stage, place) ORDER BY n, place"
    )
    for name, columns in INDEXES.items():
        yield f"CREATE INDEX {name} ON imports ({columns})"
    yield (
        f"{unasked}INSERT INTO adi_order (uuid, imports_id, user_name, group_name, attempt, state, finished_at, "
        "lease_owner, lease_token, lease_until) "
        f"SELECT 'o' || n, 3 * n - 2, 'user' || n % {USERS}, 'Demo', 1, "
        "CASE WHEN running THEN 'running' WHEN waiting THEN 'waiting' ELSE 'completed' END, "
        f"CASE WHEN NOT running AND NOT waiting THEN {at} END, "
        "CASE WHEN running THEN 'h:1' END, CASE WHEN running THEN gen_random_uuid() END, CASE WHEN running THEN now() END "
        f"{each}, LATERAL (SELECT n % 1400 = 1 AS running, n % 1663 = 0 AS waiting) r"
    )
    yield f"{unasked}UPDATE adi_order SET unswept_since = finished_at WHERE imports_id % 3334 = 0"  # a hundred of them
    yield f"{unasked}INSERT INTO adi_attempt SELECT 'o' || n, 1, 3 * n - 1, 'h:1' {each}"
    yield f"{unasked}INSERT INTO adi_turn SELECT 'user' || n, now() FROM generate_series(0, {USERS - 1}) n"
    for_some = "FROM generate_series(1, 10000) n"
    yield f"INSERT INTO adi_file (uuid, key, entry, route, step) SELECT 'o' || n, '/a', '/a', 'inplace', 'annotated' {for_some}"
    yield f"INSERT INTO adi_action (who, action, uuid) SELECT 'h:1', 'retried', 'o' || n {for_some}"
    yield "INSERT INTO adi_inbox (uuid) SELECT 'new' || n FROM generate_series(1, 20) n"
    yield f"UPDATE adi_control SET scanned_at = now(), watched_id = {NEWEST}"
    yield "ANALYZE"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def explain(database: Database, asked: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a statement of ours and take back what it did; return the nodes of the plan that it had."""
    file_name, name = asked.split()
    statement = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statements(file_name)[name].text}")
    with database.begin() as connection:
        savepoint = connection.begin_nested()
        plan = list(nodes(connection.execute(statement, values).scalar_one()[0]["Plan"]))
        savepoint.rollback()
    return plan


def scanned(plan: list[dict[str, Any]]) -> set[str]:
    """Tables that were read from end to end."""
    return {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}


def looked_at(node: dict[str, Any]) -> int:
    """How many rows of a table were read, wanted or not."""
    return int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))


@pytest.mark.parametrize("asked", ASKED)
def test_nothing_is_read_but_what_is_needed(asked: str, database: Database) -> None:
    plan = explain(database, asked, ASKED[asked])
    assert scanned(plan) <= SMALL, json.dumps(plan, indent=1)
    assert max((looked_at(node) for node in plan if "Relation Name" in node), default=0) <= 250, json.dumps(plan, indent=1)


def explain_kept(connection: Connection, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The same for a statement whose plan the connection keeps, as it does after a few times: made without knowing the values."""
    kept = Prepared("explained", statements("queue.sql")[name])
    connection.execute(kept._prepare)
    try:
        connection.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        statement = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {kept._execute.text}")
        return list(nodes(connection.execute(statement, values).scalar_one()[0]["Plan"]))
    finally:
        connection.execute(text("DEALLOCATE explained"))


@pytest.mark.parametrize("before", ["ANALYZE adi_order", "SELECT 1"], ids=["counted", "not yet counted"])
@pytest.mark.parametrize("name", ["claim", "others_wait"])
def test_of_twenty_thousand_orders_that_wait_a_few_of_each_user_are_looked_at(name: str, before: str, database: Database) -> None:
    with database.begin() as connection:
        savepoint = connection.begin_nested()
        connection.execute(
            text(
                "INSERT INTO adi_order (uuid, imports_id, user_name, group_name) "
                "SELECT 'w' || n, n, 'user' || n % :users, 'Demo' FROM generate_series(1, 20000) n"
            ),
            {"users": USERS},
        )
        connection.execute(text(before))
        plan = explain_kept(connection, name, ASKED[f"queue.sql {name}"])
        savepoint.rollback()
    assert scanned(plan) <= SMALL, json.dumps(plan, indent=1)
    waiting = sum(looked_at(node) for node in plan if node.get("Index Name") == "adi_order_ix_waiting")
    assert 0 < waiting <= 5 * USERS, json.dumps(plan, indent=1)
    read = [node for node in plan if node.get("Relation Name") == "adi_order" and looked_at(node) > 0]
    assert sum(looked_at(node) for node in read) <= 10 * USERS + RUNNING, json.dumps(read, indent=1)


@pytest.mark.parametrize("after_id", [0, SCAN["after_id"]], ids=["the first time", "later"])
def test_reconciling_reads_the_pending_rows_of_the_last_days_alone(after_id: int, database: Database) -> None:
    plan = explain(database, "intake.sql reconcile", {"seconds": 864_000, "after_id": after_id, "ours_id": NEWEST})
    assert "imports" not in scanned(plan), json.dumps(plan, indent=1)
    pending = [looked_at(node) for node in plan if node.get("Index Name") == "adi_imports_ix_pending"]
    assert 0 < sum(pending) <= 250, json.dumps(plan, indent=1)


def test_looking_for_another_importer_reads_the_newest_rows_alone(database: Database) -> None:
    plan = explain(database, "takeover.sql foreign_starts", {"after_id": NEWEST - 1000, "newest_id": NEWEST, "most": 1000})
    assert not scanned(plan), json.dumps(plan, indent=1)
    read = [looked_at(node) for node in plan if node.get("Relation Name") == "imports"]
    assert 0 < sum(read) <= 1000, json.dumps(plan, indent=1)


def test_the_first_start_reads_the_history_a_few_times_and_not_once_an_order(database: Database) -> None:
    """No index says which orders were begun, and it is asked once in the life of a database: it may read all of `imports`."""
    with database.begin() as connection:
        savepoint = connection.begin_nested()
        connection.execute(text("TRUNCATE adi_order CASCADE"))  # none of the orders is ours: the former importer has done them
        connection.execute(text("UPDATE imports SET stage = '-' WHERE stage = 'Import Completed' AND id % 30 = 0"))
        connection.execute(text("DELETE FROM imports WHERE stage = '-'"))
        statement = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statements('takeover.sql')['fail_begun'].text}")
        found = connection.execute(statement, {"newest_id": NEWEST, "description": ""}).scalar_one()[0]["Plan"]
        savepoint.rollback()
    plan = list(nodes(found))
    assert "imports" in scanned(plan)
    assert sum(looked_at(node) for node in plan if node.get("Relation Name") == "imports") <= 4 * NEWEST, json.dumps(
        plan, indent=1
    )
