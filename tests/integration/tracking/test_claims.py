# SPDX-License-Identifier: GPL-2.0-or-later
"""Claims: one at a time, users take turns, and what broke in the middle of one costs nobody an order."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import groupby
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import ConfigurationError, DatabaseDown
from omero_adi_plugin.orders import Claim, Limits
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.losses import free_lapsed
from omero_adi_plugin.tracking.pausing import pause, resume
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.relay import Break, relayed
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.intake import Intake
    from tests.fixtures.producer import Producer

CLAIM = b"EXECUTE adi_claim("
USERS = [f"user{number}" for number in range(10)]


def claimed(queue: Queue) -> Claim:
    claim = queue.claim(owner="host:1")
    assert claim is not None
    return claim


def owners(queue: Queue, count: int) -> list[str]:
    """Claim so many orders; return whose they were."""
    return [claimed(queue).text.user for _ in range(count)]


def test_users_take_turns_however_many_orders_one_of_them_has(producer: Producer, intake: Intake, queue: Queue) -> None:
    many = producer.many(1000, user="user0")
    few = [producer.many(3, user=user) for user in USERS[1:]]
    assert intake.take_in() == 1027
    claims = [claimed(queue) for _ in range(60)]
    users = [claim.text.user for claim in claims]
    for start in (0, 10, 20):
        assert sorted(users[start : start + 10]) == USERS
    assert users[:10] == users[10:20] == users[20:30]
    assert set(users[30:]) == {"user0"}
    by_user = {user: [claim.lease.order for claim in of_user] for user, of_user in groupby(sorted(claims, key=who), key=who)}
    assert by_user["user0"] == many[:33]  # those of one user in the order in which they came
    assert sorted(orders for user, orders in by_user.items() if user != "user0") == sorted(few)


def who(claim: Claim) -> str:
    return claim.text.user


def test_a_user_who_never_had_a_turn_comes_first(producer: Producer, intake: Intake, queue: Queue) -> None:
    for user in ("ann", "bob"):
        producer.many(5, user=user)
    intake.take_in()
    assert owners(queue, 3) == ["ann", "bob", "ann"]
    producer.many(2, user="zoe")
    intake.take_in()
    assert owners(queue, 4) == ["zoe", "bob", "ann", "zoe"]


def test_groups_are_no_way_to_more_turns(producer: Producer, intake: Intake, queue: Queue) -> None:
    for group in ("A", "B", "C"):
        producer.many(3, user="ann", group=group)
    producer.many(3, user="bob", group="A")
    intake.take_in()
    assert sorted(owners(queue, 2)) == sorted(owners(queue, 2)) == ["ann", "bob"]


def test_a_higher_priority_goes_before_all_turns(producer: Producer, intake: Intake, queue: Queue) -> None:
    producer.many(3, user="ann")
    urgent = producer.many(3, user="bob")
    intake.take_in()
    producer.sql("UPDATE adi_order SET priority = 1 WHERE user_name = 'bob'")
    assert [claimed(queue).lease.order for _ in range(3)] == urgent
    assert owners(queue, 1) == ["ann"]


def test_a_turn_lasts_until_the_order_is_given_back(producer: Producer, intake: Intake, queue: Queue) -> None:
    for user in ("ann", "bob", "cid"):
        producer.many(2, user=user)
    intake.take_in()
    long = claimed(queue)
    assert owners(queue, 2) == ["bob", "cid"]
    queue.give_back(long.lease, note="gave way", after_seconds=0)
    assert owners(queue, 3) == ["bob", "cid", "ann"]


def test_what_was_begun_goes_on_before_the_others_of_its_user(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    first, second, third = producer.many(3)
    intake.take_in()
    queue.give_back(claimed(queue).lease, note="gave way", after_seconds=0)
    assert claimed(queue).lease.order == first
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'")
    assert [loss.uuid for loss in free_lapsed(database)] == [first]
    again = claimed(queue)
    assert again.lease.order == first
    queue.give_back(again.lease, note="busy", after_seconds=600, failures=1)
    assert [claimed(queue).lease.order for _ in range(2)] == [second, third]


def test_an_order_that_somebody_just_now_has_to_do_with_is_passed_over(producer: Producer, intake: Intake, queue: Queue) -> None:
    for user in ("ann", "bob"):
        producer.many(1, user=user)
    intake.take_in()
    with closing(producer.connect()) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM adi_order WHERE user_name = 'ann' FOR UPDATE")
        assert owners(queue, 1) == ["bob"]
        assert queue.claim(owner="host:1") is None
        other.rollback()
        assert owners(queue, 1) == ["ann"]


def test_of_two_claims_at_the_same_time_the_second_sees_what_the_first_took(
    producer: Producer, intake: Intake, database_url: str
) -> None:
    """A limit of one, and two orders of one user, either of which could be next: never are both taken."""
    for group in ("A", "B"):
        producer.many(60, group=group)
    intake.take_in()
    both = Barrier(2)

    def rounds(number: int) -> list[int]:
        with closing(Database(database_url, name="tests")) as database:
            queue = Queue(database, lease_seconds=60, limits=Limits(per_user=1))
            taken = []
            for _ in range(50):
                both.wait(30)
                claim = queue.claim(owner=f"host:{number}")
                both.wait(30)  # both have asked before one of them ends its order
                taken.append(int(claim is not None))
                if claim is not None:
                    queue.complete(claim.lease)
            return taken

    with ThreadPoolExecutor(2) as claimers:
        first, second = claimers.map(rounds, (1, 2))
    assert [one + other for one, other in zip(first, second, strict=True)] == [1] * 50


def test_a_claim_whose_answer_got_lost_is_found_again(producer: Producer, intake: Intake, database_url: str) -> None:
    lost, *others = producer.many(3)
    intake.take_in()
    with relayed(database_url, at=Break.AFTER_COMMIT, message=CLAIM) as relay, closing(Database(relay.url, name="w")) as broken:
        queue = Queue(broken, lease_seconds=60)
        claim = claimed(queue)  # asked a second time by itself
        assert relay.broken.is_set()
        assert (claim.lease.order, claim.lease.attempt) == (lost, 1)
        assert [claimed(queue).lease.order for _ in others] == others
    assert producer.trail(lost) == ["Import Pending", "Import Started"]
    assert producer.sql("SELECT count(*) FROM adi_attempt") == [(3,)]


def test_a_claim_is_found_again_by_whoever_asked_for_it_when_the_database_is_back(
    producer: Producer, intake: Intake, queue: Queue, database_url: str
) -> None:
    first, lost, other = producer.many(3)
    intake.take_in()
    with relayed(database_url, message=CLAIM) as relay, closing(Database(relay.url, name="tests")) as broken:
        asker = Queue(broken, lease_seconds=60)
        assert claimed(asker).lease.order == first
        relay.at, relay.refuses = Break.AFTER_COMMIT, 1
        with pytest.raises(DatabaseDown):
            asker.claim(owner="host:1")
        assert producer.sql("SELECT state FROM adi_order WHERE uuid = %s", lost) == [("running",)]
        assert claimed(queue).lease.order == other
        found = claimed(asker)
        assert (found.lease.order, found.lease.attempt) == (lost, 1)
        queue.complete(found.lease)
        assert asker.claim(owner="host:1") is None


def test_a_claim_that_was_taken_over_meanwhile_is_not_taken_back(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    """The text of an order that was claimed could not be read, and when it can the lease has lapsed."""
    uuid, other = producer.many(2)
    intake.take_in()
    producer.sql("ALTER TABLE imports_preprocessing RENAME TO away")
    asker = Queue(database, lease_seconds=60)
    with pytest.raises(ConfigurationError):
        asker.claim(owner="host:1")
    producer.sql("ALTER TABLE away RENAME TO imports_preprocessing")
    assert producer.sql("SELECT uuid FROM adi_order WHERE state = 'running'") == [(uuid,)]
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'")
    assert claimed(asker).lease.order == other
    assert [loss.uuid for loss in free_lapsed(database)] == [uuid]
    assert claimed(queue).lease.attempt == 2


def test_who_does_not_take_the_answer_does_not_hold_up_the_others(
    producer: Producer, intake: Intake, queue: Queue, database_url: str
) -> None:
    """A frozen worker; its order names so many files that the answer does not fit into what the network keeps for it."""
    [huge] = producer.many(1, files="[" + ",".join(f'"/data/{number:0100}"' for number in range(150_000)) + "]")
    producer.many(1)
    intake.take_in()
    with (
        relayed(database_url, at=Break.ANSWER_NOT_TAKEN, message=b"EXECUTE adi_content(") as relay,
        closing(Database(relay.url, name="frozen")) as broken,
        ThreadPoolExecutor(1) as frozen,
    ):
        answer = frozen.submit(Queue(broken, lease_seconds=60).claim, owner="frozen:1")
        assert relay.broken.wait(30)
        [(owner,)] = producer.sql("SELECT lease_owner FROM adi_order WHERE uuid = %s", huge)
        assert owner == "frozen:1"
        with ThreadPoolExecutor(1) as other:
            assert other.submit(queue.claim, owner="host:2").result(timeout=10) is not None
        relay.cut()
        claim = answer.result(timeout=30)
        assert claim is not None
        assert claim.lease.order == huge


def test_nothing_is_claimed_once_a_pause_has_begun(
    producer: Producer, intake: Intake, database: Database, database_url: str
) -> None:
    producer.many(400)
    intake.take_in()
    paused = Barrier(5)
    over: list[bool] = []

    def hammer(number: int) -> int:
        with closing(Database(database_url, name="tests")) as own:
            queue = Queue(own, lease_seconds=60)
            claims = 0
            paused.wait(30)
            while not over:
                claims += queue.claim(owner=f"host:{number}") is not None
            return claims

    with ThreadPoolExecutor(4) as claimers:
        claims = claimers.map(hammer, range(4))
        paused.wait(30)
        for _ in range(5):
            pause(database, who="ann@desk")
            between = producer.sql("SELECT count(*) FROM adi_attempt")
            for _ in range(20):
                assert producer.sql("SELECT count(*) FROM adi_attempt") == between
            resume(database, who="ann@desk")
        over.append(True)
        total = sum(claims)
    assert producer.sql("SELECT count(*) FROM adi_attempt") == [(total,)]
    assert total > 0


def test_a_pause_waits_for_the_claim_that_is_just_being_made(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    producer.many(3)
    intake.take_in()
    claimed(queue)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with ThreadPoolExecutor(2) as threads, closing(producer.connect()) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM adi_turn FOR UPDATE")  # which a claim writes
        claim = threads.submit(queue.claim, owner="host:1")
        wait_until(lambda: producer.sql(waiting) == [(1,)], what="the claim, in its middle")
        paused = threads.submit(pause, database, who="ann@desk")
        wait_until(lambda: paused.done() or producer.sql(waiting) == [(2,)], what="the pause")
        assert not paused.done(), "there is still an order that is being begun"
        other.rollback()
        assert claim.result(timeout=30) is not None
        assert paused.result(timeout=30)[1]
    assert queue.claim(owner="host:1") is None


def test_an_order_is_carried_out_in_no_more_hands_than_one(producer: Producer, intake: Intake, database_url: str) -> None:
    """Claims, ends and new orders at the same time: nothing is claimed twice, and nothing is left."""
    producer.many(60, user="ann")
    intake.take_in()

    def work(number: int) -> Counter[str]:
        with closing(Database(database_url, name="tests")) as own:
            queue = Queue(own, lease_seconds=60)
            done: Counter[str] = Counter()
            while claim := queue.claim(owner=f"host:{number}"):
                done[claim.lease.order] += 1
                if claim.lease.attempt == 1 and done.total() % 2:
                    queue.give_back(claim.lease, note="again", after_seconds=0)
                else:
                    queue.complete(claim.lease)
            return done

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    assert producer.sql("SELECT DISTINCT state FROM adi_order") == [("completed",)]
    assert producer.sql("SELECT count(*) FROM (SELECT FROM imports WHERE stage = 'Import Completed' GROUP BY uuid) o") == [(60,)]
