# SPDX-License-Identifier: GPL-2.0-or-later
"""Expressions: the part of the parser that reads conditions and values."""

from omero_devserver.hql import tree
from omero_devserver.hql.cursor import Cursor
from omero_devserver.hql.errors import HqlError
from omero_devserver.hql.lexer import Token, TokenKind

_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "^=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_RESERVED = frozenset(
    [
        *("select", "from", "where", "group", "having", "order", "by", "join", "left", "inner", "outer", "fetch"),
        *("and", "or", "not", "in", "is", "like", "between", "then", "when", "else", "end", "as"),
    ]
)


def parse_condition(cursor: Cursor) -> tree.Expression:
    """Parse an expression down from `or`."""
    left = _conjunction(cursor)
    while cursor.take_word("or"):
        left = tree.Logic("or", left, _conjunction(cursor))
    return left


def _conjunction(cursor: Cursor) -> tree.Expression:
    left = _negation(cursor)
    while cursor.take_word("and"):
        left = tree.Logic("and", left, _negation(cursor))
    return left


def _negation(cursor: Cursor) -> tree.Expression:
    if cursor.take_word("not"):
        return tree.Not(_negation(cursor))
    if cursor.take_word("exists"):
        operand = _primary(cursor)
        if not isinstance(operand, tree.Subquery | tree.Elements):
            raise HqlError(f"exists wants a subquery or elements(…) [{cursor.text}]")
        return tree.Exists(operand)
    return _comparison(cursor)


def _comparison(cursor: Cursor) -> tree.Expression:  # noqa: PLR0911  (one return a kind of condition)
    left = parse_value(cursor)
    symbol = cursor.take_symbol(*_COMPARISONS)
    if symbol:
        if cursor.peek.is_word("all", "any", "some") and cursor.after.is_symbol("("):
            raise cursor.unsupported(f"{cursor.peek.text} (…) is")
        return tree.Comparison(_COMPARISONS[symbol], left, parse_value(cursor))
    if cursor.take_word("is"):
        negated = cursor.take_word("not")
        if cursor.take_word("empty"):
            return tree.IsEmpty(_as_path(left, cursor), negated)
        cursor.need_word("null")
        return tree.IsNull(left, negated)
    negated = cursor.take_word("not")
    if cursor.take_word("in"):
        return tree.In(left, _in_items(cursor), negated)
    if cursor.take_word("like"):
        pattern = parse_value(cursor)
        return tree.Like(left, pattern, _escape(cursor), negated)
    if cursor.take_word("between"):
        low = parse_value(cursor)
        cursor.need_word("and")
        return tree.Between(left, low, parse_value(cursor), negated)
    if cursor.take_words("member", "of") or cursor.take_word("member"):
        return tree.MemberOf(left, _as_path(_primary(cursor), cursor), negated)
    if negated:
        raise cursor.unexpected()
    return left


def _as_path(expression: tree.Expression, cursor: Cursor) -> tree.Path:
    if not isinstance(expression, tree.Path):
        raise HqlError(f"a collection is wanted where another expression stands [{cursor.text}]")
    return expression


def _escape(cursor: Cursor) -> str:
    # Without `escape` PostgreSQL takes the backslash.
    if not cursor.take_word("escape"):
        return "\\"
    if cursor.peek.kind is not TokenKind.STRING:
        raise cursor.unexpected()
    return cursor.take().text


def _in_items(cursor: Cursor) -> tuple[tree.Expression, ...]:
    if not cursor.peek.is_symbol("("):
        return (_primary(cursor),)
    if cursor.after.is_word("select", "from"):
        return (_primary(cursor),)
    cursor.need_symbol("(")
    if cursor.peek.is_symbol(")"):
        raise HqlError(f"unexpected end of subtree [{cursor.text}]")
    items = [parse_value(cursor)]
    while cursor.take_symbol(","):
        items.append(parse_value(cursor))
    cursor.need_symbol(")")
    return tuple(items)


def parse_value(cursor: Cursor) -> tree.Expression:
    """Parse an expression down from `+`, `-` and `||`."""
    left = _product(cursor)
    while symbol := cursor.take_symbol("+", "-", "||"):
        left = tree.Arithmetic(symbol, left, _product(cursor))
    return left


def _product(cursor: Cursor) -> tree.Expression:
    left = _primary(cursor)
    while symbol := cursor.take_symbol("*", "/", "%"):
        left = tree.Arithmetic(symbol, left, _primary(cursor))
    return left


def _primary(cursor: Cursor) -> tree.Expression:
    token = cursor.peek
    match token.kind:
        case TokenKind.NUMBER:
            return tree.Literal(_number(cursor.take().text))
        case TokenKind.STRING:
            return tree.Literal(cursor.take().text)
        case TokenKind.PARAMETER:
            return tree.Parameter(cursor.take().text)
        case TokenKind.WORD:
            return _word(cursor, token)
        case TokenKind.SYMBOL | TokenKind.END:
            return _symbol(cursor)


def _symbol(cursor: Cursor) -> tree.Expression:
    if cursor.take_symbol("-"):
        return tree.Negative(_primary(cursor))
    if cursor.take_symbol("+"):
        return _primary(cursor)
    if cursor.take_symbol("?"):
        return tree.Positional()
    if not cursor.take_symbol("("):
        raise cursor.unexpected()
    inner = tree.Subquery(cursor.subquery(cursor)) if cursor.peek.is_word("select", "from") else parse_condition(cursor)
    cursor.need_symbol(")")
    return inner


def _number(text: str) -> int | float:
    digits = text.rstrip("LlFfDd")
    return float(digits) if any(c in text for c in ".eEfFdD") else int(digits)


def _word(cursor: Cursor, token: Token) -> tree.Expression:
    word = token.text.lower()
    if cursor.after.is_symbol("("):
        return _call(cursor)
    if word in ("true", "false"):
        cursor.take()
        return tree.Literal(word == "true")
    if word == "null":
        cursor.take()
        return tree.Literal(None)
    if word == "case":
        cursor.take()
        return _case(cursor)
    if word in ("current_timestamp", "current_date", "current_time"):
        cursor.take()
        return tree.Call(word, ())
    if word in _RESERVED:
        raise cursor.unexpected()
    return tree.Path(tuple(cursor.take().text.split(".")))


def _case(cursor: Cursor) -> tree.Case:
    operand = None if cursor.peek.is_word("when") else parse_value(cursor)
    whens = []
    while cursor.take_word("when"):
        condition = parse_condition(cursor)
        cursor.need_word("then")
        whens.append((condition, parse_value(cursor)))
    if not whens:
        raise cursor.unexpected()
    otherwise = parse_value(cursor) if cursor.take_word("else") else None
    cursor.need_word("end")
    return tree.Case(operand, tuple(whens), otherwise)


def _call(cursor: Cursor) -> tree.Expression:
    near = cursor.near()
    name = cursor.take().text.lower()
    cursor.need_symbol("(")
    found: tree.Expression
    if name == "elements":
        found = tree.Elements(_as_path(_primary(cursor), cursor))
    elif name == "cast":
        operand = parse_value(cursor)
        cursor.need_word("as")
        found = tree.Cast(operand, cursor.word().lower())
    elif name == "extract":
        part = cursor.word().lower()
        cursor.need_word("from")
        found = tree.Extract(part, parse_value(cursor))
    elif name == "count" and cursor.take_symbol("*"):
        found = tree.Call(name, (tree.Star(),))
    else:
        distinct = cursor.take_word("distinct")
        arguments: list[tree.Expression] = []
        if not cursor.peek.is_symbol(")"):
            arguments.append(parse_condition(cursor))
            while cursor.take_symbol(","):
                arguments.append(parse_condition(cursor))
        found = tree.Call(name, tuple(arguments), distinct, near)
    cursor.need_symbol(")")
    return found
