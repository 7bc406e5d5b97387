# SPDX-License-Identifier: GPL-2.0-or-later
"""Sweeps: which orders OMERO is looked at once more for, when, and by whom; whatever dies meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import LeaseLost, OrderMalformed
from omero_adi_plugin.orders import Claim, DueSweep, FileStep, LedgerFile, Route
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.losses import DEATHS_ALLOWED, bury
from omero_adi_plugin.tracking.operating import cancel, retry
from omero_adi_plugin.tracking.pausing import pause, resume
from omero_adi_plugin.tracking.sweeps import Sweeps

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

DELAY = 900
LEASE = 600
WHO = "ann@desk"


@dataclass(frozen=True)
class Site:
    """A database, what acts on it, and whoever looks for sweeps."""

    database: Database
    producer: Producer
    intake: Intake
    queue: Queue
    sweeps: Sweeps

    def claimed(self) -> Claim:
        self.intake.take_in()
        self.producer.sql("UPDATE adi_order SET run_after = now() WHERE state = 'waiting'")
        claim = self.queue.claim(owner="host:1")
        assert claim is not None
        return claim

    def interrupted(self, uuid: str | None = None) -> Claim:
        """The second attempt at an order whose first worker died."""
        self.producer.pending(uuid)
        bury(self.database, owner=self.claimed().lease.owner, why="killed")
        return self.claimed()

    def swept(self, uuid: str | None = None) -> str:
        """An order that is to be looked at once more."""
        claim = self.interrupted(uuid)
        self.queue.complete(claim.lease)
        return claim.lease.order

    def pass_seconds(self, seconds: int) -> None:
        """Move what has happened so far into the past."""
        for table, column in (("adi_order", "unswept_since"), ("adi_attempt", "started_at"), ("adi_attempt", "ended_at")):
            self.producer.sql(f"UPDATE {table} SET {column} = {column} - interval '{seconds} seconds'")

    def due(self) -> DueSweep:
        due = self.sweeps.claim()
        assert due is not None
        return due

    def is_unswept(self) -> bool:
        [(unswept,)] = self.producer.sql("SELECT unswept_since IS NOT NULL FROM adi_order")
        return bool(unswept)


@pytest.fixture
def site(database: Database, producer: Producer, intake: Intake, queue: Queue) -> Site:
    return Site(database, producer, intake, queue, Sweeps(database, delay_seconds=DELAY, lease_seconds=LEASE))


def ends_at_its_first_attempt(site: Site) -> None:
    site.producer.pending()
    site.queue.complete(site.claimed().lease)


def fails_at_its_first_attempt(site: Site) -> None:
    site.producer.pending()
    site.queue.fail(site.claimed().lease, reason="bad")


def is_called_off_before_its_first_attempt(site: Site) -> None:
    uuid = site.producer.pending()
    site.intake.take_in()
    cancel(site.database, uuid, who=WHO)


def is_suspected(site: Site) -> None:
    site.producer.pending()
    claim = site.claimed()
    Ledger(site.database, claim.lease).suspect()
    site.queue.complete(claim.lease)


def completes_at_its_second_attempt(site: Site) -> None:
    site.swept()


def fails_at_its_second_attempt(site: Site) -> None:
    site.queue.fail(site.interrupted().lease, reason="bad")


def is_called_off_in_its_second_attempt(site: Site) -> None:
    site.queue.cancel(site.interrupted().lease, reason="off")


def is_called_off_after_its_second_attempt(site: Site) -> None:
    claim = site.interrupted()
    site.queue.give_back(claim.lease, note="OMERO was away", after_seconds=60)
    assert cancel(site.database, claim.lease.order, who=WHO).ended


def is_suspected_and_called_off_between_two_attempts(site: Site) -> None:
    site.producer.pending()
    claim = site.claimed()
    Ledger(site.database, claim.lease).suspect()
    site.queue.give_back(claim.lease, note="OMERO was away", after_seconds=60)
    assert cancel(site.database, claim.lease.order, who=WHO).ended


def fails_by_deaths(site: Site) -> None:
    site.producer.pending()
    for _ in range(DEATHS_ALLOWED):
        bury(site.database, owner=site.claimed().lease.owner, why="killed")


@pytest.mark.parametrize(
    ("life", "unswept"),
    [
        (ends_at_its_first_attempt, False),
        (fails_at_its_first_attempt, False),
        (is_called_off_before_its_first_attempt, False),
        (is_suspected, True),
        (completes_at_its_second_attempt, True),
        (fails_at_its_second_attempt, True),
        (is_called_off_in_its_second_attempt, True),
        (is_called_off_after_its_second_attempt, True),
        (is_suspected_and_called_off_between_two_attempts, True),
        (fails_by_deaths, True),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_orders_that_were_interrupted_are_looked_at_once_more(life: Callable[[Site], None], site: Site, *, unswept: bool) -> None:
    life(site)
    assert site.is_unswept() == unswept
    site.pass_seconds(DELAY)
    assert (site.sweeps.claim() is not None) == unswept


def test_the_first_death_of_an_order_that_only_one_may_die_over_counts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omero_adi_plugin.tracking.losses.DEATHS_ALLOWED", 1)
    site.producer.pending()
    bury(site.database, owner=site.claimed().lease.owner, why="killed")
    assert site.is_unswept()


def test_without_the_lease_nothing_is_suspected(site: Site) -> None:
    site.producer.pending()
    first = site.claimed()
    bury(site.database, owner=first.lease.owner, why="killed")
    site.claimed()
    with pytest.raises(LeaseLost):
        Ledger(site.database, first.lease).suspect()
    assert not site.is_unswept()


def test_it_is_looked_when_so_much_time_has_passed_and_not_before(site: Site) -> None:
    site.swept()
    site.pass_seconds(DELAY - 60)
    assert (site.sweeps.any_due(), site.sweeps.claim()) == (False, None)
    site.pass_seconds(60)
    assert site.sweeps.any_due()
    assert site.sweeps.claim() is not None
    assert not site.sweeps.any_due()


def test_the_time_counts_from_the_end_and_not_from_what_was_suspected(site: Site) -> None:
    site.producer.pending()
    claim = site.claimed()
    Ledger(site.database, claim.lease).suspect()
    site.pass_seconds(DELAY)
    site.queue.complete(claim.lease)
    assert site.sweeps.claim() is None


def test_the_order_that_is_due_for_longest_comes_first(site: Site) -> None:
    uuids = []
    for _ in range(3):
        uuids.append(site.swept())
        site.pass_seconds(DELAY)
    assert [site.due().uuid for _ in range(3)] == uuids
    assert site.sweeps.claim() is None


def test_whoever_looks_is_given_the_order_as_it_was_written(site: Site) -> None:
    uuid = site.swept()
    site.pass_seconds(DELAY)
    due = site.due()
    assert (due.uuid, due.attempt, due.tries) == (uuid, 2, 1)
    assert due.text.read().entries[0].path == "/data/a.tif"
    assert site.sweeps.files(uuid) == ()
    line = LedgerFile(entry="/a", key="/a", route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=3, images=(4,))
    retry(site.database, uuid, who=WHO)
    claim = site.claimed()
    Ledger(site.database, claim.lease).record(line)
    assert site.sweeps.files(uuid) == (line,)


def test_an_order_whose_row_is_gone_is_handed_over_all_the_same_so_that_it_can_be_given_up(site: Site) -> None:
    site.swept()
    site.producer.sql("DELETE FROM imports")
    site.pass_seconds(DELAY)
    due = site.due()
    with pytest.raises(OrderMalformed):
        due.text.read()
    site.sweeps.done(due)
    assert not site.is_unswept()


def test_while_all_imports_are_paused_nobody_looks(site: Site) -> None:
    site.swept()
    site.pass_seconds(DELAY)
    pause(site.database, who=WHO)
    assert site.sweeps.claim() is None
    resume(site.database, who=WHO)
    assert site.sweeps.claim() is not None


def test_one_after_whose_start_the_worker_died_is_done_by_the_next(site: Site) -> None:
    site.swept()
    site.pass_seconds(DELAY)
    site.due()
    assert site.sweeps.claim() is None
    site.pass_seconds(LEASE)
    assert site.due().tries == 2


def test_of_many_who_look_at_the_same_moment_each_is_given_another_order(site: Site, database_url: str) -> None:
    uuids = {site.swept() for _ in range(12)}
    site.pass_seconds(DELAY)

    def all_that_are_due(_: int) -> list[str]:
        with closing(Database(database_url, name="tests")) as database:
            sweeps = Sweeps(database, delay_seconds=DELAY)
            return [due.uuid for due in iter(sweeps.claim, None)]

    with ThreadPoolExecutor(4) as pool:
        taken = [uuid for some in pool.map(all_that_are_due, range(4)) for uuid in some]
    assert (len(taken), set(taken)) == (12, uuids)


def test_what_is_done_is_not_due_any_more(site: Site) -> None:
    site.swept()
    site.pass_seconds(DELAY)
    due = site.due()
    assert site.sweeps.wanted(due)
    site.sweeps.done(due)
    assert not site.is_unswept()
    assert not site.sweeps.wanted(due)  # by another worker that was slower
    assert not site.is_unswept()


def test_whoever_asks_whether_it_is_wanted_has_as_much_time_again(site: Site) -> None:
    site.swept()
    site.pass_seconds(DELAY)
    due = site.due()
    site.pass_seconds(LEASE - 60)
    assert site.sweeps.wanted(due)
    site.pass_seconds(LEASE - 60)
    assert site.sweeps.claim() is None


@pytest.mark.parametrize("state", ["waits", "runs", "has ended again"])
def test_an_order_that_was_begun_again_is_left_to_that_attempt(state: str, site: Site) -> None:
    uuid = site.swept()
    site.pass_seconds(DELAY)
    due = site.due()
    retry(site.database, uuid, who=WHO)
    site.intake.take_in()
    claim = None if state == "waits" else site.claimed()
    if claim and state == "has ended again":
        site.queue.complete(claim.lease)
    assert not site.sweeps.wanted(due)
    site.sweeps.done(due)
    site.sweeps.put_off(due, seconds=0, counts=True)
    assert site.is_unswept()
    assert site.sweeps.claim() is None, "what runs is not looked at, and what has just ended not yet"
    site.pass_seconds(DELAY)
    assert (site.sweeps.claim() is not None) == (state == "has ended again")


def test_an_order_that_was_ordered_again_and_called_off_is_still_to_be_looked_at(site: Site) -> None:
    uuid = site.swept()
    site.pass_seconds(DELAY)
    retry(site.database, uuid, who=WHO)
    site.intake.take_in()
    assert cancel(site.database, uuid, who=WHO).ended
    site.pass_seconds(DELAY)
    assert site.due().attempt == 2


@pytest.mark.parametrize(("counts", "tries"), [(True, 2), (False, 1)])
def test_one_that_is_put_off_is_due_when_that_time_has_passed(site: Site, *, counts: bool, tries: int) -> None:
    site.swept()
    site.pass_seconds(DELAY)
    site.sweeps.put_off(site.due(), seconds=60, counts=counts)
    site.pass_seconds(50)
    assert site.sweeps.claim() is None
    site.pass_seconds(10)
    assert site.due().tries == tries


def test_the_next_end_of_an_order_begins_with_a_new_count(site: Site) -> None:
    uuid = site.swept()
    site.pass_seconds(DELAY)
    site.sweeps.put_off(site.due(), seconds=0, counts=True)
    retry(site.database, uuid, who=WHO)
    site.queue.complete(site.claimed().lease)
    site.pass_seconds(DELAY)
    assert site.due().tries == 1


def began(site: Site, attempt: int) -> float:
    [(seconds,)] = site.producer.sql(f"SELECT extract(epoch FROM started_at) FROM adi_attempt WHERE attempt = {attempt}")
    return float(seconds)


def test_traces_are_looked_for_since_the_first_attempt(site: Site) -> None:
    site.swept()
    site.pass_seconds(DELAY)
    assert site.due().since == began(site, 1)


@pytest.mark.parametrize(("seconds", "first"), [(86_400, 1), (86_400 + DELAY, 3)])
def test_what_began_before_an_end_that_was_long_ago_is_of_no_interest_any_more(seconds: int, first: int, site: Site) -> None:
    uuid = site.swept()
    site.pass_seconds(seconds)
    retry(site.database, uuid, who=WHO)
    site.queue.give_back(site.claimed().lease, note="OMERO was away", after_seconds=0)
    site.pass_seconds(seconds)
    site.queue.complete(site.claimed().lease)
    site.pass_seconds(DELAY)
    assert site.due().since == began(site, first)
