# SPDX-License-Identifier: GPL-2.0-or-later
"""What `omero adi status` shows: who is at work and at what, what waits and for what, and what has ended."""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from omero_adi_plugin.orders import Limits, Target
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.operating import cancel
from omero_adi_plugin.tracking.pausing import pause
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.services import Presence, WorkerState
from omero_adi_plugin.tracking.status import status
from omero_adi_plugin.tracking.submit import submit_claimed

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from tests.fixtures.producer import Producer

HOST = socket.gethostname()
LIMITS = Limits(in_flight=6)


def claimed(queue: Queue, owner: str) -> Claim:
    claim = queue.claim(owner=owner)
    assert claim is not None
    return claim


def test_a_database_on_which_nothing_happened(database: Database) -> None:
    report = status(database, limits=LIMITS)
    told = json.loads(json.dumps(report.as_json()))
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert told == {
        "services": [],
        "others": [],
        "queue": {
            "due": 0,
            "oldest": None,
            "held": 0,
            "later": 0,
            "next_try": None,
            "inbox": 0,
            "put_off": 0,
            "running": 0,
            "scripts": 0,
            "lapsed": 0,
        },
        "held_up": {"orders": 0, "users": 0, "why": None},
        "ended": {"hours": 24, "completed": 0, "failed": 0, "cancelled": 0},
        "filesets_in_flight": {"places": 0, "allowed": 6},
        "pause": None,
    }


def test_each_worker_is_shown_with_its_order_and_who_works_without_a_service_apart(
    producer: Producer, intake: Intake, database: Database, queue: Queue
) -> None:
    producer.pending()
    intake.take_in()
    Presence(database).tell([WorkerState(pid=11), WorkerState(pid=12, trouble="OMERO is away"), WorkerState(pid=13)])
    claim = claimed(queue, f"{HOST}:11")
    queue.extend(claim.lease, doing="1/2 /data/a.tif: importing")
    cancel(database, claim.lease.order, who="ann@host")
    alone = submit_claimed(
        database, queue, user="bob", group="g", target=Target.parse("Dataset:1"), files=["/a"], owner=f"{HOST}:99"
    )
    queue.widen(alone.lease, wanted=3)
    report = status(database, limits=LIMITS)
    [service] = report.services
    assert (service.host, service.pid, service.at_work, service.trouble) == (HOST, os.getpid(), True, None)
    busy, troubled, idle = service.workers
    assert busy.order is not None
    assert (busy.order.uuid, busy.order.user, busy.order.attempt) == (claim.lease.order, "ann", 1)
    assert (busy.order.doing, busy.order.silent) == ("1/2 /data/a.tif: importing", False)
    assert (busy.order.cancelled_by or "").startswith("ann@host on ")
    assert (troubled.order, troubled.trouble, idle.order, idle.trouble) == (None, "OMERO is away", None, None)
    assert [(order.uuid, order.owner, order.user) for order in report.others] == [(alone.lease.order, f"{HOST}:99", "bob")]
    assert (report.queue.running, report.queue.lapsed, report.places) == (2, 0, 4)
    told = json.loads(json.dumps(report.as_json()))
    assert told["services"][0]["workers"][0]["order"]["lease"]["owner"] == f"{HOST}:11"
    assert datetime.fromisoformat(told["services"][0]["seen"]) == service.seen


def test_a_service_that_is_silent_ends_or_is_in_trouble_says_so(
    producer: Producer, intake: Intake, database: Database, queue: Queue
) -> None:
    Presence(database).tell([WorkerState(pid=11)])
    producer.sql("UPDATE adi_service SET seen_at = now() - interval '59 s', started_at = now() - interval '3 h'")
    assert [service.silent for service in status(database, limits=LIMITS).services] == [False]
    producer.sql("UPDATE adi_service SET seen_at = now() - interval '61 s'")
    producer.pending()
    intake.take_in()
    claim = claimed(queue, f"{HOST}:11")  # a new process got the number of a worker that died with its service
    living = Presence(database)
    living.tell([WorkerState(pid=11)], trouble="OMERO is away", ending=True)
    dead, alive = status(database, limits=LIMITS).services
    assert (dead.silent, dead.at_work, dead.workers[0].order) == (True, False, None)
    assert (alive.silent, alive.ending, alive.at_work, alive.trouble) == (False, True, False, "OMERO is away")
    assert alive.workers[0].order is not None
    assert alive.workers[0].order.uuid == claim.lease.order
    since = alive.trouble_since
    living.tell([WorkerState(pid=11)], trouble="OMERO is away")
    assert status(database, limits=LIMITS).services[1].trouble_since == since
    living.leave()
    assert len(status(database, limits=LIMITS).services) == 1


def test_what_scripts_have_is_counted_while_they_are_heard_of(producer: Producer, intake: Intake, database: Database) -> None:
    producer.many(3)
    intake.take_in()
    launcher = Queue(database, lease_seconds=60, in_script=True)
    claimed(launcher, "host:1")
    silent = claimed(launcher, "host:1")
    claimed(Queue(database, lease_seconds=60), "host:2")
    assert (status(database, limits=LIMITS).queue.running, status(database, limits=LIMITS).queue.scripts) == (3, 2)
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 s' WHERE uuid = %s", silent.lease.order)
    assert (status(database, limits=LIMITS).queue.running, status(database, limits=LIMITS).queue.scripts) == (2, 1)


def test_what_scripts_could_not_carry_out_is_told_with_the_last_reason(
    producer: Producer, intake: Intake, database: Database
) -> None:
    producer.many(2)
    producer.many(1, user="bob")
    intake.take_in()
    launcher = Queue(database, lease_seconds=60, in_script=True)
    claims = [claimed(launcher, "host:1") for _ in range(3)]
    for number, claim in enumerate(claims):
        launcher.hold_up(claim.lease, note=f"reason {number}", first_seconds=60 + number, longest_seconds=600)
    assert status(database, limits=LIMITS).held_up.as_json() == {"orders": 3, "users": 2, "why": "reason 2"}
    producer.sql("UPDATE adi_order SET run_after = now()")
    claimed(launcher, "host:1")
    assert status(database, limits=LIMITS).held_up.orders == 2, "one is being tried again"


def test_what_waits_is_counted_by_what_it_waits_for(producer: Producer, intake: Intake, database: Database) -> None:
    for _ in range(5):
        producer.pending()
    intake.take_in()
    queue = Queue(database, lease_seconds=60, limits=LIMITS)
    later = claimed(queue, "host:1")
    queue.give_back(later.lease, note="busy", failures=1, after_seconds=600)
    lapsed = claimed(queue, "host:1")
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 s' WHERE uuid = %s", lapsed.lease.order)
    producer.pending()
    producer.pending()
    producer.sql("UPDATE adi_inbox SET not_before = now() + interval '5 min' WHERE id = (SELECT max(id) FROM adi_inbox)")
    report = status(database, limits=LIMITS)
    counts: dict[str, Any] = report.queue.as_json()
    oldest, next_try = counts.pop("oldest"), counts.pop("next_try")
    assert counts == {"due": 3, "held": 0, "later": 1, "inbox": 1, "put_off": 1, "running": 0, "scripts": 0, "lapsed": 1}
    assert datetime.fromisoformat(oldest) <= report.time
    assert timedelta(minutes=9) < datetime.fromisoformat(next_try) - report.time <= timedelta(minutes=10)
    assert (report.places, report.others[0].silent) == (0, True)  # who is silent takes nobody's place


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        (Limits(), 0),
        (Limits(per_user=1), 2),
        (Limits(per_user=2), 0),
        (Limits(per_group=1), 3),
        (Limits(per_user=1, per_group=2), 2),
    ],
)
def test_orders_of_users_and_groups_at_their_limit_are_held_up(
    limits: Limits, held: int, producer: Producer, intake: Intake, database: Database, queue: Queue
) -> None:
    for _ in range(3):
        producer.pending()
    intake.take_in()
    claimed(queue, "host:1")
    producer.sql("UPDATE imports SET user_name = 'bob' WHERE uuid = %s", producer.pending())
    intake.take_in()
    report = status(database, limits=limits).queue
    assert (report.due, report.held) == (3, held)


def test_what_has_ended_in_the_last_day_is_counted(producer: Producer, intake: Intake, database: Database, queue: Queue) -> None:
    uuids = [producer.pending() for _ in range(4)]
    intake.take_in()
    for end in ("complete", "complete", "fail"):
        lease = claimed(queue, "host:1").lease
        queue.complete(lease) if end == "complete" else queue.fail(lease, reason="no")
    cancel(database, uuids[3], who="ann@host")
    old = "UPDATE adi_order SET finished_at = now() - interval '25 h' WHERE uuid = %s"
    producer.sql(old, uuids[0])
    assert status(database, limits=LIMITS).ended == {
        OrderState.COMPLETED: 1,
        OrderState.FAILED: 1,
        OrderState.CANCELLED: 1,
    }


def test_a_pause_is_shown_and_whether_it_drains(database: Database) -> None:
    held, _ = pause(database, who="ann@host")
    shown = status(database, limits=LIMITS).pause
    assert shown is not None
    assert (shown.since, shown.by, shown.draining) == (held.since, "ann@host", False)
    pause(database, who="bob@host", drain=True)
    assert status(database, limits=LIMITS).as_json()["pause"]["draining"] is True
