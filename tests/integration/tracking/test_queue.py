# SPDX-License-Identifier: GPL-2.0-or-later
"""The queue: claims, leases, outcomes."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.orders import Claim, FileStep, Lease, LedgerFile, Route
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.losses import Loss, free_lapsed
from omero_adi_plugin.tracking.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.tracking.intake import Intake
    from tests.fixtures.producer import Producer

LINE = LedgerFile(entry="/data/a.tif", key="data/a.tif", route=Route.INPLACE, step=FileStep.PLANNED)


def claimed(queue: Queue, owner: str = "host:1") -> Claim:
    claim = queue.claim(owner=owner)
    assert claim is not None
    return claim


def claim_until_empty(url: str) -> list[str]:
    with closing(Database(url, name="worker")) as database:
        queue = Queue(database, lease_seconds=60)
        taken = []
        while (claim := queue.claim(owner="host:1")) is not None:
            taken.append(claim.lease.order)
        return taken


def test_eight_workers_claim_500_orders_exactly_once(producer: Producer, intake: Intake, queue: Queue, database_url: str) -> None:
    producer.sql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files) "
        "SELECT 'Demo', 'ann', '151', 'Dataset', 'Import Pending', 'order-' || n, '[\"/a\"]' FROM generate_series(1, 500) n"
    )
    assert intake.take_in() == 500
    with ThreadPoolExecutor(8) as workers:
        claims = [uuid for taken in workers.map(claim_until_empty, [database_url] * 8) for uuid in taken]
    assert Counter(claims) == Counter(f"order-{n}" for n in range(1, 501))
    assert producer.sql("SELECT count(*) FROM imports WHERE stage = 'Import Started'") == [(500,)]
    assert queue.claim(owner="host:1") is None


def test_a_claim_has_the_text_of_the_row_and_leaves_a_started_row(producer: Producer, intake: Intake, queue: Queue) -> None:
    ((container,),) = producer.sql(
        "INSERT INTO imports_preprocessing (container, input_file, output_folder) "
        "VALUES ('conv:1', '{Files}', '/data') RETURNING id"
    )
    uuid = producer.pending("A-b_1", files="no JSON at all")
    producer.sql("UPDATE imports SET preprocessing_id = %s, file_names = '[\"n\"]' WHERE uuid = %s", container, uuid)
    intake.take_in()
    claim = claimed(queue, "host:77")
    assert (claim.lease.order, claim.lease.owner, claim.lease.attempt, claim.failures) == ("A-b_1", "host:77", 1, 0)
    assert claim.text.preprocessing is not None
    assert (claim.text.files, claim.text.file_names, claim.text.preprocessing.container) == ("no JSON at all", '["n"]', "conv:1")
    identity = "group_name, user_name, destination_id, destination_type, uuid, files, file_names, preprocessing_id"
    rows = producer.sql(f"SELECT stage, description, {identity} FROM imports ORDER BY id")
    assert [row[:2] for row in rows] == [("Import Pending", None), ("Import Started", None)]
    assert rows[0][2:] == rows[1][2:]


def test_priority_goes_first_and_an_order_that_is_not_due_waits(producer: Producer, intake: Intake, queue: Queue) -> None:
    first, urgent, later = (producer.pending() for _ in range(3))
    intake.take_in()
    producer.sql("UPDATE adi_order SET priority = 5 WHERE uuid = %s", urgent)
    producer.sql("UPDATE adi_order SET priority = 9, run_after = now() + interval '1 hour' WHERE uuid = %s", later)
    assert [claimed(queue).lease.order for _ in range(2)] == [urgent, first]
    assert queue.claim(owner="host:1") is None
    seconds = queue.next_due_seconds()
    assert seconds is not None
    assert 3500 < seconds <= 3600
    assert queue.pending() == 3


def test_nothing_to_do_is_due_never(queue: Queue) -> None:
    assert queue.next_due_seconds() is None
    assert queue.pending() == 0


def test_a_lapsed_lease_is_taken_over_and_the_trail_says_why(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    uuid = producer.pending()
    intake.take_in()
    claimed(queue, "first:1")
    assert free_lapsed(database) == []
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second'")
    assert free_lapsed(database) == [Loss(uuid=uuid, owner="first:1", failed=False)]
    assert claimed(queue, "second:2").lease.attempt == 2
    ((description,),) = producer.sql("SELECT description FROM imports ORDER BY id DESC LIMIT 1")
    assert description == "Attempt 2: taken over: the lease of first:1 lapsed"


WRITES: dict[str, Callable[[Queue, Database, Lease], object]] = {
    "extend": lambda queue, _, lease: queue.extend(lease),
    "widen": lambda queue, _, lease: queue.widen(lease, wanted=2),
    "complete": lambda queue, _, lease: queue.complete(lease),
    "fail": lambda queue, _, lease: queue.fail(lease, reason="too late"),
    "cancel": lambda queue, _, lease: queue.cancel(lease, reason="too late"),
    "give_back": lambda queue, _, lease: queue.give_back(lease, note="too late", failures=1, after_seconds=0),
    "record": lambda _, database, lease: Ledger(database, lease).record(LINE),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_late_writer_writes_nothing(write: str, producer: Producer, intake: Intake, queue: Queue, database: Database) -> None:
    producer.pending()
    intake.take_in()
    late = claimed(queue, "late:1").lease
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second'")
    free_lapsed(database)
    state = (
        "SELECT (SELECT array_agg(o::text) FROM adi_order o), (SELECT array_agg(i::text) FROM imports i), "
        "(SELECT array_agg(f::text) FROM adi_file f)"
    )
    between = producer.sql(state)
    with pytest.raises(LeaseLost):
        WRITES[write](queue, database, late)
    assert producer.sql(state) == between
    claimed(queue, "next:2")
    after = producer.sql(state)
    with pytest.raises(LeaseLost):
        WRITES[write](queue, database, late)
    assert producer.sql(state) == after


def test_extending_moves_the_end_by_the_clock_of_the_database(producer: Producer, intake: Intake, queue: Queue) -> None:
    producer.pending()
    intake.take_in()
    lease = claimed(queue).lease
    longer = queue.extend(lease, doing="1/2 /data/a.tif: reading").lease
    assert longer.until > lease.until
    assert longer.token == lease.token
    assert producer.sql("SELECT lease_until, doing FROM adi_order") == [(longer.until, "1/2 /data/a.tif: reading")]


def test_giving_back_counts_only_what_failed(producer: Producer, intake: Intake, queue: Queue) -> None:
    producer.pending()
    intake.take_in()
    queue.give_back(claimed(queue).lease, note="the service was shut down", after_seconds=0)
    second = claimed(queue)
    assert (second.lease.attempt, second.failures) == (2, 0)
    queue.give_back(second.lease, note="the connection was lost", failures=1, after_seconds=0)
    third = claimed(queue)
    assert (third.lease.attempt, third.failures) == (3, 1)
    queue.give_back(third.lease, note="wait", failures=1, after_seconds=600)
    assert queue.claim(owner="host:1") is None
    started = producer.sql("SELECT description FROM imports WHERE stage = 'Import Started' ORDER BY id")
    assert started == [(None,), ("Attempt 2: the service was shut down",), ("Attempt 3: the connection was lost",)]


def test_a_long_reason_is_cut_between_words(producer: Producer, intake: Intake, queue: Queue) -> None:
    uuid = producer.pending()
    intake.take_in()
    queue.fail(claimed(queue).lease, reason="'/data/\udcff.tif' \0 cannot be read " + "and so on " * 100)
    ((description,),) = producer.sql("SELECT description FROM imports WHERE stage = 'Import Failed'")
    assert len(description) <= 500
    assert description.startswith(r"'/data/\udcff.tif'  cannot be read")
    assert description.endswith(("and…", "so…", "on…"))
    assert producer.trail(uuid) == ["Import Pending", "Import Started", "Import Failed"]
    assert producer.sql("SELECT state, lease_token, finished_at IS NOT NULL FROM adi_order") == [("failed", None, True)]


@pytest.mark.parametrize("timestamp", [None, "now", "2199-01-01", "infinity", "-infinity", "294276-12-31 23:59:59"])
def test_each_stage_is_newer_than_all_before(timestamp: str | None, producer: Producer, intake: Intake, queue: Queue) -> None:
    uuid = producer.pending(timestamp=timestamp)
    intake.take_in()
    queue.complete(claimed(queue).lease, description="1 image")
    assert producer.sql("SELECT count(*) FROM imports WHERE timestamp IS NULL") == [(0,)]
    newest = producer.sql(
        "SELECT stage FROM imports WHERE uuid = %s AND timestamp < '9999-1-1' ORDER BY timestamp DESC, id DESC", uuid
    )
    assert newest[:2] == [("Import Completed",), ("Import Started",)]
    if timestamp in {None, "now", "2199-01-01"}:
        assert len(set(producer.sql("SELECT timestamp FROM imports"))) == 3


def test_an_order_whose_row_was_deleted_can_still_be_failed(producer: Producer, intake: Intake, queue: Queue) -> None:
    producer.pending()
    intake.take_in()
    producer.sql("DELETE FROM imports")
    claim = claimed(queue)
    assert claim.text.files == ""
    queue.fail(claim.lease, reason="its row is gone")
    assert queue.pending() == 0


def test_the_ledger_keeps_what_was_recorded_in_its_order(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    producer.pending()
    intake.take_in()
    ledger = Ledger(database, claimed(queue).lease)
    other = LedgerFile(entry="/data/b", key="a first key", route=Route.ZARR, step=FileStep.FAILED, output="/out/b", error="why")
    done = LedgerFile(
        entry=LINE.entry, key=LINE.key, route=LINE.route, step=FileStep.IMPORTED, fileset=2**40, images=(7, 5), plates=(3,)
    )
    for line in (LINE, other, done):
        ledger.record(line)
    assert ledger.files() == (done, other)
