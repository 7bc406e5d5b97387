# SPDX-License-Identifier: GPL-2.0-or-later
"""Takeover: the first start on the database of the former importer, and another importer that runs beside us."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.tracking import losses, takeover
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.submit import submit_claimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

ME = "host:1"
RETRY = "UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s"  # as operators were always told
WORDS = {"P": "Import Pending", "S": "Import Started", "R": "Import Preprocessing", "C": "Import Completed", "F": "Import Failed"}

BEGUN = {
    "yesterday": ["P yesterday", "S yesterday"],
    "preprocessing": ["P yesterday", "S yesterday", "R yesterday"],
    "years ago": ["P 2019-01-01", "S 2019-01-02"],
    "a second time": ["P 2019-01-01", "S 2019-01-02", "F 2019-01-03", "P 2019-01-04", "S 2019-01-05"],
    "ordered without a time": ["P", "S yesterday"],
    "begun without a time": ["P yesterday", "S"],
    "all without a time": ["P", "S"],
    "ordered again without a time": ["P yesterday", "S yesterday", "P"],
    "the producer's clock is ahead": ["P tomorrow", "S now"],
    "ordered for ever": ["P infinity", "S now"],
}
NOT_BEGUN = {
    "pending": ["P now"],
    "pending without a time": ["P"],
    "completed": ["P yesterday", "S yesterday", "C yesterday"],
    "failed": ["P 2019-01-01", "S 2019-01-01", "R 2019-01-01", "F 2019-01-01"],
    "ordered again": ["P yesterday", "S yesterday", "P now"],
    "completed, the producer's clock is ahead": ["P tomorrow", "S yesterday", "C yesterday"],
    "completed, ordered for ever": ["P infinity", "S yesterday", "C yesterday"],
    "an unknown stage": ["P yesterday", "S yesterday", "X yesterday"],
}


def write(producer: Producer, uuid: str, trail: list[str]) -> None:
    """Write rows as the former importer left them."""
    for row in trail:
        letter, _, timestamp = row.partition(" ")
        producer.pending(uuid, stage=WORDS.get(letter, "Import Paused"), timestamp=timestamp or None)


def test_what_the_former_importer_began_is_failed_and_nothing_else(
    producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    for uuid, trail in {**BEGUN, **NOT_BEGUN}.items():
        write(producer, uuid[:36], trail)
    before = producer.sql("SELECT * FROM imports ORDER BY id")
    assert takeover.take_over(database, who=ME) == takeover.TakenOver(failed=len(BEGUN))
    assert producer.sql("SELECT * FROM imports WHERE id <= %s ORDER BY id", len(before)) == before
    failed = producer.sql("SELECT uuid, stage, description FROM imports WHERE id > %s", len(before))
    assert {uuid for uuid, *_ in failed} == {uuid[:36] for uuid in BEGUN}
    words = "was running when the former importer stopped: look in OMERO, then order again"
    assert all(stage == "Import Failed" and words in description for _, stage, description in failed)
    newest = (
        "SELECT DISTINCT ON (uuid) uuid, stage FROM imports WHERE timestamp < 'infinity' ORDER BY uuid, timestamp DESC, id DESC"
    )
    assert {uuid for uuid, stage in producer.sql(newest) if stage == "Import Failed"} == {
        uuid[:36] for uuid in (*BEGUN, "failed")
    }
    intake.reconcile()
    intake.take_in()
    run = set()
    while claim := queue.claim(owner=ME):
        run.add(claim.lease.order)
    assert run == {"pending", "pending without a time", "ordered again"}


def test_the_row_that_fails_an_order_repeats_what_identifies_it(producer: Producer, database: Database) -> None:
    ((container,),) = producer.sql(
        "INSERT INTO imports_preprocessing (container, input_file, output_folder) VALUES ('c', 'f', 'o') RETURNING id"
    )
    write(producer, "begun", BEGUN["a second time"])
    producer.sql("UPDATE imports SET preprocessing_id = %s, file_names = '[\"n\"]'", container)
    takeover.take_over(database, who=ME)
    identity = "group_name, user_name, destination_id, destination_type, uuid, files, file_names, preprocessing_id"
    assert len(producer.sql(f"SELECT DISTINCT {identity} FROM imports")) == 1
    assert producer.trail("begun")[-1] == "Import Failed"


def test_an_order_of_ours_is_left_to_its_lease(producer: Producer, database: Database, intake: Intake, queue: Queue) -> None:
    uuid = producer.pending()
    intake.take_in()
    assert queue.claim(owner=ME)
    assert takeover.take_over(database, who=ME) == takeover.TakenOver(failed=0)
    assert producer.trail(uuid) == ["Import Pending", "Import Started"]


def test_it_is_done_once_and_written_down(producer: Producer, database: Database) -> None:
    write(producer, "begun", BEGUN["yesterday"])
    takeover.take_over(database, who=ME)
    write(producer, "begun later", BEGUN["yesterday"])
    assert takeover.take_over(database, who=ME) is None
    assert producer.trail("begun later") == ["Import Pending", "Import Started"]
    ((who, action, detail),) = producer.sql("SELECT who, action, detail FROM adi_action")
    assert (who, action, detail[-3:]) == (ME, "taken over", ": 1")


def test_events_of_orders_that_the_former_importer_has_done_since_are_forgotten(
    producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    """The tables were made first, and the former importer was stopped later: the trigger told of all that it did."""
    for uuid in ("done", "begun", "new"):
        producer.pending(uuid, timestamp="yesterday")
    write(producer, "done", ["S yesterday", "C yesterday"])
    write(producer, "begun", ["S yesterday"])
    producer.pending("forgotten", timestamp="2019-01-01")
    with closing(producer.connect()) as slow:
        producer.pending("slow", on=slow)
        takeover.take_over(database, who=ME)
        slow.commit()
    assert (intake.reconcile(), intake.take_in()) == (1, 2)
    assert {queue.claim(owner=ME).lease.order for _ in range(2)} == {"new", "slow"}  # type: ignore[union-attr]


def test_what_was_told_of_an_order_of_ours_is_not_forgotten(
    producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending(timestamp="2019-01-01")  # too old for the scan
    intake.take_in()
    claim = queue.claim(owner=ME)
    assert claim is not None
    queue.complete(claim.lease)
    producer.sql(RETRY, uuid)
    takeover.take_over(database, who=ME)
    assert intake.take_in() == 1


def test_when_it_breaks_off_nothing_was_done_and_the_next_start_does_it(producer: Producer, database: Database) -> None:
    producer.sql("ALTER TABLE adi_action ADD CONSTRAINT trouble CHECK (action <> 'taken over')")
    write(producer, "begun", BEGUN["yesterday"])
    with pytest.raises(IntegrityError):
        takeover.take_over(database, who=ME)
    assert producer.trail("begun") == ["Import Pending", "Import Started"]
    assert producer.sql("SELECT count(*) FROM adi_inbox") == [(1,)]
    producer.sql("ALTER TABLE adi_action DROP CONSTRAINT trouble")
    assert takeover.take_over(database, who=ME) == takeover.TakenOver(failed=1)


def at_once(producer: Producer, url: str, work: Callable[[Database], Any]) -> list[Any]:
    """Let two services do the same, both begun before either can end; return what they say."""

    def service(_: int) -> Any:
        with closing(Database(url, name="service")) as database:
            return work(database)

    with ThreadPoolExecutor(2) as services, closing(producer.connect()) as gate, gate.cursor() as cursor:
        cursor.execute("SELECT FROM adi_control FOR UPDATE")
        answers = [services.submit(service, number) for number in range(2)]
        limit = time.monotonic() + 30
        while len(producer.sql("SELECT DISTINCT pid FROM pg_locks WHERE NOT granted")) < len(answers):
            assert time.monotonic() < limit, "the two services never came to wait for their turn"
        gate.commit()
        return [answer.result(timeout=60) for answer in answers]


def test_of_two_services_that_start_at_once_one_does_it(producer: Producer, database_url: str) -> None:
    write(producer, "begun", BEGUN["yesterday"])
    answers = at_once(producer, database_url, lambda database: takeover.take_over(database, who=ME))
    assert sorted(answers, key=str) == [None, takeover.TakenOver(failed=1)]
    assert producer.trail("begun") == ["Import Pending", "Import Started", "Import Failed"]


def test_before_the_first_start_no_beginning_is_foreign(producer: Producer, database: Database) -> None:
    write(producer, "begun", BEGUN["yesterday"])
    assert takeover.watch(database, who=ME) == []
    takeover.take_over(database, who=ME)
    assert takeover.watch(database, who=ME) == []


def test_what_another_importer_begins_is_told_once(producer: Producer, database: Database) -> None:
    takeover.take_over(database, who=ME)
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    write(producer, "theirs", ["P now", f"S {at.isoformat()}"])
    assert takeover.watch(database, who=ME) == [takeover.ForeignStart(uuid="theirs", imports_id=2, at=at)]
    assert takeover.watch(database, who=ME) == []
    noted = producer.sql("SELECT who, uuid, imports_id FROM adi_action WHERE action = 'another importer'")
    assert noted == [(ME, "theirs", 2)]
    write(producer, "theirs", ["S now", "C now"])
    assert [start.imports_id for start in takeover.watch(database, who=ME)] == [3]


@pytest.mark.parametrize("timestamp", [None, "infinity", "-infinity", "20000-01-01", "4000-01-01 BC", "0001-01-01"])
@pytest.mark.parametrize("uuid", ["", "a\nb", " " * 36])
def test_another_importers_nonsense_is_told_too(uuid: str, timestamp: str | None, producer: Producer, database: Database) -> None:
    takeover.take_over(database, who=ME)
    producer.pending("x", stage="Import Started", timestamp=timestamp)
    producer.sql("UPDATE imports SET uuid = %s", uuid)
    assert takeover.watch(database, who=ME) == [takeover.ForeignStart(uuid=uuid, imports_id=1, at=None)]
    assert takeover.watch(database, who=ME) == []


def test_another_importers_slow_transaction_is_told_of_when_it_ends(producer: Producer, database: Database) -> None:
    takeover.take_over(database, who=ME)
    with closing(producer.connect()) as slow:
        producer.pending("slow", stage="Import Started", on=slow)
        write(producer, "quick", ["S now"])
        assert [start.uuid for start in takeover.watch(database, who=ME)] == ["quick"]
        slow.commit()
    assert [start.uuid for start in takeover.watch(database, who=ME)] == ["slow"]


def test_many_at_once_are_told_in_portions(producer: Producer, database: Database) -> None:
    takeover.take_over(database, who=ME)
    producer.sql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp) "
        "SELECT 'Demo', 'ann', '1', 'Dataset', 'Import Started', 'order-' || n, '[]', now() FROM generate_series(1, 2500) n"
    )
    portions = [takeover.watch(database, who=ME) for _ in range(4)]
    assert [len(portion) for portion in portions] == [1000, 1000, 500, 0]
    assert len({start.uuid for portion in portions for start in portion}) == 2500


def test_two_services_tell_of_it_once_together(producer: Producer, database: Database, database_url: str) -> None:
    takeover.take_over(database, who=ME)
    write(producer, "theirs", ["S now"])
    first, second = at_once(producer, database_url, lambda database: takeover.watch(database, who=ME))
    assert [start.uuid for start in first + second] == ["theirs"]


def test_nothing_of_ours_is_taken_for_another_importers(
    producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    takeover.take_over(database, who=ME)
    retried, lapsed, failed = (producer.pending() for _ in range(3))
    intake.take_in()
    for _ in range(3):
        claim = queue.claim(owner=ME)
        assert claim is not None
        if claim.lease.order == retried:
            queue.complete(claim.lease)
        elif claim.lease.order == failed:
            queue.give_back(claim.lease, note="busy", failures=1, after_seconds=0)
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE uuid = %s", lapsed)
    assert [lost.uuid for lost in losses.free_lapsed(database)] == [lapsed]
    producer.sql(RETRY, retried)
    intake.take_in()
    assert {queue.claim(owner="host:2").lease.order for _ in range(3)} == {retried, lapsed, failed}  # type: ignore[union-attr]
    target = Target(kind=TargetKind.DATASET, id=1)
    submit_claimed(database, queue, user="ann", group="Demo", target=target, files=["/a"], owner=ME)
    assert takeover.watch(database, who=ME) == []
    assert producer.sql("SELECT count(*) FROM imports WHERE stage = 'Import Started'") == [(6,)]  # and one was made pending again
