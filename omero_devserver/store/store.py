# SPDX-License-Identifier: GPL-2.0-or-later
"""Store: everything that the server's services read and write, in one SQLite file.

The one door to this package: services call `Store`, `Store.people` and `Store.graphs`, nothing else in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_devserver.model.schema import UnknownEntityError, find_class
from omero_devserver.model.tables import create_tables, table
from omero_devserver.store.access import Access
from omero_devserver.store.bootstrap import fill_empty
from omero_devserver.store.database import Database
from omero_devserver.store.graph import Graph
from omero_devserver.store.graphs import Graphs
from omero_devserver.store.people import People
from omero_devserver.store.query import Query
from omero_devserver.store.refusals import api_usage, missing, read_only, unreadable
from omero_devserver.store.rows import Rows
from omero_devserver.store.save import Save

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from omero_devserver.store.caller import Caller
    from omero_devserver.store.delete import Deletion
    from omero_devserver.store.graphrules import ChildOption


class Store:
    """OMERO objects in the file at `path`, made with its first rows if it does not exist.

    Safe for any number of threads. `root_password` is that of user root at the first start; later it is not looked at.
    `before_commit` is called by every transaction just before its commit; if it raises, nothing is committed.
    """

    def __init__(
        self,
        path: Path,
        *,
        root_password: str = "omero",  # noqa: S107  (OMERO's own default)
        before_commit: Callable[[], None] | None = None,
    ) -> None:
        self._database = Database(path, before_commit=before_commit)
        self._rows = Rows(self._database)
        try:
            with self._database.writing() as connection:
                create_tables(connection)
            fill_empty(self._rows, root_password=root_password)
        except BaseException:
            self._database.close()
            raise
        self.people = People(self._rows)
        self.graphs = Graphs(self._rows)

    def refuse_writes(self) -> None:
        """Be read-only from now on; see `Database.refuse_writes`."""
        self._database.refuse_writes()

    def check_writable(self) -> None:
        """Do nothing but raise omero.ApiUsageException, if the store is read-only."""
        if self._rows.read_only:
            raise read_only()

    def close(self) -> None:
        """Give the file back; what was committed is on disk."""
        self._database.close()

    def objects(self, caller: Caller, hql: str | None, parameters: Any = None) -> list[Any]:
        """Run a query that selects one entity, as IQuery.findAllByQuery does.

        Raises
        ------
        omero.QueryException
            The query is wrong, or uses what is not supported; the text says which.
        omero.ApiUsageException
            A parameter has no value.
        """
        with self._rows.reading():
            return Query(self._rows, Access(caller, self._rows)).objects(hql or "", parameters)

    def project(self, caller: Caller, hql: str | None, parameters: Any = None) -> list[list[Any]]:
        """Run a query and give its rows as RTypes, as IQuery.projection does; raises what `objects` raises."""
        with self._rows.reading():
            return Query(self._rows, Access(caller, self._rows)).project(hql or "", parameters)

    def get(self, caller: Caller, entity: str, ids: Sequence[int]) -> list[Any]:
        """Load rows by id, in the order of `ids`, as IQuery.get does.

        Raises
        ------
        omero.ApiUsageException
            The class is unknown or abstract.
        omero.ValidationException
            There is no such row.
        omero.SecurityViolation
            The caller may not read it.
        """
        try:
            found = find_class(entity or "")
        except UnknownEntityError as error:
            raise api_usage(f"{entity or ''} does not specify a valid class.".strip()) from error
        if not found.concrete:
            raise api_usage(f"{entity} does not specify a valid class.")
        with self._rows.reading():
            access = Access(caller, self._rows)
            rows = {row["id"]: row for row in self._rows.rows_by_id(found.root, ids) if row["cls"] in found.subs}
            for row_id in ids:
                if row_id not in rows:
                    raise missing(found, row_id)
                if not access.can_read(found, rows[row_id]):
                    raise unreadable(found, row_id)
            graph = Graph(self._rows, access)
            graph.load({found.root: ids})
            return [graph.get(found.root, row_id) for row_id in ids]

    def save(self, caller: Caller, objects: Sequence[Any]) -> list[Any]:
        """Save graphs in one transaction, as IUpdate does.

        Returns
        -------
        list of IObject
            What was given, in the same order and shape, with ids, owner, group and events.

        Raises
        ------
        omero.ValidationException
            A value is missing, a row referred to is missing, or a unique constraint is broken.
        omero.SecurityViolation
            The caller may not; with its subclasses for reasons of groups.
        omero.OptimisticLockException
            Somebody else has saved the object since it was read.
        omero.ApiUsageException
            There is no object, or no group to save into; or the store is read-only.
        """
        self.check_writable()
        with self._rows.transaction():
            return Save(self._rows, Access(caller, self._rows)).save(objects)

    def delete(
        self,
        caller: Caller,
        targets: Mapping[str, Sequence[int]],
        *,
        dry_run: bool = False,
        options: Sequence[ChildOption] = (),
    ) -> Deletion:
        """Delete rows and what goes with them, as Delete2 does, in all groups of the caller.

        The files of deleted OriginalFiles are the caller's to remove, after the commit.

        Raises
        ------
        GraphFailed
            A target is missing or not the caller's to delete, or something that would remain needs what would go.
        UnknownEntityError
            A target's class is unknown.
        """
        return self.graphs.delete(caller, targets, dry_run=dry_run, options=options)

    def enumeration(self, entity: str, value: str) -> int | None:
        """Id of an enumeration's value."""
        found = self.rows(f"SELECT id FROM {table(find_class(entity))} WHERE c_value = ?", value)
        return int(found[0][0]) if found else None

    def insert(self, entity: str, **columns: object) -> int:
        """Add a row as it is, without checks; returns its id (columns: see `model.tables`)."""
        return self._rows.insert(entity, **columns)

    def update(self, entity: str, row_id: int, **columns: object) -> None:
        """Change columns of a row as they are, without checks."""
        self._rows.update(entity, row_id, **columns)

    def discard(self, entity: str, row_id: int) -> None:
        """Remove a row as it is, without checks: what refers to it is the caller's concern."""
        self._rows.execute(f"DELETE FROM {table(find_class(entity))} WHERE id = ?", row_id)

    def rows(self, sql: str, *arguments: object) -> list[sqlite3.Row]:
        """Run a statement that reads, without checks."""
        return self._rows.rows(sql, *arguments)

    def transaction(self) -> AbstractContextManager[None]:
        """Hold the one write lock for a block: all of it is committed at its end, or nothing if it raises. Re-entrant."""
        return self._rows.transaction()
