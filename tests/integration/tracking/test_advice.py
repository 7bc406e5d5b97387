# SPDX-License-Identifier: GPL-2.0-or-later
"""Advice: whatever an order's standing, a person reads what it waits for, or what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.orders import Claim, FileStep, LedgerFile, Limits, Route, Target
from omero_adi_plugin.tracking.advice import Terms
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.operating import cancel
from omero_adi_plugin.tracking.pausing import pause
from omero_adi_plugin.tracking.pruning import prune
from omero_adi_plugin.tracking.services import Presence, WorkerState
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order
from omero_adi_plugin.tracking.takeover import take_over
from omero_adi_plugin.tracking.views import order_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

WHO = "ann@host"
TERMS = Terms(limits=Limits(), lease_seconds=60, pending_days=10, keep_days=90)
NO_SERVICE = "no service is at work: start one with `omero adi serve`"


class Scene:
    """A database with what producers, services and people do on it."""

    def __init__(self, producer: Producer, intake: Intake, queue: Queue, database: Database) -> None:
        self.producer, self.intake, self.queue, self.database = producer, intake, queue, database

    def advice(self, uuid: str, limits: Limits | None = None) -> str:
        terms = replace(TERMS, limits=limits or TERMS.limits)
        words = order_status(self.database, uuid, terms=terms).advice
        assert words is not None
        return words

    def waiting(self, *, user: str = "ann", group: str = "Demo", priority: int = 0) -> str:
        return submit_order(
            self.database, user=user, group=group, target=Target.parse("Dataset:151"), files=["/a"], skip_existing=True,
            priority=priority,
        )  # fmt: skip

    def claimed(self) -> Claim:
        claim = self.queue.claim(owner="host:1")
        assert claim is not None
        return claim

    def lapse(self) -> None:
        self.producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 s' WHERE state = 'running'")

    def serve(self, trouble: str | None = None) -> None:
        take_over(self.database, who="host:1")
        Presence(self.database).tell([WorkerState(pid=1)], trouble=trouble)


@pytest.fixture
def scene(producer: Producer, intake: Intake, queue: Queue, database: Database) -> Scene:
    return Scene(producer, intake, queue, database)


class TestWaiting:
    def test_without_a_service_it_says_to_start_one(self, scene: Scene) -> None:
        assert scene.advice(scene.waiting()) == f"It is due, but {NO_SERVICE}."
        scene.serve()
        scene.producer.sql("UPDATE adi_service SET ending = true")
        assert scene.advice(scene.waiting()) == f"It is due, but {NO_SERVICE}."
        scene.producer.sql("UPDATE adi_service SET ending = false, seen_at = now() - interval '61 s'")
        assert scene.advice(scene.waiting()) == f"It is due, but {NO_SERVICE}."

    def test_a_pause_comes_first(self, scene: Scene) -> None:
        uuid = scene.waiting()
        held, _ = pause(scene.database, who=WHO)
        assert scene.advice(uuid) == held.sentence

    def test_trouble_of_all_services_is_told(self, scene: Scene) -> None:
        scene.serve(trouble="OMERO is away.")
        uuid = scene.waiting()
        assert scene.advice(uuid) == "It is due, but services begin nothing at the moment: OMERO is away."
        scene.serve()
        assert scene.advice(uuid) == "It is the next one, as soon as a worker is free."

    @pytest.mark.parametrize(
        ("limits", "words"),
        [
            (Limits(per_user=1), "It begins when another order of 'ann' has ended: 1 run, and 1 may."),
            (Limits(per_group=1), "It begins when another order in the group 'Demo' has ended: 1 run, and 1 may."),
            (Limits(in_flight=1), "It begins when a fileset is in: 1 may be imported at the same time, by all together."),
            (Limits(per_user=2, per_group=2, in_flight=2), "It is the next one, as soon as a worker is free."),
        ],
    )
    def test_a_limit_that_is_reached_is_named(self, limits: Limits, words: str, scene: Scene) -> None:
        scene.serve()
        _, second = scene.waiting(), scene.waiting()
        scene.claimed()
        assert scene.advice(second, limits) == words

    def test_it_says_what_keeps_scripts_from_being_launched_for_its_user(self, scene: Scene) -> None:
        scene.serve()
        _, second = scene.waiting(), scene.waiting()
        scene.queue.hold_up(scene.claimed().lease, note="The disk is full.", first_seconds=600, longest_seconds=600)
        found = scene.advice(second)
        assert found.startswith(
            "Scripts on OMERO's Processors could not carry out another order of 'ann', and are launched again"
        )
        assert found.endswith("The reason: The disk is full.")

    def test_it_says_about_how_many_come_before_it(self, scene: Scene) -> None:
        scene.serve()
        ann = [scene.waiting() for _ in range(4)]
        for _ in range(7):
            scene.waiting(user="bob")
        scene.waiting(user="carl")
        low = scene.waiting(user="dora", priority=-1)
        ahead = [claim_order(scene) for _ in range(12)]
        foreseen = [0, 3, 5, 7]  # one of bob and carl each for each of ann's own
        for uuid, amount in zip(ann, foreseen, strict=True):
            assert ahead.index(uuid) == amount
        # as it was foreseen before any of them was begun
        scene.producer.sql("DELETE FROM adi_turn")
        scene.producer.sql(
            "UPDATE adi_order SET state = 'waiting', lease_owner = NULL, lease_token = NULL, lease_until = NULL, places = 0"
        )
        assert [scene.advice(uuid) for uuid in ann[1:]] == [
            f"It waits for its turn: about {amount} orders come before it." for amount in foreseen[1:]
        ]
        assert scene.advice(ann[0]) == "It is the next one, as soon as a worker is free."
        assert scene.advice(low) == "It waits for its turn: about 12 orders come before it."

    def test_another_try_says_when_why_and_how_to_have_it_at_once(self, scene: Scene) -> None:
        uuid = scene.waiting()
        scene.queue.give_back(scene.claimed().lease, note="The disk was busy.", failures=1, after_seconds=3600)
        words = scene.advice(uuid)
        [[at]] = scene.producer.sql("SELECT run_after FROM adi_order")
        assert words == (
            f"It is tried again on {at.astimezone():%Y-%m-%d %H:%M:%S %Z}, because: The disk was busy. "
            f"`omero adi orders retry {uuid}` gives it its turn at once."
        )

    def test_one_that_was_called_off_before_its_worker_died_is_tidied_up(self, scene: Scene) -> None:
        uuid = scene.waiting()
        scene.claimed()
        cancel(scene.database, uuid, who=WHO)
        scene.producer.sql("UPDATE adi_order SET state = 'waiting', lease_owner = NULL, lease_token = NULL, lease_until = NULL")
        assert scene.advice(uuid).startswith(f"Called off by {WHO} on ")
        assert scene.advice(uuid).endswith(f"it is tidied up and ends, but {NO_SERVICE}.")


class TestNotTakenIn:
    def test_one_that_is_in_the_inbox_needs_a_service(self, scene: Scene) -> None:
        uuid = scene.producer.pending()
        assert scene.advice(uuid) == f"A service takes it in at once, but {NO_SERVICE}."
        scene.serve()
        scene.producer.sql("INSERT INTO adi_inbox (uuid) VALUES (%s)", uuid)
        assert scene.advice(uuid) == "A service takes it in at once."

    def test_so_does_one_that_was_ordered_again_after_its_end(self, scene: Scene) -> None:
        uuid = scene.waiting()
        scene.queue.fail(scene.claimed().lease, reason="no")
        scene.producer.pending(uuid)
        assert scene.advice(uuid) == f"A service takes it in at once, but {NO_SERVICE}."

    def test_one_that_the_database_refused_is_tried_again(self, scene: Scene) -> None:
        uuid = scene.producer.pending()
        scene.producer.sql("UPDATE adi_inbox SET not_before = now() + interval '5 min'")
        assert scene.advice(uuid).startswith("The database refused to take it in; that is tried again on 2")

    @pytest.mark.parametrize("timestamp", ["2020-01-01", None])
    def test_one_that_was_too_old_at_the_first_start_is_left_alone(self, timestamp: str | None, scene: Scene) -> None:
        uuid = scene.producer.pending(timestamp=timestamp)
        scene.producer.sql("DELETE FROM adi_inbox")
        assert "No service has ever started on this database" in scene.advice(uuid)
        scene.serve()
        words = scene.advice(uuid)
        assert "more than 10 days" in words
        assert f"`omero adi orders retry {uuid}`" in words
        assert f"`omero adi orders cancel {uuid}`" in words

    def test_one_that_no_trigger_told_of_is_found_by_the_scan(self, scene: Scene) -> None:
        scene.serve()
        uuid = scene.producer.pending()
        scene.producer.sql("DELETE FROM adi_inbox")
        assert "the next scan finds it" in scene.advice(uuid)


class TestRunning:
    def test_it_says_who_does_what_and_when_that_was_last_heard(self, scene: Scene) -> None:
        uuid = scene.waiting()
        claim = scene.claimed()
        scene.queue.extend(claim.lease, doing="1/3 /a: importing")
        words = scene.advice(uuid)
        assert words.startswith("host:1 carries it out since 2")
        assert ": 1/3 /a: importing. Last heard of " in words
        scene.producer.sql("UPDATE adi_order SET lease_until = now() + interval '20 s'")
        assert scene.advice(uuid).endswith("Last heard of 40 s ago.")

    def test_one_that_is_called_off_or_given_back_says_so(self, scene: Scene) -> None:
        uuid = scene.waiting()
        scene.claimed()
        pause(scene.database, who=WHO, drain=True)
        assert scene.advice(uuid).endswith("All imports are paused, so it is given back at the next safe point.")
        cancel(scene.database, uuid, who=WHO)
        assert "Called off by ann@host on 2" in scene.advice(uuid)

    def test_one_whose_worker_is_silent_waits_for_a_service(self, scene: Scene) -> None:
        uuid = scene.waiting()
        scene.claimed()
        scene.lapse()
        assert scene.advice(uuid).startswith("host:1 has been silent since its lease ended on 2")
        assert scene.advice(uuid).endswith(f"a service takes the order over, but {NO_SERVICE}.")

    def test_one_of_another_importer_is_left_to_it(self, scene: Scene) -> None:
        uuid = scene.producer.pending(stage="Import Started")
        assert "The former importer has begun it." in scene.advice(uuid)
        scene.serve()
        scene.producer.pending(uuid, stage="Import Started")
        assert "Another importer has begun it" in scene.advice(uuid)


def complete(scene: Scene) -> None:
    scene.queue.complete(scene.claimed().lease)


def fail(scene: Scene) -> None:
    scene.queue.fail(scene.claimed().lease, reason="no")


def call_off(scene: Scene) -> None:
    lease = scene.claimed().lease
    cancel(scene.database, lease.order, who=WHO)
    scene.queue.cancel(lease, reason="Cancelled.")


class TestEnded:
    @pytest.mark.parametrize(
        ("end", "words"),
        [
            (complete, "Everything is in OMERO: there is nothing to do."),
            (fail, "When the cause is gone, `omero adi orders retry {}` orders it again: only what is missing is imported."),
            (call_off, "It is called off. `omero adi orders retry {}` orders it again: only what is missing is imported."),
        ],
    )
    def test_it_says_what_to_do_also_when_its_rows_are_forgotten(
        self, end: Callable[[Scene], None], words: str, scene: Scene
    ) -> None:
        scene.serve()
        uuid = scene.waiting()
        end(scene)
        assert scene.advice(uuid) == words.format(uuid)
        scene.producer.sql(
            "UPDATE adi_order SET finished_at = now() - interval '91 days'; "
            "UPDATE adi_control SET scanned_at = now(), watched_id = 1000000"
        )
        assert prune(scene.database, keep_days=90) == 1
        assert "What became of each file is remembered for 90 days only" in scene.advice(uuid)
        assert order_status(scene.database, uuid).attempts == ()

    def test_what_was_deleted_in_omero_needs_again(self, scene: Scene) -> None:
        claim = submit_claimed(
            scene.database, scene.queue, user="u", group="g", target=Target.parse("Dataset:1"), files=["/a"], owner="host:1"
        )
        line = LedgerFile(entry="/a", key="a", route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=3, error="gone")
        Ledger(scene.database, claim.lease).record(line)
        scene.queue.fail(claim.lease, reason="gone")
        assert "With --again also what is not visible in OMERO any more is." in scene.advice(claim.lease.order)

    def test_one_of_the_former_importer_says_so(self, scene: Scene) -> None:
        uuid = scene.producer.pending(stage="Import Completed")
        scene.serve()
        assert scene.advice(uuid).endswith("It was carried out by the former importer, so that no more is known of it here.")

    def test_a_stage_that_nobody_knows_is_somebody_elses(self, scene: Scene) -> None:
        assert "another program wrote it" in scene.advice(scene.producer.pending(stage="Import Verified"))


def claim_order(scene: Scene) -> str:
    return scene.claimed().lease.order
