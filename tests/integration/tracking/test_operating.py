# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person does with an order, to order it again or call it off: whatever else happens then, it is done or it is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from omero_adi_plugin.errors import OrderBusy, OrderEnded, OrderNotFound
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.operating import CallOff, Retry, cancel, retry
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection

    from omero_adi_plugin.orders import Claim, Lease
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from tests.fixtures.producer import Producer

WHO = "ann@workstation"
CANCELLED = ["Import Pending", "Import Failed"]


def claimed(queue: Queue) -> Claim:
    claim = queue.claim(owner="host:1")
    assert claim is not None
    return claim


def identity(producer: Producer, stage: str) -> list[tuple[Any, ...]]:
    columns = "group_name, user_name, destination_id, destination_type, uuid, files, file_names, preprocessing_id"
    return producer.sql(f"SELECT {columns} FROM imports WHERE stage = %s ORDER BY id", stage)


def actions(producer: Producer) -> list[tuple[Any, ...]]:
    return producer.sql("SELECT who, action, uuid FROM adi_action ORDER BY id")


def waits_for_a_lock(producer: Producer) -> bool:
    [[waiting]] = producer.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(waiting)


class TestRetry:
    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
    def test_an_order_that_has_ended_is_ordered_as_a_producer_does_it(
        self, end: str, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        [[container]] = producer.sql(
            "INSERT INTO imports_preprocessing (container, input_file, output_folder) "
            "VALUES ('c:1', '{Files}', '/d') RETURNING id"
        )
        uuid = producer.pending("A-b_1", files="no JSON at all")
        producer.sql("UPDATE imports SET preprocessing_id = %s, file_names = '[\"n\"]'", container)
        intake.take_in()
        if end == "cancelled":
            cancel(database, uuid, who=WHO)
        else:
            lease = claimed(queue).lease
            queue.complete(lease) if end == "completed" else queue.fail(lease, reason="no")
        producer.sql("DELETE FROM adi_action")
        assert retry(database, uuid, who=WHO) == Retry(waited=False)
        first, second = identity(producer, "Import Pending")
        assert first == second
        assert producer.trail(uuid)[-1] == "Import Pending"
        assert producer.sql("SELECT description FROM imports ORDER BY id DESC LIMIT 1") == [(f"ordered again by {WHO}",)]
        assert actions(producer) == [(WHO, "retried", uuid)]
        assert intake.take_in() == 1
        again = claimed(queue)
        assert again.text.preprocessing is not None
        assert (again.text.files, again.text.preprocessing.container, again.failures) == ("no JSON at all", "c:1", 0)

    def test_an_order_that_was_never_taken_in_is_ordered_anew(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
        uuid = producer.pending(timestamp="2020-01-01")
        assert intake.take_in() == 0
        retry(database, uuid, who=WHO)
        assert intake.take_in() == 1
        assert claimed(queue).lease.order == uuid

    @pytest.mark.parametrize("trigger", ["ENABLE TRIGGER", "DISABLE TRIGGER"])
    def test_services_are_woken_with_and_without_a_trigger(
        self, trigger: str, producer: Producer, intake: Intake, queue: Queue, database: Database, database_url: str
    ) -> None:
        uuid = producer.pending()
        intake.take_in()
        queue.fail(claimed(queue).lease, reason="no")
        producer.sql(f"ALTER TABLE imports {trigger} adi_note_pending")
        with closing(Bell(database_url, ("adi_inbox",))) as bell:
            bell.wait(0)
            retry(database, uuid, who=WHO)
            assert bell.wait(10)
        assert (intake.take_in(), intake.reconcile(), queue.pending()) == (1, 0, 1)
        queue.complete(claimed(queue).lease)
        assert (intake.take_in(), queue.pending()) == (0, 0)

    def test_the_content_is_that_of_the_newest_order_even_if_it_is_not_yet_taken_in(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = producer.pending(files='["/old"]')
        intake.take_in()
        queue.fail(claimed(queue).lease, reason="no")
        producer.pending(uuid, files='["/new"]')
        retry(database, uuid, who=WHO)
        intake.take_in()
        assert claimed(queue).text.files == '["/new"]'

    def test_an_order_that_waits_for_its_next_attempt_gets_it_at_once(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database, database_url: str
    ) -> None:
        uuid = producer.pending()
        intake.take_in()
        queue.give_back(claimed(queue).lease, note="the connection was lost", failures=1, after_seconds=3600)
        with closing(Bell(database_url, ("adi_order",))) as bell:
            bell.wait(0)
            assert retry(database, uuid, who=WHO) == Retry(waited=True)
            assert bell.wait(10)
        assert claimed(queue).failures == 0
        assert producer.trail(uuid) == ["Import Pending", "Import Started", "Import Started"]
        [[description]] = producer.sql("SELECT description FROM imports ORDER BY id DESC LIMIT 1")
        assert description == f"Attempt 2: ordered again by {WHO}"
        assert actions(producer) == [(WHO, "retried", uuid)]

    def test_an_order_that_waits_for_its_turn_keeps_its_place(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        first = producer.pending()
        intake.take_in()
        second = producer.pending()
        intake.take_in()
        retry(database, first, who=WHO)
        assert [claimed(queue).lease.order for _ in range(2)] == [first, second]

    def test_an_order_that_is_being_carried_out_is_left_to_its_worker(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = producer.pending()
        intake.take_in()
        lease = claimed(queue).lease
        with pytest.raises(OrderBusy, match="host:1"):
            retry(database, uuid, who=WHO, again=True)
        assert (producer.trail(uuid), actions(producer)) == (["Import Pending", "Import Started"], [])
        queue.complete(lease)

    def test_an_order_whose_worker_died_is_given_to_the_next_one(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = producer.pending()
        intake.take_in()
        claimed(queue)
        producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second'")
        assert retry(database, uuid, who=WHO).waited
        assert producer.sql("SELECT outcome, why FROM adi_attempt") == [("lease lapsed", "the lease of host:1 lapsed")]
        assert claimed(queue).lease.attempt == 2

    def test_what_is_gone_from_omero_comes_again_if_a_person_says_so_until_the_order_ends(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = producer.pending()
        intake.take_in()
        queue.complete(claimed(queue).lease)

        def ordered(*, again: bool) -> Claim:
            retry(database, uuid, who=WHO, again=again)
            intake.take_in()
            return claimed(queue)

        first = ordered(again=True)
        assert first.again
        queue.give_back(first.lease, note="OMERO was away", after_seconds=60)
        second = ordered(again=False)  # it waits: what was asked for holds until its end
        assert second.again
        queue.complete(second.lease)
        third = ordered(again=False)
        assert not third.again
        queue.give_back(third.lease, note="OMERO was away", after_seconds=60)
        assert ordered(again=True).again
        said = "with what is not visible in OMERO any more"
        assert producer.sql("SELECT detail FROM adi_action ORDER BY id") == [(said,), (None,), (None,), (said,)]

    @pytest.mark.parametrize(
        "end", [Queue.complete, partial(Queue.fail, reason="bad"), partial(Queue.cancel, reason="off"), None]
    )
    def test_whatever_the_end_of_an_order_what_was_asked_for_is_over(
        self, end: Callable[[Queue, Lease], None] | None, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = producer.pending()
        intake.take_in()
        retry(database, uuid, who=WHO, again=True)
        if end is not None:
            end(queue, claimed(queue).lease)
        else:
            assert cancel(database, uuid, who=WHO).ended
        assert producer.sql("SELECT again FROM adi_order") == [(False,)]

    def test_an_order_that_never_came_to_us_needs_no_such_word(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        """Its ledger is empty: whatever is not in OMERO is imported in any case."""
        uuid = producer.pending(stage="Import Completed")
        retry(database, uuid, who=WHO, again=True)
        intake.take_in()
        assert not claimed(queue).again

    @pytest.mark.parametrize("uuid", ["nobody", "\udcff", "nul\0"])
    def test_an_unknown_order_is_not_found(self, uuid: str, producer: Producer, database: Database) -> None:
        for act in (retry, cancel):
            with pytest.raises(OrderNotFound):
                act(database, uuid, who=WHO)
        assert actions(producer) == []

    def test_an_order_whose_rows_were_deleted_cannot_be_ordered_again(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = producer.pending()
        intake.take_in()
        queue.complete(claimed(queue).lease)
        producer.sql("DELETE FROM imports")
        with pytest.raises(OrderNotFound):
            retry(database, uuid, who=WHO)

    def test_what_another_importer_has_begun_is_left_to_it(self, producer: Producer, database: Database) -> None:
        uuid = producer.pending(stage="Import Started")
        for act in (retry, cancel):
            with pytest.raises(OrderBusy, match="another importer"):
                act(database, uuid, who=WHO)


def waiting(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = producer.pending()
    intake.take_in()
    return uuid


def pending(producer: Producer, intake: Intake, queue: Queue) -> str:
    return producer.pending(timestamp=None)


def left_alone(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = producer.pending(timestamp="2020-01-01")
    producer.sql("DELETE FROM adi_inbox")
    return uuid


def in_back_off(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = waiting(producer, intake, queue)
    queue.give_back(claimed(queue).lease, note="busy", failures=1, after_seconds=3600)
    return uuid


def in_back_off_with_a_file_begun(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = in_back_off(producer, intake, queue)
    producer.sql("INSERT INTO adi_file (uuid, key, entry, route, step) VALUES (%s, 'a', '/a', 'inplace', 'planned')", uuid)
    return uuid


def lapsed(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = waiting(producer, intake, queue)
    claimed(queue)
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second'")
    return uuid


def ordered_again(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = waiting(producer, intake, queue)
    queue.complete(claimed(queue).lease)
    return producer.pending(uuid)


def ordered_again_by_the_documented_update(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = waiting(producer, intake, queue)
    queue.complete(claimed(queue).lease)
    producer.sql("UPDATE imports SET stage = 'Import Pending'")
    return uuid


def ordered_again_by_an_update_of_its_first_row(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = waiting(producer, intake, queue)
    queue.complete(claimed(queue).lease)
    producer.sql("UPDATE imports SET stage = 'Import Pending' WHERE stage = 'Import Pending'")
    return uuid


def ordered_again_while_there_is_no_trigger(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = waiting(producer, intake, queue)
    queue.complete(claimed(queue).lease)
    producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    producer.pending(uuid)
    producer.sql("ALTER TABLE imports ENABLE TRIGGER adi_note_pending")
    return uuid


def ordered_again_while_it_ran(producer: Producer, intake: Intake, queue: Queue) -> str:
    uuid = waiting(producer, intake, queue)
    lease = claimed(queue).lease
    producer.pending(uuid)
    queue.complete(lease)
    return uuid


STANDINGS: dict[str, Callable[[Producer, Intake, Queue], str]] = {
    each.__name__: each
    for each in (
        waiting,
        pending,
        left_alone,
        in_back_off,
        ordered_again,
        ordered_again_by_the_documented_update,
        ordered_again_by_an_update_of_its_first_row,
        ordered_again_while_there_is_no_trigger,
        ordered_again_while_it_ran,
    )
}


class TestCancel:
    @pytest.mark.parametrize("standing", STANDINGS)
    def test_whatever_waits_is_called_off_and_stays_so_until_it_is_ordered_again(
        self, standing: str, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = STANDINGS[standing](producer, intake, queue)
        assert cancel(database, uuid, who=WHO) == CallOff(ended=True)
        newest = "SELECT stage, description FROM imports WHERE uuid = %s ORDER BY timestamp DESC LIMIT 1"  # as readers ask
        [[stage, description]] = producer.sql(newest, uuid)
        assert stage == "Import Failed"
        assert description.startswith(f"Cancelled by {WHO} on 2")
        assert producer.sql("SELECT state, lease_token, finished_at IS NOT NULL FROM adi_order") == [("cancelled", None, True)]
        assert actions(producer) == [(WHO, "cancelled", uuid)]
        assert (intake.reconcile(), intake.take_in(), queue.pending(), queue.claim(owner="host:2")) == (0, 0, 0, None)
        with pytest.raises(OrderEnded, match="cancelled"):
            cancel(database, uuid, who=WHO)
        producer.pending(uuid)
        assert intake.take_in() == 1
        assert claimed(queue).lease.order == uuid

    @pytest.mark.parametrize("end", ["completed", "failed"])
    def test_what_has_ended_cannot_be_called_off(
        self, end: str, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        lease = claimed(queue).lease
        queue.complete(lease) if end == "completed" else queue.fail(lease, reason="no")
        former = producer.pending(stage="Import Completed")
        trail = producer.trail(uuid)
        with pytest.raises(OrderEnded, match=end):
            cancel(database, uuid, who=WHO)
        with pytest.raises(OrderEnded, match="Import Completed"):
            cancel(database, former, who=WHO)
        assert (producer.trail(uuid), actions(producer)) == (trail, [])

    def test_who_carries_it_out_is_asked_to_call_it_off_with_what_was_ordered_meanwhile(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        lease = claimed(queue).lease
        producer.pending(uuid)
        assert cancel(database, uuid, who=WHO) == CallOff(ended=False, owner="host:1")
        by = queue.extend(lease).cancelled_by
        assert by is not None
        assert by.startswith(f"{WHO} on 2")
        assert producer.trail(uuid)[-1] == "Import Pending"  # nothing ended yet
        assert actions(producer) == [(WHO, "cancelled", uuid)]
        queue.cancel(lease, reason=f"Cancelled by {by}")
        assert producer.trail(uuid)[-1] == "Import Failed"
        assert producer.sql("SELECT state, cancel_requested, cancelled_by FROM adi_order") == [("cancelled", False, None)]
        assert (intake.reconcile(), intake.take_in(), queue.pending()) == (0, 0, 0)

    def test_what_is_ordered_after_the_request_is_one_more_order(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        lease = claimed(queue).lease
        cancel(database, uuid, who=WHO)
        producer.pending(uuid)
        queue.cancel(lease, reason="Cancelled.")
        assert intake.take_in() == 1
        assert claimed(queue).cancelled_by is None

    def test_the_first_who_asked_is_named_and_the_second_is_told_the_same(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        lease = claimed(queue).lease
        assert [cancel(database, uuid, who=who).owner for who in (WHO, "bob@host")] == ["host:1"] * 2
        assert (queue.extend(lease).cancelled_by or "").startswith(WHO)

    def test_an_order_that_is_being_called_off_is_not_ordered_again_before_its_end(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        lease = claimed(queue).lease
        cancel(database, uuid, who=WHO)
        with pytest.raises(OrderBusy, match="is being called off"):
            retry(database, uuid, who=WHO)
        queue.cancel(lease, reason="Cancelled.")
        retry(database, uuid, who=WHO)
        intake.take_in()
        assert claimed(queue).cancelled_by is None

    def test_a_worker_that_was_only_slow_writes_nothing_more(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        lease = claimed(queue).lease
        producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second'")
        cancel(database, uuid, who=WHO)
        with pytest.raises(Exception, match="is gone"):
            queue.complete(lease)
        assert producer.trail(uuid) == ["Import Pending", "Import Started"]
        assert producer.sql("SELECT outcome FROM adi_attempt") == [("lease lapsed",)]

    @pytest.mark.parametrize("standing", [lapsed, in_back_off_with_a_file_begun])
    def test_what_an_attempt_left_half_imported_is_tidied_up_first(
        self,
        standing: Callable[[Producer, Intake, Queue], str],
        producer: Producer,
        intake: Intake,
        queue: Queue,
        database: Database,
        database_url: str,
    ) -> None:
        uuid = standing(producer, intake, queue)
        producer.pending(uuid)
        with closing(Bell(database_url, ("adi_order",))) as bell:
            bell.wait(0)
            assert cancel(database, uuid, who=WHO) == CallOff(ended=False)
            assert bell.wait(10)
        assert producer.trail(uuid)[-1] == "Import Pending"
        assert intake.take_in() == 0  # what was ordered before is called off with it
        claim = claimed(queue)
        assert (claim.lease.order, claim.lease.attempt) == (uuid, 2)
        assert (claim.cancelled_by or "").startswith(f"{WHO} on 2")
        queue.cancel(claim.lease, reason="Cancelled.")
        assert (producer.trail(uuid)[-1], queue.pending()) == ("Import Failed", 0)

    def test_an_order_whose_rows_were_deleted_is_called_off_all_the_same(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        producer.sql("DELETE FROM imports")
        cancel(database, uuid, who=WHO)
        assert queue.pending() == 0


class TestAtTheSameMoment:
    """Two connections: what the other one does is done in steps, with the command in between."""

    def acting(
        self, act: Callable[..., object], database: Database, producer: Producer, uuid: str, other: connection
    ) -> BaseException | None:
        """Begin to act while the other connection has locks; let that one commit; return what was raised."""
        with ThreadPoolExecutor(1) as person:
            done = person.submit(act, database, uuid, who=WHO)
            try:
                wait_until(lambda: waits_for_a_lock(producer), what="the command waiting for the other connection")
            finally:
                other.commit()
            return done.exception()

    @pytest.mark.parametrize("act", [cancel, retry])
    def test_a_claim_that_is_first_wins(
        self, act: Callable[..., object], producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        with closing(producer.connect()) as worker, worker.cursor() as cursor:
            cursor.execute(
                "UPDATE adi_order SET state = 'running', lease_owner = 'host:1', lease_token = gen_random_uuid(), "
                "lease_until = now() + interval '1 minute'"
            )
            raised = self.acting(act, database, producer, uuid, worker)
        assert producer.trail(uuid) == ["Import Pending"]
        assert producer.sql("SELECT state, cancel_requested FROM adi_order") == [("running", act is cancel)]
        if act is retry:
            assert isinstance(raised, OrderBusy)
            assert actions(producer) == []

    def test_a_cancel_that_is_first_wins(self, producer: Producer, intake: Intake, queue: Queue, database: Database) -> None:
        uuid = waiting(producer, intake, queue)
        with closing(producer.connect()) as person, person.cursor() as cursor:
            cursor.execute("SELECT FROM adi_order WHERE uuid = %s FOR UPDATE", (uuid,))
            assert queue.claim(owner="host:1") is None  # it does not wait for the person
            person.rollback()
        cancel(database, uuid, who=WHO)
        assert queue.claim(owner="host:1") is None

    def test_an_order_that_is_just_being_taken_in_is_called_off_after_that(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = producer.pending()
        with closing(producer.connect()) as service, service.cursor() as cursor:
            cursor.execute("SELECT FROM adi_inbox FOR UPDATE")
            cursor.execute(
                "INSERT INTO adi_order (uuid, imports_id, user_name, group_name) SELECT uuid, id, 'ann', 'Demo' FROM imports"
            )
            cursor.execute("DELETE FROM adi_inbox")
            assert self.acting(cancel, database, producer, uuid, service) is None
        assert (producer.trail(uuid), queue.claim(owner="host:1")) == (CANCELLED, None)

    def test_what_the_scan_finds_just_then_is_not_run(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = left_alone(producer, intake, queue)
        with closing(producer.connect()) as scan, scan.cursor() as cursor:
            cursor.execute("INSERT INTO adi_inbox (uuid, scanned) VALUES (%s, true)", (uuid,))
            cancel(database, uuid, who=WHO)
            scan.commit()
        assert (intake.take_in(), queue.pending(), producer.trail(uuid)) == (0, 0, CANCELLED)

    def test_an_order_whose_producer_commits_just_then_is_one_more_order(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        uuid = waiting(producer, intake, queue)
        with closing(producer.connect()) as slow:
            producer.pending(uuid, files='["/second"]', on=slow)
            cancel(database, uuid, who=WHO)
            slow.commit()
        assert intake.take_in() == 1
        assert claimed(queue).text.files == '["/second"]'

    def test_two_people_cancel_and_one_of_them_did_it(
        self, producer: Producer, intake: Intake, queue: Queue, database: Database
    ) -> None:
        for uuid in (waiting(producer, intake, queue), pending(producer, intake, queue)):
            with ThreadPoolExecutor(2) as people:
                done = [people.submit(cancel, database, uuid, who=WHO).exception() for _ in range(2)]
            assert sorted(type(each).__name__ for each in done) == ["NoneType", "OrderEnded"]
            assert producer.trail(uuid) == CANCELLED
