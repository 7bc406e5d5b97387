# SPDX-License-Identifier: GPL-2.0-or-later
"""Sweeps: orders that have ended, and of which OMERO is looked at once more some time later.

An order that was interrupted, by a worker that died or a session that was lost, may have a request on its way that OMERO
carries out after everybody has looked. `adi_order.unswept_since` says since when that is to be looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.orders import DueSweep
from omero_adi_plugin.tracking.ledger import read_files
from omero_adi_plugin.tracking.queue import order_text
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.orders import LedgerFile, OrderText
    from omero_adi_plugin.tracking.database import Database

LEASE_SECONDS = 600
"""How long one sweep may take before somebody else does it again: its requests are few, but a server may be slow."""

_SQL = statements("sweeps.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """An order that ended long ago, with its last attempt."""

    uuid: str
    attempt: int
    imports_id: int


class Sweeps:
    """The sweeps that are due, in the hands of one thread. All methods raise `DatabaseDown` when PostgreSQL is not there.

    Parameters
    ----------
    database : Database
        With our tables.
    delay_seconds : int
        How long after the end of an order it is looked.
    lease_seconds : int
        How long one sweep may take before it is done again.
    """

    def __init__(self, database: Database, *, delay_seconds: int, lease_seconds: int = LEASE_SECONDS) -> None:
        self._database = database
        self._times = {"delay_seconds": delay_seconds, "lease_seconds": lease_seconds}

    def any_due(self) -> bool:
        """Return whether one is due that nobody has begun."""
        [row] = self._database.at_once(_SQL["any_due"], {"delay_seconds": self._times["delay_seconds"]})
        return bool(row.due)

    def claim(self) -> DueSweep | None:
        """Take the sweep that has been due for longest; None when none is due, or all imports are paused."""
        rows = self._database.at_once(_SQL["claim"], self._times)
        if not rows:
            return None
        [row] = rows
        return DueSweep(
            uuid=row.uuid,
            attempt=row.attempt,
            text=order_text(self._database, uuid=row.uuid, imports_id=row.imports_id),
            since=float(row.since),
            now=float(row.now),
            tries=row.sweeps,
        )

    def wanted(self, due: DueSweep) -> bool:
        """Return whether nobody has begun with the order again, nor done this already; to be asked before anything is removed."""
        return bool(self._database.at_once(_SQL["wanted"], {**_which(due), **self._times}))

    def done(self, due: DueSweep) -> None:
        """Say that there is nothing to look for any more; of an order that was begun again that is not said."""
        with self._database.begin() as connection:
            connection.execute(_SQL["done"], _which(due))

    def put_off(self, due: DueSweep, *, seconds: float, counts: bool) -> None:
        """Have it done later; of an order that was begun again that is not said.

        Parameters
        ----------
        due : DueSweep
            Which one.
        seconds : float
            How much later.
        counts : bool
            Whether the order may be in the way itself, so that this is one of its `tries`.
        """
        values = {**_which(due), "seconds": seconds, "delay_seconds": self._times["delay_seconds"], "counts": counts}
        with self._database.begin() as connection:
            connection.execute(_SQL["put_off"], values)

    def over(self, uuids: Sequence[str]) -> tuple[Over, ...]:
        """Return those of some orders that ended at least `delay_seconds` ago, and of which no sweep is due."""
        values = {"uuids": list(uuids), "delay_seconds": self._times["delay_seconds"]}
        rows = self._database.at_once(_SQL["over"], values)
        return tuple(Over(uuid=row.uuid, attempt=row.attempt, imports_id=row.imports_id) for row in rows)

    def text(self, over: Over) -> OrderText:
        """Return what was ordered; if somebody has deleted the row, nothing is in it and reading it says so."""
        return order_text(self._database, uuid=over.uuid, imports_id=over.imports_id)

    def files(self, uuid: str) -> tuple[LedgerFile, ...]:
        """Return what the ledger knows of an order."""
        with self._database.begin() as connection:
            return read_files(connection, uuid)


def _which(due: DueSweep) -> dict[str, object]:
    return {"uuid": due.uuid, "attempt": due.attempt}
