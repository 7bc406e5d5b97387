# SPDX-License-Identifier: GPL-2.0-or-later
"""A storm of producers whose transactions end in any order: exactly what was committed runs, and as often as it was ordered."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from tests.fixtures.producer import Producer

RETRY = "UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s"  # as operators were always told
TRANSACTIONS = 500
OPEN_AT_ONCE = 40
SERVICES = 2
ROLLED_BACK = 0.2
RETRIES = 0.2


class Storm:
    """Producers with many transactions open at a time, in an order that a seed decides.

    An order is retried only after its end, so that it is known how often it has to run.
    """

    def __init__(self, producer: Producer, *, seed: int) -> None:
        self._producer, self._random = producer, random.Random(seed)  # noqa: S311 (no secret)
        self._idle: list[connection] = []
        self._open: list[tuple[connection, str]] = []
        self._begun = 0
        self.expected: Counter[str] = Counter()

    def blow(self, *, until: int) -> None:
        """Begin and end transactions until so many were begun; at the end none is open."""
        with ExitStack() as stack:
            self._idle = [stack.enter_context(closing(self._producer.connect())) for _ in range(OPEN_AT_ONCE)]
            while self._begun < until or self._open:
                if self._idle and self._begun < until and self._random.random() < 0.6:
                    self._begin()
                elif self._open:
                    self._end()

    def _begin(self) -> None:
        opened = self._idle.pop()
        ended = sorted(self.ended()) if self._random.random() < RETRIES else []
        if ended:
            uuid = self._random.choice(ended)
            with opened.cursor() as cursor:
                cursor.execute(RETRY, [uuid])
        else:
            uuid = self._producer.pending(f"order-{self._begun}", on=opened)
        self._open.append((opened, uuid))
        self._begun += 1

    def _end(self) -> None:
        opened, uuid = self._open.pop(self._random.randrange(len(self._open)))
        if self._random.random() < ROLLED_BACK:
            opened.rollback()
        else:
            opened.commit()
            self.expected[uuid] += 1
        self._idle.append(opened)

    def ended(self) -> set[str]:
        """Orders that have run as often as they were ordered, and that no open transaction retries."""
        completed = dict(self._producer.sql("SELECT uuid, attempt FROM adi_order WHERE state = 'completed'"))
        return {uuid for uuid, attempt in completed.items() if attempt == self.expected[uuid]} - {uuid for _, uuid in self._open}


def serve(url: str, ending: threading.Event, *, scans: bool) -> list[str]:
    """Do what a service does, until told that no more will come and nothing is left; return the orders that were run."""
    run = []
    with closing(Database(url, name="service")) as database:
        intake, queue = Intake(database, pending_days=10), Queue(database, lease_seconds=60)
        while True:
            no_more = ending.is_set()
            if scans:
                intake.reconcile(whole=False)
            intake.take_in()
            while claim := queue.claim(owner="host:1"):
                run.append(claim.lease.order)
                queue.complete(claim.lease)
            if no_more and queue.pending() == 0:
                return run


@pytest.fixture
def seed() -> int:
    """Decides what the producers do; printed, so that a storm can be repeated as far as the services' own timing lets it."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed: {seed}")  # noqa: T201
    return seed


@pytest.mark.parametrize("trigger", ["on", "off", "lost in the middle"])
def test_exactly_what_was_committed_runs_as_often_as_it_was_ordered(
    trigger: str, producer: Producer, database_url: str, seed: int
) -> None:
    if trigger == "off":
        producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    storm, ending = Storm(producer, seed=seed), threading.Event()
    with ThreadPoolExecutor(SERVICES) as pool:
        services = [pool.submit(serve, database_url, ending, scans=trigger == "off") for _ in range(SERVICES)]
        try:
            storm.blow(until=TRANSACTIONS // 2)
            wait_until(storm.ended, what="the end of an order")  # so that there is something to retry
            if trigger == "lost in the middle":
                producer.sql("DROP TRIGGER adi_note_pending ON imports")
            storm.blow(until=TRANSACTIONS)
            if trigger == "lost in the middle":
                with closing(Database(database_url, name="service")) as database:
                    assert Intake(database, pending_days=10).reconcile() > 0
        finally:
            ending.set()
        run = Counter(uuid for service in services for uuid in service.result(timeout=100))
    assert run == storm.expected
    assert len(run) > TRANSACTIONS / 2
    assert max(run.values()) > 1
    newest = "SELECT DISTINCT ON (uuid) stage FROM imports ORDER BY uuid, timestamp DESC, id DESC"
    assert Counter(stage for (stage,) in producer.sql(newest)) == {"Import Completed": len(run)}
    assert producer.sql("SELECT count(*) FROM adi_inbox") == [(0,)]
