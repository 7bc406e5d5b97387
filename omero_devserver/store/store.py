# SPDX-License-Identifier: GPL-2.0-or-later
"""Store: everything that the server's services read and write, in one SQLite file.

The one door to this package: services call `Store` and `Store.people`, nothing else in here.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from omero_devserver.model.schema import find_class
from omero_devserver.store.bootstrap import fill_empty
from omero_devserver.store.database import Database
from omero_devserver.store.people import People
from omero_devserver.store.rows import Rows
from omero_devserver.store.tables import create_tables, table

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path



class Store:
    """OMERO objects in the file at `path`, made with its first rows if it does not exist.

    Safe for any number of threads. `root_password` is that of user root at the first start; later it is not looked at.
    """

    def __init__(self, path: Path, *, root_password: str = "omero") -> None:  # noqa: S107  (OMERO's own default)
        self._database = Database(path)
        self._rows = Rows(self._database)
        with self._database.writing() as connection:
            create_tables(connection)
        fill_empty(self._rows, root_password=root_password)
        self.people = People(self._rows)

    def close(self) -> None:
        """Give the file back; what was committed is on disk."""
        self._database.close()

    def enumeration(self, entity: str, value: str) -> int | None:
        """Id of an enumeration's value."""
        found = self.rows(f"SELECT id FROM {table(find_class(entity))} WHERE c_value = ?", value)
        return int(found[0][0]) if found else None

    def insert(self, entity: str, **columns: object) -> int:
        """Add a row as it is, without checks; returns its id (columns: see `store.tables`)."""
        return self._rows.insert(entity, **columns)

    def update(self, entity: str, row_id: int, **columns: object) -> None:
        """Change columns of a row as they are, without checks."""
        self._rows.update(entity, row_id, **columns)

    def rows(self, sql: str, *arguments: object) -> list[sqlite3.Row]:
        """Run a statement that reads, without checks."""
        return self._rows.rows(sql, *arguments)

    def transaction(self) -> AbstractContextManager[None]:
        """Hold the one write lock for a block: all of it is committed at its end, or nothing if it raises. Re-entrant."""
        return self._rows.transaction()
