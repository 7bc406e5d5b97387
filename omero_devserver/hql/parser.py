# SPDX-License-Identifier: GPL-2.0-or-later
"""Parser: HQL text to a tree, by recursive descent.

Own grammar after Hibernate's documentation of HQL; texts of errors are those that a real server was seen to send.
"""

from omero_devserver.hql import tree
from omero_devserver.hql.cursor import Cursor
from omero_devserver.hql.errors import DmlError
from omero_devserver.hql.expressions import parse_condition, parse_value
from omero_devserver.hql.lexer import tokenize

_CLAUSES = (
    *("where", "group", "having", "order", "join", "left", "right", "inner", "outer", "full", "cross", "fetch", "on"),
    *("with", "select", "from", "union"),
)


def parse(text: str) -> tree.Query:
    """Parse a query.

    Raises
    ------
    HqlError
        The text is no query, or has a part that is not supported.
    """
    cursor = Cursor(tokens=tokenize(text), text=text, subquery=parse_query)
    if cursor.peek.is_word("update", "delete", "insert"):
        raise DmlError(text=text)
    query = parse_query(cursor)
    if not cursor.at_end:
        raise cursor.unexpected()
    return query


def parse_query(cursor: Cursor) -> tree.Query:
    """Parse from `select` or `from` to the end of the query or the closing bracket of a subquery."""
    select = _select(cursor) if cursor.take_word("select") else None
    if not cursor.take_word("from"):
        raise cursor.unexpected()
    sources = [_source(cursor)]
    while cursor.take_symbol(","):
        sources.append(_source(cursor))
    where = parse_condition(cursor) if cursor.take_word("where") else None
    group_by: list[tree.Expression] = []
    if cursor.take_words("group", "by"):
        group_by.append(parse_value(cursor))
        while cursor.take_symbol(","):
            group_by.append(parse_value(cursor))
    having = parse_condition(cursor) if cursor.take_word("having") else None
    order_by: list[tree.Order] = []
    if cursor.take_words("order", "by"):
        order_by.append(_order(cursor))
        while cursor.take_symbol(","):
            order_by.append(_order(cursor))
    return tree.Query(
        select=select,
        sources=tuple(sources),
        where=where,
        group_by=tuple(group_by),
        having=having,
        order_by=tuple(order_by),
    )


def _select(cursor: Cursor) -> tree.Select:
    distinct = cursor.take_word("distinct")
    form = tree.Form.ROW
    if cursor.take_word("new"):
        kind = cursor.word().lower()
        if kind not in ("map", "list"):
            raise cursor.unsupported(f"new {kind}(…) in a select clause is")
        form = tree.Form(kind)
        cursor.need_symbol("(")
    items = [_select_item(cursor)]
    while cursor.take_symbol(","):
        items.append(_select_item(cursor))
    if form is not tree.Form.ROW:
        cursor.need_symbol(")")
    return tree.Select(items=tuple(items), distinct=distinct, form=form)


def _select_item(cursor: Cursor) -> tree.SelectItem:
    expression = parse_condition(cursor)
    return tree.SelectItem(expression=expression, alias=cursor.word() if cursor.take_word("as") else "")


def _source(cursor: Cursor) -> tree.Source:
    path = tree.Path(tuple(cursor.word().split(".")))
    alias = _alias(cursor)
    joins = []
    while (join := _join(cursor)) is not None:
        joins.append(join)
    return tree.Source(path=path, alias=alias, joins=tuple(joins))


def _join(cursor: Cursor) -> tree.Join | None:
    if cursor.peek.is_word("right", "full", "cross"):
        raise cursor.unsupported(f"{cursor.peek.text} joins are")
    outer = cursor.take_words("left", "outer", "join") or cursor.take_words("left", "join")
    if not outer and not cursor.take_words("inner", "join") and not cursor.take_word("join"):
        return None
    fetch = cursor.take_word("fetch")
    path = tree.Path(tuple(cursor.word().split(".")))
    alias = _alias(cursor)
    condition = parse_condition(cursor) if cursor.take_word("with") else None
    return tree.Join(path=path, alias=alias, outer=outer, fetch=fetch, condition=condition)


def _alias(cursor: Cursor) -> str:
    """Read the name after a path. `group` is one unless `by` follows: clients do write `ExperimenterGroup group`."""
    if cursor.take_word("as"):
        return cursor.word()
    keyword = cursor.peek.is_word(*_CLAUSES) and not (cursor.peek.is_word("group") and not cursor.after.is_word("by"))
    return cursor.word() if cursor.at_word and not keyword else ""


def _order(cursor: Cursor) -> tree.Order:
    expression = parse_value(cursor)
    descending = cursor.take_word("desc", "descending")
    if not descending:
        cursor.take_word("asc", "ascending")
    return tree.Order(expression=expression, descending=descending)
