# SPDX-License-Identifier: GPL-2.0-or-later
"""Translation: a query to one SQL statement, and what the columns of its rows are."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from omero_devserver.hql import paths, tree
from omero_devserver.hql.binding import Binding
from omero_devserver.hql.compiler import Compiler
from omero_devserver.hql.errors import HqlError, NotExecutableError
from omero_devserver.hql.names import with_full_names
from omero_devserver.hql.parser import parse
from omero_devserver.hql.scope import Alias, RowFilter, Scope
from omero_devserver.hql.values import Argument, Value, ValueKind
from omero_devserver.model.schema import Entity, UnknownEntityError, find_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COLUMN = re.compile(r"\ba\d+\.\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One expression of the select clause; `at` is the index of its SQL column (units and users' names have the next one too)."""

    value: Value
    name: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A fetched association: column with the ids of its rows, and of the rows that have the collection, if it is one."""

    alias: Alias
    at: int
    parent_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A query that can be run."""

    sql: str
    bound: Mapping[str, object]
    columns: tuple[Column, ...]
    fetches: tuple[Fetch, ...]
    form: tree.Form
    distinct: bool

    @property
    def roots(self) -> bool:
        """Whether its rows are objects of one entity, with what is fetched into them."""
        return self.form is tree.Form.ROW and len(self.columns) == 1 and self.columns[0].value.kind is ValueKind.ENTITY

    @property
    def fetches_collections(self) -> bool:
        """Whether a root comes in several rows because its collections are fetched; limits then count roots."""
        return any(fetch.alias.field is not None for fetch in self.fetches)


def translate(text: str, arguments: Mapping[str, Argument], row_filter: RowFilter) -> Statement:
    """Translate a query.

    Parameters
    ----------
    text : str
        HQL.
    arguments : mapping of str to Argument
        Values of its named parameters; others are ignored.
    row_filter : callable
        The condition under which rows of an entity may be seen.

    Raises
    ------
    HqlError
        The query or its parameters are wrong, or it uses something that is not supported.
    """
    quoted = with_full_names(text)
    query = parse(quoted)
    binding = Binding(arguments)
    scope = Scope(row_filter=row_filter, text=quoted)
    compiler = Compiler(scope=scope, binding=binding, subquery=_subquery)
    _add_sources(query, compiler)
    items = _select_items(query, scope)
    distinct = query.select is not None and query.select.distinct
    columns = _columns(items, compiler, distinct=distinct)
    fetches = _fetches(scope, columns)
    tail = _tail(query, compiler, [column.value for column in columns], distinct=distinct)
    selected = [sql for c in columns for sql in (c.value.sql, *([c.value.second_sql] if c.value.second_sql else []))]
    for fetch in fetches:
        selected += [
            f"{fetch.alias.table}.{'position' if fetch.alias.is_map else 'id'}",
            *([f"{fetch.alias.parent.table}.id"] if fetch.alias.parent else []),
        ]
    return Statement(
        sql=f"SELECT {'DISTINCT ' if distinct else ''}{', '.join(selected)} FROM {scope.sql()}{tail}",
        bound=binding.bound,
        columns=tuple(columns),
        fetches=tuple(fetches),
        form=query.select.form if query.select is not None else tree.Form.ROW,
        distinct=distinct,
    )


def _subquery(query: tree.Query, outer: Compiler) -> Value:
    scope = Scope(row_filter=outer.scope.row_filter, text=outer.text, parent=outer.scope)
    compiler = Compiler(scope=scope, binding=outer.binding, subquery=_subquery)
    _add_sources(query, compiler)
    items = _select_items(query, scope)
    if len(items) != 1:
        raise HqlError(f"a subquery selects one value [{outer.text}]")
    distinct = query.select is not None and query.select.distinct
    value = _columns(items, compiler, distinct=distinct)[0].value
    tail = _tail(query, compiler, [value], distinct=distinct)
    sql = f"(SELECT {'DISTINCT ' if distinct else ''}{value.sql} FROM {scope.sql()}{tail})"
    return Value(sql=sql, type="RLong" if value.kind is ValueKind.ENTITY else value.type, kind=ValueKind.SCALAR)


def _add_sources(query: tree.Query, compiler: Compiler) -> None:
    scope = compiler.scope
    for source in query.sources:
        parts = source.path.parts
        if len(parts) > 1 and scope.find(parts[0]) is not None:
            owner, field = paths.collection(scope, parts)
            scope.correlated_collection(owner, field, source.alias)
        else:
            scope.add_root(_entity(parts, scope.text), source.alias)
        for join in source.joins:
            alias = paths.join(scope, join.path.parts, outer=join.outer, fetch=join.fetch)
            scope.name(alias, join.alias)
            if join.condition is not None:
                scope.add_condition(alias, compiler.value(join.condition).sql)


def _entity(parts: Iterable[str], text: str) -> Entity:
    name = ".".join(parts)
    try:
        entity = find_class(name)
    except UnknownEntityError as error:
        raise HqlError(f"{name} is not mapped [{text}]") from error
    if name not in (entity.name, entity.full_name):
        raise HqlError(f"{name} is not mapped [{text}]")
    return entity


def _select_items(query: tree.Query, scope: Scope) -> list[tuple[tree.Expression | Alias, str]]:
    if query.select is None:
        return [(alias, "") for alias in scope.roots]
    # A literal true or false in a select clause is dropped by the real server (recorded).
    kept = [
        i for i in query.select.items if not (isinstance(i.expression, tree.Literal) and isinstance(i.expression.value, bool))
    ]
    if not kept or any(isinstance(i.expression, tree.Literal) and i.expression.value is None for i in kept):
        raise HqlError(f"a select clause needs a value with a type [{scope.text}]")
    return [(item.expression, item.alias) for item in kept]


def _columns(items: list[tuple[tree.Expression | Alias, str]], compiler: Compiler, *, distinct: bool) -> list[Column]:
    columns: list[Column] = []
    at = 0
    for node, name in items:
        if isinstance(node, Alias):
            value = Value(sql=f"{node.table}.id", kind=ValueKind.ENTITY, entity=node.entity, alias=node)
        elif isinstance(node, tree.Call) and node.name == "size" and len(node.arguments) == 1:
            value = _size(node.arguments[0], compiler, alone=len(items) == 1)
        elif isinstance(node, tree.Path) and node.parts[0] not in compiler.selected:
            value = paths.selected(compiler.scope, node.parts)
        else:
            value = compiler.value(node)
        if distinct and value.kind is ValueKind.USER_NAME:  # the user's id would make two of one name
            value = replace(value, kind=ValueKind.SCALAR, second_sql="")
        if value.kind is ValueKind.NAMED_VALUE:
            raise NotExecutableError(why="the element of a map has no id")
        if value.list or value.kind is ValueKind.CLASS_NAME:
            raise HqlError(f"{value.kind} cannot be selected [{compiler.text}]")
        columns.append(Column(value=value, name=name, at=at))
        if name:
            compiler.selected[name] = value
        at += 2 if value.second_sql else 1
    return columns


def _size(node: tree.Expression, compiler: Compiler, *, alone: bool) -> Value:
    """`size(collection)`: Hibernate makes it a count over a join, which fails beside any other column (recorded)."""
    if not isinstance(node, tree.Path):
        raise HqlError(f"size() wants a collection [{compiler.text}]")
    owner, field = paths.collection(compiler.scope, node.parts)
    if not alone:
        raise NotExecutableError(why=f"size({'.'.join(node.parts)}) beside another column")
    alias = compiler.scope.implicit(owner, field.name)
    return Value(sql=f"count({alias.table}.id)", type="RInt", aggregate=True)


def _fetches(scope: Scope, columns: list[Column]) -> list[Fetch]:
    at = sum(2 if column.value.second_sql else 1 for column in columns)
    owners = {column.value.alias.table for column in columns if column.value.alias and column.value.kind is ValueKind.ENTITY}
    fetches = []
    for alias in scope.fetched:
        if alias.parent is None or alias.parent.table not in owners:
            raise HqlError(
                "query specified join fetching, but the owner of the fetched association "
                f"was not present in the select list [{scope.text}]"
            )
        owners.add(alias.table)
        fetches.append(Fetch(alias=alias, at=at, parent_at=at + 1))
        at += 2
    return fetches


def _tail(query: tree.Query, compiler: Compiler, selected: list[Value], *, distinct: bool) -> str:
    """Everything behind the from clause. Written after all expressions are translated: they add joins and conditions."""
    where = [compiler.value(query.where).sql] if query.where is not None else []
    group = [compiler.value(node).sql for node in query.group_by]
    having = compiler.value(query.having).sql if query.having is not None else ""
    order = []
    for node in query.order_by:
        value = compiler.value(node.expression)
        if distinct:
            _check_distinct_order(value, selected)
        # The sign keeps SQLite from walking a whole table in the order of an index, where few rows are wanted.
        sign = "+" if _COLUMN.fullmatch(value.sql) and not value.sql.endswith(".id") else ""
        # As in PostgreSQL: nulls are greater than everything.
        order.append(f"{sign}{value.sql} {'DESC NULLS FIRST' if node.descending else 'ASC NULLS LAST'}")
    if group or any(value.aggregate for value in selected):
        _check_grouping(selected, group)
    conditions = [*compiler.scope.conditions, *where]
    sql = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql += f" GROUP BY {', '.join(group)}" if group else ""
    sql += f" HAVING {having}" if having else ""
    return sql + (f" ORDER BY {', '.join(order)}" if order else "")


def _check_grouping(selected: list[Value], group: list[str]) -> None:
    """SQLite takes any row's value for a column that is not grouped by; PostgreSQL refuses."""
    grouped = set(group)
    for value in selected:
        if value.aggregate or value.sql in grouped or "SELECT" in value.sql:
            continue
        for column in _COLUMN.findall(value.sql):
            if column not in grouped and f"{column.split('.')[0]}.id" not in grouped:
                raise NotExecutableError(
                    why="a selected column must appear in the GROUP BY clause or be used in an aggregate function"
                )


def _check_distinct_order(value: Value, selected: list[Value]) -> None:
    """PostgreSQL orders a SELECT DISTINCT only by what it selects; of an entity that is each of its columns."""
    tables = {v.alias.table for v in selected if v.alias is not None and v.kind is ValueKind.ENTITY}
    plain = _COLUMN.fullmatch(value.sql) is not None and value.sql.split(".")[0] in tables
    if not plain and value.sql not in {v.sql for v in selected}:
        raise NotExecutableError(why="for SELECT DISTINCT, ORDER BY expressions must appear in select list", in_select=False)
