# SPDX-License-Identifier: GPL-2.0-or-later
"""Cursor: a place in a row of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_devserver.hql.errors import HqlError
from omero_devserver.hql.lexer import Token, TokenKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.hql import tree


class Cursor:
    """Looks at and takes tokens one by one.

    text:     the query, for messages.
    subquery: parses a query that stands inside an expression; queries hold expressions, and these queries.
    """

    def __init__(self, *, tokens: tuple[Token, ...], text: str, subquery: Callable[[Cursor], tree.Query]) -> None:
        self.text, self.subquery = text, subquery
        self._tokens = tokens
        self._at = 0

    @property
    def peek(self) -> Token:
        """The next token."""
        return self._tokens[self._at]

    @property
    def after(self) -> Token:
        """The token after the next one."""
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    @property
    def at_end(self) -> bool:
        """Whether all tokens are taken."""
        return self.peek.kind is TokenKind.END

    @property
    def at_word(self) -> bool:
        """Whether the next token is a word."""
        return self.peek.kind is TokenKind.WORD

    def near(self) -> str:
        """Say where the next token is."""
        return f"near line {self.peek.line}, column {self.peek.column}"

    def unsupported(self, what: str) -> HqlError:
        """Say that something is right in HQL but not supported; the next token is where it begins."""
        return HqlError(f"{what} not supported {self.near()} [{self.text}]")

    def take(self) -> Token:
        """Take the next token, whatever it is."""
        token = self.peek
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def take_word(self, *words: str) -> bool:
        """Take the next token if it is one of these keywords."""
        found = self.peek.is_word(*words)
        if found:
            self.take()
        return found

    def take_words(self, *words: str) -> bool:
        """Take these keywords if they all come next, in this order."""
        following = self._tokens[self._at : self._at + len(words)]
        found = len(following) == len(words) and all(t.is_word(w) for t, w in zip(following, words, strict=True))
        if found:
            self._at += len(words)
        return found

    def take_symbol(self, *symbols: str) -> str:
        """Take the next token if it is one of these symbols; returns it, or ""."""
        return self.take().text if self.peek.is_symbol(*symbols) else ""

    def need_symbol(self, symbol: str) -> None:
        """Take a symbol that must come next."""
        if not self.take_symbol(symbol):
            raise self.unexpected()

    def need_word(self, word: str) -> None:
        """Take a keyword that must come next."""
        if not self.take_word(word):
            raise self.unexpected()

    def word(self) -> str:
        """Take a name that must come next."""
        if not self.at_word:
            raise self.unexpected()
        return self.take().text

    def unexpected(self) -> HqlError:
        """Say that the next token cannot stand here, as Hibernate words it (real server, recorded)."""
        token = self.peek
        if token.kind is TokenKind.END:
            return HqlError(f"unexpected end of subtree [{self.text}]")
        return HqlError(f"unexpected token: {token.text} {self.near()} [{self.text}]")
