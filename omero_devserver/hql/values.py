# SPDX-License-Identifier: GPL-2.0-or-later
"""Values: what a piece of HQL has become, its SQL and what it stands for; and the arguments that a query is run with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omero_devserver.hql.scope import Alias
    from omero_devserver.model.schema import Entity


class ValueKind(StrEnum):
    """What a value is; it decides what a client gets."""

    SCALAR = "scalar"
    ENTITY = "entity"  # `sql` is its id
    CLASS = "class"  # `x.class`: `sql` is the name of the class
    TYPE = "type"  # `type(x)`: likewise
    CLASS_NAME = "class name"  # a class written in the query
    PERMISSIONS = "permissions"  # of a row: `sql` is `perm1` of its group
    DETAILS = "details"  # of a row, as a whole: `sql` is their five columns as text
    UNIT = "unit"  # `sql` is the number, `second_sql` the unit
    USER_NAME = "user name"  # names and address of a user: `second_sql` is the user's id
    BYTES = "bytes"
    NAMED_VALUE = "named value"  # an element of a map, as a whole
    NULL = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A translated expression.

    type:  RType of a scalar where it is known, else "".
    list:  the expression is a parameter with several values, `sql` a subselect of them.
    alias: the alias whose row an entity is, if it is one of the from clause.
    hidden: of a user's name: what is told to those who may not know it; "" is null.
    """

    sql: str
    type: str = ""
    kind: ValueKind = ValueKind.SCALAR
    entity: Entity | None = None
    alias: Alias | None = None
    second_sql: str = ""
    hidden: str = ""
    unit_type: str = ""
    list: bool = False
    aggregate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A parameter's value: RType and SQL value, or those of the elements of a list."""

    type: str
    value: int | float | str | None = None
    elements: tuple[int | float | str | None, ...] | None = None
    element_types: frozenset[str] = frozenset()
