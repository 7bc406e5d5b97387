# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiler: one expression of the tree to SQL.

Texts go into the SQL as arguments only (see `binding`); names in it come from the model or are generated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from omero_devserver.hql import functions, paths, tree
from omero_devserver.hql.discriminators import discriminator_sql
from omero_devserver.hql.errors import (
    HqlError,
    NotExecutableError,
    PositionalError,
)
from omero_devserver.hql.lexer import tokenize
from omero_devserver.hql.values import Value, ValueKind
from omero_devserver.model.schema import ENTITIES
from omero_devserver.model.tables import table

if TYPE_CHECKING:
    from omero_devserver.hql.binding import Binding
    from omero_devserver.hql.scope import Scope

#: SQLite takes expressions of a thousand levels; each operator of a chain is one.
_LONGEST_CHAIN = 500
_ARITHMETIC_ORDER = ("RDouble", "RFloat", "RLong", "RInt")

SubqueryCompiler = Callable[[tree.Query, "Compiler"], Value]


class Compiler:
    """Translates the expressions of one query.

    binding:  values of the query and of its parameters; shared with subqueries.
    subquery: translates a query inside this one.
    """

    def __init__(self, *, scope: Scope, binding: Binding, subquery: SubqueryCompiler) -> None:
        self.scope, self.binding, self.subquery = scope, binding, subquery
        #: Select aliases, which order by may use.
        self.selected: dict[str, Value] = {}

    @property
    def text(self) -> str:
        """The query, for messages."""
        return self.scope.text

    def value(self, node: tree.Expression) -> Value:  # noqa: C901, PLR0911, PLR0912  (one line a kind of node)
        """Translate any expression."""
        match node:
            case tree.Literal():
                return self.binding.literal(node.value)
            case tree.Parameter():
                return self.binding.parameter(node, None)
            case tree.Positional():
                raise PositionalError(count=sum(token.is_symbol("?") for token in tokenize(self.text)))
            case tree.Path():
                return self._path(node)
            case tree.Star():
                return Value(sql="*")
            case tree.Negative():
                inner = self.value(node.operand)
                return replace(inner, sql=f"(- {inner.sql})", alias=None)
            case tree.Not():
                return _condition(f"NOT ({self.value(node.operand).sql})")
            case tree.Logic():
                return self._logic(node)
            case tree.Comparison():
                return self._comparison(node)
            case tree.Arithmetic():
                return self._arithmetic(node)
            case tree.Between():
                operand = self.value(node.operand)
                low, high = self._like_type(node.low, operand), self._like_type(node.high, operand)
                return _condition(f"{operand.sql} {_no(node.negated)}BETWEEN {low.sql} AND {high.sql}")
            case tree.Like():
                return self._like(node)
            case tree.In():
                return self._in(node)
            case tree.IsNull():
                return _condition(f"{self.value(node.operand).sql} IS {_no(node.negated)}NULL")
            case tree.IsEmpty():
                # "is not empty" holds when there are rows: the words and the SQL are opposite.
                return _condition(f"{_no(not node.negated)}EXISTS {self._elements(node.collection)}")
            case tree.MemberOf():
                return self._member_of(node)
            case tree.Exists(tree.Subquery() as inner_query):
                return _condition(f"EXISTS {self.value(inner_query).sql}")
            case tree.Exists(tree.Elements() as elements):
                return _condition(f"EXISTS {self._elements(elements.collection)}")
            case tree.Elements():
                return self._path(node.collection)
            case tree.Call():
                return self._call(node)
            case tree.Cast():
                return functions.cast(self.value(node.operand), node.type, self.text)
            case tree.Extract():
                return functions.extract(node.part, self.value(node.operand), f"[{self.text}]")
            case tree.Case():
                return self._case(node)
            case tree.Subquery():
                return self.subquery(node.query, self)
        raise HqlError(f"{type(node).__name__} cannot stand here [{self.text}]")

    def _path(self, node: tree.Path) -> Value:
        if len(node.parts) == 1 and self.scope.find(node.parts[0]) is None and node.parts[0] in self.selected:
            return self.selected[node.parts[0]]
        return paths.resolve(self.scope, node.parts)

    def _like_type(self, node: tree.Expression, other: Value) -> Value:
        """Translate one side of a comparison: what it is compared with tells the type of parameters and of times."""
        if isinstance(node, tree.Parameter):
            return self.binding.parameter(node, other)
        if isinstance(node, tree.Literal) and isinstance(node.value, str) and other.type == "RTime":
            return Value(sql=str(_milliseconds(node.value, self.text)), type="RTime")
        return self.value(node)

    def _sides(self, left: tree.Expression, right: tree.Expression) -> tuple[Value, Value]:
        if isinstance(left, tree.Parameter | tree.Literal):
            other = self.value(right)
            return self._like_type(left, other), other
        other = self.value(left)
        return other, self._like_type(right, other)

    def _logic(self, node: tree.Logic) -> Value:
        """Write a chain of one operator without brackets: SQLite's parser takes less than a hundred, one in the other."""
        parts = [self.value(part) for part in _chain(node)]
        while len(parts) > 1:
            groups = [parts[at : at + _LONGEST_CHAIN] for at in range(0, len(parts), _LONGEST_CHAIN)]
            parts = [
                Value(
                    sql=f"({f' {node.operator.upper()} '.join(part.sql for part in group)})",
                    type="RBool",
                    aggregate=any(part.aggregate for part in group),
                )
                for group in groups
            ]
        return parts[0]

    def _comparison(self, node: tree.Comparison) -> Value:
        left, right = self._sides(node.left, node.right)
        for one, other in ((left, right), (right, left)):
            if other.kind is ValueKind.NULL and node.operator in ("=", "<>"):  # Hibernate reads `= null` as `is null`
                return Value(sql=f"({one.sql} IS {_no(node.operator == '<>')}NULL)", type="RBool")
            if one.list:  # recorded: `id = :list` finds nothing
                return Value(sql="(NULL)", type="RBool")
        left, right = self._at_reference(_discriminated(left, right)), self._at_reference(_discriminated(right, left))
        return Value(sql=f"({left.sql} {node.operator} {right.sql})", type="RBool", aggregate=left.aggregate or right.aggregate)

    def _arithmetic(self, node: tree.Arithmetic) -> Value:
        if node.operator == "||":
            left, right = self._sides(node.left, node.right)
            result = "RString"
        else:
            left, right = self.value(node.left), self.value(node.right)
            result = next((t for t in _ARITHMETIC_ORDER if t in (left.type, right.type)), "")
        sql = f"({left.sql} {node.operator} {right.sql})"
        return Value(sql=sql, type=result, aggregate=left.aggregate or right.aggregate)

    def _like(self, node: tree.Like) -> Value:
        operand = self.value(node.operand)
        pattern = self._like_type(node.pattern, operand)
        sql = f"{operand.sql} {_no(node.negated)}LIKE {pattern.sql} ESCAPE {self.binding.bind(node.escape)}"
        return _condition(sql)

    def _at_reference(self, value: Value) -> Value:
        """Compare an id where another row refers to it: there is an index there, and no need to meet all rows first."""
        if value.alias is None or value.sql != f"{value.alias.table}.id":
            return value
        return replace(value, sql=self.scope.reference(value.alias) or value.sql)

    def _in(self, node: tree.In) -> Value:
        operand = self._at_reference(self.value(node.operand))
        if len(node.items) == 1 and isinstance(node.items[0], tree.Elements):
            right = self._elements(node.items[0].collection)
            return _condition(f"{operand.sql} {_no(node.negated)}IN {right}")
        items = [self._like_type(item, operand) for item in node.items]
        if len(items) == 1 and (items[0].list or isinstance(node.items[0], tree.Subquery)):
            if isinstance(node.items[0], tree.Parameter):
                self.binding.refuse_empty(node.items[0], self.text)
            return _condition(f"{operand.sql} {_no(node.negated)}IN {items[0].sql}")
        if any(item.list for item in items):
            raise HqlError(f"a list among other values of in (…) is not supported [{self.text}]")
        return _condition(f"{operand.sql} {_no(node.negated)}IN ({', '.join(item.sql for item in items)})")

    def _member_of(self, node: tree.MemberOf) -> Value:
        operand = self.value(node.operand)
        entity = paths.class_named(node.collection.parts) if self.scope.find(node.collection.parts[0]) is None else None
        if entity is None:
            return _condition(f"{operand.sql} {_no(node.negated)}IN {self._elements(node.collection)}")
        # OMERO's own queries ask like this for the class of an object: `ann member of TagAnnotation`.
        classes = ", ".join(f"'{name}'" for name in sorted(entity.subs))
        return _condition(f"{self._type_of(operand).sql} {_no(node.negated)}IN ({classes})")

    def _elements(self, path: tree.Path) -> str:
        """Subselect of the ids of a collection's elements that the caller may see."""
        owner, field = paths.collection(self.scope, path.parts)
        entity = ENTITIES[field.type]
        name = self.scope.new_table()
        condition = self.scope.row_filter(name, entity)
        extra = f" AND {condition}" if condition else ""
        return f"(SELECT {name}.id FROM {table(entity)} AS {name} WHERE {name}.r_{field.inverse} = {owner.table}.id{extra})"

    def _call(self, node: tree.Call) -> Value:
        match node.name:
            case "type" if len(node.arguments) == 1:
                return self._type_of(self.value(node.arguments[0]))
            case "index":
                return self._index(node)
            case "minindex" | "maxindex":  # of an alias: over the rows, as an aggregate (recorded: facts 15)
                return functions.aggregate(node.name.removesuffix("index"), self._index(node), distinct=False)
            case "size":
                raise NotExecutableError(why="size(…)", in_select=False)
            case "current_timestamp" | "current_date" | "current_time" | "now":
                return Value(sql=self.binding.bind(int(time.time() * 1000)), type="RTime")
        arguments = [self.value(argument) for argument in node.arguments]
        if node.name in functions.AGGREGATES:
            if len(arguments) != 1:
                raise HqlError(f"{node.name} takes one argument [{self.text}]")
            return functions.aggregate(node.name, arguments[0], distinct=node.distinct)
        return functions.call(node.name, arguments, f"{node.near} [{self.text}]")

    def _type_of(self, inner: Value) -> Value:
        if inner.kind is ValueKind.CLASS:  # type(x.class), which OMERO.web sends, is type(x)
            return replace(inner, kind=ValueKind.TYPE)
        if inner.kind is not ValueKind.ENTITY or inner.entity is None:
            raise HqlError(f"type() wants an entity [{self.text}]")
        if inner.alias is not None:
            return Value(sql=f"{inner.alias.table}.cls", kind=ValueKind.TYPE, entity=inner.entity)
        sql = f"(SELECT x.cls FROM {table(inner.entity)} x WHERE x.id = {inner.sql})"
        return Value(sql=sql, kind=ValueKind.TYPE, entity=inner.entity)

    def _index(self, node: tree.Call) -> Value:
        inner = self.value(node.arguments[0]) if len(node.arguments) == 1 else None
        alias = inner.alias if inner is not None else None
        if alias is None or alias.field is None or alias.parent is None:
            raise HqlError(f"index() wants an element of a list [{self.text}]")
        if not alias.field.ordered:
            collection = f"{alias.parent.entity.full_name}.{alias.field.name}"
            raise HqlError(f"Property index does not exist in collection {collection}")
        return Value(sql=f"{alias.table}.position", type="RInt")

    def _case(self, node: tree.Case) -> Value:
        sql, branches, aggregate = "CASE", [], False
        operand = self.value(node.operand) if node.operand is not None else None
        if operand is not None:
            sql += f" {operand.sql}"
        for condition, result in node.whens:
            when = self._like_type(condition, operand) if operand is not None else self.value(condition)
            branch = self.value(result)
            aggregate = aggregate or when.aggregate or branch.aggregate
            branches.append(branch)
            sql += f" WHEN {when.sql} THEN {branch.sql}"
        if node.otherwise is not None:
            branches.append(self.value(node.otherwise))
            sql += f" ELSE {branches[-1].sql}"
        result_type = next((branch.type for branch in branches if branch.type), "")
        return Value(sql=f"({sql} END)", type=result_type, aggregate=aggregate)


def _chain(node: tree.Logic) -> list[tree.Expression]:
    """List what is joined by one operator; the parser makes a tree of it that is as deep as the chain is long."""
    parts: list[tree.Expression] = []
    at: tree.Expression = node
    while isinstance(at, tree.Logic) and at.operator == node.operator:
        parts.append(at.right)
        at = at.left
    return [at, *reversed(parts)]


def _condition(sql: str) -> Value:
    return Value(sql=f"({sql})", type="RBool")


def _no(negated: bool) -> str:
    return "NOT " if negated else ""


def _discriminated(value: Value, other: Value) -> Value:
    """`a.class = TagAnnotation` compares classes; compared with text, `a.class` is the discriminator."""
    if value.kind in (ValueKind.CLASS, ValueKind.TYPE) and other.type == "RString":
        return replace(value, sql=discriminator_sql(value.sql))
    return value


def _milliseconds(text: str, query: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise HqlError(f"'{text}' is no time [{query}]") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
