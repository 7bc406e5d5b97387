# SPDX-License-Identifier: GPL-2.0-or-later
"""Tree: what a parsed query consists of. Names are still text here; `translate` finds out what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Form(StrEnum):
    """What a row of a select clause becomes."""

    ROW = "row"
    MAP = "map"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the query; None is `null`."""

    value: int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Positional:
    """A parameter without a name, `?`; clients cannot give it a value."""


@dataclass(frozen=True, slots=True)
class Path:
    """An alias, a property or a class name, cut at the dots."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Star:
    """The `*` of count(*)."""


@dataclass(frozen=True, slots=True)
class Negative:
    """Minus."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Not:
    """Logical not."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` of two conditions."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Comparison:
    """`=`, `<>`, `<`, `<=`, `>`, `>=`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`+`, `-`, `*`, `/`, `%` of numbers, `||` of text."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between:
    """`operand between low and high`."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """`operand like pattern escape '…'`."""

    operand: Expression
    pattern: Expression
    escape: str
    negated: bool


@dataclass(frozen=True, slots=True)
class In:
    """`operand in (…)`: values, one parameter that is a list, a subquery, or elements(…)."""

    operand: Expression
    items: tuple[Expression, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    """`operand is null`."""

    operand: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """`collection is empty`."""

    collection: Path
    negated: bool


@dataclass(frozen=True, slots=True)
class MemberOf:
    """`operand member of collection`."""

    operand: Expression
    collection: Path
    negated: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """`exists (subquery)` or `exists elements(…)`."""

    operand: Subquery | Elements


@dataclass(frozen=True, slots=True)
class Elements:
    """`elements(collection)`."""

    collection: Path


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an aggregate; `near` says where it stands in the text."""

    name: str
    arguments: tuple[Expression, ...]
    distinct: bool = False
    near: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Cast:
    """`cast(operand as type)`."""

    operand: Expression
    type: str


@dataclass(frozen=True, slots=True)
class Extract:
    """`extract(part from operand)`."""

    part: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Case:
    """`case [operand] when … then … else … end`."""

    operand: Expression | None
    whens: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class Subquery:
    """A query in brackets."""

    query: Query


Expression = (
    Literal
    | Parameter
    | Positional
    | Path
    | Star
    | Negative
    | Not
    | Logic
    | Comparison
    | Arithmetic
    | Between
    | Like
    | In
    | IsNull
    | IsEmpty
    | MemberOf
    | Exists
    | Elements
    | Call
    | Cast
    | Extract
    | Case
    | Subquery
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectItem:
    """One expression of a select clause; `alias` is "" without `as`."""

    expression: Expression
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """A select clause."""

    items: tuple[SelectItem, ...]
    distinct: bool
    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """One join of a from clause, with the condition after `with`."""

    path: Path
    alias: str
    outer: bool
    fetch: bool
    condition: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An entity (or, in a subquery, a collection of an outer alias) with what is joined to it."""

    path: Path
    alias: str
    joins: tuple[Join, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One expression of an order by clause."""

    expression: Expression
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A whole query, or the inside of a subquery; `select` is None for `from Image i`."""

    select: Select | None
    sources: tuple[Source, ...]
    where: Expression | None
    group_by: tuple[Expression, ...]
    having: Expression | None
    order_by: tuple[Order, ...]
