# SPDX-License-Identifier: GPL-2.0-or-later
"""Pruning: our tables stay small, and whoever has to do with a forgotten order afterwards does not notice."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import OrderEnded
from omero_adi_plugin.orders import Claim, FileStep, LedgerFile, Route, Target
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking import pruning, takeover
from omero_adi_plugin.tracking.detach import detach
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.operating import CallOff, cancel, retry
from omero_adi_plugin.tracking.services import Presence
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order
from omero_adi_plugin.tracking.sweeps import Sweeps
from omero_adi_plugin.tracking.views import order_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

ME = "host:1"
KEEP = 20
RETRY = "UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s"  # as operators were always told
OURS = ("adi_inbox", "adi_order", "adi_attempt", "adi_file", "adi_action", "adi_turn", "adi_service")


@dataclass(frozen=True)
class Site:
    """A database that is ours, and what acts on it."""

    database: Database
    producer: Producer
    intake: Intake
    queue: Queue

    def claimed(self) -> Claim:
        self.intake.take_in()
        claim = self.queue.claim(owner=ME)
        assert claim is not None
        return claim

    def claimed_row(self) -> int:
        """Carry out an order; return the row of its beginning."""
        claim = self.claimed()
        [(row,)] = self.producer.sql("SELECT max(imports_id) FROM adi_attempt WHERE uuid = %s", claim.lease.order)
        self.queue.complete(claim.lease)
        return int(row)

    def record(self, claim: Claim, count: int = 2) -> None:
        lines = (
            LedgerFile(entry=f"/{n}", key=f"/{n}", route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=n) for n in range(count)
        )
        Ledger(self.database, claim.lease).record(*lines)

    def days_pass(self, days: int = KEEP + 1, *, swept: bool = True) -> None:
        """Move what has happened into the past, as far as we tell the time; then others write, and services look as always."""
        if swept:
            self.sweep()
        past = f"- interval '{days} days'"
        readable = "timestamp BETWEEN '2000-01-01' AND now() + interval '10 years'"
        self.producer.sql(f"UPDATE imports SET timestamp = timestamp {past} WHERE {readable}")
        for table, column in (
            ("adi_order", "finished_at"),
            ("adi_attempt", "started_at"),
            ("adi_action", "at"),
            ("adi_turn", "claimed_at"),
            ("adi_service", "seen_at"),
            ("adi_control", "pruned_at"),
            ("adi_control", "taken_over_at"),
        ):
            self.producer.sql(f"UPDATE {table} SET {column} = {column} {past}")
        self.producer.sql(
            "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp) "
            "SELECT 'Demo', 'bob', '1', 'Dataset', 'Import Completed', 'of others', '[]', now() "
            f"FROM generate_series(1, {takeover.LATE_IDS})"
        )
        self.look()

    def sweep(self) -> None:
        sweeps = Sweeps(self.database, delay_seconds=0)
        while due := sweeps.claim():
            sweeps.done(due)

    def look(self) -> None:
        takeover.watch(self.database, who=ME)
        self.intake.reconcile()

    def prune(self) -> int:
        self.producer.sql("UPDATE adi_control SET pruned_at = NULL")
        return pruning.prune(self.database, keep_days=KEEP)

    def known(self) -> set[str]:
        return {uuid for (uuid,) in self.producer.sql("SELECT uuid FROM adi_order")}

    def sizes(self) -> dict[str, int]:
        return {table: self.producer.sql(f"SELECT count(*) FROM {table}")[0][0] for table in OURS}


@pytest.fixture
def site(database: Database, producer: Producer, intake: Intake, queue: Queue) -> Site:
    takeover.take_over(database, who=ME)
    return Site(database, producer, intake, queue)


def completed(site: Site, timestamp: str | None = "now") -> str:
    uuid = site.producer.pending(timestamp=timestamp)
    claim = site.claimed()
    site.record(claim)
    site.queue.complete(claim.lease)
    return uuid


def failed(site: Site, timestamp: str | None = "now") -> str:
    uuid = site.producer.pending(timestamp=timestamp)
    site.queue.fail(site.claimed().lease, reason="no")
    return uuid


def cancelled(site: Site, timestamp: str | None = "now") -> str:
    uuid = site.producer.pending(timestamp=timestamp)
    site.intake.take_in()
    assert cancel(site.database, uuid, who="ann@desk") == CallOff(ended=True)
    return uuid


def cancelled_before_it_was_taken_in(site: Site, timestamp: str | None = "now") -> str:
    uuid = site.producer.pending(timestamp=timestamp)
    assert cancel(site.database, uuid, who="ann@desk") == CallOff(ended=True)
    return uuid


def cancelled_while_it_ran(site: Site, timestamp: str | None = "now") -> str:
    uuid = site.producer.pending(timestamp=timestamp)
    claim = site.claimed()
    site.producer.pending(uuid, timestamp=timestamp)
    assert cancel(site.database, uuid, who="ann@desk") == CallOff(ended=False, owner=ME)
    site.queue.cancel(claim.lease, reason="Cancelled by ann")
    return uuid


def completed_at_the_third_attempt(site: Site, timestamp: str | None = "now") -> str:
    uuid = failed(site, timestamp)
    site.producer.sql(RETRY, uuid)
    claim = site.claimed()
    site.queue.give_back(claim.lease, note="busy", after_seconds=0, failures=1)
    site.queue.complete(site.claimed().lease)
    return uuid


ENDS = [
    completed,
    failed,
    cancelled,
    cancelled_before_it_was_taken_in,
    cancelled_while_it_ran,
    completed_at_the_third_attempt,
]
TIMES = [None, "now", "tomorrow", "2199-01-01", "-infinity"]


@pytest.mark.parametrize("timestamp", TIMES)
@pytest.mark.parametrize("end", ENDS)
def test_an_order_that_ended_long_ago_is_forgotten_and_never_taken_for_a_new_one(
    end: Callable[[Site, str | None], str], timestamp: str | None, site: Site
) -> None:
    uuid = end(site, timestamp)
    assert site.prune() == 0
    site.days_pass()
    trail = site.producer.sql("SELECT * FROM imports ORDER BY id")
    site.producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    assert site.prune() == 1
    sizes = {**dict.fromkeys(OURS, 0), "adi_action": 1}  # when the database became ours
    assert site.sizes() == sizes
    for scanned in ("now()", "now() - interval '1000 days'", "NULL"):
        site.producer.sql(f"UPDATE adi_control SET scanned_at = {scanned}")
        assert site.intake.reconcile() == 0
    assert takeover.watch(site.database, who=ME) == []
    assert site.producer.sql("SELECT * FROM imports ORDER BY id") == trail
    with pytest.raises(OrderEnded):
        cancel(site.database, uuid, who="bob@desk")
    assert order_status(site.database, uuid).state is (OrderState.COMPLETED if "completed" in end.__name__ else OrderState.FAILED)
    assert site.sizes() == sizes


def waits(site: Site) -> str:
    uuid = site.producer.pending()
    site.intake.take_in()
    return uuid


def waits_again(site: Site) -> str:
    uuid = completed(site)
    site.producer.pending(uuid)
    site.intake.take_in()
    return uuid


def runs(site: Site) -> str:
    site.producer.pending()
    return site.claimed().lease.order


def is_ordered_again(site: Site) -> str:
    return site.producer.pending(failed(site))


def is_ordered_again_while_no_trigger_told(site: Site) -> str:
    uuid = site.producer.pending()
    claim = site.claimed()
    site.producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    site.producer.pending(uuid, timestamp="2000-01-02")  # by a clock that is so wrong that no scan finds it
    site.queue.complete(claim.lease)
    return uuid


def lost_its_last_rows(site: Site) -> str:
    uuid = failed(site)
    site.producer.sql("DELETE FROM imports WHERE stage <> 'Import Pending'")
    return uuid


def lost_the_rows_of_its_last_attempt(site: Site) -> str:
    uuid = completed(site)
    site.producer.pending(uuid, timestamp="yesterday")
    site.producer.sql("DELETE FROM imports WHERE id >= %s", site.claimed_row())
    return uuid


def was_ordered_for_ever(site: Site) -> str:
    return completed(site, "infinity")  # nothing can be newer: every reader of its trail still sees it pending


KEPT = [
    waits,
    waits_again,
    runs,
    is_ordered_again,
    is_ordered_again_while_no_trigger_told,
    lost_its_last_rows,
    lost_the_rows_of_its_last_attempt,
    was_ordered_for_ever,
]


@pytest.mark.parametrize("situation", KEPT, ids=lambda value: value.__name__)
def test_an_order_is_kept_that(situation: Callable[[Site], str], site: Site) -> None:
    uuid = situation(site)
    site.days_pass()
    assert site.prune() == 0
    assert site.known() == {uuid}


def test_an_order_of_which_omero_is_to_be_looked_at_once_more_is_kept_until_that_is_done(site: Site) -> None:
    uuid = completed_at_the_third_attempt(site)
    site.days_pass(swept=False)
    assert site.prune() == 0
    assert site.known() == {uuid}
    site.sweep()
    assert site.prune() == 1


def test_an_order_that_ended_lately_is_kept(site: Site) -> None:
    uuid = completed(site)
    site.days_pass(KEEP - 1)
    assert site.prune() == 0
    assert site.known() == {uuid}


def test_what_was_ordered_while_no_service_ran_is_looked_for_first(site: Site) -> None:
    uuid = site.producer.pending()
    claim = site.claimed()
    site.producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    again = site.producer.pending(uuid, files='["/again"]')
    site.queue.complete(claim.lease)
    site.days_pass()
    site.producer.sql("UPDATE adi_control SET scanned_at = now() - interval '22 days'")
    site.producer.sql("DELETE FROM adi_inbox")
    assert site.prune() == 0
    assert site.intake.reconcile() == 1
    claim = site.claimed()
    assert (claim.lease.order, claim.text.files) == (again, '["/again"]')


def test_a_database_that_nobody_scans_keeps_all(site: Site) -> None:
    completed(site)
    site.days_pass()
    site.producer.sql("UPDATE adi_control SET scanned_at = NULL")
    assert site.prune() == 0


def by_sql(site: Site, uuid: str) -> None:
    site.producer.sql(RETRY, uuid)


def by_a_new_row(site: Site, uuid: str) -> None:
    site.producer.pending(uuid)


def by_two_new_rows(site: Site, uuid: str) -> None:
    site.producer.pending(uuid)
    site.producer.pending(uuid)


def by_a_row_without_a_time(site: Site, uuid: str) -> None:
    site.producer.pending(uuid, timestamp=None)


def by_command(site: Site, uuid: str) -> None:
    retry(site.database, uuid, who="ann@desk")


TARGET = Target.parse("Dataset:151")


def by_a_command_that_wants_more(site: Site, uuid: str) -> None:
    submit_order(site.database, user="ann", group="Demo", target=TARGET, files=["/a"], uuid=uuid, skip_existing=True)


def by_a_command_after_it_was_called_off(site: Site, uuid: str) -> None:
    site.producer.pending(uuid)
    assert cancel(site.database, uuid, who="ann@desk") == CallOff(ended=True)
    assert "imported stays in OMERO" in str(order_status(site.database, uuid).description)
    retry(site.database, uuid, who="ann@desk")


AGAIN = [
    by_sql,
    by_a_new_row,
    by_two_new_rows,
    by_a_row_without_a_time,
    by_command,
    by_a_command_that_wants_more,
    by_a_command_after_it_was_called_off,
]


@pytest.mark.parametrize("timestamp", TIMES)
@pytest.mark.parametrize("again", AGAIN)
def test_a_forgotten_order_that_is_ordered_again_begins_above_its_old_attempts(
    again: Callable[[Site, str], None], timestamp: str | None, site: Site
) -> None:
    uuid = completed_at_the_third_attempt(site, timestamp)
    site.days_pass()
    assert site.prune() == 1
    if again is by_a_command_after_it_was_called_off and timestamp == "2199-01-01":
        with pytest.raises(OrderEnded):  # by its time, which is all that there is to go by, its old end is the newest row
            again(site, uuid)
        return
    again(site, uuid)
    claim = site.claimed()
    assert claim.lease.order == uuid
    assert claim.lease.attempt > 3
    site.queue.complete(claim.lease)
    assert site.queue.pending() == 0


def test_one_that_is_ordered_again_on_the_command_line_too(site: Site) -> None:
    uuid = completed_at_the_third_attempt(site)
    site.days_pass()
    assert site.prune() == 1
    claim = submit_claimed(site.database, site.queue, user="ann", group="Demo", target=TARGET, files=["/a"], uuid=uuid, owner=ME)
    assert claim.lease.attempt > 3
    description = site.producer.sql("SELECT description FROM imports WHERE id = (SELECT max(id) FROM imports)")
    assert description == [(f"Attempt {claim.lease.attempt}: ordered again",)]


def test_an_order_that_is_written_twice_begins_with_its_first_attempt(site: Site) -> None:
    uuid = site.producer.pending(timestamp="yesterday")
    site.producer.sql("UPDATE imports SET timestamp = now() - interval '23 hours'")
    site.producer.pending(uuid)
    site.producer.pending(uuid, timestamp=None)
    assert site.claimed().lease.attempt == 1


def test_a_forgotten_order_is_not_given_to_another_importer_as_if_it_were_new(site: Site, database_url: str) -> None:
    uuid = completed(site)
    site.days_pass()
    assert site.prune() == 1
    site.producer.pending(uuid)
    site.intake.take_in()
    assert detach(database_url).failed == (uuid,)


def test_beginnings_that_are_still_looked_at_are_kept_until_they_are_not(site: Site) -> None:
    first, second = completed(site), completed(site)
    site.days_pass()
    [(last,)] = site.producer.sql("SELECT max(id) FROM imports WHERE uuid = %s AND stage = 'Import Started'", first)
    site.producer.sql("UPDATE adi_control SET watched_id = %s", last + takeover.LATE_IDS)
    assert site.prune() == 1
    assert site.known() == {second}
    assert takeover.watch(site.database, who=ME) == []
    assert site.prune() == 1


def test_what_another_importer_began_is_not_told_again(site: Site) -> None:
    site.producer.pending("theirs", stage="Import Started")
    assert len(takeover.watch(site.database, who=ME)) == 1
    site.producer.sql("UPDATE adi_action SET at = at - interval '1 year'")
    site.intake.reconcile()
    site.prune()
    assert takeover.watch(site.database, who=ME) == []
    site.days_pass()
    site.prune()
    assert site.sizes()["adi_action"] == 1
    assert takeover.watch(site.database, who=ME) == []


def test_what_people_did_is_kept_as_long_as_the_order(site: Site) -> None:
    uuid = failed(site)
    retry(site.database, uuid, who="ann@desk")
    site.days_pass()
    site.prune()
    assert [action.action for action in order_status(site.database, uuid).actions or ()] == ["retried"]


def test_turns_and_services_of_long_ago_are_forgotten(site: Site) -> None:
    completed(site)
    Presence(site.database).tell([])
    site.days_pass()
    Presence(site.database).tell([])
    completed(site)
    site.prune()
    assert {table: size for table, size in site.sizes().items() if table in {"adi_turn", "adi_service"}} == {
        "adi_turn": 1,
        "adi_service": 1,
    }


def test_all_services_together_do_it_once_an_hour_and_one_at_a_time(site: Site) -> None:
    completed(site)
    site.days_pass()
    with closing(site.producer.connect()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('adi_prune'))")
        assert site.prune() == 0
        other.rollback()  # a connection that is only closed keeps its locks until the server has noticed that
    assert site.prune() == 1
    completed(site)
    site.days_pass(0)
    site.producer.sql("UPDATE adi_order SET finished_at = now() - interval '1 year'")
    assert pruning.prune(site.database, keep_days=KEEP) == 0
    site.producer.sql("UPDATE adi_control SET pruned_at = now() - interval '1 hour'")
    assert pruning.prune(site.database, keep_days=KEEP) == 1


def test_an_order_that_somebody_just_now_has_to_do_with_is_passed_over(site: Site) -> None:
    first, _ = completed(site), completed(site)
    site.days_pass()
    with closing(site.producer.connect()) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM adi_order WHERE uuid = %s FOR UPDATE", [first])
        assert site.prune() == 1
        assert site.known() == {first}


def test_much_is_forgotten_in_portions_and_the_next_call_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.producer.sql("UPDATE adi_control SET watched_id = 10000, scanned_at = now()")
    site.producer.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, finished_at) "
        "SELECT 'o' || n, n, 'ann', 'Demo', 'completed', now() - interval '1 year' + make_interval(hours => n) "
        "FROM generate_series(1, 50) n"
    )
    site.producer.sql(
        "INSERT INTO adi_file (uuid, key, entry, route, step) "
        "SELECT 'o' || n, k, '/a', 'inplace', 'annotated' FROM generate_series(1, 50) n, generate_series(1, n) k"
    )
    monkeypatch.setattr(pruning, "BATCH", 10)
    monkeypatch.setattr(pruning, "MOST_LINES", 40)
    assert pruning.prune(site.database, keep_days=KEEP, most=5) == 8  # 1 + … + 8 are 36 lines
    portions = [pruning.prune(site.database, keep_days=KEEP, most=1) for _ in range(40)]
    assert sum(portions) == 42
    assert portions[-5:] == [0] * 5
    assert site.sizes()["adi_file"] == 0


def test_orders_of_many_files_are_forgotten_by_several_calls_as_a_service_has_other_things_to_do(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.producer.sql("UPDATE adi_control SET watched_id = 10000, scanned_at = now()")
    site.producer.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, finished_at) "
        "SELECT 'o' || n, n, 'ann', 'Demo', 'completed', now() - interval '1 year' FROM generate_series(1, 25) n"
    )
    site.producer.sql(
        "INSERT INTO adi_file (uuid, key, entry, route, step) "
        "SELECT 'o' || n, k, '/a', 'inplace', 'annotated' FROM generate_series(1, 25) n, generate_series(1, 4) k"
    )
    monkeypatch.setattr(pruning, "MOST_LINES", 4)  # one order a transaction
    assert [site.prune() for _ in range(4)] == [10, 10, 5, 0]


def test_an_order_with_a_hundred_thousand_files_goes_in_one_piece(site: Site) -> None:
    uuid = completed(site)
    site.producer.sql(
        "INSERT INTO adi_file (uuid, key, entry, route, step) "
        "SELECT %s, 'key ' || n, '/a', 'inplace', 'annotated' FROM generate_series(1, 100000) n",
        uuid,
    )
    site.days_pass()
    assert site.prune() == 1
    assert site.sizes()["adi_file"] == 0


def test_two_hundred_rounds_of_orders_leave_no_more_behind_than_the_last_ones(site: Site) -> None:
    sizes: list[dict[str, int]] = []
    for number in range(200):
        uuid = (completed, failed, cancelled)[number % 3](site)
        if number % 5 == 4:
            retry(site.database, uuid, who="ann@desk")
            site.queue.complete(site.claimed().lease)
        site.producer.sql(
            "UPDATE adi_order SET finished_at = finished_at - interval '2 days'; "
            "UPDATE adi_action SET at = at - interval '2 days'; UPDATE adi_turn SET claimed_at = claimed_at - interval '2 days'; "
            "UPDATE adi_control SET pruned_at = NULL"
        )
        if number % 10 == 9:
            site.days_pass(0)
            pruning.prune(site.database, keep_days=KEEP)
            sizes.append(site.sizes())
    assert len(sizes) == 20
    assert max(size for round_of_ten in sizes for size in round_of_ten.values()) <= 20, sizes  # KEEP / 2 orders, two lines each
