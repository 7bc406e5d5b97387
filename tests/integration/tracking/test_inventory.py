# SPDX-License-Identifier: GPL-2.0-or-later
"""What the ledgers say is in OMERO, page after page, and what is forgotten of it."""

from __future__ import annotations

from collections import Counter

import pytest

from omero_adi_plugin.orders import Claim, FileStep, LedgerFile, Route, Target, TargetKind
from omero_adi_plugin.tracking import inventory
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed
from omero_adi_plugin.tracking.views import order_status


def ordered(database: Database, queue: Queue, *keys: str, user: str = "ann", step: FileStep = FileStep.ANNOTATED) -> Claim:
    """An order that is being carried out, and the filesets of which are numbered by their keys."""
    target = Target(kind=TargetKind.DATASET, id=1)
    claim = submit_claimed(database, queue, user=user, group="g", target=target, files=["/a"], owner="host:1")
    lines = [LedgerFile(entry="/a", key=key, route=Route.INPLACE, step=step, fileset=int(key[1:])) for key in keys]
    Ledger(database, claim.lease).record(*lines)
    return claim


@pytest.mark.parametrize("most", [1, 2, 500])
def test_every_line_of_every_order_comes_once(
    most: int, database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "LINES", most)
    monkeypatch.setattr(inventory, "ORDERS", 2)
    claims = [ordered(database, queue, *keys) for keys in (["/1", "/5", "/9"], ["/2", "/4"], ["/3"])]
    for claim in claims:
        queue.complete(claim.lease)
    running = ordered(database, queue, "/7")
    planned = ordered(database, queue, "/8", step=FileStep.PLANNED)
    queue.fail(planned.lease, reason="no")
    orders, left_out = inventory.ended_orders(database)
    assert [order.uuid for order in orders] == [claim.lease.order for claim in reversed(claims)]
    assert left_out == 1
    assert inventory.ended_orders(database, running.lease.order) == ([], 1)
    given = [line.fileset for page in inventory.pages(database, orders) for _, line in page]
    assert Counter(given) == Counter([1, 2, 3, 4, 5, 9])
    assert len(given) == inventory.count_filesets(database, orders)


def test_orders_of_one_user_come_together(database: Database, queue: Queue) -> None:
    for number, user in enumerate(["bob", "ann", "bob", "ann"]):
        queue.complete(ordered(database, queue, f"/{number}", user=user).lease)
    orders, _ = inventory.ended_orders(database)
    assert [order.user for order in orders] == ["ann", "ann", "bob", "bob"]


def test_what_is_forgotten_is_planned_again_and_nothing_else(database: Database, queue: Queue) -> None:
    claim, other = ordered(database, queue, "/1", "/2", "/3"), ordered(database, queue, "/1")
    for each in (claim, other):
        queue.complete(each.lease)
    assert inventory.known_filesets(database, claim.lease.order) == [1, 2, 3]
    inventory.forget(database, claim.lease.order, [1])
    inventory.forget_undone(database, claim.lease.order, [3], who="ann@desk", detail="filesets removed: 2")
    assert inventory.known_filesets(database, claim.lease.order) == [2]
    assert inventory.known_filesets(database, other.lease.order) == [1]
    shown = order_status(database, claim.lease.order)
    assert [line.step for line in shown.files or ()] == [FileStep.PLANNED, FileStep.ANNOTATED, FileStep.PLANNED]
    assert [(each.who, each.action, each.detail) for each in shown.actions or ()] == [
        ("ann@desk", "undone", "filesets removed: 2")
    ]
