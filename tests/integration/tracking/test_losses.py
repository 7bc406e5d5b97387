# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses: workers that die or fall silent, and what becomes of their orders."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.orders import Claim, FileStep, LedgerFile, Route
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.losses import DEATHS_ALLOWED, LAPSES_ALLOWED, PAUSE_SECONDS, Loss, bury, free_lapsed
from omero_adi_plugin.tracking.operating import CallOff, cancel, retry

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

WHY = "killed by SIGKILL"
LAPSE = "UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'"
DUE = "UPDATE adi_order SET run_after = now() WHERE state = 'waiting'"


@dataclass(frozen=True)
class Site:
    """One order, and what acts on it."""

    database: Database
    producer: Producer
    queue: Queue
    uuid: str

    def claimed(self, owner: str = "host:1") -> Claim:
        claim = self.queue.claim(owner=owner)
        assert claim is not None
        assert claim.lease.order == self.uuid
        return claim

    def record(self, claim: Claim, step: FileStep) -> None:
        line = LedgerFile(entry="/data/a.tif", key="/data/a.tif", route=Route.INPLACE, step=step)
        Ledger(self.database, claim.lease).record(line)

    def die(self) -> list[Loss]:
        self.producer.sql(DUE)
        return bury(self.database, owner=self.claimed().lease.owner, why=WHY)

    def lapse(self) -> list[Loss]:
        self.claimed()
        self.producer.sql(LAPSE)
        return free_lapsed(self.database)

    def counted(self) -> tuple[int, int, int]:
        [counts] = self.producer.sql("SELECT deaths, lapses, failures FROM adi_order")
        return counts

    def waits_again(self) -> list[Loss]:
        return [Loss(uuid=self.uuid, owner="host:1", failed=False)]

    def has_failed(self) -> list[Loss]:
        return [Loss(uuid=self.uuid, owner="host:1", failed=True)]

    def said(self) -> str:
        [(stage, words)] = self.producer.sql("SELECT stage, description FROM imports ORDER BY id DESC LIMIT 1")
        assert stage == "Import Failed"
        return str(words)


@pytest.fixture
def site(database: Database, producer: Producer, intake: Intake, queue: Queue) -> Site:
    uuid = producer.pending()
    intake.take_in()
    return Site(database, producer, queue, uuid)


def test_an_order_whose_worker_died_waits_for_another_at_once(site: Site) -> None:
    assert site.die() == site.waits_again()
    claim = site.claimed("host:2")
    assert (claim.lease.attempt, claim.failures) == (2, 0)
    [(description,)] = site.producer.sql("SELECT description FROM imports ORDER BY id DESC LIMIT 1")
    assert description == f"Attempt 2: the worker host:1 died ({WHY})"
    ended = site.producer.sql("SELECT attempt, outcome, why, ended_at IS NOT NULL FROM adi_attempt ORDER BY attempt")
    assert ended == [(1, "worker died", f"the worker host:1 died ({WHY})", True), (2, None, None, False)]


def test_an_order_that_costs_three_workers_their_lives_fails_and_says_so(site: Site) -> None:
    assert DEATHS_ALLOWED == 3
    assert [site.die(), site.die(), site.die()] == [site.waits_again(), site.waits_again(), site.has_failed()]
    assert site.said().startswith(
        f"The order has cost 3 worker processes their lives, one after the other; the last one was {WHY}. "
        "A file of it may need too much memory, or crash the program"
    )
    assert site.queue.pending() == 0
    assert site.counted() == (0, 0, 0)
    assert site.producer.sql("SELECT outcome FROM adi_attempt") == [("worker died",)] * 3
    retry(site.database, site.uuid, who="ann@desk")  # which is a person's decision: it counts from the beginning


def test_after_the_second_death_an_order_leaves_time_for_the_cause_to_pass(site: Site) -> None:
    site.die()
    site.die()
    assert site.queue.claim(owner="host:1") is None
    seconds = site.queue.next_due_seconds()
    assert seconds is not None
    assert PAUSE_SECONDS - 10 < seconds <= PAUSE_SECONDS


@pytest.mark.parametrize("step", [FileStep.IMPORTED, FileStep.ANNOTATED, FileStep.SKIPPED])
def test_deaths_count_only_while_nothing_of_the_order_gets_done(step: FileStep, site: Site) -> None:
    site.die()
    site.die()
    site.producer.sql(DUE)
    claim = site.claimed()
    site.record(claim, step)
    assert bury(site.database, owner="host:1", why=WHY) == site.waits_again()
    assert site.counted()[0] == 1
    assert [site.die(), site.die()] == [site.waits_again(), site.has_failed()]  # what an earlier attempt did is no progress


@pytest.mark.parametrize("step", [FileStep.PLANNED, FileStep.CREATED, FileStep.VERIFYING, FileStep.FAILED])
def test_what_is_only_begun_is_no_progress(step: FileStep, site: Site) -> None:
    for _ in range(2):
        site.die()
    site.producer.sql(DUE)
    site.record(site.claimed(), step)
    assert bury(site.database, owner="host:1", why=WHY) == site.has_failed()


def test_an_attempt_that_ends_otherwise_ends_the_count(site: Site) -> None:
    site.die()
    site.die()
    site.producer.sql(DUE)
    site.queue.give_back(site.claimed().lease, note="the connection was lost", after_seconds=0, failures=1)
    assert site.counted() == (0, 0, 1)
    assert site.die() == site.waits_again()
    assert site.counted() == (1, 0, 1)


def test_a_worker_that_its_service_has_ended_is_not_the_orders_fault(site: Site) -> None:
    for _ in range(2 * DEATHS_ALLOWED):
        site.claimed()
        assert bury(site.database, owner="host:1", why="it did not end in time", counts=False) == site.waits_again()
    assert site.counted() == (0, 0, 0)
    assert site.producer.sql("SELECT DISTINCT outcome FROM adi_attempt") == [("worker died",)]


def test_only_the_dead_workers_orders_are_taken(site: Site) -> None:
    claim = site.claimed("host:12")
    assert bury(site.database, owner="host:1", why=WHY) == []
    site.queue.complete(claim.lease)
    assert bury(site.database, owner="host:12", why=WHY) == []


def test_a_worker_that_fell_silent_ten_times_fails_its_order(site: Site) -> None:
    assert LAPSES_ALLOWED == 10
    assert [site.lapse() for _ in range(9)] == [site.waits_again()] * 9
    assert site.counted() == (0, 9, 0)
    assert site.lapse() == site.has_failed()
    assert "fell silent 10 times" in site.said()
    assert site.producer.sql("SELECT DISTINCT outcome FROM adi_attempt") == [("lease lapsed",)]


def test_lapses_count_only_while_nothing_of_the_order_gets_done(site: Site) -> None:
    for _ in range(9):
        site.lapse()
    site.record(site.claimed(), FileStep.IMPORTED)
    site.producer.sql(LAPSE)
    assert free_lapsed(site.database) == site.waits_again()
    assert site.counted() == (0, 1, 0)


@pytest.mark.parametrize("lose", [Site.die, Site.lapse])
def test_an_order_that_was_called_off_while_it_ran_is_still_called_off_after_a_loss(
    lose: object, site: Site, intake: Intake
) -> None:
    claim = site.claimed()
    assert cancel(site.database, site.uuid, who="ann@desk") == CallOff(ended=False, owner="host:1")
    if lose is Site.lapse:
        site.producer.sql(LAPSE)
        assert free_lapsed(site.database) == site.waits_again()
    else:
        assert bury(site.database, owner="host:1", why=WHY) == site.waits_again()
    assert site.producer.sql("SELECT state, cancel_requested FROM adi_order") == [("waiting", True)]
    assert (intake.take_in(), intake.reconcile()) == (0, 0)
    again = site.claimed()
    assert again.lease.attempt == claim.lease.attempt + 1
    assert again.cancelled_by is not None
    assert again.cancelled_by.startswith("ann@desk on ")
    extension = site.queue.extend(again.lease)
    assert extension.cancelled_by == again.cancelled_by
    site.queue.cancel(again.lease, reason="Cancelled by ann@desk")
    assert site.producer.sql("SELECT state, cancel_requested, cancelled_by FROM adi_order") == [("cancelled", False, None)]
    assert site.said() == "Cancelled by ann@desk"


def test_both_kinds_of_listeners_hear_of_a_loss(site: Site, database_url: str) -> None:
    """A worker may take the order, and what waits in the inbox for the end of it may be taken in."""
    for channel in ("adi_order", "adi_inbox"):
        with closing(Bell(database_url, [channel])) as bell:
            bell.wait(0)
            site.die()
            assert bell.wait(10)
            site.producer.sql("UPDATE adi_order SET deaths = 0")


def test_nothing_is_lost_of_an_order_that_somebody_just_now_has_to_do_with(site: Site) -> None:
    site.claimed()
    site.producer.sql(LAPSE)
    with closing(site.producer.connect()) as worker, worker.cursor() as cursor:
        cursor.execute("UPDATE adi_order SET lease_until = now() + interval '1 minute'")
        assert free_lapsed(site.database) == []
        worker.commit()
    assert free_lapsed(site.database) == []


def test_an_order_whose_rows_were_deleted_is_lost_like_any_other(site: Site) -> None:
    site.claimed()
    site.producer.sql("DELETE FROM imports")
    for expected in (site.waits_again(), site.waits_again(), site.has_failed()):
        assert bury(site.database, owner="host:1", why=WHY) == expected
        site.producer.sql(DUE)
        site.queue.claim(owner="host:1")
