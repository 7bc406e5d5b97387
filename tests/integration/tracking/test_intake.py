# SPDX-License-Identifier: GPL-2.0-or-later
"""Intake: whatever a producer writes, and whenever it commits, becomes an order once."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.losses import free_lapsed

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

RETRY = "UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s"  # as operators were always told


def run(queue: Queue) -> str:
    """Carry out the next order."""
    claim = queue.claim(owner="host:1")
    assert claim is not None
    queue.complete(claim.lease)
    return claim.lease.order


def test_a_late_commit_with_a_lower_id_is_taken_in(producer: Producer, intake: Intake, queue: Queue) -> None:
    with closing(producer.connect()) as slow:
        late = producer.pending(on=slow)
        early = producer.pending()
        assert (intake.take_in(), run(queue)) == (1, early)
        assert (intake.take_in(), queue.pending()) == (0, 0)
        slow.commit()
    assert (intake.take_in(), run(queue)) == (1, late)


def test_the_same_uuid_twice_in_a_slow_transaction_is_not_lost(producer: Producer, intake: Intake, queue: Queue) -> None:
    with closing(producer.connect()) as slow:
        uuid = producer.pending()
        producer.pending(uuid, files='["/second"]', on=slow)
        assert (intake.take_in(), run(queue)) == (1, uuid)
        slow.commit()
    assert intake.take_in() == 1
    claim = queue.claim(owner="host:1")
    assert claim is not None
    assert claim.text.files == '["/second"]'


def test_the_documented_retry_runs_the_order_again(producer: Producer, intake: Intake, queue: Queue) -> None:
    uuid = producer.pending()
    intake.take_in()
    run(queue)
    producer.sql(RETRY, uuid)
    assert queue.pending() == 1
    assert intake.take_in() == 1
    claim = queue.claim(owner="host:1")
    assert claim is not None
    assert (claim.lease.attempt, claim.failures) == (2, 0)
    queue.complete(claim.lease)
    assert producer.trail(uuid)[-2:] == ["Import Started", "Import Completed"]
    assert (intake.take_in(), intake.reconcile(), queue.pending()) == (0, 0, 0)


@pytest.mark.parametrize("how", ["insert", "update"])
def test_submitted_again_while_it_runs_it_runs_once_more_afterwards(
    how: str, producer: Producer, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    for _ in range(3):
        producer.pending(uuid) if how == "insert" else producer.sql(RETRY, uuid)
    assert intake.take_in() == 0
    assert queue.claim(owner="host:2") is None
    assert queue.pending() == 1
    queue.complete(claim.lease)
    assert intake.take_in() == 1
    assert run(queue) == uuid
    assert (intake.take_in(), intake.reconcile(), queue.pending()) == (0, 0, 0)


def test_submitted_again_while_it_waits_it_keeps_its_failures_and_gets_its_turn(
    producer: Producer, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    queue.give_back(claim.lease, note="busy", failures=1, after_seconds=600)
    producer.pending(uuid, files='["/new"]')
    assert intake.take_in() == 1
    again = queue.claim(owner="host:1")
    assert again is not None
    assert (again.failures, again.text.files) == (1, '["/new"]')


def test_orders_that_no_trigger_told_of_are_found(producer: Producer, intake: Intake, queue: Queue) -> None:
    producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    plain, without_time, retried = producer.pending(), producer.pending(timestamp=None), producer.pending()
    assert (intake.reconcile(), intake.reconcile(), intake.take_in()) == (3, 0, 3)
    assert {run(queue) for _ in range(3)} == {plain, without_time, retried}
    assert intake.reconcile() == 0
    producer.sql(RETRY, retried)
    assert (intake.reconcile(), intake.take_in(), run(queue)) == (1, 1, retried)
    assert (intake.reconcile(), intake.take_in()) == (0, 0)


def test_what_is_long_past_is_left_alone(producer: Producer, intake: Intake) -> None:
    producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    producer.pending(timestamp=None)  # as old as the next one
    producer.pending(timestamp="2020-01-01")
    for first, then in (("2020-01-01", "2020-01-02"), ("now", "now"), (None, "now")):
        done = producer.pending(timestamp=first)
        producer.pending(done, stage="Import Started", timestamp=then)
        producer.pending(done, stage="Import Completed", timestamp=then)
    assert intake.reconcile() == 0


def test_the_scan_does_not_run_again_what_the_trigger_told_of_meanwhile(producer: Producer, intake: Intake, queue: Queue) -> None:
    uuid = producer.pending()
    producer.sql("INSERT INTO adi_inbox (uuid, scanned, not_before) VALUES (%s, true, now() + interval '1 hour')", uuid)
    assert (intake.take_in(), run(queue)) == (1, uuid)
    producer.sql("UPDATE adi_inbox SET not_before = now()")
    assert (intake.take_in(), queue.pending()) == (0, 0)


def test_a_row_that_cannot_be_taken_in_does_not_stop_the_others(
    producer: Producer, intake: Intake, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    producer.sql("ALTER TABLE adi_order ADD CONSTRAINT trouble CHECK (uuid <> 'poison')")
    first, poison, last = producer.pending(), producer.pending("poison"), producer.pending()
    with caplog.at_level(logging.ERROR):
        assert intake.take_in() == 2
    assert [record.__dict__["facts"]["order"] for record in caplog.records] == ["poison"]
    assert {run(queue), run(queue)} == {first, last}
    assert queue.pending() == 0
    producer.sql("ALTER TABLE adi_order DROP CONSTRAINT trouble")
    producer.sql("UPDATE adi_inbox SET not_before = now()")
    assert (intake.take_in(), run(queue)) == (1, poison)


def test_broken_rows_are_taken_in_so_that_they_can_be_failed(producer: Producer, intake: Intake, queue: Queue) -> None:
    uuids = [producer.pending(files=files) for files in ("", "{", "[1]", "\\", "[" * 100_000)] + [
        producer.pending("white space ✓")
    ]
    assert intake.take_in() == len(uuids)
    assert {run(queue) for _ in uuids} == set(uuids)


def test_a_pending_row_that_is_gone_leaves_nothing_behind(producer: Producer, intake: Intake, queue: Queue) -> None:
    producer.pending()
    producer.sql("DELETE FROM imports")
    assert (intake.take_in(), queue.pending()) == (0, 0)
    assert producer.sql("SELECT count(*) FROM adi_inbox") == [(0,)]


def test_four_services_take_in_the_same_orders_once(producer: Producer, database_url: str) -> None:
    producer.sql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files) SELECT 'Demo', 'ann', "
        "'151', 'Dataset', 'Import Pending', 'order-' || n % 1000, '[\"/a\"]' FROM generate_series(1, 3000) n"
    )

    def service(_: int) -> int:
        with closing(Database(database_url, name="service")) as database:
            return Intake(database, pending_days=10).take_in()

    with ThreadPoolExecutor(4) as services:
        assert sum(services.map(service, range(4))) >= 1000
    assert producer.sql("SELECT count(*), min(state), max(state) FROM adi_order") == [(1000, "waiting", "waiting")]
    assert producer.sql("SELECT count(*) FROM adi_inbox") == [(0,)]


def test_the_trigger_never_fails_a_producer(producer: Producer, intake: Intake) -> None:
    producer.sql("ALTER TABLE adi_inbox RENAME TO somewhere_else")
    uuid = producer.pending()
    assert producer.trail(uuid) == ["Import Pending"]
    producer.sql("ALTER TABLE somewhere_else RENAME TO adi_inbox")
    assert (intake.reconcile(), intake.take_in()) == (1, 1)


def test_a_producer_needs_no_rights_on_our_tables_nor_our_search_path(producer: Producer, intake: Intake) -> None:
    with closing(producer.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE adi_test_producer")
        cursor.execute("GRANT INSERT ON imports TO adi_test_producer")
        cursor.execute("GRANT USAGE ON SEQUENCE imports_id_seq TO adi_test_producer")
        cursor.execute("SET LOCAL ROLE adi_test_producer")
        cursor.execute("SET LOCAL search_path = pg_catalog")
        cursor.execute(
            "INSERT INTO public.imports (group_name, user_name, destination_id, destination_type, stage, uuid, files) "
            "VALUES ('Demo', 'ann', '1', 'Dataset', 'Import Pending', 'u', '[]')"
        )
        cursor.execute("RESET ROLE")
        cursor.execute("SELECT uuid FROM public.adi_inbox")
        assert cursor.fetchall() == [("u",)]
    assert intake.take_in() == 0  # the producer did not commit


def test_an_order_that_is_claimed_just_while_it_is_taken_in_keeps_its_event(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    uuid = producer.pending()
    intake.take_in()
    producer.pending(uuid)
    with ThreadPoolExecutor(1) as service, closing(producer.connect()) as worker, worker.cursor() as cursor:
        cursor.execute(
            "UPDATE adi_order SET state = 'running', lease_owner = 'host:1', lease_token = gen_random_uuid(), lease_until = now()"
        )
        taken = service.submit(intake.take_in)
        limit = time.monotonic() + 30
        while producer.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            assert time.monotonic() < limit, "the intake never came to wait for the claim"
        worker.commit()
        assert taken.result(timeout=30) == 0
    assert producer.sql("SELECT state FROM adi_order") == [("running",)]
    free_lapsed(database)
    assert (intake.take_in(), run(queue)) == (1, uuid)
