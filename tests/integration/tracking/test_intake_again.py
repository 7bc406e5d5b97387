# SPDX-License-Identifier: GPL-2.0-or-later
"""The same order again: it runs once more, with what was ordered last, wherever the first one stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

RETRY = "UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s"  # as operators were always told
FIRST, OTHER = '["/data/a.tif"]', '["/data/b.tif"]'

AGAIN: dict[str, tuple[Callable[[Producer, str], object], str]] = {  # how it is ordered again, and the files that are meant then
    "the documented retry": (lambda producer, uuid: producer.sql(RETRY, uuid), FIRST),
    "the same content": (lambda producer, uuid: producer.pending(uuid, files=FIRST), FIRST),
    "other content": (lambda producer, uuid: producer.pending(uuid, files=OTHER), OTHER),
    "without a time": (lambda producer, uuid: producer.pending(uuid, files=OTHER, timestamp=None), OTHER),
    "the clock is behind": (lambda producer, uuid: producer.pending(uuid, files=OTHER, timestamp="yesterday"), OTHER),
    "three times": (lambda producer, uuid: [producer.pending(uuid, files=files) for files in (FIRST, "nonsense", OTHER)], OTHER),
}


@dataclass(frozen=True)
class Site:
    """What acts on an order."""

    producer: Producer
    intake: Intake
    queue: Queue

    def claim(self) -> Claim | None:
        self.intake.take_in()
        return self.queue.claim(owner="host:1")

    def claimed(self) -> Claim:
        claim = self.claim()
        assert claim is not None
        return claim

    def newest(self, uuid: str, among: str = "") -> str:
        """The stage that other programs see: what has no timestamp comes first."""
        rows = self.producer.sql(f"SELECT stage FROM imports WHERE uuid = %s {among} ORDER BY timestamp DESC LIMIT 1", uuid)
        return str(rows[0][0])

    def assert_quiet(self) -> None:
        """Nothing is left to do, whether told by the trigger or found by the scan."""
        assert (self.claim(), self.intake.reconcile(), self.claim(), self.queue.pending()) == (None, 0, None, 0)


@pytest.fixture
def site(producer: Producer, intake: Intake, queue: Queue) -> Site:
    return Site(producer, intake, queue)


def cancelled(site: Site) -> None:
    site.intake.take_in()
    site.producer.sql("UPDATE adi_order SET state = 'cancelled', finished_at = now()")


ENDS: dict[str, Callable[[Site], object]] = {
    "completed": lambda site: site.queue.complete(site.claimed().lease),
    "failed": lambda site: site.queue.fail(site.claimed().lease, reason="no"),
    "cancelled": cancelled,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("again", AGAIN)
def test_ordered_again_after_its_end_it_runs_once_more(again: str, end: str, site: Site) -> None:
    order_again, files = AGAIN[again]
    uuid = site.producer.pending(files=FIRST)
    ENDS[end](site)
    assert site.claim() is None
    order_again(site.producer, uuid)
    claim = site.claimed()
    assert (claim.lease.order, claim.text.files) == (uuid, files)
    site.queue.complete(claim.lease)
    site.assert_quiet()


@pytest.mark.parametrize("again", AGAIN)
def test_ordered_again_while_it_waits_it_runs_once_with_what_was_ordered_last(again: str, site: Site) -> None:
    order_again, files = AGAIN[again]
    uuid = site.producer.pending(files=FIRST)
    site.intake.take_in()
    order_again(site.producer, uuid)
    claim = site.claimed()
    assert (claim.lease.attempt, claim.text.files) == (1, files)
    site.queue.complete(claim.lease)
    site.assert_quiet()


@pytest.mark.parametrize("again", AGAIN)
def test_ordered_again_while_it_runs_it_runs_once_more_afterwards(again: str, site: Site) -> None:
    order_again, files = AGAIN[again]
    uuid = site.producer.pending(files=FIRST)
    first = site.claimed()
    order_again(site.producer, uuid)
    assert site.claim() is None
    site.queue.complete(first.lease)
    second = site.claimed()
    assert (second.lease.attempt, second.text.files) == (2, files)
    site.queue.complete(second.lease)
    site.assert_quiet()


@pytest.mark.parametrize("end", ENDS)
def test_an_order_that_has_ended_stays_ended_by_itself(end: str, site: Site) -> None:
    site.producer.pending()
    ENDS[end](site)
    site.producer.sql("DROP TRIGGER adi_note_pending ON imports")
    site.assert_quiet()


@pytest.mark.parametrize("timestamp", [None, "now", "tomorrow", "2199-01-01", "9998-12-31 23:59:59.999999", "-infinity"])
def test_who_reads_the_newest_row_sees_each_stage_when_it_comes(timestamp: str | None, site: Site) -> None:
    uuid = site.producer.pending(timestamp=timestamp)
    assert site.newest(uuid) == "Import Pending"
    first = site.claimed()
    assert site.newest(uuid) == "Import Started"
    site.queue.fail(first.lease, reason="no")
    assert site.newest(uuid) == "Import Failed"
    site.producer.sql(RETRY, uuid)
    assert site.newest(uuid) == "Import Pending"
    second = site.claimed()
    assert site.newest(uuid) == "Import Started"
    site.queue.complete(second.lease)
    assert site.newest(uuid) == "Import Completed"


@pytest.mark.parametrize("timestamp", ["infinity", "9999-12-31 12:00 UTC", "294276-12-31 23:59:59"])
def test_where_nothing_can_be_newer_each_stage_is_newer_than_all_that_a_program_can_read(timestamp: str, site: Site) -> None:
    uuid = site.producer.pending(timestamp=timestamp)
    readable = " AND timestamp < '9999-12-31 UTC'"
    first = site.claimed()
    assert site.newest(uuid, readable) == "Import Started"
    site.queue.fail(first.lease, reason="no")
    assert site.newest(uuid, readable) == "Import Failed"
    site.producer.sql(RETRY, uuid)
    site.queue.complete(site.claimed().lease)
    assert site.newest(uuid, readable) == "Import Completed"
