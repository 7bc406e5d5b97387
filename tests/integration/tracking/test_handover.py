# SPDX-License-Identifier: GPL-2.0-or-later
"""An order goes from whoever launched a script to that script, once, and to nobody else; only so many are in scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.orders import Claim, Lease, Limits
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.losses import free_lapsed
from omero_adi_plugin.tracking.operating import cancel, retry
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.producer import Producer
from tests.fixtures.relay import Break, relayed

LAUNCHER, SCRIPT = "desk:7", "script@node:8"
LAPSED = "UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'"


@pytest.fixture
def launcher(database: Database) -> Queue:
    return Queue(database, lease_seconds=60, limits=Limits(scripts=2), in_script=True)


@pytest.fixture
def script(database_url: str) -> Iterator[Queue]:
    """The queue in a script's process."""
    with closing(Database(database_url, name="script")) as database:
        yield Queue(database, lease_seconds=60, limits=Limits(scripts=2), in_script=True)


@pytest.fixture
def launched(producer: Producer, intake: Intake, launcher: Queue) -> Claim:
    """An order of ann in the group Demo, claimed by a launcher."""
    producer.many(1)
    intake.take_in()
    return claimed(launcher)


def claimed(queue: Queue, **whose: Any) -> Claim:
    claim = queue.claim(owner=LAUNCHER, **whose)
    assert claim is not None
    return claim


def hold_up(queue: Queue, claim: Claim) -> None:
    queue.hold_up(claim.lease, note="The disk is full.", first_seconds=200, longest_seconds=600)


def handed(queue: Queue, lease: Lease, **changed: Any) -> Claim | None:
    asked = {"uuid": lease.order, "launch": str(lease.token), "owner": SCRIPT, "user": "ann", "group": "Demo"} | changed
    return queue.hand_over(asked.pop("uuid"), **asked)


def everything(producer: Producer) -> list[tuple[Any, ...]]:
    return producer.sql("SELECT to_jsonb(o) FROM adi_order o") + producer.sql("SELECT to_jsonb(a) FROM adi_attempt a")


def test_the_script_has_the_order_and_the_launcher_can_write_nothing_more(
    launched: Claim, launcher: Queue, script: Queue, producer: Producer
) -> None:
    assert not launcher.handed_over(launched.lease)
    taken = handed(script, launched.lease)
    assert taken is not None
    assert (taken.lease.order, taken.lease.attempt, taken.text) == (launched.lease.order, 1, launched.text)
    assert (taken.lease.owner, taken.lease.token == launched.lease.token) == (SCRIPT, False)
    assert launcher.handed_over(launched.lease)
    before = everything(producer)
    for write in (
        lambda: launcher.extend(launched.lease),
        lambda: launcher.give_back(launched.lease, note="it does not begin", after_seconds=0),
        lambda: launcher.fail(launched.lease, reason="-"),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert everything(producer) == before
    script.complete(taken.lease)
    assert launcher.handed_over(launched.lease), "that it is done does not change who did it"
    assert producer.trail(launched.lease.order) == ["Import Pending", "Import Started", "Import Completed"]
    assert producer.sql("SELECT owner FROM adi_attempt") == [(SCRIPT,)]


@pytest.mark.parametrize(
    "changed",
    [
        {"launch": "00000000-0000-0000-0000-000000000000"},
        {"launch": "guess"},
        {"launch": ""},
        {"launch": "urn:uuid:00000000-0000-0000-0000-000000000000"},
        {"user": "bob"},
        {"group": "Other"},
        {"uuid": "another"},
        {"uuid": "nul\0l"},
    ],
    ids=["token", "no token", "empty", "urn", "user", "group", "order", "nonsense"],
)
def test_whoever_was_not_launched_for_it_gets_nothing_and_changes_nothing(
    changed: dict[str, Any], launched: Claim, script: Queue, producer: Producer
) -> None:
    before = everything(producer)
    assert handed(script, launched.lease, **changed) is None
    assert everything(producer) == before
    assert handed(script, launched.lease) is not None


def test_it_is_handed_over_once(launched: Claim, script: Queue, database: Database) -> None:
    assert handed(script, launched.lease) is not None
    assert handed(Queue(database, lease_seconds=60, in_script=True), launched.lease, owner="script@other:9") is None


def test_what_a_worker_carries_out_itself_is_handed_to_nobody(
    producer: Producer, intake: Intake, queue: Queue, script: Queue
) -> None:
    producer.many(1)
    intake.take_in()
    assert handed(script, claimed(queue).lease) is None


@pytest.mark.parametrize("end", ["lapsed", "freed", "given back", "failed"])
def test_nothing_is_handed_over_when_the_launcher_has_it_no_longer(
    end: str, launched: Claim, launcher: Queue, script: Queue, producer: Producer, database: Database
) -> None:
    match end:
        case "lapsed":
            producer.sql(LAPSED)
        case "freed":
            producer.sql(LAPSED)
            assert free_lapsed(database)
        case "given back":
            launcher.give_back(launched.lease, note="the service ends", after_seconds=0)
        case _:
            launcher.fail(launched.lease, reason="-")
    assert handed(script, launched.lease) is None
    assert not launcher.handed_over(launched.lease)


def test_an_answer_that_got_lost_is_asked_for_again(launched: Claim, database_url: str, producer: Producer) -> None:
    with relayed(database_url, at=Break.AFTER_COMMIT, message=b"owner = t.lease_owner") as relay:
        with closing(Database(relay.url, name="script")) as broken:
            taken = handed(Queue(broken, lease_seconds=60, in_script=True), launched.lease)
        assert relay.broken.is_set()
    assert taken is not None
    assert producer.sql("SELECT lease_token::text, lease_owner FROM adi_order") == [(str(taken.lease.token), SCRIPT)]


def test_only_so_many_orders_are_in_scripts_and_any_number_elsewhere(
    producer: Producer, intake: Intake, launcher: Queue, script: Queue, queue: Queue
) -> None:
    producer.many(6)
    intake.take_in()
    first, _ = claimed(launcher), claimed(launcher)
    assert launcher.claim(owner=LAUNCHER) is None
    assert script.claim(owner=SCRIPT, user="ann", group="Demo") is None, "a script that is about to go on counts as well"
    claimed(queue)
    claimed(queue)
    launcher.complete(first.lease)
    assert claimed(script, user="ann", group="Demo")
    assert launcher.claim(owner=LAUNCHER) is None
    producer.sql(LAPSED)
    assert claimed(launcher), "one that is silent does not count"


def test_a_script_takes_no_order_but_its_users_in_its_group(producer: Producer, intake: Intake, script: Queue) -> None:
    producer.many(1, user="bob")
    producer.many(1, group="Other")
    [mine] = producer.many(1)
    intake.take_in()
    taken = claimed(script, user="ann", group="Demo")
    assert taken.lease.order == mine
    assert script.claim(owner=SCRIPT, user="ann", group="Demo") is None
    assert script.claim(owner=SCRIPT, user="cid", group="Demo") is None
    script.give_back(taken.lease, note="-", after_seconds=0)
    assert script.claim(owner=SCRIPT, user="ann", group="Demo") is None, "what was begun is to have the whole life of a script"
    producer.sql("DELETE FROM adi_order WHERE uuid <> %s", mine)
    assert claimed(script).lease.order == mine


def test_it_is_for_whom_the_order_names_now(launched: Claim, script: Queue, producer: Producer) -> None:
    """Somebody has corrected the row since it was taken in: the launcher, too, has read it after that."""
    producer.sql("UPDATE imports SET user_name = 'bob', group_name = 'Other' WHERE stage = 'Import Pending'")
    assert handed(script, launched.lease) is None
    assert handed(script, launched.lease, user="bob", group="Other") is not None


def test_no_script_is_launched_for_a_user_of_whom_one_could_not_carry_an_order_out_until_that_is_tried_again(
    producer: Producer, intake: Intake, launcher: Queue, queue: Queue
) -> None:
    first, second, third = producer.many(3)
    others = producer.many(1, user="bob") + producer.many(1, group="Other")
    intake.take_in()
    hold_up(launcher, claimed(launcher))
    taken = [claimed(launcher) for _ in others]
    assert {claim.lease.order for claim in taken} == set(others), "others go on, and its user in other groups"
    for claim in taken:
        launcher.complete(claim.lease)
    assert launcher.claim(owner=LAUNCHER) is None
    assert not launcher.others_due(user="bob")
    assert claimed(queue).lease.order == second, "workers of a service see for themselves"
    producer.sql("UPDATE adi_order SET run_after = now() WHERE uuid = %s", first)
    assert claimed(launcher).lease.order == first, "and it finds out whether all goes well again"
    assert claimed(launcher).lease.order == third


def test_it_is_held_up_twice_as_long_each_time_in_a_row(
    producer: Producer, intake: Intake, launcher: Queue, database: Database
) -> None:
    producer.many(1)
    intake.take_in()
    pauses = []
    for _ in range(4):
        hold_up(launcher, claimed(launcher))
        [[seconds]] = producer.sql("SELECT extract(epoch FROM run_after - clock_timestamp())::float FROM adi_order")
        pauses.append(round(seconds))
        producer.sql("UPDATE adi_order SET run_after = now()")
    assert pauses == [200, 400, 600, 600]
    launcher.give_back(claimed(launcher).lease, note="gave way", after_seconds=0)
    assert producer.sql("SELECT held_up FROM adi_order") == [(0,)]
    claim = claimed(launcher)
    hold_up(launcher, claim)
    cancel(database, claim.lease.order, who="ada@desk")
    retry(database, claim.lease.order, who="ada@desk")
    assert intake.take_in() == 1
    assert producer.sql("SELECT state, held_up FROM adi_order") == [("waiting", 0)], "an order that is new again"
    with pytest.raises(LeaseLost):
        hold_up(launcher, claim)


def test_others_are_due_when_they_could_be_launched_for(producer: Producer, intake: Intake, script: Queue) -> None:
    producer.many(2)
    intake.take_in()
    assert not script.others_due(user="ann")
    [other] = producer.many(1, user="bob")
    intake.take_in()
    assert script.others_due(user="ann")
    assert script.others_due(user="bob")
    producer.sql("UPDATE adi_order SET run_after = now() + interval '1 hour' WHERE uuid = %s", other)
    assert not script.others_due(user="ann")


def test_an_order_is_in_a_script_no_longer_when_a_worker_has_it(
    launched: Claim, launcher: Queue, queue: Queue, producer: Producer
) -> None:
    launcher.give_back(launched.lease, note="-", after_seconds=0)
    again = claimed(queue)
    assert producer.sql("SELECT in_script FROM adi_order") == [(False,)]
    assert again.lease.token != launched.lease.token
