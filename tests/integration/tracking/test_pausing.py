# SPDX-License-Identifier: GPL-2.0-or-later
"""A pause holds for all services: once it has returned nothing is begun any more, and what runs can be counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import ImportsPaused
from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.pausing import count_running, pause, raise_if_paused, resume, standing_pause
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

CLAIMS_LOCK = "SELECT pg_advisory_xact_lock(hashtext('adi_claim'))"
CLAIM = (
    "UPDATE adi_order SET state = 'running', lease_owner = 'host:1', lease_token = gen_random_uuid(), "
    "lease_until = now() + interval '1 minute'"
)


def somebody_waits_for_the_claims_lock(producer: Producer) -> bool:
    [[waiting]] = producer.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    )
    return bool(waiting)


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
    assert count_running(database) == 2
    assert claims[0] is not None
    queue.complete(claims[0].lease)
    assert count_running(database) == 1
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'")
    assert count_running(database) == 0
    assert len(uuids) == 3


def test_a_claim_that_is_just_being_made_is_made_before_the_pause_holds(
    producer: Producer, intake: Intake, database: Database
) -> None:
    producer.pending()
    intake.take_in()
    with ThreadPoolExecutor(1) as person, closing(producer.connect()) as worker, worker.cursor() as cursor:
        cursor.execute(CLAIMS_LOCK)
        cursor.execute(CLAIM)
        pausing = person.submit(pause, database, who="ann@host")
        try:
            wait_until(lambda: somebody_waits_for_the_claims_lock(producer), what="the pause waiting for the claim")
        finally:
            worker.commit()
        assert pausing.result()[1]
    assert count_running(database) == 1


def test_an_import_on_the_command_line_does_not_slip_past_the_pause(producer: Producer, queue: Queue, database: Database) -> None:
    target = Target(kind=TargetKind.DATASET, id=1)
    with ThreadPoolExecutor(1) as person, closing(producer.connect()) as pausing, pausing.cursor() as cursor:
        cursor.execute(CLAIMS_LOCK)
        cursor.execute("UPDATE adi_control SET paused_at = now(), paused_by = 'ann@host'")
        importing = person.submit(
            submit_claimed, database, queue, user="u", group="g", target=target, files=["/a"], owner="host:1"
        )
        try:
            wait_until(lambda: somebody_waits_for_the_claims_lock(producer), what="the import waiting for the pause")
        finally:
            pausing.commit()
        with pytest.raises(ImportsPaused, match="ann@host"):
            importing.result()
    assert producer.sql("SELECT count(*) FROM imports") == [(0,)]


def test_a_transaction_that_somebody_left_open_does_not_hold_up_the_pause(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    producer.pending()
    intake.take_in()
    with closing(producer.connect()) as forgotten, forgotten.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '20s'")  # so that the test fails, and does not hang
        cursor.execute("UPDATE adi_order SET priority = 1")
        assert pause(database, who="ann@host", drain=True)[1]
        forgotten.commit()
    assert queue.claim(owner="host:1") is None


def test_a_drain_is_told_to_whoever_carries_an_order_out_until_imports_go_on(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    producer.pending()
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    pause(database, who="ann@host")
    assert not queue.extend(claim.lease).draining
    assert not pause(database, who="bob@host", drain=True)[1]  # a pause that holds already becomes one that drains
    assert queue.extend(claim.lease).draining
    resume(database, who="ann@host")
    assert not queue.extend(claim.lease).draining
    pause(database, who="ann@host")
    assert not queue.extend(claim.lease).draining
