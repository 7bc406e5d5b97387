# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths: what `image.details.owner.omeName` and the like mean in a scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_devserver.hql.errors import HqlError, NotExecutableError
from omero_devserver.hql.scope import Alias, Scope, detail, field_of
from omero_devserver.hql.values import Value, ValueKind
from omero_devserver.model.schema import ENTITIES, Entity, Field, Kind, UnknownEntityError, find_class
from omero_devserver.model.tables import DETAILS

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Properties of an Experimenter that not everybody may read, and what is told instead; "" is null.
USER_NAMES = {"omeName": "<hidden>", "firstName": "<hidden>", "lastName": "<hidden>", "middleName": "", "email": ""}


def resolve(scope: Scope, parts: Sequence[str]) -> Value:
    """Translate a path to a value: a column, an entity, a class name.

    Raises
    ------
    HqlError
        A part of it does not exist, or steps through a collection.
    """
    start, rest = _start(scope, parts)
    if start is None:
        return _class_name(scope, parts)
    return _Walk(scope, start).to(rest)


def selected(scope: Scope, parts: Sequence[str]) -> Value:
    """Translate a path of a select clause.

    Hibernate joins the entity that such a path ends in, so that rows without one are left out (HQL: "implicit joining").
    """
    start, rest = _start(scope, parts)
    found = resolve(scope, parts)
    if start is None or found.kind is not ValueKind.ENTITY or found.alias is not None:
        return found
    for step in _joined_details(rest):
        start = scope.implicit(start, step)
    return Value(sql=f"{start.table}.id", kind=ValueKind.ENTITY, entity=start.entity, alias=start)


def class_named(parts: Sequence[str]) -> Entity | None:
    """Find the class of that name, in short or with its package."""
    text = ".".join(parts)
    try:
        entity = find_class(text)
    except UnknownEntityError:
        return None
    return entity if text in (entity.name, entity.full_name) else None


def collection(scope: Scope, parts: Sequence[str]) -> tuple[Alias, Field]:
    """Translate a path to a collection: the alias that has it, and its field."""
    start, rest = _start(scope, parts)
    if start is None or not rest:
        raise HqlError(f"Invalid path: '{'.'.join(parts)}' [{scope.text}]")
    *through, last = _joined_details(rest)
    for part in through:
        start = scope.implicit(start, part)
    field = field_of(start.entity, last, scope.text)
    if field.kind is not Kind.SEQ:
        raise HqlError(f"{'.'.join(parts)} is no collection [{scope.text}]")
    return start, field


def join(scope: Scope, parts: Sequence[str], *, outer: bool, fetch: bool) -> Alias:
    """Join along the path of a join; what it steps through is joined in the same way."""
    start = scope.find(parts[0])
    if start is None:
        raise HqlError(f"Invalid path: '{'.'.join(parts)}' [{scope.text}]")
    steps = _joined_details(parts[1:])
    if not steps:
        raise HqlError(f"a join wants a property: {'.'.join(parts)} [{scope.text}]")
    for at, step in enumerate(steps):
        start = scope.join(start, step, outer=outer, fetch=fetch and at == len(steps) - 1)
    return start


def _joined_details(parts: Sequence[str]) -> list[str]:
    """Make one step of each ``details``, ``owner``."""
    steps: list[str] = []
    for part in parts:
        if steps and steps[-1] == "details":
            steps[-1] = f"details.{part}"
        else:
            steps.append(part)
    return steps


def _start(scope: Scope, parts: Sequence[str]) -> tuple[Alias | None, Sequence[str]]:
    alias = scope.find(parts[0])
    if alias is not None:
        return alias, parts[1:]
    if len(scope.roots) == 1:  # an unqualified property is one of the only entity there is
        entity = scope.roots[0].entity
        if parts[0] in {"id", "details", "version"} or parts[0] in entity.fields:
            return scope.roots[0], parts
    return None, parts


def _class_name(scope: Scope, parts: Sequence[str]) -> Value:
    entity = class_named(parts)
    if entity is None:
        raise HqlError(f"Invalid path: '{'.'.join(parts)}' [{scope.text}]")
    return Value(sql=f"'{entity.name}'", kind=ValueKind.CLASS_NAME, entity=entity)


@dataclass(slots=True)
class _Walk:
    """Steps from an alias along the properties of a path."""

    scope: Scope
    at: Alias

    def to(self, parts: Sequence[str]) -> Value:  # noqa: PLR0911  (one return a kind of step)
        if not parts:
            return self._whole()
        first, rest = parts[0], parts[1:]
        if self.at.is_map:
            return self._end(rest, Value(sql=f"{self.at.table}.{self._one_of(first, 'name', 'value')}", type="RString"))
        if self.at.is_unit and self.at.field is not None:
            return self._unit(self.at.field, parts)
        table = self.at.table
        match first:
            case "id":
                return self._end(rest, Value(sql=f"{table}.id", type="RLong", alias=self.at))
            case "version":
                return self._end(rest, Value(sql=f"{table}.version", type="RInt"))
            case "class":
                return self._end(rest, Value(sql=f"{table}.cls", kind=ValueKind.CLASS, entity=self.at.entity))
            case "details":
                return self._details(rest)
        return self._property(field_of(self.at.entity, first, self.scope.text), rest)

    def _property(self, field: Field, rest: Sequence[str]) -> Value:
        column = f"{self.at.table}.c_{field.name}"
        match field.kind:
            case Kind.SCALAR if self.at.entity.name == "Experimenter" and field.name in USER_NAMES:
                hidden = USER_NAMES[field.name]
                user = f"{self.at.table}.id"
                name = Value(sql=column, type=field.type, kind=ValueKind.USER_NAME, second_sql=user, hidden=hidden)
                return self._end(rest, name)
            case Kind.SCALAR:
                return self._end(rest, Value(sql=column, type=field.type))
            case Kind.BYTES:
                return self._end(rest, Value(sql=column, kind=ValueKind.BYTES))
            case Kind.UNIT:
                return self._unit(field, rest)
            case Kind.REF:
                return self._reference(f"{self.at.table}.r_{field.name}", ENTITIES[field.type], field.name, rest)
            case Kind.MAP:
                raise HqlError(f"not an entity: {field.name} [{self.scope.text}]")
            case Kind.SEQ:
                return self._elements(field, rest)

    def _elements(self, field: Field, rest: Sequence[str]) -> Value:
        """Hibernate joins a collection that a path ends in; it does not step through one."""
        if rest and rest[0] == "size":
            raise NotExecutableError(why=f"{field.name}.size", in_select=False)
        if rest:
            raise HqlError(
                f"illegal attempt to dereference collection [{self.at.table}.{field.name}] "
                f"with element property reference [{rest[0]}] [{self.scope.text}]"
            )
        alias = self.scope.implicit(self.at, field.name)
        return Value(sql=f"{alias.table}.id", kind=ValueKind.ENTITY, entity=alias.entity, alias=alias)

    def _reference(self, column: str, entity: Entity, step: str, rest: Sequence[str]) -> Value:
        if not rest:
            return Value(sql=column, kind=ValueKind.ENTITY, entity=entity)
        if rest[0] == "id":  # needs no join
            return self._end(rest[1:], Value(sql=column, type="RLong"))
        self.at = self.scope.implicit(self.at, step)
        return self.to(rest)

    def _details(self, rest: Sequence[str]) -> Value:
        if not rest:
            return self._all_details()
        name = rest[0]
        if name == "permissions":
            return self._permissions(rest[1:])
        column, target = detail(name, self.at, self.scope.text)
        return self._reference(f"{self.at.table}.{column}", ENTITIES[target], f"details.{name}", rest[1:])

    def _all_details(self) -> Value:
        columns = [f"{self.at.table}.{DETAILS[name][0]}" for name in ("owner", "group", "creationEvent", "updateEvent")]
        sql = f"printf('%d;%d;%d;%d;%d', {', '.join([self._permissions(()).sql, *columns])})"
        return Value(sql=sql, kind=ValueKind.DETAILS, entity=self.at.entity)

    def _permissions(self, rest: Sequence[str]) -> Value:
        group = "id" if self.at.entity.name == "ExperimenterGroup" else DETAILS["group"][0]
        sql = f"(SELECT g.permissions FROM t_ExperimenterGroup g WHERE g.id = {self.at.table}.{group})"
        if rest:
            return self._end(rest[1:], Value(sql=sql, type="RLong")) if rest[0] == "perm1" else self._end(rest, Value(sql=sql))
        return Value(sql=sql, kind=ValueKind.PERMISSIONS)

    def _unit(self, field: Field, rest: Sequence[str]) -> Value:
        number, unit = f"{self.at.table}.c_{field.name}", f"{self.at.table}.u_{field.name}"
        if not rest:
            return Value(sql=number, kind=ValueKind.UNIT, second_sql=unit, unit_type=field.type)
        part = self._one_of(rest[0], "value", "unit")
        return self._end(rest[1:], Value(sql=number, type="RDouble") if part == "value" else Value(sql=unit, type="RString"))

    def _whole(self) -> Value:
        table = self.at.table
        if self.at.is_map:
            return Value(sql=f"{table}.name", kind=ValueKind.NAMED_VALUE)
        if self.at.is_unit and self.at.field is not None:
            return self._unit(self.at.field, ())
        return Value(sql=f"{table}.id", kind=ValueKind.ENTITY, entity=self.at.entity, alias=self.at)

    def _end(self, rest: Sequence[str], value: Value) -> Value:
        """Refuse a path that goes on behind a value."""
        if rest:
            raise HqlError(f"could not resolve property: {rest[0]} of: {self.at.entity.full_name} [{self.scope.text}]")
        return value

    def _one_of(self, part: str, *allowed: str) -> str:
        if part not in allowed:
            raise HqlError(f"could not resolve property: {part} of: {self.at.entity.full_name} [{self.scope.text}]")
        return part
