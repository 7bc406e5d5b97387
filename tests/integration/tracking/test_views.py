# SPDX-License-Identifier: GPL-2.0-or-later
"""What people and programs see of orders."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy.engine import make_url

from omero_adi_plugin.errors import OrderNotFound
from omero_adi_plugin.orders import FileStep, Lease, LedgerFile, Limits, Route
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.advice import Terms
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.losses import bury
from omero_adi_plugin.tracking.operating import cancel, retry
from omero_adi_plugin.tracking.views import list_orders, order_status, order_summary

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer


def test_the_report_of_a_running_order(producer: Producer, database: Database, intake: Intake, queue: Queue) -> None:
    uuid = producer.pending()
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    Ledger(database, claim.lease).record(
        LedgerFile(entry="/data/a.tif", key="data/a.tif", route=Route.INPLACE, step=FileStep.IMPORTED, fileset=3, images=(4, 5))
    )
    report = json.loads(json.dumps(order_status(database, uuid).as_json()))
    stages = report.pop("stages")
    assert [stage["stage"] for stage in stages] == ["Import Pending", "Import Started"]
    assert set(stages[0]) == {"stage", "time", "description"}
    assert datetime.fromisoformat(stages[0]["time"]).tzinfo is not None
    assert datetime.fromisoformat(report["lease"].pop("until")) == claim.lease.until
    [attempt] = report.pop("attempts")
    assert datetime.fromisoformat(attempt.pop("started")).tzinfo is not None
    assert attempt == {"attempt": 1, "owner": "host:1", "ended": None, "outcome": None, "why": None}
    file = {"entry": "/data/a.tif", "output": None, "route": "inplace", "step": "imported", "fileset": 3}
    assert report == {
        "uuid": uuid,
        "state": "running",
        "stage": "Import Started",
        "description": None,
        "user": "ann",
        "group": "Demo",
        "target": "Dataset:151",
        "attempt": 1,
        "next_try": None,
        "lease": {"owner": "host:1"},
        "files": [{**file, "images": [4, 5], "plates": [], "error": None}],
        "actions": [],
    }


def test_an_order_that_waits_again_says_why_and_until_when(
    producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    queue.give_back(claim.lease, note="the connection was lost", failures=1, after_seconds=60)
    report = order_status(database, uuid)
    assert (report.state, report.description, report.lease_owner) == (OrderState.WAITING, "the connection was lost", None)
    assert producer.sql("SELECT run_after FROM adi_order") == [(report.next_try,)]


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        ("Import Pending", OrderState.WAITING),
        ("Import Started", OrderState.RUNNING),
        ("Import Preprocessing", OrderState.RUNNING),
        ("Import Completed", OrderState.COMPLETED),
        ("Import Failed", OrderState.FAILED),
        ("something else", None),
    ],
)
@pytest.mark.parametrize("timestamp", ["now", None, "infinity", "-infinity", "0044-03-15 12:00 BC"])
def test_an_order_that_was_never_taken_in_has_a_report_too(
    stage: str, state: OrderState | None, timestamp: str | None, producer: Producer, database: Database
) -> None:
    uuid = producer.pending(stage=stage, timestamp=timestamp, files="{broken")
    report = order_status(database, uuid)
    assert (report.state, report.stage, report.attempt, report.files) == (state, stage, 0, ())
    assert json.loads(json.dumps(report.as_json()))["stages"][0]["stage"] == stage


def test_an_unknown_order_is_not_found(database: Database) -> None:
    with pytest.raises(OrderNotFound, match="'nobody'"):
        order_status(database, "nobody")


def test_the_list_has_the_newest_first_and_can_be_narrowed(
    producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    first, second, third = (producer.pending() for _ in range(3))
    producer.sql("UPDATE imports SET user_name = 'bob' WHERE uuid = %s", second)
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    waiting = [uuid for uuid in (third, second, first) if uuid != claim.lease.order]
    assert [order.uuid for order in list_orders(database, state=OrderState.WAITING, user=None, limit=9)] == waiting
    everything = list_orders(database, state=None, user=None, limit=9)
    assert everything[0].uuid == claim.lease.order  # its `Import Started` is the newest row
    assert [order.uuid for order in list_orders(database, state=None, user="bob", limit=9)] == [second]
    assert len(list_orders(database, state=None, user=None, limit=2)) == 2
    assert not {"files", "stages"} & set(everything[0].as_json())


@pytest.mark.parametrize("end", ["failed", "cancelled"])
@pytest.mark.parametrize("how", ["insert", "update"])
def test_an_order_that_was_ordered_again_does_not_show_its_old_outcome(
    how: str, end: str, producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    if end == "cancelled":
        cancel(database, uuid, who="ann@host")
    else:
        claim = queue.claim(owner="host:1")
        assert claim is not None
        queue.fail(claim.lease, reason="no")
    assert order_status(database, uuid).state == end
    producer.pending(uuid) if how == "insert" else producer.sql("UPDATE imports SET stage = 'Import Pending'")
    assert order_status(database, uuid).state is OrderState.WAITING
    assert [order.uuid for order in list_orders(database, state=OrderState.WAITING, user=None, limit=9)] == [uuid]


def test_a_summary_says_the_same_without_files_and_trail(producer: Producer, database: Database, intake: Intake) -> None:
    uuid = producer.pending()
    intake.take_in()
    summary, status = order_summary(database, uuid), order_status(database, uuid)
    assert (summary.files, summary.actions, summary.attempts) == (None, None, None)
    assert summary == replace(status, files=None, actions=None, attempts=None)
    with pytest.raises(OrderNotFound, match="'nobody'"):
        order_summary(database, "nobody")


def test_a_pending_row_from_the_end_of_time_does_not_hide_the_outcome(
    producer: Producer, database: Database, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending(timestamp="infinity")
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    queue.complete(claim.lease)
    assert order_status(database, uuid).state is OrderState.COMPLETED


def test_what_people_did_with_an_order_is_told_and_when(producer: Producer, database: Database, intake: Intake) -> None:
    uuid, other = producer.pending(), producer.pending()
    intake.take_in()
    retry(database, uuid, who="ann@host")
    cancel(database, uuid, who="bob@host")
    cancel(database, other, who="bob@host")
    told = json.loads(json.dumps(order_status(database, uuid).as_json()))["actions"]
    assert [(each["who"], each["action"]) for each in told] == [("ann@host", "retried"), ("bob@host", "cancelled")]
    assert set(told[0]) == {"time", "who", "action", "detail"}
    assert datetime.fromisoformat(told[0]["time"]) <= datetime.fromisoformat(told[1]["time"])


def test_each_attempt_is_told_with_its_end_and_why(producer: Producer, database: Database, intake: Intake, queue: Queue) -> None:
    uuid = producer.pending()
    intake.take_in()

    def claimed(owner: str) -> Lease:
        claim = queue.claim(owner=owner)
        assert claim is not None
        return claim.lease

    queue.give_back(claimed("host:1"), note="busy", failures=1, after_seconds=0)
    queue.give_back(claimed("host:2"), note="the service was stopped", after_seconds=0)
    claimed("host:3")
    bury(database, owner="host:3", why="killed by SIGKILL")
    queue.fail(claimed("host:4"), reason="no")
    attempts = order_status(database, uuid).attempts
    assert attempts is not None
    assert [(each.attempt, each.owner, each.outcome, each.why) for each in attempts] == [
        (1, "host:1", "to be retried", "busy"),
        (2, "host:2", "given back", "the service was stopped"),
        (3, "host:3", "worker died", "the worker host:3 died (killed by SIGKILL)"),
        (4, "host:4", "failed", "no"),
    ]
    assert all(each.ended is not None and each.started <= each.ended for each in attempts)


def test_an_account_that_may_not_read_all_of_it_is_told_the_rest(
    producer: Producer, database: Database, database_url: str
) -> None:
    role = f"producer_{uuid4().hex}"
    uuid = producer.pending()
    terms = Terms(limits=Limits(), lease_seconds=60, pending_days=10, keep_days=90)
    producer.sql(f"CREATE ROLE {role} LOGIN")
    try:
        producer.sql(f"GRANT SELECT ON imports, imports_preprocessing, adi_order, adi_file, adi_action, adi_control TO {role}")
        url = make_url(database_url).set(username=role).render_as_string(hide_password=False)
        with closing(Database(url, name="tests")) as theirs:
            report = order_status(theirs, uuid, terms=terms)
            assert (report.state, report.attempts, report.advice) == (OrderState.WAITING, None, None)
            assert not {"attempts", "advice"} & set(report.as_json())
            producer.sql(f"GRANT SELECT ON adi_attempt, adi_inbox, adi_service, adi_turn TO {role}")
            report = order_status(theirs, uuid, terms=terms)
            assert (report.attempts, report.advice) == ((), order_status(database, uuid, terms=terms).advice)
            assert list(report.as_json())[-2:] == ["attempts", "advice"]
    finally:
        producer.sql(f"DROP OWNED BY {role}")
        producer.sql(f"DROP ROLE {role}")


@pytest.mark.parametrize("uuid", ["\udcff", "nul\0"])
def test_a_uuid_that_no_database_can_hold_is_an_order_that_is_not_there(uuid: str, database: Database) -> None:
    with pytest.raises(OrderNotFound):
        order_status(database, uuid)
