# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions: those of HQL that are translated, and what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_devserver.hql.errors import HqlError, NotExecutableError
from omero_devserver.hql.values import Value, ValueKind

if TYPE_CHECKING:
    from collections.abc import Sequence

AGGREGATES = frozenset({"count", "max", "min", "sum", "avg"})
#: Name in HQL: name in SQLite, number of arguments (least, most), type; "" is that of the first argument that has one.
_FUNCTIONS = {
    "lower": ("lower", 1, 1, "RString"),
    "upper": ("upper", 1, 1, "RString"),
    "trim": ("trim", 1, 1, "RString"),
    "ltrim": ("ltrim", 1, 1, "RString"),
    "rtrim": ("rtrim", 1, 1, "RString"),
    "length": ("length", 1, 1, "RInt"),
    "substring": ("substr", 2, 3, "RString"),
    "substr": ("substr", 2, 3, "RString"),
    "replace": ("replace", 3, 3, "RString"),
    "locate": ("", 2, 2, "RInt"),
    "concat": ("", 1, 99, "RString"),
    "str": ("", 1, 1, "RString"),
    "abs": ("abs", 1, 1, ""),
    "sqrt": ("sqrt", 1, 1, "RDouble"),
    "mod": ("", 2, 2, ""),
    "round": ("round", 1, 2, "RDouble"),
    "floor": ("floor", 1, 1, "RDouble"),
    "ceil": ("ceil", 1, 1, "RDouble"),
    "ceiling": ("ceil", 1, 1, "RDouble"),
    "coalesce": ("coalesce", 2, 99, ""),
    "nullif": ("nullif", 2, 2, ""),
}
#: Functions of text, and how many of their arguments must be text.
_TEXTS = {
    **dict.fromkeys(("lower", "upper", "trim", "ltrim", "rtrim", "length", "substring", "substr"), 1),
    "locate": 2,
    "replace": 3,
}
_CASTS = {
    "string": ("TEXT", "RString"),
    "text": ("TEXT", "RString"),
    "long": ("INTEGER", "RLong"),
    "integer": ("INTEGER", "RInt"),
    "int": ("INTEGER", "RInt"),
    "double": ("REAL", "RDouble"),
    "float": ("REAL", "RFloat"),
}
#: strftime formats of the parts of a time.
_PARTS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}


def call(name: str, arguments: Sequence[Value], where: str) -> Value:
    """Translate the call of a function that is no aggregate; `where` is its place, for messages.

    Raises
    ------
    HqlError
        The function is not supported, or wants another number of arguments.
    """
    if name in _PARTS and len(arguments) == 1:
        return extract(name, arguments[0], where)
    if name not in _FUNCTIONS:
        raise HqlError(f"the function {name} is not supported {where}")
    sql_name, least, most, result = _FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise HqlError(f"the function {name} does not take {len(arguments)} arguments {where}")
    wrong = next((argument for argument in arguments[: _TEXTS.get(name, 0)] if not _is_text(argument)), None)
    if wrong is not None:  # PostgreSQL has no such function; SQLite would make text of anything
        raise NotExecutableError(why=f"function {name} of {wrong.type or wrong.kind} does not exist")
    values = [argument.sql for argument in arguments]
    typed = result or next((argument.type for argument in arguments if argument.type), "")
    aggregate = any(argument.aggregate for argument in arguments)
    match name:
        case "concat":
            sql = f"({' || '.join(values)})"
        case "str":
            sql = f"CAST({values[0]} AS TEXT)"
        case "mod":
            sql = f"({values[0]} % {values[1]})"
        case "locate":
            sql = f"instr({values[1]}, {values[0]})"
        case _:
            sql = f"{sql_name}({', '.join(values)})"
    return Value(sql=sql, type=typed, aggregate=aggregate)


def _is_text(value: Value) -> bool:
    return value.kind is not ValueKind.ENTITY and value.type in ("", "RString")


def aggregate(name: str, argument: Value, *, distinct: bool) -> Value:
    """Translate an aggregate; types as recorded on a real server: count and sum of int are long, avg is double."""
    match name:
        case "count":
            result = "RLong"
        case "avg":
            result = "RDouble"
        case "sum":
            result = "RDouble" if argument.type in ("RDouble", "RFloat") else "RLong"
        case _:
            result = argument.type or "RLong"
    return Value(sql=f"{name}({'DISTINCT ' if distinct else ''}{argument.sql})", type=result, aggregate=True)


def cast(operand: Value, to: str, text: str) -> Value:
    """Translate cast(… as …)."""
    if to not in _CASTS:
        raise HqlError(f"cast to {to} is not supported [{text}]")
    sql_type, result = _CASTS[to]
    return Value(sql=f"CAST({operand.sql} AS {sql_type})", type=result, aggregate=operand.aggregate)


def extract(part: str, operand: Value, where: str) -> Value:
    """Translate extract(… from time); times are milliseconds since 1970 and read as UTC."""
    if part == "epoch" and operand.type == "RTime":
        return Value(sql=f"({operand.sql} / 1000.0)", type="RDouble", aggregate=operand.aggregate)
    if part not in _PARTS or operand.type != "RTime":
        raise HqlError(f"extract({part} from …) is not supported here {where}")
    sql = f"CAST(strftime('{_PARTS[part]}', {operand.sql} / 1000, 'unixepoch') AS INTEGER)"
    return Value(sql=sql, type="RInt", aggregate=operand.aggregate)
