# SPDX-License-Identifier: GPL-2.0-or-later
"""Lexer: cuts HQL text into tokens."""

import re
from dataclasses import dataclass
from enum import StrEnum

from omero_devserver.hql.errors import HqlError


class TokenKind(StrEnum):
    """What a token is; keywords are words, and only the parser knows where they count."""

    NUMBER = "number"
    STRING = "string"
    PARAMETER = "parameter"
    WORD = "word"  # a name, or names joined by dots
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token; `text` of a string is its value, of a parameter its name. `line` and `column` count from 1."""

    kind: TokenKind
    text: str
    line: int
    column: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords; HQL does not care about capitals in them."""
        return self.kind is TokenKind.WORD and self.text.lower() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Whether it is one of these symbols."""
        return self.kind is TokenKind.SYMBOL and self.text in symbols


_PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+\.\d+|\d+)(?:[eE][+-]?\d+)?[LlFfDd]?)
      | (?P<string>'(?:[^']|'')*')
      | :(?P<parameter>\w+)
      | (?P<word>[^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*)
      | (?P<symbol><=|>=|<>|!=|\^=|\|\||[=<>(),+\-*/%?])
    """,
    re.VERBOSE,
)


def tokenize(text: str) -> tuple[Token, ...]:
    """Cut a query into tokens, the last of kind END.

    Raises
    ------
    HqlError
        A character that cannot start a token, or a string without an end.
    """
    tokens = []
    at, line, line_start = 0, 1, 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            raise HqlError(f"unexpected char: '{text[at]}' [{text}]")
        kind, found = str(match.lastgroup), match.group(str(match.lastgroup))
        if kind != "space":
            if kind == "string":
                found = found[1:-1].replace("''", "'")
            elif kind == "word":
                found = re.sub(r"\s", "", found)
            tokens.append(Token(kind=TokenKind(kind), text=found, line=line, column=at - line_start + 1))
        breaks = match.group().count("\n")
        if breaks:
            line, line_start = line + breaks, at + match.group().rindex("\n") + 1
        at = match.end()
    tokens.append(Token(kind=TokenKind.END, text="", line=line, column=at - line_start + 1))
    return tuple(tokens)
