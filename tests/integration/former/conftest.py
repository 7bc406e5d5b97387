# SPDX-License-Identifier: GPL-2.0-or-later
"""What a database consists of, and how the former importer's orders are carried out by our queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from omero_adi_plugin.orders import Claim
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.producer import Producer

CATALOG = """
WITH relation AS (
    SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'c'
), found (what, name, text) AS (
    SELECT 'relation', relname::text, concat_ws(' ', relkind::text, relpersistence, relowner::regrole, relacl, reloptions)
      FROM relation
    UNION ALL
    SELECT 'column', r.relname || '.' || a.attname,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END, a.attidentity,
                     pg_get_expr(d.adbin, d.adrelid),
                     row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum))
      FROM relation r
      JOIN pg_attribute a ON a.attrelid = r.oid AND r.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'index', r.relname, pg_get_indexdef(r.oid) FROM relation r WHERE relkind = 'i'
    UNION ALL
    SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger', tgrelid::regclass || '.' || tgname, tgenabled::text || ' ' || pg_get_triggerdef(oid)
      FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function', oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'type', typname, typtype::text FROM pg_type WHERE typnamespace = 'public'::regnamespace
)
SELECT * FROM found ORDER BY 1, 2, 3
"""
"""Everything of the schema `public`, in words that do not depend on when it was made."""


def catalog(url: str) -> list[tuple[str, ...]]:
    return Producer(url).sql(CATALOG)


def an_order(**fields: object) -> dict[str, Any]:
    """The dictionary that `log_ingestion_step` takes, with an uuid of its own."""
    return {
        "UUID": str(uuid4()),
        "Group": "Demo",
        "Username": "ann",
        "DestinationID": "151",
        "DestinationType": "Dataset",
        "Files": ["/data/a.tif", "/data/ü b.tif"],
        **fields,
    }


class Service:
    """What our service does with the database: takes in, claims, ends."""

    def __init__(self, database: Database) -> None:
        self.intake = Intake(database, pending_days=10)
        self.queue = Queue(database, lease_seconds=60)

    def next(self) -> Claim | None:
        """Take in what is there, found by the trigger or by the scan, and claim the next order."""
        self.intake.reconcile()
        self.intake.take_in()
        return self.queue.claim(owner="host:1")

    def complete_all(self) -> dict[str, Claim]:
        """Carry out all orders."""
        done = {}
        while claim := self.next():
            self.queue.complete(claim.lease)
            done[claim.lease.order] = claim
        return done


@pytest.fixture
def producer(empty_database_url: str) -> Producer:
    return Producer(empty_database_url)


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    with closing(Database(empty_database_url, name="tests")) as database:
        yield database


@pytest.fixture
def service(database: Database) -> Service:
    return Service(database)


@pytest.fixture
def manual_insertion() -> str:
    """The old README's section "Manual Database Insertion", as it stands there."""
    return Path(__file__).with_name("data").joinpath("manual-insertion.txt").read_text(encoding="utf-8")
