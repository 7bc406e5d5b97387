# SPDX-License-Identifier: GPL-2.0-or-later
"""Giving a database back: ours goes, theirs stays, and no order is lost or imported twice by whoever comes next."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from omero_adi_plugin.errors import ConfigurationError, DatabaseDown, NotPermitted, ServicesRunning
from omero_adi_plugin.orders import Claim, FileStep, LedgerFile, Route
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.detach import Detached, detach
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.migrate import current, upgrade
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.services import Presence
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, PLUGIN_HEAD, Revisions
from tests.fixtures.migrating import BY_HAND, ORDER, OUR_RELATIONS, in_schema, login, recorded, rows
from tests.fixtures.postgres import execute
from tests.fixtures.producer import Producer
from tests.fixtures.waiting import wait_until

PENDING, STARTED, DONE, FAILED = "Import Pending", "Import Started", "Import Completed", "Import Failed"
DETACHED = Revisions(contract=CONTRACT_HEAD, plugin=None)
HEAD = Revisions(contract=CONTRACT_HEAD, plugin=PLUGIN_HEAD)
OURS = (
    "adi_action",
    "adi_attempt",
    "adi_control",
    "adi_conversion",
    "adi_file",
    "adi_inbox",
    "adi_order",
    "adi_service",
    "adi_turn",
)
ALL = "SELECT * FROM imports ORDER BY id"
LAPSE = "UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'"
CATALOG = """
SELECT 'relation', relname::text, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger', tgname, '' FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', proname, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, atttypid::regtype || ' ' || attnotnull FROM pg_attribute
           WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) AND attnum > 0
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Site:
    """A database with our classes on it, as a service uses them; they hang up before anything is detached."""

    database: Database
    producer: Producer
    intake: Intake
    queue: Queue

    def order(self) -> str:
        uuid = self.producer.pending()
        self.intake.take_in()
        return uuid

    def claimed(self) -> Claim:
        uuid = self.order()
        claim = self.queue.claim(owner="host:1")
        assert claim is not None
        assert claim.lease.order == uuid
        return claim

    def record(self, claim: Claim, step: FileStep, fileset: int | None = None, key: str = "/data/a.tif") -> None:
        line = LedgerFile(entry=key, key=key, route=Route.INPLACE, step=step, fileset=fileset)
        Ledger(self.database, claim.lease).record(line)

    def give_back(self, claim: Claim) -> None:
        self.queue.give_back(claim.lease, note="later", failures=1, after_seconds=600)


@pytest.fixture
def site(database: Database, producer: Producer, intake: Intake, queue: Queue) -> Site:
    return Site(database=database, producer=producer, intake=intake, queue=queue)


def description(producer: Producer, uuid: str) -> str:
    [(text,)] = producer.sql("SELECT description FROM imports WHERE uuid = %s ORDER BY timestamp DESC, id DESC LIMIT 1", uuid)
    return str(text)


def test_what_is_ours_goes_and_what_was_there_before_stays(empty_database_url: str) -> None:
    url = empty_database_url
    execute(url, BY_HAND, *recorded(CONTRACT_HEAD), ORDER)
    before = rows(url, CATALOG), rows(url, ALL)
    upgrade(url)
    assert detach(url) == Detached(trigger=True, tables=OURS)
    assert (rows(url, CATALOG), rows(url, ALL)) == before
    assert current(url) == DETACHED
    Producer(url).pending("after")
    upgrade(url)
    assert current(url) == HEAD
    Producer(url).pending("again")
    assert rows(url, "SELECT uuid FROM adi_inbox") == [("again",)]


def test_a_database_without_anything_of_ours_stays_as_it_is(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, *recorded(CONTRACT_HEAD), ORDER)
    before = rows(empty_database_url, CATALOG), rows(empty_database_url, ALL)
    assert detach(empty_database_url) == Detached()
    assert (rows(empty_database_url, CATALOG), rows(empty_database_url, ALL)) == before


@pytest.mark.parametrize("lost", ["DROP TRIGGER adi_note_pending ON imports", "DROP FUNCTION adi_note_pending() CASCADE"])
def test_a_database_without_trigger_is_given_back_too(lost: str, database_url: str) -> None:
    execute(database_url, lost)
    assert detach(database_url) == Detached(trigger=False, tables=OURS)
    assert rows(database_url, OUR_RELATIONS) == []


def test_tables_of_an_older_version_of_ours_go_too(database_url: str) -> None:
    execute(
        database_url,
        "DROP TABLE adi_attempt, adi_action, adi_control, adi_conversion, adi_service, adi_turn",
        "UPDATE alembic_version_omeroadi_plugin SET version_num = '1f7e62c0a9d4'",
    )
    assert detach(database_url).tables == ("adi_file", "adi_inbox", "adi_order")
    assert rows(database_url, OUR_RELATIONS) == []


def never_claimed(site: Site) -> str:
    return site.order()


def in_the_inbox(site: Site) -> str:
    return site.producer.pending()


def in_back_off(site: Site) -> str:
    claim = site.claimed()
    site.give_back(claim)
    return claim.lease.order


def in_back_off_after_a_bad_file(site: Site) -> str:
    claim = site.claimed()
    site.record(claim, FileStep.FAILED)
    site.give_back(claim)
    return claim.lease.order


def worker_died_early(site: Site) -> str:
    claim = site.claimed()
    site.producer.sql(LAPSE)
    return claim.lease.order


def failed_and_ordered_again_meanwhile(site: Site) -> str:
    claim = site.claimed()
    site.producer.pending(claim.lease.order)
    site.queue.fail(claim.lease, reason="no such user")
    return claim.lease.order


def ordered_again_with_other_files(site: Site) -> str:
    claim = site.claimed()
    site.producer.pending(claim.lease.order, files='["/data/other.tif"]')
    site.queue.fail(claim.lease, reason="no such file")
    return claim.lease.order


def in_back_off_and_ordered_again_without_a_time(site: Site) -> str:
    uuid = in_back_off(site)
    return site.producer.pending(uuid, timestamp=None)  # which intake would have filled in, and readers sort as the newest


def content_row_deleted(site: Site) -> str:
    claim = site.claimed()
    site.give_back(claim)
    site.producer.sql("DELETE FROM imports WHERE stage = %s", PENDING)
    return claim.lease.order


LEFT_PENDING: list[tuple[Callable[[Site], str], list[str]]] = [
    (never_claimed, [PENDING]),
    (in_the_inbox, [PENDING]),
    (in_back_off, [PENDING, STARTED, PENDING]),
    (in_back_off_after_a_bad_file, [PENDING, STARTED, PENDING]),
    (worker_died_early, [PENDING, STARTED, PENDING]),
    (failed_and_ordered_again_meanwhile, [PENDING, STARTED, PENDING, FAILED, PENDING]),
    (ordered_again_with_other_files, [PENDING, STARTED, PENDING, FAILED, PENDING]),
    (in_back_off_and_ordered_again_without_a_time, [PENDING, PENDING, STARTED]),
    (content_row_deleted, [STARTED, PENDING]),
]


@pytest.mark.parametrize(("situation", "trail"), LEFT_PENDING, ids=lambda value: getattr(value, "__name__", ""))
def test_an_order_that_was_not_begun_is_left_pending(
    situation: Callable[[Site], str], trail: list[str], site: Site, database_url: str
) -> None:
    uuid = situation(site)
    assert detach(database_url) == Detached(trigger=True, tables=OURS, pending=(uuid,))
    assert site.producer.trail(uuid) == trail
    pending = "SELECT user_name, group_name, destination_id, files FROM imports WHERE stage = 'Import Pending' ORDER BY id DESC"
    files = '["/data/other.tif"]' if situation is ordered_again_with_other_files else '["/data/a.tif"]'
    assert rows(database_url, pending)[0] == ("ann", "Demo", "151", files)


def worker_died_late(site: Site) -> str:
    claim = site.claimed()
    site.record(claim, FileStep.VERIFYING, fileset=12)
    site.record(claim, FileStep.IMPORTED, fileset=11, key="/data/b.tif")
    site.producer.sql(LAPSE)
    return claim.lease.order


def given_back_half_way(site: Site) -> str:
    claim = site.claimed()
    site.record(claim, FileStep.IMPORTED, fileset=12)
    site.record(claim, FileStep.ANNOTATED, fileset=11, key="/data/b.tif")
    site.give_back(claim)
    return claim.lease.order


def half_way_and_ordered_again(site: Site) -> str:
    uuid = given_back_half_way(site)
    site.producer.pending(uuid)
    return uuid


def completed_and_ordered_again(site: Site) -> str:
    claim = site.claimed()
    site.record(claim, FileStep.ANNOTATED, fileset=12)
    site.record(claim, FileStep.ANNOTATED, fileset=11, key="/data/b.tif")
    site.queue.complete(claim.lease)
    site.producer.pending(claim.lease.order)
    return claim.lease.order


BEGUN = [worker_died_late, given_back_half_way, half_way_and_ordered_again, completed_and_ordered_again]


@pytest.mark.parametrize("situation", BEGUN)
def test_an_order_that_was_begun_is_failed_for_a_person(situation: Callable[[Site], str], site: Site, database_url: str) -> None:
    uuid = situation(site)
    before = site.producer.trail(uuid)
    assert detach(database_url) == Detached(trigger=True, tables=OURS, failed=(uuid,))
    assert site.producer.trail(uuid) == [*before, FAILED]
    assert "Fileset 12, 11" in description(site.producer, uuid)
    assert "order again" in description(site.producer, uuid)


def test_an_order_whose_connection_broke_may_have_been_begun(site: Site, database_url: str) -> None:
    """After that the ledger says planned, because only OMERO knows."""
    claim = site.claimed()
    site.record(claim, FileStep.PLANNED)
    site.give_back(claim)
    assert detach(database_url).failed == (claim.lease.order,)
    assert "may be in OMERO" in description(site.producer, claim.lease.order)


def test_the_sentence_about_a_huge_order_is_short(site: Site, database_url: str) -> None:
    claim = site.claimed()
    for fileset in range(200):
        site.record(claim, FileStep.IMPORTED, fileset=10**9 + fileset, key=f"/data/{fileset}.tif")
    site.give_back(claim)
    detach(database_url)
    said = description(site.producer, claim.lease.order)
    assert "and 195 more" in said
    assert len(said) <= 500
    assert "…" not in said


def completed(site: Site) -> str:
    claim = site.claimed()
    site.record(claim, FileStep.ANNOTATED, fileset=12)
    site.queue.complete(claim.lease)
    return claim.lease.order


def failed(site: Site) -> str:
    claim = site.claimed()
    site.record(claim, FileStep.ANNOTATED, fileset=12)
    site.queue.fail(claim.lease, reason="one of two files is broken")
    return claim.lease.order


def completed_and_ordered_again_meanwhile(site: Site) -> str:
    claim = site.claimed()
    site.producer.pending(claim.lease.order)
    site.record(claim, FileStep.ANNOTATED, fileset=12)
    site.queue.complete(claim.lease)
    return claim.lease.order


def rows_deleted(site: Site) -> str:
    claim = site.claimed()
    site.give_back(claim)
    site.producer.sql("DELETE FROM imports")
    return claim.lease.order


def called_off_by_sql_before_it_was_taken_in(site: Site) -> str:
    uuid = site.producer.pending()
    site.producer.sql("UPDATE imports SET stage = %s", FAILED)
    return uuid


ENDED = [completed, failed, completed_and_ordered_again_meanwhile, rows_deleted, called_off_by_sql_before_it_was_taken_in]


@pytest.mark.parametrize("situation", ENDED)
def test_an_order_that_has_ended_keeps_its_end(situation: Callable[[Site], str], site: Site, database_url: str) -> None:
    uuid = situation(site)
    before = site.producer.trail(uuid)
    assert detach(database_url) == Detached(trigger=True, tables=OURS)
    assert site.producer.trail(uuid) == before


def test_nothing_is_given_away_while_an_order_is_carried_out(site: Site, database_url: str) -> None:
    claim = site.claimed()
    with pytest.raises(ServicesRunning, match=f"order '{claim.lease.order}' is carried out by host:1"):
        detach(database_url)
    assert current(database_url) == HEAD
    site.producer.pending("u")
    assert rows(database_url, "SELECT uuid FROM adi_inbox") == [("u",)]


@pytest.mark.parametrize("name", ["adi service", "adi worker", "adi lease"])
def test_nothing_is_given_away_while_a_service_is_connected(name: str, database_url: str) -> None:
    with closing(Database(database_url, name=name)) as service:
        with service.begin() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with pytest.raises(ServicesRunning, match=rf"'{name}' \(pid {pid}, from .*Stop all services"):
            detach(database_url)
    assert current(database_url) == HEAD


def test_nothing_is_given_away_while_a_service_says_that_it_is_at_work(site: Site, database_url: str) -> None:
    presence = Presence(site.database)
    presence.tell([])
    with pytest.raises(
        ServicesRunning, match=rf"service {socket.gethostname()}:{os.getpid()}, which said so within the last 60 s"
    ):
        detach(database_url)
    assert current(database_url) == HEAD
    site.producer.sql("UPDATE adi_service SET seen_at = now() - interval '2 minutes'")
    assert detach(database_url).tables == OURS


def test_a_service_that_has_left_keeps_nobody(site: Site, database_url: str) -> None:
    presence = Presence(site.database)
    presence.tell([])
    presence.leave()
    assert detach(database_url).tables == OURS


def test_nothing_is_given_away_while_a_service_listens(database_url: str) -> None:
    with closing(Bell(database_url, channels=("adi_inbox",))) as bell:
        bell.wait(0)
        with pytest.raises(ServicesRunning, match="bell"):
            detach(database_url)


def test_producers_are_not_made_to_wait_for_a_refusal(database_url: str) -> None:
    with closing(Database(database_url, name="adi service")) as service, service.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE imports IN ROW EXCLUSIVE MODE")  # whoever waits for this makes others wait
        with pytest.raises(ServicesRunning):
            detach(database_url)


def test_services_on_another_database_may_go_on(database_url: str, empty_database_url: str) -> None:
    with closing(Database(empty_database_url, name="adi service")) as service, service.begin():
        assert detach(database_url).tables == OURS


def locks_waited_for(url: str) -> list[tuple[Any, ...]]:
    waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'omero-adi migrations' AND wait_event_type = 'Lock'"
    return rows(url, f"{waiting} AND datname = current_database()")


def test_an_order_that_is_claimed_at_the_last_moment_is_not_lost(site: Site, database_url: str) -> None:
    uuid = site.order()
    claim = (
        "UPDATE adi_order SET state = 'running', lease_owner = 'host:2', lease_token = gen_random_uuid(), "
        "lease_until = now() + interval '1 minute'"
    )
    with ThreadPoolExecutor(1) as thread, closing(psycopg2.connect(database_url)) as worker, worker.cursor() as cursor:
        cursor.execute(claim)
        detaching = thread.submit(detach, database_url)
        wait_until(lambda: locks_waited_for(database_url), what="it waits for the claim")
        worker.commit()
        with pytest.raises(ServicesRunning, match=uuid):
            detaching.result(timeout=60)
    assert current(database_url) == HEAD
    assert rows(database_url, "SELECT count(*) FROM pg_trigger WHERE tgname = 'adi_note_pending'") == [(1,)]


def test_dying_in_the_middle_changes_nothing(site: Site, database_url: str) -> None:
    given_back_half_way(site)
    before = rows(database_url, CATALOG), rows(database_url, ALL)
    with ThreadPoolExecutor(1) as thread, closing(psycopg2.connect(database_url)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT FROM adi_file")  # the last table that is touched: everything before it is done by then
        detaching = thread.submit(detach, database_url)
        [(pid,)] = wait_until(lambda: locks_waited_for(database_url), what="it waits for the reader")
        execute(database_url, f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(DatabaseDown):
            detaching.result(timeout=60)
    assert (rows(database_url, CATALOG), rows(database_url, ALL)) == before
    assert detach(database_url).tables == OURS


def test_another_schema_of_the_database_keeps_what_it_has(empty_database_url: str) -> None:
    here, there = (in_schema(empty_database_url, name) for name in ("here", "there"))
    upgrade(here)
    upgrade(there)
    Producer(there).pending("u")
    assert detach(here).pending == ()
    assert (current(here), current(there)) == (DETACHED, HEAD)
    assert rows(there, "SELECT uuid FROM adi_inbox") == [("u",)]


def test_an_account_without_rights_changes_nothing(postgres_url: str, database_url: str) -> None:
    with login(postgres_url, database_url, "secret") as url, pytest.raises(NotPermitted, match="owner of `imports`"):
        detach(url)
    assert current(database_url) == HEAD


def test_tables_of_a_newer_version_of_ours_are_left_to_it(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version_omeroadi_plugin SET version_num = 'ffffffffffff'")
    with pytest.raises(ConfigurationError, match="newer program"):
        detach(database_url)
    assert rows(database_url, "SELECT count(*) FROM pg_trigger WHERE tgname = 'adi_note_pending'") == [(1,)]


def test_our_tables_without_their_version_table_are_refused(database_url: str) -> None:
    execute(database_url, "DROP TABLE alembic_version_omeroadi_plugin")
    with pytest.raises(ConfigurationError, match="alembic_version_omeroadi_plugin"):
        detach(database_url)
