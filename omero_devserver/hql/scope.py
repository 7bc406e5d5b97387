# SPDX-License-Identifier: GPL-2.0-or-later
"""Scope: the from clause of a query or subquery; its aliases, and the tables they are joined from.

Collections and roots are seen through the caller's filter, references are not: that is how Hibernate applies filters, and
what a real server was seen to do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from omero_devserver.hql.errors import HqlError
from omero_devserver.model.schema import ENTITIES, Entity, Field, Kind
from omero_devserver.model.tables import DETAILS, table

if TYPE_CHECKING:
    from collections.abc import Iterator

#: SQL condition under which the caller may see rows of an entity in a table of that alias; "" if always.
RowFilter = Callable[[str, Entity], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A table of a from clause.

    entity: what its rows are; of a map or a unit, the entity that has it.
    field:  how it was reached from `parent`, if it is a collection, a map or a unit.
    """

    table: str
    entity: Entity
    parent: Alias | None = None
    field: Field | None = None
    fetch: bool = False

    @property
    def is_map(self) -> bool:
        """Whether its rows are named values, no entities."""
        return self.field is not None and self.field.kind is Kind.MAP

    @property
    def is_unit(self) -> bool:
        """Whether it is a number with a unit inside the table of its parent."""
        return self.field is not None and self.field.kind is Kind.UNIT


@dataclass(slots=True)
class _Part:
    """One table of the SQL from clause; conditions may be added until it is written out."""

    keyword: str
    source: str
    conditions: list[str]

    def sql(self) -> str:
        on = f" ON {' AND '.join(self.conditions)}" if self.conditions else ""
        return f"{self.keyword} {self.source}{on}"


class Scope:
    """The from clause of one query."""

    def __init__(self, *, row_filter: RowFilter, text: str, parent: Self | None = None) -> None:
        self.row_filter, self.text, self.parent = row_filter, text, parent
        self.roots: list[Alias] = []
        self.fetched: list[Alias] = []
        self.conditions: list[str] = []
        self._names: dict[str, Alias] = {}
        self._parts: list[_Part] = []
        self._implicit: dict[tuple[str, str], Alias] = {}
        #: References by which tables are joined: they are the ids of those tables' rows.
        self._references: dict[str, str] = {}
        self._numbers: Iterator[int] = parent._numbers if parent is not None else itertools.count(1)

    def find(self, name: str) -> Alias | None:
        """Alias of that name here or in a query around this one."""
        found = self._names.get(name)
        return self.parent.find(name) if found is None and self.parent is not None else found

    def add_root(self, entity: Entity, name: str, *, conditions: tuple[str, ...] = (), filtered: bool = True) -> Alias:
        """Add an entity to the from clause."""
        alias = Alias(table=self.new_table(), entity=entity)
        self._parts.append(_Part("JOIN" if self._parts else "", f"{table(entity)} AS {alias.table}", []))
        self.conditions += conditions
        if entity.name != entity.root:
            classes = ", ".join(f"'{name}'" for name in sorted(entity.subs))
            self.conditions.append(f"{alias.table}.cls IN ({classes})")
        if filtered and (condition := self.row_filter(alias.table, entity)):
            self.conditions.append(condition)
        self.roots.append(alias)
        self._names[name or f"generated {alias.table}"] = alias
        return alias

    def name(self, alias: Alias, name: str) -> None:
        """Make an alias known by a name."""
        if name:
            self._names[name] = alias

    def correlated_collection(self, owner: Alias, field: Field, name: str) -> Alias:
        """Add the elements of a collection of an outer alias to the from clause of a subquery."""
        entity = ENTITIES[field.type]
        alias = self.add_root(entity, name)
        self.conditions.append(f"{alias.table}.r_{field.inverse} = {owner.table}.id")
        return alias

    def join(self, start: Alias, part: str, *, outer: bool, fetch: bool = False) -> Alias:
        """Join what a property of `start` refers to; the name of a detail comes as ``details.owner``."""
        keyword = "LEFT JOIN" if outer else "JOIN"
        if part.startswith("details."):
            column, target = detail(part.removeprefix("details."), start, self.text)
            return self._join_table(
                Alias(table=self.new_table(), entity=ENTITIES[target], parent=start, fetch=fetch),
                keyword,
                f"{start.table}.{column}",
            )
        field = field_of(start.entity, part, self.text)
        match field.kind:
            case Kind.REF:
                alias = Alias(table=self.new_table(), entity=ENTITIES[field.type], parent=start, fetch=fetch)
                return self._join_table(alias, keyword, f"{start.table}.r_{part}")
            case Kind.SEQ:
                return self._join_collection(start, field, keyword, fetch=fetch)
            case Kind.MAP:
                return self._join_map(start, field, keyword, fetch=fetch)
            case Kind.UNIT:
                return Alias(table=start.table, entity=start.entity, parent=start, field=field)
            case Kind.SCALAR | Kind.BYTES:
                raise HqlError(f"cannot join {part}: it is a value of {start.entity.full_name} [{self.text}]")

    def implicit(self, start: Alias, part: str) -> Alias:
        """Join what a path steps through, once for all paths that step through it; as Hibernate does, by an inner join."""
        key = (start.table, part)
        if key not in self._implicit:
            self._implicit[key] = self.join(start, part, outer=False)
        return self._implicit[key]

    def add_condition(self, alias: Alias, condition: str) -> None:
        """Add the condition after `with` to the join of an alias."""
        self._references.pop(alias.table, None)
        part = next(p for p in self._parts if p.source.endswith(f" AS {alias.table}"))
        part.conditions.append(f"({condition})")

    def reference(self, alias: Alias) -> str:
        """Find the column that refers to the row of an alias; "" if it was not joined by a reference."""
        if alias.table in self._references or self.parent is None:
            return self._references.get(alias.table, "")
        return self.parent.reference(alias)

    def sql(self) -> str:
        """Write the from clause, without the word `from`."""
        return " ".join(part.sql() for part in self._parts).strip()

    def new_table(self) -> str:
        """Make up a name for a table in the SQL."""
        return f"a{next(self._numbers)}"

    def _join_table(self, alias: Alias, keyword: str, column: str) -> Alias:
        self._parts.append(_Part(keyword, f"{table(alias.entity)} AS {alias.table}", [f"{alias.table}.id = {column}"]))
        self._references[alias.table] = column
        if alias.fetch:
            self.fetched.append(alias)
        return alias

    def _join_collection(self, start: Alias, field: Field, keyword: str, *, fetch: bool) -> Alias:
        alias = Alias(table=self.new_table(), entity=ENTITIES[field.type], parent=start, field=field, fetch=fetch)
        conditions = [f"{alias.table}.r_{field.inverse} = {start.table}.id"]
        if condition := self.row_filter(alias.table, alias.entity):
            conditions.append(condition)
        self._parts.append(_Part(keyword, f"{table(alias.entity)} AS {alias.table}", conditions))
        if fetch:
            self.fetched.append(alias)
        return alias

    def _join_map(self, start: Alias, field: Field, keyword: str, *, fetch: bool) -> Alias:
        alias = Alias(table=self.new_table(), entity=start.entity, parent=start, field=field, fetch=fetch)
        conditions = [
            f"{alias.table}.object = {start.table}.id",
            f"{alias.table}.root = '{start.entity.root}'",
            f"{alias.table}.field = '{field.name}'",
        ]
        self._parts.append(_Part(keyword, f"map_value AS {alias.table}", conditions))
        if fetch:
            self.fetched.append(alias)
        return alias


def field_of(entity: Entity, name: str, text: str) -> Field:
    """Field of an entity or, as Hibernate allows, of one of its subclasses.

    Raises
    ------
    HqlError
        There is none, or subclasses have different ones of that name.
    """
    if name in entity.fields:
        return entity.fields[name]
    found = {(f.kind, f.type): f for sub in sorted(entity.subs) if (f := ENTITIES[sub].fields.get(name)) is not None}
    if not found:
        raise HqlError(f"could not resolve property: {name} of: {entity.full_name} [{text}]")
    if len(found) > 1:
        raise HqlError(f"the subclasses of {entity.full_name} have different properties {name} [{text}]")
    return next(iter(found.values()))


def detail(name: str, alias: Alias, text: str) -> tuple[str, str]:
    """Column and entity of a detail that is a reference."""
    if name not in DETAILS:
        raise HqlError(f"could not resolve property: {name} of: {alias.entity.full_name}.details [{text}]")
    return DETAILS[name]
