# SPDX-License-Identifier: GPL-2.0-or-later
"""Ordering from Python, and orders that are carried out by who submits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.orders import Target
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

ORDER: dict[str, Any] = {"user": "ann", "group": "Demo", "target": Target.parse("Screen:12"), "files": ["/data/ü.tif", "/data/b"]}


def test_a_submitted_order_is_one_that_makes_sense(database: Database, intake: Intake, queue: Queue) -> None:
    uuid = submit_order(database, **ORDER, file_names=["one", "two"], description="from a test")
    assert intake.take_in() == 1
    claim = queue.claim(owner="host:1")
    assert claim is not None
    order = claim.text.read()
    assert (order.uuid, order.user, order.group, order.target) == (uuid, "ann", "Demo", ORDER["target"])
    assert [(entry.path, entry.name) for entry in order.entries] == [("/data/ü.tif", "one"), ("/data/b", "two")]


def test_a_claimed_order_is_run_by_nobody_else(database: Database, producer: Producer, intake: Intake, queue: Queue) -> None:
    claim = submit_claimed(database, queue, **ORDER, owner="host:1")
    assert (intake.take_in(), intake.reconcile(), queue.claim(owner="host:2"), queue.pending()) == (0, 0, None, 1)
    assert producer.trail(claim.lease.order) == ["Import Pending", "Import Started"]
    assert claim.text.read().target == ORDER["target"]
    queue.complete(queue.extend(claim.lease))
    assert (intake.take_in(), intake.reconcile(), queue.pending()) == (0, 0, 0)


def test_a_claimed_order_whose_command_died_is_taken_over(database: Database, producer: Producer, queue: Queue) -> None:
    died = submit_claimed(database, queue, **ORDER, owner="host:1")
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second'")
    queue.free_lapsed()
    claim = queue.claim(owner="host:2")
    assert claim is not None
    assert (claim.lease.order, claim.lease.attempt, claim.text) == (died.lease.order, 2, died.text)


def test_a_claimed_order_may_be_an_older_one_unless_it_runs(
    database: Database, producer: Producer, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    claim = submit_claimed(database, queue, **ORDER, uuid=uuid, owner="host:1")
    assert claim.lease.attempt == 1
    before = producer.sql("SELECT count(*) FROM imports")
    with pytest.raises(UsageError, match="is running"):
        submit_claimed(database, queue, **ORDER, uuid=uuid, owner="host:2")
    assert producer.sql("SELECT count(*) FROM imports") == before
    queue.fail(claim.lease, reason="no")
    assert submit_claimed(database, queue, **ORDER, uuid=uuid, owner="host:2").lease.attempt == 2


@pytest.mark.parametrize("uuid", ["", "x" * 37])
def test_a_uuid_that_the_table_cannot_hold_is_refused(uuid: str, database: Database) -> None:
    with pytest.raises(UsageError, match="36 characters"):
        submit_order(database, **ORDER, uuid=uuid)


def test_a_name_that_is_no_unicode_does_not_stop_the_order(database: Database, producer: Producer) -> None:
    uuid = submit_order(database, **{**ORDER, "user": "a\udcffnn", "files": ["/data/\udcff"]}, description="\udcff\0")
    assert producer.sql("SELECT user_name, files FROM imports WHERE uuid = %s", uuid) == [(r"a\udcffnn", r'["/data/\udcff"]')]
