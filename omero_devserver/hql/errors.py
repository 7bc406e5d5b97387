# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of HQL: what is wrong with a query or its parameters."""


class HqlError(Exception):
    """The query cannot be run; the text says why, worded as Hibernate words it where a real server was recorded."""


class NullParameterError(HqlError):
    """A named parameter of the query has no value."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"Null parameters not allowed: {name}")
        self.name = name
