# SPDX-License-Identifier: GPL-2.0-or-later
"""The queries of docs/queries.md, run as they stand there on known orders: they show what the page says that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from omero_adi_plugin.tracking.database import Database
from tests.fixtures.producer import Producer
from tests.integration.former.conftest import Service

PAGE = (Path(__file__).parents[3] / "docs" / "queries.md").read_text(encoding="utf-8")
README = Path(__file__).with_name("data").joinpath("database-queries.txt").read_text(encoding="utf-8")
ONE = "4f1c09aa-5c0e-4b43-9a52-0f6f2cf0a001"
"""The running order; the page asks for it."""


def queries(page: str) -> dict[str, str]:
    """Give the SQL of a page by the heading above it."""
    return dict(re.findall(r"^### ([^\n]+)\n```sql\n(.+?)```$", page, re.MULTILINE | re.DOTALL))


QUERIES = queries(PAGE)
QUICK = queries(PAGE.partition("\n## What is going on\n")[2].partition("\n## What has been\n")[0])
FORMER = ("View recent orders", "Check pending orders", "View preprocessing jobs")

Rows = list[tuple[Any, ...]]
SHOWN: dict[str, Rows] = {
    "Orders that wait": [
        ("fresh", "carl", "Demo", ANY, 0, "no service has taken it in yet"),
        ("long ago", "ben", "Demo", ANY, 0, "no service has taken it in yet"),
        ("tried", "ann", "Demo", ANY, 1, "the file was busy"),
    ],
    "Orders that run": [(ONE, "dora", "Demo", 1, ANY, "host:1", ANY)],
    "Orders with a converter": [(ONE, "running", "converter:2", {"saveoption": "single"})],
    "One order": [("Import Pending", ANY, None)],
    "The latest orders": [
        ("fresh", "Import Pending", "carl", "Demo", None, None),
        (ONE, "Import Pending", "dora", "Demo", ANY, None),
        ("long ago", "Import Pending", "ben", "Demo", ANY, None),
        ("tried", "Import Started", "ann", "Demo", ANY, None),
        ("today", "Import Failed", "ben", "Demo", ANY, "There is no user 'ben'."),
        ("medium", "Import Completed", "ben", "Demo", ANY, None),
        ("slow", "Import Completed", "ann", "Demo", ANY, None),
        ("quick", "Import Completed", "ann", "Demo", ANY, None),
        ("former", "Import Completed", "eve", "Demo", ANY, None),
    ],
    "Failed in the last day": [("today", "ben", "Demo", ANY, "There is no user 'ben'.")],
    "How long orders take": [(ANY, 3, timedelta(seconds=20), timedelta(seconds=40))],
    "Orders by user": [("ann", 1, 0, 2, 0), ("ben", 0, 0, 1, 2), ("dora", 0, 1, 0, 0)],
    "An order that is to go first": [(ONE, "running", 10)],
    "The state of every order": [("Import Completed", 4), ("Import Failed", 1), ("Import Pending", 3), ("Import Started", 1)],
}
"""What each right query shows of the orders below; whatever depends on the clock may be anything."""


class Story:
    """Orders of several days, told by a producer and a service."""

    def __init__(self, producer: Producer, service: Service) -> None:
        self.producer, self.service = producer, service

    def place(self, uuid: str, user: str, *, container: str | None = None) -> None:
        self.producer.pending(uuid)
        self.producer.sql("UPDATE imports SET user_name = %s WHERE uuid = %s", user, uuid)
        if container:
            self.producer.sql(
                "WITH p AS (INSERT INTO imports_preprocessing (container, input_file, output_folder, extra_params) "
                "VALUES (%s, '{Files}', '/data', '{\"saveoption\": \"single\"}') RETURNING id) "
                "UPDATE imports SET preprocessing_id = p.id FROM p WHERE uuid = %s",
                container,
                uuid,
            )

    def complete(self, uuid: str, *, waited: int, ran: int) -> None:
        """Complete an order three days ago, after so many seconds."""
        claim = self.service.next()
        assert claim is not None
        self.service.queue.complete(claim.lease)
        noon = "current_date - interval '3 days' + interval '12 hours'"
        for statement, seconds in (
            ("UPDATE imports SET timestamp = {} WHERE uuid = %s AND stage = 'Import Pending'", 0),
            ("UPDATE adi_attempt SET started_at = {} WHERE uuid = %s", waited),
            ("UPDATE adi_order SET finished_at = {} WHERE uuid = %s", waited + ran),
        ):
            self.producer.sql(statement.format(f"{noon} + interval '{seconds} s'"), uuid)

    def fail(self, uuid: str, *, reason: str, hours_ago: int) -> None:
        claim = self.service.next()
        assert claim is not None
        self.service.queue.fail(claim.lease, reason=reason)
        self.producer.sql(f"UPDATE adi_order SET finished_at = now() - interval '{hours_ago} h' WHERE uuid = %s", uuid)

    def give_back(self) -> None:
        claim = self.service.next()
        assert claim is not None
        self.service.queue.give_back(claim.lease, note="the file was busy", failures=1, after_seconds=600)

    def tell(self) -> None:
        for stage in ("Import Pending", "Import Started", "Import Completed"):
            self.producer.pending("former", stage=stage)
        self.producer.sql("UPDATE imports SET user_name = 'eve'")
        self.producer.sql("DELETE FROM adi_inbox")  # it was there before us
        self.place("quick", "ann")
        self.complete("quick", waited=10, ran=20)
        self.place("slow", "ann")
        self.complete("slow", waited=30, ran=60)
        self.place("medium", "ben", container="converter:1")
        self.give_back()
        self.producer.sql("UPDATE adi_order SET run_after = now() WHERE uuid = 'medium'")
        self.complete("medium", waited=20, ran=40)
        self.place("long ago", "ben")
        self.fail("long ago", reason="The file is damaged.", hours_ago=72)
        self.place("today", "ben")
        self.fail("today", reason="There is no user 'ben'.", hours_ago=2)
        self.place("tried", "ann")
        self.give_back()
        self.place(ONE, "dora", container="converter:2")
        assert self.service.next() is not None
        self.place("long ago", "ben")  # again, and nobody takes it in any more
        self.place(ONE, "dora")  # again while it runs
        self.place("fresh", "carl", container="converter:3")
        self.producer.sql("UPDATE imports SET timestamp = NULL WHERE uuid = 'fresh'")


@pytest.fixture
def known(database_url: str) -> Iterator[Producer]:
    producer = Producer(database_url)
    with closing(Database(database_url, name="tests")) as database:
        Story(producer, Service(database)).tell()
        yield producer


def test_the_readmes_queries_are_on_the_page_as_they_stand_in_the_readme() -> None:
    assert "\n".join(QUERIES[heading] for heading in FORMER) == README


def test_every_query_of_the_page_is_tested() -> None:
    assert set(QUERIES) == {*FORMER, *SHOWN}
    assert PAGE.count("```sql") == len(QUERIES)
    assert set(QUICK) < set(SHOWN)


def test_each_right_query_shows_what_it_promises(known: Producer) -> None:
    for heading, rows in SHOWN.items():
        assert sort(known.sql(QUERIES[heading]), heading) == sort(rows, heading), heading


def sort(rows: Rows, heading: str) -> Rows:
    """Those whose order is a matter of milliseconds, by uuid."""
    return sorted(rows, key=lambda row: str(row[0])) if heading == "Orders that wait" else rows


def test_the_readmes_queries_show_rows_and_not_orders(known: Producer) -> None:
    recent, pending, preprocessing = (known.sql(QUERIES[heading]) for heading in FORMER)
    assert recent[0] == ("fresh", "Import Pending", "Demo", "carl", None)
    assert len(recent) == 10
    assert len({row[0] for row in recent}) < 10
    assert all(
        uuid in {value for row in pending for value in row} for uuid in ("former", "quick", "today", "tried", ONE, "fresh")
    )
    assert sorted(container for _, container, _ in preprocessing) == ["converter:1", "converter:1", "converter:2"]


def test_queries_about_what_is_going_on_read_no_whole_table(database_url: str) -> None:
    producer = Producer(database_url)
    producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    producer.sql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp) "
        "SELECT 'Demo', 'ann', '1', 'Dataset', stage, 'o' || n, '[]', now() FROM generate_series(1, 20000) n, "
        "unnest(ARRAY['Import Pending', 'Import Started', 'Import Completed']) WITH ORDINALITY AS s (stage, i) ORDER BY n, i"
    )
    producer.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state) SELECT 'o' || n, 3 * n - 2, 'ann', 'Demo', "
        "CASE WHEN n % 1000 = 0 THEN 'waiting' ELSE 'completed' END FROM generate_series(1, 20000) n"
    )
    producer.sql("INSERT INTO adi_attempt SELECT 'o' || n, 1, 3 * n - 1, 'h:1' FROM generate_series(1, 20000) n")
    producer.sql("INSERT INTO imports_preprocessing SELECT n, 'c', '{Files}', '/data' FROM generate_series(1, 20000) n")
    producer.sql("INSERT INTO adi_inbox (uuid) SELECT 'o' || 1000 * n + 1 FROM generate_series(0, 9) n")
    producer.sql("ANALYZE")
    for heading, query in QUICK.items():
        [[[plan]]] = producer.sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        whole = {node["Relation Name"] for node in nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan"}
        assert whole <= {"adi_inbox"}, heading


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)
