# SPDX-License-Identifier: GPL-2.0-or-later
"""Inventory: what the ledgers of orders that have ended say is in OMERO, for whoever compares the two or takes it out.

An order that is being carried out, waits, or was ordered again is not in it: its worker is about to put right what is amiss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.orders import Target
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.ledger import ledger_file
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import Action

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_adi_plugin.orders import LedgerFile
    from omero_adi_plugin.tracking.database import Database

LINES = 500
"""Lines of ledgers that are read at once: each is a fileset, of which OMERO may hold thousands of images."""

ORDERS = 500
"""Orders whose lines are asked for together."""

_SQL = statements("inventory.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedOrder:
    """An order that has ended, and left something in OMERO.

    target: None when somebody has deleted its rows.
    """

    uuid: str
    attempt: int
    user: str
    group: str
    target: Target | None


def ended_orders(database: Database, uuid: str | None = None) -> tuple[list[EndedOrder], int]:
    """Return the orders that have ended and of which something is in OMERO by the ledger: all of them, or one.

    Returns
    -------
    list of EndedOrder
        Those of one user in one group come together, the newest first.
    int
        How many others there are of which something is in OMERO: they have not ended, or were ordered again.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there.
    """
    with database.begin() as connection:
        connection.execute(_SQL["one_moment"])
        orders = [
            EndedOrder(
                uuid=row.uuid,
                attempt=row.attempt,
                user=row.user_name,
                group=row.group_name,
                target=_target(row.destination_type, row.destination_id),
            )
            for row in connection.execute(_SQL["orders"], {"uuid": uuid})
        ]
        return orders, int(connection.execute(_SQL["open"], {"uuid": uuid}).scalar_one())


def count_filesets(database: Database, orders: Sequence[EndedOrder]) -> int:
    """Return how many lines `pages` will give for all these orders."""
    with database.begin() as connection:
        return int(connection.execute(_SQL["filesets"], {"uuids": [order.uuid for order in orders]}).scalar_one())


def pages(database: Database, orders: Sequence[EndedOrder]) -> Iterator[list[tuple[EndedOrder, LedgerFile]]]:
    """Give what the ledgers of orders say is in OMERO, a limited number of lines at a time."""
    for start in range(0, len(orders), ORDERS):
        some = {order.uuid: order for order in orders[start : start + ORDERS]}
        values: dict[str, object] = {"uuids": list(some), "after_uuid": "", "after_key": "", "most": LINES}
        while True:
            with database.begin() as connection:
                rows = connection.execute(_SQL["lines"], values).all()
            if not rows:
                break
            yield [(some[row.uuid], ledger_file(row)) for row in rows]
            values |= {"after_uuid": rows[-1].uuid, "after_key": rows[-1].key}


def unchanged(database: Database, lines: Sequence[tuple[EndedOrder, LedgerFile]]) -> set[tuple[str, str]]:
    """Return uuid and key of those lines that the ledger has still so, of orders that nobody has ordered again meanwhile."""
    given = [{"uuid": order.uuid, "key": line.key, "attempt": order.attempt, "fileset": line.fileset} for order, line in lines]
    with database.begin() as connection:
        return {(row.uuid, row.key) for row in connection.execute(_SQL["unchanged"], {"lines": json.dumps(given)})}


def known_filesets(database: Database, uuid: str) -> list[int]:
    """Return the ids of the filesets that the ledger of an order says are in OMERO."""
    with database.begin() as connection:
        return [row.fileset for row in connection.execute(_SQL["known"], {"uuid": uuid})]


def forget(database: Database, uuid: str, filesets: Sequence[int]) -> None:
    """Take note that filesets were removed from OMERO, so that another attempt imports them again."""
    with database.begin() as connection:
        connection.execute(_SQL["forget"], {"uuid": uuid, "filesets": list(filesets)})


def forget_undone(database: Database, uuid: str, filesets: Sequence[int], *, who: str, detail: str) -> None:
    """Do as `forget` for the last of an order's filesets, and note who had them removed, in one transaction.

    Parameters
    ----------
    who : str
        ``name@host`` of the person.
    detail : str
        How much it was.
    """
    with database.begin() as connection:
        connection.execute(_SQL["forget"], {"uuid": uuid, "filesets": list(filesets)})
        audit.act(connection, Action.UNDONE, who=who, uuid=uuid, detail=detail)


def _target(kind: str | None, number: str | None) -> Target | None:
    try:
        return Target.parse(f"{kind}:{number}")
    except UsageError:
        return None
