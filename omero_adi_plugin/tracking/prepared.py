# SPDX-License-Identifier: GPL-2.0-or-later
"""Prepared: statements whose plan each connection makes once.

psycopg2 has PostgreSQL plan a statement each time that it is run. For one as long as a claim that takes as long as running it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection, Row

_VALUE = re.compile(r"(?<![:\w]):([a-z]\w*)")

# Conditions in which the plan that a connection keeps cannot be used (PostgreSQL, appendix A, "Error Codes").
_NO_PLAN = {
    "26000",  # invalid_sql_statement_name: a pooler has given this statement another session than the last one
    "42P05",  # duplicate_prepared_statement: the same, the other way round
    "0A000",  # feature_not_supported: a migration has changed the type of a column of the result
}


class Prepared:
    """A statement that is planned once by each connection.

    Parameters
    ----------
    name : str
        By which the connection knows it.
    statement : TextClause
        With ``:name`` where values are bound; PostgreSQL must be able to tell their types from where they stand.
    first : TextClause, optional
        A statement without values to run before it, in the same transaction and the same round trip.
    """

    def __init__(self, name: str, statement: TextClause, *, first: TextClause | None = None) -> None:
        before = "" if first is None else f"{first.text}; "
        values = list(dict.fromkeys(_VALUE.findall(statement.text)))
        body = _VALUE.sub(lambda found: f"${values.index(found[1]) + 1}", statement.text)
        self._name = name
        self._prepare = text(f"PREPARE {name} AS {body}")
        self._execute = text(f"{before}EXECUTE {name}({', '.join(f':{value}' for value in values)})")
        self._unprepared = text(f"{before}{statement.text}")

    def run(self, connection: Connection, values: Mapping[str, object]) -> Sequence[Row[Any]]:
        """Run it on a connection, which is in no transaction, and return its rows."""
        try:
            if self._name not in connection.info:  # which lives as long as the connection to PostgreSQL
                connection.execute(self._prepare)
                connection.info[self._name] = True
            return connection.execute(self._execute, values).all()
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg2.Error) or error.orig.pgcode not in _NO_PLAN:
                raise
        return connection.execute(self._unprepared, values).all()
