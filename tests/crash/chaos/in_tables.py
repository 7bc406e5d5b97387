# SPDX-License-Identifier: GPL-2.0-or-later
"""In tables: whether each order has come to the end that it must come to, its trail is whole, and nobody holds anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.crash.chaos.findings import Finding, Promise
from tests.crash.chaos.orders import Order
from tests.fixtures.services import Tracking

PENDING, STARTED, COMPLETED, FAILED = "Import Pending", "Import Started", "Import Completed", "Import Failed"
ENDS = {COMPLETED, FAILED}


def has_sweeps(tracking: Tracking) -> bool:
    """Whether this version looks once more for what interrupted attempts have left."""
    column = "SELECT 1 FROM information_schema.columns WHERE table_name = 'adi_order' AND column_name = 'unswept_since'"
    return bool(tracking.sql(column))


def check_tables(orders: Sequence[Order], tracking: Tracking) -> Iterator[Finding]:
    """Compare the tables with what was ordered."""
    trails: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for uuid, stage, why in tracking.sql("SELECT uuid, stage, coalesce(description, '') FROM imports ORDER BY timestamp, id"):
        trails[uuid].append((stage, why))
    rows = {uuid: (state, note) for uuid, state, note in tracking.sql("SELECT uuid, state, note FROM adi_order")}
    lines: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for uuid, key, step in tracking.sql("SELECT uuid, key, step FROM adi_file"):
        lines[uuid].append((key, step))
    for order in orders:
        for problem in _problems(order, trails[order.uuid], rows.get(order.uuid), lines[order.uuid]):
            yield Finding(Promise.LOST, f"order {order.uuid} ({order.sort}): {problem}")
    for uuid, attempt, owner in tracking.sql("SELECT uuid, attempt, owner FROM adi_attempt WHERE outcome IS NULL"):
        yield Finding(Promise.LOST, f"order {uuid}: nobody says how attempt {attempt} of {owner} has ended")
    for uuid, places in tracking.sql("SELECT uuid, places FROM adi_order WHERE places > 0 OR lease_owner IS NOT NULL"):
        yield Finding(Promise.LEFTOVER, f"order {uuid} holds {places} places")
    if has_sweeps(tracking):
        for uuid, since in tracking.sql("SELECT uuid, unswept_since FROM adi_order WHERE unswept_since IS NOT NULL"):
            yield Finding(Promise.LEFTOVER, f"order {uuid} is not swept since {since}")


def check_nobody_there(tracking: Tracking) -> Iterator[Finding]:
    """Look for what services have left in the database when they have ended."""
    others = "SELECT application_name, query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    for name, query in tracking.sql(others):
        yield Finding(Promise.LEFTOVER, f"a connection to PostgreSQL of '{name}': {query}")
    held = "SELECT locktype, mode, pid FROM pg_locks WHERE locktype = 'advisory'"
    for kind, mode, pid in tracking.sql(held):
        yield Finding(Promise.LEFTOVER, f"a lock in PostgreSQL: {kind} {mode} of {pid}")


def _problems(
    order: Order, trail: Sequence[tuple[str, str]], row: tuple[str, str | None] | None, lines: Sequence[tuple[str, str]]
) -> Iterator[str]:
    if row is None:
        yield "it is not in the queue"
        return
    state, note = row
    if not trail or trail[-1][0] not in ENDS:
        yield f"it has not ended: {state}, {note}; {[stage for stage, _ in trail]}"
        return
    end, why = trail[-1]
    if end == FAILED and not _may_fail(order, why):
        yield f"it has failed: {why}"
    if end == COMPLETED and order.reason is not None:
        yield f"it is completed, and was to fail for '{order.reason}'"
    if state not in ({"completed"} if end == COMPLETED else {"failed", "cancelled"}):
        yield f"it is {state} in the queue, and its trail says {end}"
    yield from _gaps(order, [stage for stage, _ in trail])
    expected = {"annotated", "failed"} if end == FAILED else {"annotated"}
    wrong = [f"{key}: {step}" for key, step in lines if step not in expected]
    if wrong and not order.called_off:
        yield f"its ledger says {', '.join(wrong)}"


def _may_fail(order: Order, why: str) -> bool:
    if order.called_off:
        return "ancelled" in why
    return order.reason is not None and order.reason in why


def _gaps(order: Order, stages: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with the order of its rows."""
    pending, ends = stages.count(PENDING), sum(stage in ENDS for stage in stages)
    if stages[0] != PENDING or not 1 <= ends <= pending:
        yield f"its trail is {list(stages)}"
    elif pending == 1 + (order.late is not None) and ends != pending:
        yield f"it was ordered {pending} times, and has ended {ends} times: {list(stages)}"
    if not order.called_off and any(one in ENDS and other in ENDS for one, other in pairwise(stages)):
        yield f"two ends follow each other: {list(stages)}"
