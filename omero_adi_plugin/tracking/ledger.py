# SPDX-License-Identifier: GPL-2.0-or-later
"""Ledger: what we know of each fileset of an order, written down before and after each step that OMERO keeps.

OMERO says what is; the ledger says what we know. It is written only by the worker that has the lease.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.orders import FileStep, LedgerFile, Route
from omero_adi_plugin.tracking import tables
from omero_adi_plugin.tracking.audit import storable
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.orders import Lease
    from omero_adi_plugin.tracking.database import Database

LONGEST_KEY = 2500
"""Bytes that a key may have: PostgreSQL indexes at most 2,704 bytes a row (a third of a page), with the uuid of the order."""

_SQL = statements("ledger.sql")


class Ledger:
    """The ledger of one order, in the hands of the worker that has the lease on it."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease

    def files(self) -> tuple[LedgerFile, ...]:
        """Return all lines, in the order in which they were first recorded.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there.
        """
        with self._database.begin() as connection:
            return read_files(connection, self._lease.order)

    def record(self, *files: LedgerFile) -> None:
        """Write lines, new or changed, all or none; when this returns, they are on the database's disk.

        Of several lines with one key the last counts.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        DatabaseDown
            PostgreSQL is not there.
        """
        newest = {storable(file.key): file for file in files}
        lines = [{"number": number, **_columns(file)} for number, file in enumerate(newest.values())]
        values = {"uuid": self._lease.order, "token": self._lease.token, "lines": json.dumps(lines)}
        if not self._database.at_once(_SQL["record"], values):
            raise LeaseLost(uuid=self._lease.order)

    def suspect(self) -> None:
        """Have OMERO looked at once more, some time after the end of the order.

        For what may have left something there that nobody sees yet: a lost session whose last request is still under way, or
        trouble while tidying up. When this returns, that is on the database's disk.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        DatabaseDown
            PostgreSQL is not there.
        """
        if not self._database.at_once(_SQL["suspect"], {"uuid": self._lease.order, "token": self._lease.token}):
            raise LeaseLost(uuid=self._lease.order)

    def forget(self, keys: Collection[str]) -> None:
        """Take out lines of what was planned, or could not be imported, in earlier attempts; without the lease nothing happens.

        Parameters
        ----------
        keys : collection of str
            As they are stored (`stored_key`).

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there.
        """
        values = {"uuid": self._lease.order, "token": self._lease.token, "keys": json.dumps(sorted(keys))}
        with self._database.begin() as connection:
            connection.execute(_SQL["forget"], values)


def stored_key(text: str) -> str:
    """Return a key as it is stored. Only what cannot be imported has one that is too long: the path of its entry."""
    whole = storable(text).encode()
    if len(whole) <= LONGEST_KEY:
        return whole.decode()
    return f"{whole[: LONGEST_KEY // 2].decode(errors='ignore')}…{sha256(whole).hexdigest()}"


def _columns(file: LedgerFile) -> dict[str, object]:
    return {
        "key": stored_key(file.key),
        "entry": storable(file.entry),
        "output": None if file.output is None else storable(file.output),
        "route": file.route.value,
        "step": file.step.value,
        "fileset": file.fileset,
        "image_ids": list(file.images),
        "plate_ids": list(file.plates),
        "error": None if file.error is None else storable(file.error),
    }


def read_files(connection: Connection, uuid: str) -> tuple[LedgerFile, ...]:
    """Return the ledger of an order, in the order in which its lines were first recorded."""
    file = tables.file
    rows = connection.execute(select(file).where(file.c.uuid == uuid).order_by(file.c.id))
    return tuple(ledger_file(row) for row in rows)


def ledger_file(row: Row[Any]) -> LedgerFile:
    """Return a row of `adi_file` as a line of the ledger."""
    return LedgerFile(
        entry=row.entry,
        key=row.key,
        route=Route(row.route),
        step=FileStep(row.step),
        output=row.output,
        fileset=row.fileset,
        images=tuple(row.images),
        plates=tuple(row.plates),
        error=row.error,
    )
