# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows: plain reading and writing of the tables, without OMERO's rules."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from omero_devserver.model.schema import Kind, find_class
from omero_devserver.model.tables import table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

    from omero_devserver.model.schema import Entity
    from omero_devserver.store.database import Database

#: Parameters of one statement stay well below SQLite's limit of 32,766.
CHUNK = 1000


class Rows:
    """The tables of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self._database.read_only

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all of a block at its end, or nothing; see `Database.writing`."""
        with self._database.writing():
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let a block see one state; see `Database.reading`."""
        with self._database.reading():
            yield

    def rows(self, sql: str, *arguments: object) -> list[sqlite3.Row]:
        """Run a statement that reads."""
        return self._database.rows(sql, arguments)

    def named(self, sql: str, arguments: Mapping[str, object]) -> list[sqlite3.Row]:
        """Run a statement that reads, with named parameters."""
        with self._database.reading() as connection:
            return list(connection.execute(sql, dict(arguments)))

    def execute(self, sql: str, *arguments: object) -> int:
        """Run a statement that writes; returns the number of rows it changed."""
        with self._database.writing() as connection:
            return connection.execute(sql, arguments).rowcount

    def insert(self, entity: str, **values: object) -> int:
        """Add a row; returns its id.

        The row becomes the last one of the list it belongs to, if its entity is kept in a list.
        """
        found = find_class(entity)
        values = {"cls": found.name, **values}
        lists = list_columns(found)
        if lists and "position" not in values:
            column = next((c for c in lists if values.get(c) is not None), None)
            if column is not None:
                values["position"] = self.next_position(found, column, values[column])
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self._database.writing() as connection:
            cursor = connection.execute(f"INSERT INTO {table(found)} ({names}) VALUES ({marks})", list(values.values()))
            return int(cursor.lastrowid or 0)

    def update(self, entity: str, row_id: int, **values: object) -> None:
        """Change columns of a row, if any are given."""
        if not values:
            return
        changes = ", ".join(f"{name} = ?" for name in values)
        self.execute(f"UPDATE {table(find_class(entity))} SET {changes} WHERE id = ?", *values.values(), row_id)

    def add_logs(self, event: int, logs: Iterable[tuple[str, str, int]]) -> None:
        """Add the EventLogs of an event: action, full name of the class and id of each row that it changed."""
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT INTO t_EventLog (cls, c_action, c_entityType, c_entityId, r_event) VALUES ('EventLog', ?, ?, ?, ?)",
                [(*log, event) for log in logs],
            )

    def row(self, entity: Entity, row_id: int) -> sqlite3.Row | None:
        """Read the row of an id, if there is one."""
        found = self.rows(f"SELECT * FROM {table(entity)} WHERE id = ?", row_id)
        return found[0] if found else None

    def rows_by_id(self, root: str, ids: Iterable[int]) -> Iterator[sqlite3.Row]:
        """Rows of a table, in no order; missing ids are left out."""
        for part in chunks(ids):
            yield from self.rows(f"SELECT * FROM t_{root} WHERE id IN ({', '.join('?' * len(part))})", *part)

    def next_position(self, entity: Entity, column: str, owner: object) -> int:
        """Place after the last element of a list."""
        found = self.rows(f"SELECT coalesce(max(position) + 1, 0) FROM {table(entity)} WHERE {column} = ?", owner)
        return int(found[0][0])

    def set_map(self, root: str, row_id: int, field: str, values: Iterable[tuple[str | None, str | None]]) -> None:
        """Replace the named values of a map field, keeping their order."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM map_value WHERE object = ? AND root = ? AND field = ?", (row_id, root, field))
            connection.executemany(
                "INSERT INTO map_value (root, object, field, position, name, value) VALUES (?, ?, ?, ?, ?, ?)",
                [(root, row_id, field, at, name, value) for at, (name, value) in enumerate(values)],
            )


def chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    """Cut ids into parts that fit into one statement."""
    every = list(ids)
    for start in range(0, len(every), CHUNK):
        yield every[start : start + CHUNK]


def list_columns(entity: Entity) -> tuple[str, ...]:
    """List references of an entity to the owners of ordered collections that it is an element of."""
    return tuple(
        f"r_{other.inverse}"
        for f in entity.fields.values()
        if f.kind is Kind.REF
        for other in find_class(f.type).own.values()
        if other.kind is Kind.SEQ and other.ordered and other.type in entity.bases and other.inverse == f.name
    )
