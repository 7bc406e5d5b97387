# SPDX-License-Identifier: GPL-2.0-or-later
"""The scan: without the trigger nothing is lost, and nothing is run that is long past or was run before."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.tracking import takeover

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

RETRY = "UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s"  # as operators were always told
OLD = "2019-01-01"


@pytest.fixture
def untold(producer: Producer) -> Producer:
    """A producer of whose rows no trigger tells."""
    producer.sql("DROP TRIGGER adi_note_pending ON imports")
    return producer


def run_all(intake: Intake, queue: Queue) -> list[str]:
    """Carry out what is in the inbox, and say which orders that were."""
    intake.take_in()
    done = []
    while claim := queue.claim(owner="host:1"):
        queue.complete(claim.lease)
        done.append(claim.lease.order)
    return sorted(done)


@pytest.mark.parametrize(
    ("taken_over", "scanned", "row", "found"),
    [
        (0, None, 9, 1),
        (0, None, 11, 0),  # forgotten before the first start
        (2, None, 11, 1),  # a service took the database over and died before it had scanned
        (2, None, 13, 0),
        (100, 30, 29, 1),  # all services were off for a month
        (100, 30, 30.5, 1),  # and a transaction was still open when the last one scanned
        (100, 30, 32, 0),  # seen by that scan
        (100, 0, 9, 1),
        (100, 0, 11, 0),
        (25, 24, 40, 0),
        (None, None, 9, 1),
        (None, None, 11, 0),
    ],
)
def test_the_scan_goes_back_to_the_last_one_but_not_far_before_the_first_start(
    taken_over: float | None, scanned: float | None, row: float, found: int, untold: Producer, intake: Intake
) -> None:
    """All in days ago; what is older than 10 days at the first start is left alone."""
    untold.sql(
        "UPDATE adi_control SET taken_over_at = now() - interval '1 day' * CAST(%s AS float), "
        "scanned_at = now() - interval '1 day' * CAST(%s AS float)",
        taken_over,
        scanned,
    )
    ((timestamp,),) = untold.sql("SELECT CAST(now() - interval '1 day' * %s AS text)", row)
    untold.pending(timestamp=timestamp)
    assert intake.reconcile() == found
    assert untold.sql("SELECT scanned_at > now() - interval '1 minute' FROM adi_control") == [(True,)]


@pytest.mark.parametrize(
    ("timestamps", "found"),
    [
        ([None], [1]),
        ([None, OLD], []),
        ([None, "now"], [1, 2]),
        ([None, None, None, OLD], []),
        ([None, OLD, None, None, "now"], [3, 4, 5]),
        ([OLD, None, None], [2, 3]),
        ([None, "now", None, OLD, None], [1, 2, 5]),
    ],
)
def test_a_row_without_a_time_is_as_old_as_the_next_that_has_one(
    timestamps: list[str | None], found: list[int], untold: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    for number, timestamp in enumerate(timestamps, start=1):
        untold.pending(str(number), timestamp=timestamp)
    takeover.take_over(database, who="host:1")
    assert intake.reconcile() == len(found)
    assert run_all(intake, queue) == [str(number) for number in found]


@pytest.mark.parametrize("whole", [True, False])
def test_a_row_without_a_time_that_came_after_the_first_start_is_never_too_old(
    untold: Producer, intake: Intake, database: Database, *, whole: bool
) -> None:
    untold.pending("forgotten", timestamp=None)
    untold.pending("x", stage="Import Completed", timestamp=OLD)
    takeover.take_over(database, who="host:1")
    assert intake.reconcile() == 0
    untold.pending("new", timestamp=None)
    untold.pending("x", stage="Import Completed", timestamp=OLD)
    assert intake.reconcile(whole=whole) == 1
    assert untold.sql("SELECT uuid FROM adi_inbox") == [("new",)]


def test_a_row_without_a_time_from_a_transaction_that_outlived_the_first_scan_is_found(
    untold: Producer, intake: Intake, database: Database
) -> None:
    with closing(untold.connect()) as slow:
        untold.pending(timestamp=None, on=slow)
        untold.pending("x", stage="Import Completed")
        takeover.take_over(database, who="host:1")
        assert intake.reconcile() == 0
        slow.commit()
    assert intake.reconcile() == 1


def test_a_hundred_thousand_rows_without_a_time_are_no_trouble(untold: Producer, intake: Intake) -> None:
    """The look for the time of the next row must not pass over all the others each time: that would take hours."""
    untold.sql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files) "
        "SELECT 'Demo', 'ann', '1', 'Dataset', 'Import Pending', 'order-' || n, '[]' FROM generate_series(1, 100000) n"
    )
    untold.sql("ANALYZE imports")
    assert intake.reconcile() == 100_000


def test_the_brief_scan_looks_at_the_last_hour(untold: Producer, intake: Intake, queue: Queue) -> None:
    for uuid, timestamp in (("before", OLD), ("new", "now"), ("without a time", None), ("ahead", "tomorrow")):
        untold.pending(uuid, timestamp=timestamp)
    untold.sql("UPDATE imports SET timestamp = now() - interval '2 hours' WHERE uuid = 'before'")
    assert intake.reconcile(whole=False) == 3
    assert untold.sql("SELECT scanned_at FROM adi_control") == [(None,)]
    assert run_all(intake, queue) == ["ahead", "new", "without a time"]
    assert intake.reconcile(whole=False) == 0
    assert (intake.reconcile(), run_all(intake, queue)) == (1, ["before"])


@pytest.mark.parametrize("whole", [True, False])
def test_every_way_of_ordering_again_is_found(untold: Producer, intake: Intake, queue: Queue, *, whole: bool) -> None:
    with closing(untold.connect()) as slow:
        uuid = untold.pending()
        untold.pending(uuid, on=slow)
        intake.reconcile(whole=whole)
        assert run_all(intake, queue) == [uuid]
        slow.commit()  # its time is that of its beginning, before the order was completed
    for again in (lambda: None, lambda: untold.sql(RETRY, uuid), lambda: untold.pending(uuid)):
        again()
        assert (intake.reconcile(whole=whole), run_all(intake, queue)) == (1, [uuid])
        assert (intake.reconcile(whole=whole), run_all(intake, queue)) == (0, [])


def test_an_order_of_the_former_importer_is_run_again_only_when_it_was_ordered_after_its_end(
    untold: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    for uuid, times in {
        "done": ("yesterday", "now"),
        "done, its clock was ahead": ("tomorrow", "now"),
        "done without a time": (None, "now"),
        "again": ("yesterday", "now"),
        "again, its clock was behind": ("yesterday", "now"),
    }.items():
        untold.pending(uuid, timestamp=times[0])
        untold.pending(uuid, stage="Import Completed", timestamp=times[1])
    untold.pending("again", timestamp="now")
    untold.pending("again, its clock was behind", timestamp="yesterday")
    takeover.take_over(database, who="host:1")
    assert intake.reconcile() == 2
    assert run_all(intake, queue) == ["again", "again, its clock was behind"]
