# SPDX-License-Identifier: GPL-2.0-or-later
"""Query plans: what is asked often reads its index, however long the history; slowness shows here and not at a site."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.tracking.database import Database
    from tests.fixtures.producer import Producer

LEASE = {"uuid": "o7", "token": uuid4()}
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
    "views.sql orders": {"uuid": None, "user": None, "state": None, "limit": 25},
    "views.sql stages": {"uuid": "o7"},
    "operating.sql newest": {"uuid": "o7"},
    "operating.sql content": {"uuid": "o7"},
    "operating.sql call_off_events": {"uuid": "o7"},
}


@pytest.fixture
def history(producer: Producer) -> None:
    """20,000 orders, of which 200 wait, 50 run and 20 are in the inbox; 240 were ordered in the last 10 days."""
    producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    producer.sql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp) "
        "SELECT 'Demo', 'ann', '1', 'Dataset', stage, 'o' || n, '[\"/a\"]', now() - make_interval(hours => 20000 - n) "
        "FROM generate_series(1, 20000) n, unnest(ARRAY['Import Pending', 'Import Started', 'Import Completed']) stage"
    )
    producer.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, lease_owner, lease_token, lease_until) "
        "SELECT 'o' || n, n, 'ann', 'Demo', "
        "CASE WHEN running THEN 'running' WHEN n % 100 = 0 THEN 'waiting' ELSE 'completed' END, "
        "CASE WHEN running THEN 'h:1' END, CASE WHEN running THEN gen_random_uuid() END, CASE WHEN running THEN now() END "
        "FROM generate_series(1, 20000) n, LATERAL (SELECT n % 400 = 1 AS running) r"
    )
    producer.sql("INSERT INTO adi_inbox (uuid) SELECT 'new' || n FROM generate_series(1, 20) n")
    producer.sql("ANALYZE imports, adi_order, adi_inbox")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def explain(database: Database, asked: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a statement of ours; return the nodes of the plan that it had."""
    file_name, name = asked.split()
    statement = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statements(file_name)[name].text}")
    with database.begin() as connection:
        return list(nodes(connection.execute(statement, values).scalar_one()[0]["Plan"]))


def scanned(plan: list[dict[str, Any]]) -> set[str]:
    """Tables that were read from end to end."""
    return {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("asked", ASKED)
def test_nothing_is_read_but_what_is_needed(asked: str, database: Database) -> None:
    plan = explain(database, asked, ASKED[asked])
    read = [node["Actual Rows"] * node["Actual Loops"] for node in plan if "Relation Name" in node]
    assert scanned(plan) <= {"adi_inbox", "adi_control", "imports_preprocessing"}, json.dumps(plan, indent=1)
    assert max(read, default=0) <= 250, json.dumps(plan, indent=1)


@pytest.mark.usefixtures("history")
def test_a_claim_looks_at_one_order(database: Database) -> None:
    plan = explain(database, "queue.sql claim", ASKED["queue.sql claim"])
    waiting = [node["Actual Rows"] for node in plan if node.get("Index Name") == "adi_order_ix_waiting"]
    assert waiting == [1], json.dumps(plan, indent=1)


@pytest.mark.usefixtures("history")
def test_reconciling_reads_the_pending_rows_of_the_last_days_alone(database: Database) -> None:
    plan = explain(database, "intake.sql reconcile", {"seconds": 864000, "after_id": 0, "ours_id": 0})
    assert "imports" not in scanned(plan), json.dumps(plan, indent=1)
    pending = [node["Actual Rows"] for node in plan if node.get("Index Name") == "adi_imports_ix_pending"]
    assert 0 < sum(pending) <= 250, json.dumps(plan, indent=1)
