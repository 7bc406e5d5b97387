# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits: how much is done at the same time, by all services on all hosts together; never more, whatever dies in between."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from operator import attrgetter
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.orders import Claim, Limits, Target
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.losses import free_lapsed
from omero_adi_plugin.tracking.pausing import pause
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.tracking.intake import Intake
    from tests.fixtures.producer import Producer

SAMPLE = """
SELECT coalesce((SELECT max(n) FROM (SELECT count(*) AS n FROM adi_order WHERE state = 'running' GROUP BY user_name) u), 0),
       coalesce((SELECT max(n) FROM (SELECT count(*) AS n FROM adi_order WHERE state = 'running' GROUP BY group_name) g), 0),
       coalesce((SELECT sum(places) FROM adi_order WHERE state = 'running' AND lease_until > clock_timestamp()), 0)
"""
LAPSE = "UPDATE adi_order SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'running' AND uuid = %s"


def limited(database: Database, **limits: int) -> Queue:
    return Queue(database, lease_seconds=60, limits=Limits(**limits))


def claimed(queue: Queue) -> Claim:
    claim = queue.claim(owner="host:1")
    assert claim is not None
    return claim


@contextmanager
def sampled(producer: Producer) -> Iterator[list[tuple[int, int, int]]]:
    """Look again and again what runs, each time in one statement, on a connection of its own."""
    over, samples = Event(), []

    def look() -> None:
        with closing(producer.connect()) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not over.is_set():
                cursor.execute(SAMPLE)
                samples.extend(cursor.fetchall())

    looking = Thread(target=look)
    looking.start()
    try:
        yield samples
    finally:
        over.set()
        looking.join()


def work(url: str, number: int) -> None:
    """Carry orders out as fast as possible until none is left; some are given back, of some the lease lapses half-way."""
    dice = random.Random(number)  # noqa: S311 (the same at each run)
    with closing(Database(url, name="tests")) as database:
        queue = limited(database, per_user=2, per_group=3, in_flight=7)
        while queue.pending():
            claim = queue.claim(owner=f"host:{number}")
            if claim is None:
                free_lapsed(database)
                time.sleep(0.001)
                continue
            try:
                for _ in range(dice.randrange(3)):
                    queue.widen(claim.lease, wanted=4)
                if dice.random() < 0.3:
                    with database.begin() as connection:
                        connection.exec_driver_sql(LAPSE, (claim.lease.order,))
                    time.sleep(dice.random() * 0.01)
                    queue.extend(claim.lease)  # it lives after all
                if dice.random() < 0.3:
                    queue.give_back(claim.lease, note="gave way", after_seconds=0)
                else:
                    queue.complete(claim.lease)
            except LeaseLost:
                continue


def test_eight_workers_keep_to_all_limits_also_when_leases_lapse(producer: Producer, intake: Intake, database_url: str) -> None:
    for user in ("ann", "bob", "cid", "dee"):
        for group in ("A", "B"):
            producer.many(20, user=user, group=group)
    assert intake.take_in() == 160
    with sampled(producer) as samples, ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda number: work(database_url, number), range(8)))
    assert producer.sql("SELECT DISTINCT state FROM adi_order") == [("completed",)]
    most = tuple(max(sample[column] for sample in samples) for column in range(3))
    assert most == (2, 3, 7), "else it was too much, or the limit was never reached"
    assert producer.sql("SELECT count(*) > 0 FROM adi_attempt WHERE outcome = 'lease lapsed'") == [(True,)]


def test_nothing_is_claimed_for_a_user_at_the_limit(producer: Producer, intake: Intake, database: Database) -> None:
    queue = limited(database, per_user=1)
    first, second = producer.many(2, user="ann")
    [other] = producer.many(1, user="bob", group="other")
    intake.take_in()
    claims = [claimed(queue), claimed(queue)]
    assert [claim.lease.order for claim in claims] == [first, other]
    assert queue.claim(owner="host:1") is None
    assert queue.next_due_seconds() is None  # it is the end of another order that it waits for
    queue.complete(claims[0].lease)
    assert claimed(queue).lease.order == second


def test_nothing_is_claimed_in_a_group_at_the_limit(producer: Producer, intake: Intake, database: Database) -> None:
    queue = limited(database, per_group=1)
    producer.many(2, user="ann", group="A")
    producer.many(1, user="bob", group="A")
    [elsewhere] = producer.many(1, user="bob", group="B")
    intake.take_in()
    first = claimed(queue)
    assert claimed(queue).lease.order == elsewhere
    assert queue.claim(owner="host:1") is None
    queue.complete(first.lease)
    assert claimed(queue).text.user == "ann"  # bob has had his turn since


def test_an_order_of_a_silent_worker_counts_for_its_user_until_it_is_taken_over(
    producer: Producer, intake: Intake, database: Database
) -> None:
    queue = limited(database, per_user=1)
    producer.many(2)
    intake.take_in()
    producer.sql(LAPSE, claimed(queue).lease.order)
    assert queue.claim(owner="host:1") is None
    free_lapsed(database)
    assert claimed(queue).lease.attempt == 2


def test_orders_wait_when_all_places_are_taken(producer: Producer, intake: Intake, database: Database) -> None:
    queue = limited(database, in_flight=2)
    producer.many(3)
    intake.take_in()
    first, second = claimed(queue), claimed(queue)
    assert (first.places, second.places) == (1, 1)
    assert queue.claim(owner="host:1") is None
    queue.give_back(first.lease, note="later", after_seconds=600)
    assert claimed(queue).places == 1


def test_who_asks_for_more_places_leaves_the_last_one_to_others(producer: Producer, intake: Intake, database: Database) -> None:
    queue = limited(database, in_flight=4)
    producer.many(3)
    intake.take_in()
    wide = claimed(queue)
    assert queue.widen(wide.lease, wanted=2) == 2
    assert queue.widen(wide.lease, wanted=9) == 3
    assert queue.widen(wide.lease, wanted=9) == 3
    assert claimed(queue).places == 1
    assert queue.claim(owner="host:1") is None
    assert queue.widen(wide.lease, wanted=1) == 1  # the others may have them back
    assert claimed(queue).places == 1


TARGET = Target.parse("Dataset:151")


def test_a_command_begins_without_a_place_and_may_take_the_last_one(
    producer: Producer, intake: Intake, database: Database
) -> None:
    queue = limited(database, in_flight=2)
    producer.many(2)
    intake.take_in()
    first, second = claimed(queue), claimed(queue)
    here = submit_claimed(database, queue, user="ann", group="Demo", target=TARGET, files=["/a"], owner="desk:1")
    assert here.places == 0
    assert queue.widen(here.lease, wanted=2) == 0
    queue.complete(first.lease)
    assert queue.widen(here.lease, wanted=2) == 1
    assert queue.widen(here.lease, wanted=2) == 1
    queue.complete(second.lease)
    assert queue.widen(here.lease, wanted=2) == 1  # the last one is for those that have none
    assert queue.widen(here.lease, wanted=0) == 0


def test_a_command_that_waits_for_a_place_gets_the_next_one_however_many_workers_want_it(
    producer: Producer, intake: Intake, database: Database
) -> None:
    producer.many(3)
    intake.take_in()
    queue, idle = limited(database, in_flight=1), limited(database, in_flight=1)
    claim = claimed(queue)
    here = submit_claimed(database, queue, user="bob", group="Demo", target=TARGET, files=["/a"], owner="desk:1")
    assert queue.widen(here.lease, wanted=1) == 0
    queue.complete(claim.lease)
    assert idle.claim(owner="host:2") is None
    assert queue.widen(here.lease, wanted=1) == 1
    queue.complete(here.lease)
    assert idle.claim(owner="host:2") is not None


def test_a_lease_that_lapsed_frees_its_places_before_it_is_taken_over(
    producer: Producer, intake: Intake, database: Database
) -> None:
    queue = limited(database, in_flight=2)
    producer.many(3)
    intake.take_in()
    silent, _ = claimed(queue), claimed(queue)
    producer.sql(LAPSE, silent.lease.order)
    claimed(queue)
    with pytest.raises(LeaseLost):
        queue.widen(silent.lease, wanted=2)
    with pytest.raises(LeaseLost):  # its place is taken
        queue.extend(silent.lease)
    assert [loss.uuid for loss in free_lapsed(database)] == [silent.lease.order]


def test_a_lease_that_lapsed_comes_to_life_again_as_long_as_nobody_has_taken_anything_of_it(
    producer: Producer, intake: Intake, database: Database
) -> None:
    """The database was away for longer than a lease: that alone must not cost an import that takes hours."""
    queue = limited(database, in_flight=1)
    producer.many(1)
    intake.take_in()
    silent = claimed(queue)
    producer.sql(LAPSE, silent.lease.order)
    assert queue.extend(silent.lease).lease.until > silent.lease.until
    queue.complete(silent.lease)


def lower_priority(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET priority = -1 WHERE state = 'waiting'")


def higher_priority(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET priority = 1 WHERE state = 'waiting'")


def not_due(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET run_after = now() + interval '1 hour' WHERE state = 'waiting'")


def at_its_users_limit(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET user_name = 'bob' WHERE user_name = 'zoe'")


def at_its_groups_limit(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET group_name = 'Z'")


def at_the_limit_of_the_long_one_itself(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET group_name = 'long' WHERE state = 'waiting'")


def of_the_same_user(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET user_name = 'ann' WHERE state = 'waiting'")


def all_places_taken_by_others(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET places = 9 WHERE user_name = 'zoe'")


def all_places_taken_by_the_long_one(producer: Producer) -> None:
    producer.sql("UPDATE adi_order SET places = 8 WHERE user_name = 'ann' AND state = 'running'")


def nothing(producer: Producer) -> None:
    del producer


GIVES_WAY: set[Callable[[Producer], None]] = {
    nothing,
    higher_priority,
    at_the_limit_of_the_long_one_itself,
    all_places_taken_by_the_long_one,
}
GOES_ON: set[Callable[[Producer], None]] = {
    lower_priority,
    not_due,
    at_its_users_limit,
    at_its_groups_limit,
    of_the_same_user,
    all_places_taken_by_others,
}


@pytest.mark.parametrize("change", sorted(GIVES_WAY | GOES_ON, key=attrgetter("__name__")))
def test_a_long_order_gives_way_to_what_would_run_in_its_place(
    change: Callable[[Producer], None], producer: Producer, intake: Intake, database: Database
) -> None:
    queue = limited(database, per_user=1, per_group=1, in_flight=9)
    producer.many(1, user="ann", group="long")
    producer.many(1, user="zoe", group="Z")
    intake.take_in()
    long, _ = claimed(queue), claimed(queue)
    producer.many(1, user="bob", group="short")
    intake.take_in()
    change(producer)
    assert queue.others_wait(long.lease) is (change in GIVES_WAY)


def test_nobody_gives_way_to_what_is_paused(producer: Producer, intake: Intake, database: Database) -> None:
    queue = limited(database)
    producer.many(1, user="ann")
    intake.take_in()
    long = claimed(queue)
    producer.many(1, user="bob")
    intake.take_in()
    assert queue.others_wait(long.lease)
    pause(database, who="ann@desk")
    assert not queue.others_wait(long.lease)
