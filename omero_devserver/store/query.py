# SPDX-License-Identifier: GPL-2.0-or-later
"""Query: runs HQL and makes objects or values of its rows."""

from __future__ import annotations

import sqlite3
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import omero
import omero.model
from omero.rtypes import rbool, rclass, rdouble, rlist, rmap, robject, rstring, rtype

from omero_devserver.hql.discriminators import DISCRIMINATORS
from omero_devserver.hql.errors import HqlError, UnsendableError
from omero_devserver.hql.translate import Column, Fetch, Statement, translate
from omero_devserver.hql.tree import Form
from omero_devserver.hql.values import ValueKind
from omero_devserver.model.schema import ENTITIES
from omero_devserver.store.arguments import Page, read_arguments, read_page
from omero_devserver.store.errors import ValuesSelected
from omero_devserver.store.graph import WRAPPERS, Graph, KindOfRights, kind_of_rights
from omero_devserver.store.query_faults import refused_as_recorded

if TYPE_CHECKING:
    from omero_devserver.store.access import Access
    from omero_devserver.store.rows import Rows

_TRUE = rbool(True)
#: OMERO's projections make a permissions map of an entity with such an alias (OMERO.web relies on it).
_RIGHTS_ONLY = "_details_permissions"
_RIGHTS = ("canLink", "canEdit", "canDelete", "canAnnotate", "canChgrp", "canChown")


class Query:
    """One run of a query on behalf of a caller, within one `Rows.reading`."""

    def __init__(self, rows: Rows, access: Access) -> None:
        self._rows, self._access = rows, access
        self._graph = Graph(rows, access)
        #: Rows of which only the permissions are wanted, by root table and id, and the maps that tell them.
        self._for_rights: dict[tuple[str, int], sqlite3.Row] = {}
        self._maps: dict[KindOfRights, Any] = {}

    def objects(self, text: str, parameters: Any) -> list[Any]:
        """Run a query that selects one entity.

        A root comes once if its collections are fetched, and limits then count roots; joined without fetch, it comes once
        a row (both: real server, recorded).

        Raises
        ------
        ValuesSelected
            It found rows of something else.
        """
        with refused_as_recorded(text):
            statement = translate(text, read_arguments(parameters), self._access.row_filter)
            if statement.roots:
                return self._roots(statement, read_page(parameters))
            found = self._run(statement, read_page(parameters))
            if found:
                raise ValuesSelected(kind=type(found[0][0]).__name__ if len(statement.columns) == 1 else "rows")
            return []

    def project(self, text: str, parameters: Any) -> list[list[Any]]:
        """Run a query and give each row as RTypes; a row of a single null is empty (real server, recorded)."""
        with refused_as_recorded(text):
            statement = translate(text, read_arguments(parameters), self._access.row_filter)
            page = read_page(parameters)
            if statement.roots:
                return [[] if one is None else [robject(one)] for one in self._roots(statement, page)]
            found = self._run(statement, page)
            self._load(statement, found)
            return [self._row(statement, row) for row in found]

    def _roots(self, statement: Statement, page: Page) -> list[Any]:
        in_memory = statement.fetches_collections
        found = self._run(statement, None if in_memory else page)
        ids = [row[0] for row in found]
        if in_memory or statement.distinct:
            ids = list(dict.fromkeys(ids))
        if in_memory and not page.everything:
            ids = ids[page.offset :] if page.limit is None else ids[page.offset : page.offset + page.limit]
            kept = set(ids)
            found = [row for row in found if row[0] in kept]
        self._load(statement, found)
        root = _root(statement.columns[0])
        return [None if row_id is None else self._graph.get(root, row_id) for row_id in ids]

    def _run(self, statement: Statement, page: Page | None) -> list[sqlite3.Row]:
        sql = statement.sql + (page.sql() if page is not None else "")
        try:
            return self._rows.named(sql, statement.bound)
        except sqlite3.OperationalError as error:
            raise HqlError(f"this query cannot be run on SQLite: {error}; {sql}") from error

    def _load(self, statement: Statement, found: list[sqlite3.Row]) -> None:
        wanted: dict[str, set[int]] = defaultdict(set)
        for column in statement.columns:
            if column.value.kind is ValueKind.ENTITY:
                ids = {row[column.at] for row in found if row[column.at] is not None}
                if column.name.endswith(_RIGHTS_ONLY):  # much less work than the objects of a large container
                    self._for_rights.update(
                        ((_root(column), row["id"]), row) for row in self._rows.rows_by_id(_root(column), ids)
                    )
                else:
                    wanted[_root(column)] |= ids
        for fetch in statement.fetches:
            if not fetch.alias.is_map:
                wanted[fetch.alias.entity.root].update(row[fetch.at] for row in found if row[fetch.at] is not None)
        self._graph.load(wanted)
        for fetch in statement.fetches:
            if fetch.alias.field is not None and not fetch.alias.is_map:
                self._attach(fetch, found)

    def _attach(self, fetch: Fetch, found: list[sqlite3.Row]) -> None:
        """Fill a fetched collection; lists in their order, others in the order of the rows."""
        field, parent = fetch.alias.field, fetch.alias.parent
        if field is None or parent is None:
            return
        elements: dict[int, dict[int, None]] = {}
        for row in found:
            if row[fetch.parent_at] is not None:
                own = elements.setdefault(row[fetch.parent_at], {})
                if row[fetch.at] is not None:
                    own[row[fetch.at]] = None
        order = self._positions(fetch, elements) if field.ordered else {}
        for owner_id, ids in elements.items():
            owner = self._graph.get(parent.entity.root, owner_id)
            placed = sorted(ids, key=lambda i: order.get(i, 0)) if field.ordered else ids
            self._graph.set_collection(owner, field.name, [self._graph.get(fetch.alias.entity.root, i) for i in placed])

    def _positions(self, fetch: Fetch, elements: dict[int, dict[int, None]]) -> dict[int, int]:
        ids = {i for own in elements.values() for i in own}
        return {row["id"]: row["position"] or 0 for row in self._rows.rows_by_id(fetch.alias.entity.root, ids)}

    def _row(self, statement: Statement, row: sqlite3.Row) -> list[Any]:
        values = [self._value(column, row) for column in statement.columns]
        match statement.form:
            case Form.MAP:
                return [rmap({c.name or str(i): v for i, (c, v) in enumerate(zip(statement.columns, values, strict=True))})]
            case Form.LIST:
                found = rlist([])
                found._val = values  # rlist() itself takes no nulls
                return [found]
            case Form.ROW:
                return [] if len(values) == 1 and values[0] is None else values

    def _value(self, column: Column, row: sqlite3.Row) -> Any:  # noqa: C901, PLR0911  (one line a kind of value)
        raw = row[column.at]
        if raw is None:
            return None
        match column.value.kind:
            case ValueKind.ENTITY:
                if column.name.endswith(_RIGHTS_ONLY):
                    return self._permissions_of(_root(column), raw)
                return robject(self._graph.get(_root(column), raw))
            case ValueKind.CLASS:
                if raw not in DISCRIMINATORS:
                    raise HqlError(f"the discriminator of {raw} is not known; select type(…) instead of ….class")
                return rstring(DISCRIMINATORS[raw])
            case ValueKind.TYPE:
                return rclass(ENTITIES[raw].full_name)
            case ValueKind.PERMISSIONS:
                return _permissions(raw)
            case ValueKind.DETAILS:
                raise UnsendableError(what=_details(column, raw))
            case ValueKind.BYTES:
                raise UnsendableError(what=f"[B:[B@{zlib.crc32(raw):08x}")
            case ValueKind.USER_NAME if not self._access.sees_names(row[column.at + 1]):
                return rstring(column.value.hidden) if column.value.hidden else None
            case ValueKind.UNIT:
                return _unit(column.value.unit_type, raw, row[column.at + 1])
            case _:
                return WRAPPERS[column.value.type](raw) if column.value.type else rtype(raw)

    def _permissions_of(self, root: str, row_id: int) -> Any:
        row = self._for_rights[root, row_id]
        key = kind_of_rights(row)
        if key not in self._maps:
            permissions = self._graph.permissions(row)
            denied = permissions._restrictions or [False] * len(_RIGHTS)
            rights = {name: rbool(not no) for name, no in zip(_RIGHTS, denied, strict=True)}
            self._maps[key] = rmap({**rights, "perm": rstring(str(permissions))})
        return self._maps[key]


def _root(column: Column) -> str:
    entity = column.value.entity
    if entity is None:
        raise TypeError("A column of entities has no entity.")
    return entity.root


def _details(column: Column, raw: str) -> str:
    """Name the details of a row as the server's message does."""
    permissions, user, group, created, updated = map(int, raw.split(";"))
    inner = f"perm={omero.model.PermissionsI(permissions)};user={user};group={group};create={created};update={updated}"
    name = column.value.entity.full_name if column.value.entity is not None else ""
    return f"{name}$Details:Details:{{{inner}}}"


def _permissions(perm1: int) -> Any:
    """Permissions selected as a value carry no restrictions: all rights are true (real server, recorded)."""
    return rmap({**dict.fromkeys(_RIGHTS, _TRUE), "perm": rstring(str(omero.model.PermissionsI(perm1)))})


def _unit(unit_type: str, number: float, unit: str) -> Any:
    symbol = getattr(omero.model, f"{unit_type}I")(number, unit).getSymbol()
    return rmap({"value": rdouble(number), "unit": rstring(unit), "symbol": rstring(symbol)})
