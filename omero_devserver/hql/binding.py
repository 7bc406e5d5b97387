# SPDX-License-Identifier: GPL-2.0-or-later
"""Binding: what the SQL of a query is to be run with: the values written in the query, and those of its parameters.

Text goes into the SQL as an argument, never as a part of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from omero_devserver.hql.errors import EmptyListError, NullParameterError, ParameterTypeError, TooManyValuesError
from omero_devserver.hql.values import Value, ValueKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omero_devserver.hql import tree
    from omero_devserver.hql.values import Argument

#: PostgreSQL's driver cannot bind more (real server, recorded: 5,000 work, 40,000 end the connection).
_MOST_ELEMENTS = 32_767


class Binding:
    """The arguments of one statement, subqueries included.

    arguments: values of the named parameters.
    bound:     what the SQL refers to so far, by its names there.
    """

    def __init__(self, arguments: Mapping[str, Argument]) -> None:
        self.arguments = arguments
        self.bound: dict[str, object] = {}

    def bind(self, value: object) -> str:
        """Keep a value for the run; returns how the SQL refers to it."""
        name = f"v{len(self.bound)}"
        self.bound[name] = value
        return f":{name}"

    def literal(self, value: float | str | bool | None) -> Value:
        """Translate a value that is written in the query."""
        match value:
            case None:
                return Value(sql="NULL", kind=ValueKind.NULL)
            case bool():
                return Value(sql=str(int(value)), type="RBool")
            case int():
                return Value(sql=str(value), type="RInt" if abs(value) < 2**31 else "RLong")
            case float():
                return Value(sql=repr(value), type="RDouble")
            case str():
                return Value(sql=self.bind(value), type="RString")

    def parameter(self, node: tree.Parameter, wanted: Value | None) -> Value:
        """Translate a named parameter.

        Raises
        ------
        NullParameterError
            It has no value.
        ParameterTypeError
            It is of another type than `wanted`, with which it is compared.
        TooManyValuesError
            It is a longer list than a real server takes.
        """
        argument = self.arguments.get(node.name)
        if argument is None:
            raise NullParameterError(name=node.name)
        given = argument.element_types if argument.elements is not None else {argument.type}
        expected = _expected_type(wanted)
        wrong = next((kind for kind in sorted(given) if expected and kind != expected), None)
        if wrong is not None:
            raise ParameterTypeError(name=node.name, wanted=expected, given=wrong)
        if argument.elements is None:
            return Value(sql=self.bind(argument.value), type=argument.type)
        if len(argument.elements) > _MOST_ELEMENTS:
            raise TooManyValuesError(name=node.name, most=_MOST_ELEMENTS)
        # One argument however many there are: no limit of SQLite's is met, and the statement stays the same.
        return Value(sql=f"(SELECT value FROM json_each({self.bind(json.dumps(argument.elements))}))", list=True)

    def refuse_empty(self, node: tree.Parameter, text: str) -> None:
        """Refuse a list without elements where values are wanted; `text` is the query."""
        if self.arguments[node.name].elements == ():
            raise EmptyListError(text=text.replace(f":{node.name}", ""))


def _expected_type(wanted: Value | None) -> str:
    if wanted is None:
        return ""
    return "RLong" if wanted.kind is ValueKind.ENTITY else wanted.type
