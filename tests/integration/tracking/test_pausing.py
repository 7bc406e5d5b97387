# SPDX-License-Identifier: GPL-2.0-or-later
"""A pause holds for all services, and `drained` is true only when nothing can be running any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import DatabaseDown, ImportsPaused
from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.pausing import count_running, drained, pause, raise_if_paused, resume, standing_pause
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

CLAIM = (
    "UPDATE adi_order SET state = 'running', lease_owner = 'host:1', lease_token = gen_random_uuid(), "
    "lease_until = now() + interval '1 minute'"
)


def test_while_paused_no_order_is_begun_and_after_that_it_is(
    producer: Producer, intake: Intake, queue: Queue, database: Database, database_url: str
) -> None:
    producer.pending()
    assert intake.take_in() == 1
    held, new = pause(database, who="ann@host")
    assert (new, held, held.by) == (True, standing_pause(database), "ann@host")
    assert queue.claim(owner="host:1") is None
    with closing(Bell(database_url, ("adi_order",))) as bell:
        bell.wait(0)
        assert resume(database, who="bob@host") == held
        assert bell.wait(10)  # else a worker would go on after its poll only
    assert queue.claim(owner="host:1") is not None
    assert producer.sql("SELECT who, action, uuid FROM adi_action ORDER BY id") == [
        ("ann@host", "paused", None),
        ("bob@host", "resumed", None),
    ]


def test_the_first_pause_holds_and_a_resume_without_one_does_nothing(producer: Producer, database: Database) -> None:
    assert resume(database, who="ann@host") is None
    first, _ = pause(database, who="ann@host")
    assert pause(database, who="bob@host") == (first, False)
    assert producer.sql("SELECT who FROM adi_action") == [("ann@host",)]
    assert resume(database, who="bob@host") == first
    assert resume(database, who="bob@host") is None
    assert standing_pause(database) is None


def test_a_database_that_lost_the_row_for_it_can_be_paused(producer: Producer, queue: Queue, database: Database) -> None:
    producer.sql("DELETE FROM adi_control")
    assert resume(database, who="ann@host") is None
    assert pause(database, who="ann@host")[1]
    with pytest.raises(ImportsPaused, match="ann@host"), database.begin() as connection:
        raise_if_paused(connection)


def test_only_orders_that_somebody_is_at_work_on_are_waited_for(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    uuids = [producer.pending() for _ in range(3)]
    intake.take_in()
    claims = [queue.claim(owner="host:1") for _ in range(2)]
    pause(database, who="ann@host")
    assert (count_running(database), drained(database)) == (2, False)
    assert claims[0] is not None
    queue.complete(claims[0].lease)
    assert (count_running(database), drained(database)) == (1, False)
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'")
    assert (count_running(database), drained(database)) == (0, True)
    assert len(uuids) == 3


def test_a_claim_that_is_not_yet_committed_is_waited_for(producer: Producer, intake: Intake, database: Database) -> None:
    producer.pending()
    intake.take_in()
    with ThreadPoolExecutor(1) as person, closing(producer.connect()) as worker, worker.cursor() as cursor:
        cursor.execute(CLAIM)
        pause(database, who="ann@host")
        assert count_running(database) == 0  # nobody else sees it
        asked = person.submit(drained, database)
        wait_until(
            lambda: producer.sql("SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK%%'"),
            what="the question waiting for the claim",
        )
        worker.commit()
        assert asked.result() is False


def test_an_import_on_the_command_line_that_slips_past_the_pause_is_waited_for_or_does_not_begin(
    producer: Producer, queue: Queue, database: Database
) -> None:
    """It adds its row to the queue before it looks for a pause, so one of the two sees the other."""
    target = Target(kind=TargetKind.DATASET, id=1)
    with (
        ThreadPoolExecutor(1) as person,
        closing(producer.connect()) as other,
        other.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLE adi_order IN SHARE MODE")  # as `drained` does, between the pause and the answer
        importing = person.submit(
            submit_claimed, database, queue, user="u", group="g", target=target, files=["/a"], owner="host:1"
        )
        wait_until(
            lambda: producer.sql("SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'adi_order'"),
            what="the import waiting for the question",
        )
        pause(database, who="ann@host")
        other.commit()
        with pytest.raises(ImportsPaused):
            importing.result()
    assert producer.sql("SELECT count(*) FROM imports") == [(0,)]


def test_a_transaction_that_somebody_left_open_does_not_hold_up_the_services_for_long(
    producer: Producer, intake: Intake, database: Database
) -> None:
    producer.pending()
    intake.take_in()
    with closing(producer.connect()) as forgotten, forgotten.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '20s'")  # so that the test fails, and does not hang
        cursor.execute("UPDATE adi_order SET priority = 1")
        with pytest.raises(DatabaseDown, match="lock timeout"):
            drained(database)
