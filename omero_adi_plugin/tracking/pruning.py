# SPDX-License-Identifier: GPL-2.0-or-later
"""Pruning: forget in our own tables what ended long ago, so that they stay small over the years.

The shared tables keep their rows: what happened to an order is told by its trail, and what is in OMERO of it by its markers
there. So a forgotten order can be asked for, and ordered again, as one of the former importer can. Its attempts are then counted
from the rows of its trail, because a marker's attempt must never be used twice (`intake.sql`, `take_in`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import Action
from omero_adi_plugin.tracking.takeover import LATE_IDS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from omero_adi_plugin.tracking.database import Database

EVERY_SECONDS = 3600
"""How often all services together look for something to forget, once there was nothing left."""

BATCH = 200
"""How many orders, and how many actions, one transaction forgets at most."""

MOST_LINES = 10_000
"""With how many lines of ledgers, all together, unless a single order has more: its ledger goes in one piece."""

MOST_ORDERS = 1000
"""How many orders one call forgets: a service has other things to do as well; the next call goes on."""

MOST_PORTIONS = 10
"""In so many transactions: a thousand orders of 10,000 files each would take minutes in one go."""

SILENT_SECONDS = 86_400
"""After so long a service that has not been heard of is not worth showing any more."""

_FORGOTTEN = sorted(action.value for action in Action if action is not Action.TAKEN_OVER)
"""What is forgotten of the actions. When the database became ours happened once, and is worth knowing for ever."""

_SQL = statements("pruning.sql")


def prune(database: Database, *, keep_days: int, most: int = MOST_ORDERS) -> int:
    """Forget what ended long ago, if it is time; any number of services may call this as often as they like.

    Parameters
    ----------
    database : Database
        With our tables.
    keep_days : int
        For how many days after its end an order is remembered; more than the `pending_days` of the intake.
    most : int
        About how many orders to forget at most. When some are left, the next call goes on with them at once.

    Returns
    -------
    int
        How many orders were forgotten.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there. What was forgotten before stays forgotten, each order as a whole.
    """
    forgotten = 0
    for _ in range(MOST_PORTIONS):
        if forgotten >= most:
            break
        [row] = database.at_once(_SQL["due"], {"every_seconds": EVERY_SECONDS})
        if not row.due:
            break
        with database.begin() as connection:
            if not connection.execute(_SQL["alone"]).scalar_one():
                break
            orders = _forget_orders(connection, keep_days)
            if orders + _forget_others(connection, keep_days) == 0:
                connection.execute(_SQL["pruned"])
        forgotten += orders
    return forgotten


def _forget_orders(connection: Connection, keep_days: int) -> int:
    """Forget the first orders; return how many."""
    values = {"keep_days": keep_days, "late_ids": LATE_IDS, "most_lines": MOST_LINES, "batch": BATCH}
    uuids: list[str] = []
    lines = 0
    for row in connection.execute(_SQL["ended"], values).all():
        lines += row.lines
        if uuids and lines > MOST_LINES:
            break
        uuids.append(row.uuid)
    if uuids:
        connection.execute(_SQL["forget"], {"uuids": uuids})
    return len(uuids)


def _forget_others(connection: Connection, keep_days: int) -> int:
    """Forget the first actions, and all turns and services; return how many actions."""
    connection.execute(_SQL["forget_turns"], {"keep_days": keep_days})
    connection.execute(_SQL["forget_services"], {"silent_seconds": SILENT_SECONDS})
    values = {"actions": _FORGOTTEN, "keep_days": keep_days, "late_ids": LATE_IDS, "batch": BATCH}
    return connection.execute(_SQL["forget_actions"], values).rowcount
