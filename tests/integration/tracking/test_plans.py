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
from omero_adi_plugin.tracking.sql import statements
from tests.fixtures.postgres import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDERS = 70_000
NEWEST = 3 * ORDERS
LEASE = {"uuid": "o7", "token": uuid4()}
SCAN = {"after_id": NEWEST - 1000, "ours_id": NEWEST}
ASKED: dict[str, dict[str, Any]] = {
    "queue.sql claim": {"owner": "host:1", "lease_seconds": 60},
    "queue.sql free_lapsed": {},
    "queue.sql extend": {**LEASE, "lease_seconds": 60},
    "queue.sql finish": {**LEASE, "state": "completed"},
    "queue.sql give_back": {**LEASE, "note": "", "failed": 1, "after_seconds": 1},
    "queue.sql next_due_seconds": {},
    "queue.sql pending": {},
    "audit.sql append": {"imports_id": 7, "stage": "Import Completed", "description": None},
    "intake.sql due_events": {"batch": 200},
    "intake.sql fill_timestamps": {"uuids": ["o7", "o8"]},
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
    "operating.sql newest": {"uuid": "o7"},
    "operating.sql content": {"uuid": "o7"},
    "operating.sql call_off_events": {"uuid": "o7"},
}


@pytest.fixture(scope="module")
def database(postgres_url: str, template: str) -> Iterator[Database]:
    """70,000 orders with 210,000 rows; 200 wait, 50 run, 20 others are in the inbox; 240 were ordered in the last 10 days."""
    name = f"adi_test_{uuid4().hex}"
    execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        execute(url, *history())
        with closing(Database(url, name="tests")) as database:
            yield database
    finally:
        execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def history() -> Iterator[str]:
    """Commands that write what a database holds after some years; order n has the rows 3n - 2 to 3n."""
    yield "ALTER TABLE imports DISABLE TRIGGER adi_note_pending"
    yield (
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp) "
        f"SELECT 'Demo', 'ann', '1', 'Dataset', stage, 'o' || n, '[\"/a\"]', now() - make_interval(hours => {ORDERS} - n) "
        f"FROM generate_series(1, {ORDERS}) n, unnest(ARRAY['Import Pending', 'Import Started', 'Import Completed']) "
        "WITH ORDINALITY AS stages (stage, place) ORDER BY n, place"
    )
    yield (
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, lease_owner, lease_token, lease_until) "
        "SELECT 'o' || n, 3 * n - 2, 'ann', 'Demo', "
        "CASE WHEN running THEN 'running' WHEN n % 350 = 0 THEN 'waiting' ELSE 'completed' END, "
        "CASE WHEN running THEN 'h:1' END, CASE WHEN running THEN gen_random_uuid() END, CASE WHEN running THEN now() END "
        f"FROM generate_series(1, {ORDERS}) n, LATERAL (SELECT n % 1400 = 1 AS running) r"
    )
    yield f"INSERT INTO adi_attempt SELECT 'o' || n, 1, 3 * n - 1, 'h:1' FROM generate_series(1, {ORDERS}) n"
    yield "INSERT INTO adi_action (who, action, uuid) SELECT 'h:1', 'retried', 'o' || n FROM generate_series(1, 10000) n"
    yield "INSERT INTO adi_inbox (uuid) SELECT 'new' || n FROM generate_series(1, 20) n"
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
    assert scanned(plan) <= {"adi_inbox", "adi_control", "imports_preprocessing"}, json.dumps(plan, indent=1)
    assert max((looked_at(node) for node in plan if "Relation Name" in node), default=0) <= 250, json.dumps(plan, indent=1)


def test_a_claim_looks_at_one_order(database: Database) -> None:
    plan = explain(database, "queue.sql claim", ASKED["queue.sql claim"])
    waiting = [node["Actual Rows"] for node in plan if node.get("Index Name") == "adi_order_ix_waiting"]
    assert waiting == [1], json.dumps(plan, indent=1)


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
        connection.execute(text("DELETE FROM adi_order"))  # none of the orders is ours: the former importer has done them
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
