# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything at the same time on the same few orders: nobody locks anybody out, and in the end the tables agree."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ImportsPaused, LeaseLost, OrderBusy, OrderEnded, OrderNotFound, UsageError
from omero_adi_plugin.orders import FileStep, LedgerFile, Limits, Route, Target
from omero_adi_plugin.tracking import losses, pruning, takeover
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.operating import cancel, retry
from omero_adi_plugin.tracking.pausing import pause, resume
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.orders import Claim, Lease
    from tests.fixtures.producer import Producer

ORDERS = [f"order-{number}" for number in range(12)]
ROUNDS = 60
TARGET = Target.parse("Dataset:151")
REFUSALS = (ImportsPaused, LeaseLost, OrderBusy, OrderEnded, OrderNotFound, UsageError)


class Hand:
    """One of those who have to do with the orders, on connections of its own."""

    def __init__(self, url: str, number: int) -> None:
        self.database = Database(url, name="tests")
        self.dice = random.Random(number)  # noqa: S311 (the same at each run)
        self.queue = Queue(self.database, lease_seconds=60, limits=Limits(per_user=3, per_group=4, in_flight=6))
        self.intake = Intake(self.database, pending_days=10)
        self.owner = f"host:{number}"

    def uuid(self) -> str:
        return self.dice.choice(ORDERS)

    def user(self) -> str:
        return self.dice.choice(["ann", "bob", "cid"])

    def order(self) -> None:
        submit_order(self.database, user=self.user(), group="Demo", target=TARGET, files=["/a"], uuid=self.uuid())

    def take_in(self) -> None:
        self.intake.take_in()
        self.intake.reconcile(whole=self.dice.random() < 0.3)

    def work(self) -> None:
        claim = self.queue.claim(owner=self.owner)
        if claim is not None:
            self.carry_out(claim)

    def order_and_work(self) -> None:
        self.carry_out(
            submit_claimed(
                self.database,
                self.queue,
                user=self.user(),
                group="Demo",
                target=TARGET,
                files=["/a"],
                uuid=self.uuid(),
                owner=self.owner,
            )
        )

    def carry_out(self, claim: Claim) -> None:
        lease = claim.lease
        self.queue.widen(lease, wanted=2)
        line = LedgerFile(entry="/a", key="/a", route=Route.INPLACE, step=FileStep.ANNOTATED)
        Ledger(self.database, lease).record(line)
        self.queue.others_wait(lease)
        self.queue.extend(lease, doing="reading")
        self.dice.choice([*ENDS, self.vanish])(self.queue, lease)

    def vanish(self, queue: Queue, lease: Lease) -> None:
        del queue
        with self.database.begin() as connection:
            connection.exec_driver_sql("UPDATE adi_order SET lease_until = now() WHERE uuid = %s", (lease.order,))

    def look_after(self) -> None:
        losses.free_lapsed(self.database)
        losses.bury(self.database, owner=f"host:{self.dice.randrange(12)}", why="killed by SIGKILL", counts=False)
        takeover.watch(self.database, who=self.owner)
        with self.database.begin() as connection:
            connection.exec_driver_sql("UPDATE adi_control SET pruned_at = NULL")
        pruning.prune(self.database, keep_days=0)

    def operate(self) -> None:
        if self.dice.random() < 0.5:
            cancel(self.database, self.uuid(), who="ann@desk")
        else:
            retry(self.database, self.uuid(), who="ann@desk", again=self.dice.random() < 0.5)

    def stop_and_go(self) -> None:
        pause(self.database, who="ann@desk", drain=self.dice.random() < 0.5)
        resume(self.database, who="ann@desk")


ENDS: list[Callable[[Queue, Lease], None]] = [
    lambda queue, lease: queue.complete(lease),
    lambda queue, lease: queue.fail(lease, reason="no"),
    lambda queue, lease: queue.cancel(lease, reason="called off"),
    lambda queue, lease: queue.give_back(lease, note="gave way", after_seconds=0),
    lambda queue, lease: queue.give_back(lease, note="busy", after_seconds=0.01, failures=1),
]

HANDS = [
    Hand.order,
    Hand.order,
    Hand.take_in,
    Hand.take_in,
    Hand.work,
    Hand.work,
    Hand.work,
    Hand.order_and_work,
    Hand.look_after,
    Hand.look_after,
    Hand.operate,
    Hand.stop_and_go,
]


def play(url: str, number: int) -> None:
    hand = Hand(url, number)
    with closing(hand.database):
        for _ in range(ROUNDS):
            try:
                HANDS[number](hand)
            except REFUSALS:  # as it must be sometimes; anything else is not
                continue


def finish(hand: Hand, producer: Producer) -> None:
    """Carry out what is left."""
    resume(hand.database, who="ann@desk")
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'")
    losses.free_lapsed(hand.database)
    producer.sql("UPDATE adi_order SET run_after = now() WHERE state = 'waiting'")
    while hand.queue.pending():
        hand.intake.take_in()
        if claim := hand.queue.claim(owner=hand.owner):
            hand.queue.complete(claim.lease)


def test_nobody_locks_anybody_out_and_the_tables_agree(producer: Producer, database: Database, database_url: str) -> None:
    takeover.take_over(database, who="host:0")
    with ThreadPoolExecutor(len(HANDS)) as hands:
        list(hands.map(lambda number: play(database_url, number), range(len(HANDS))))
    hand = Hand(database_url, 0)
    with closing(hand.database):
        finish(hand, producer)
        assert hand.intake.reconcile() == 0
    deadlocks = "SELECT pg_stat_clear_snapshot(), deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert producer.sql(deadlocks)[0][1] == 0
    newest = "SELECT DISTINCT ON (uuid) stage FROM imports ORDER BY uuid, timestamp DESC, id DESC"
    assert producer.sql(f"SELECT DISTINCT stage IN ('Import Completed', 'Import Failed') FROM ({newest}) n") == [(True,)]
    started = "SELECT id FROM imports WHERE stage = 'Import Started' ORDER BY id"
    assert producer.sql(started) == producer.sql("SELECT imports_id FROM adi_attempt ORDER BY imports_id")
    attempts = producer.sql("SELECT uuid, array_agg(attempt ORDER BY imports_id) FROM adi_attempt GROUP BY uuid")
    assert attempts
    assert all(numbers == sorted(set(numbers)) for _, numbers in attempts), attempts
    assert producer.sql("SELECT count(*) FROM adi_inbox") == [(0,)]
