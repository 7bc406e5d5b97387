# SPDX-License-Identifier: GPL-2.0-or-later
"""Database: the way to PostgreSQL, and the one place where errors of its libraries become ours.

A lost connection, a server that starts or stops, a lock that another program holds for long: all are trouble of the surroundings
(`DatabaseDown`), for which no order is to blame. What is left are bugs; they keep their traceback.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.event import listen
from sqlalchemy.exc import ArgumentError, DBAPIError

from omero_adi_plugin.errors import ConfigurationError, DatabaseDown, DiskFull, NotPermitted, SurroundingsDown
from omero_adi_plugin.tracking.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import TextClause
    from sqlalchemy.engine import Connection, Row

CONNECT_SECONDS = 10
"""How long a connection may take to come about."""

SILENCE_SECONDS = 30
"""After this long without an answer on the network a connection counts as lost: well before a lease of a minute lapses."""

STANDSTILL_SECONDS = 15
"""After so long in a transaction without a statement a process counts as frozen: its locks would keep others from taking over."""

_DRIVERS = {"postgresql", "postgresql+psycopg2"}

# Conditions in which the same statement works later, by the first two characters (PostgreSQL, appendix A, "Error Codes").
_CLASSES = {
    "08",  # connection
    "40",  # transaction rollback: deadlock
    "53",  # out of memory, connections or (see below) disk
    "57",  # shut down, starting up, terminated, cancelled
    "58",  # errors of the system below
}
_LOCKED = "55P03"  # lock_not_available
_IDLE = "25P03"  # idle_in_transaction_session_timeout: this process stood still in the middle of a transaction
_READ_ONLY = "25006"  # read_only_sql_transaction: the standby after a fail-over, or a database set read-only
_DISK_FULL = "53100"
_OUTDATED = {"42P01", "42703"}  # undefined_table, undefined_column
_NOT_PERMITTED = "42501"  # insufficient_privilege
_NO_SCHEMA = "3F000"  # invalid_schema_name: the search path leads nowhere


def read_url(text: str) -> URL:
    """Read the URL of a database.

    Parameters
    ----------
    text : str
        ``postgresql://user:password@host:port/database``; special characters in the password as ``%40`` and the like.

    Raises
    ------
    ConfigurationError
        It is no URL of PostgreSQL. The message does not repeat it, because it may hold a password.
    """
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in _DRIVERS:
        raise ConfigurationError(
            "The URL of the tracking database is not of the form postgresql://user:password@host:port/database. "
            "Correct INGEST_TRACKING_DB_URL, or `ingest_tracking_db` in the settings file."
        ) from None
    return url.set(drivername="postgresql+psycopg2")


def place(url: URL) -> str:
    """Return host:port/database, as messages name it; never the password."""
    host = url.host or url.query.get("host") or "localhost"
    return f"{host if isinstance(host, str) else ','.join(host)}:{url.port or 5432}/{url.database or url.username or ''}"


def connect_options(name: str) -> dict[str, Any]:
    """Return the connection parameters (libpq's names) that all connections of ours have; times there are in s and ms."""
    return {
        "application_name": name,
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": SILENCE_SECONDS // 2,
        "keepalives_interval": SILENCE_SECONDS // 6,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_SECONDS * 1000,
    }


def translated(error: psycopg2.Error, *, where: str) -> DatabaseDown | DiskFull | ConfigurationError | NotPermitted | None:
    """Return our error for one of psycopg2's; None when it is a bug.

    Parameters
    ----------
    error : psycopg2.Error
        Without an error code it comes from the client side: no connection came about, or it broke.
    where : str
        host:port/database.
    """
    code = error.pgcode
    if code == _DISK_FULL:
        return DiskFull(path=f"the tracking database at {where}")
    if _is_lost(error) or (code is not None and (code[:2] in _CLASSES or code in {_LOCKED, _READ_ONLY, _IDLE})):
        return DatabaseDown(where=where, why=_first_line(error) or "the connection was lost")
    return _set_up_wrongly(error, where)


def _is_lost(error: psycopg2.Error) -> bool:
    """Return whether no connection came about, or it broke: then nobody has given a code.

    Of a server that is gone psycopg2 raises `OperationalError`, or its parent when libpq has not noticed yet (`pq_raise`).
    """
    kinds = psycopg2.OperationalError | psycopg2.InterfaceError
    return error.pgcode is None and (isinstance(error, kinds) or type(error) is psycopg2.DatabaseError)


def _set_up_wrongly(error: psycopg2.Error, where: str) -> ConfigurationError | NotPermitted | None:
    """Return our error for what an administrator of the database has to put right."""
    if error.pgcode in _OUTDATED:
        return ConfigurationError(
            f"The tables in the tracking database at {where} are missing or too old. Run `omero adi db upgrade`."
        )
    if error.pgcode == _NO_SCHEMA:
        return ConfigurationError(
            f"The tracking database at {where} has no schema for the tables ({_first_line(error)}). "
            "Make it, or correct the search_path in INGEST_TRACKING_DB_URL or of the database account."
        )
    if error.pgcode == _NOT_PERMITTED:
        return NotPermitted(
            f"The account{_named(error)} may not do that in the tracking database at {where} ({_first_line(error)}). "
            "Use another account, or let the owner of the tables grant it the right: to the account of OMERO's scripts by "
            "running deploy/roles.sql again."
        )
    return None


def _named(error: psycopg2.Error) -> str:
    """Return the name of the account that met an error, with a blank and quotes, if a connection can tell it."""
    user = None if error.cursor is None else error.cursor.connection.info.user
    return f" '{user}'" if user else ""


def _first_line(error: psycopg2.Error) -> str:
    """Return what the server or the library says, without hints and the statement."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""


def is_transient(error: DBAPIError) -> bool:
    """Return whether an error of SQLAlchemy comes from the surroundings, not from what was written."""
    return isinstance(error.orig, psycopg2.Error) and isinstance(translated(error.orig, where=""), SurroundingsDown)


def _set_session(connection: Any, record: object) -> None:  # noqa: ANN401 (of psycopg2)
    """Limit how long a transaction may stand still, and let each statement see what was committed before it.

    Not by a connection parameter: the URL may set other options with that. The database may have other defaults.
    """
    del record
    autocommit, connection.autocommit = connection.autocommit, True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, false), "
            "set_config('default_transaction_isolation', 'read committed', false)",
            (f"{STANDSTILL_SECONDS}s",),
        )
    connection.autocommit = autocommit


class Database:
    """The tracking database, with a few connections kept open.

    Threads may share it; processes may not: each makes its own.
    """

    def __init__(self, url: str, *, name: str) -> None:
        """Make it known; nothing is connected yet.

        Parameters
        ----------
        url : str
            postgresql://…
        name : str
            What ``pg_stat_activity.application_name`` shows.

        Raises
        ------
        ConfigurationError
            `url` is no URL of PostgreSQL.
        """
        self._url = read_url(url)
        self.where = place(self._url)
        given: dict[str, Any] = {"pool_use_lifo": True, "hide_parameters": True, "connect_args": connect_options(name)}
        self._engine = create_engine(self._url, pool_pre_ping=True, **given)
        self._at_once = create_engine(self._url, isolation_level="AUTOCOMMIT", **given)
        for engine in (self._engine, self._at_once):
            listen(engine, "connect", _set_session)

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """Give a connection with a transaction that commits at the end, or rolls back when the body raises.

        Raises
        ------
        DatabaseDown, DiskFull, ConfigurationError, NotPermitted
            See `translated`. When the connection breaks during the commit, it may or may not have been done.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    def at_once(self, statement: TextClause | Prepared, values: Mapping[str, object]) -> Sequence[Row[Any]]:
        """Run one statement, which is a transaction of its own, and return its rows: one round trip where `begin` takes three.

        It is not asked before whether the connection still works: if not, the statement is run again on a new one. So it must do
        no harm twice.

        Raises
        ------
        DatabaseDown, DiskFull, ConfigurationError, NotPermitted
            As `begin`.
        """
        try:
            return self._run_at_once(statement, values)
        except DatabaseDown:  # it may have been restarted since the last one
            return self._run_at_once(statement, values)

    def _run_at_once(self, statement: TextClause | Prepared, values: Mapping[str, object]) -> Sequence[Row[Any]]:
        with self._translated(), self._at_once.connect() as connection:
            if isinstance(statement, Prepared):
                return statement.run(connection, values)
            return connection.execute(statement, values).all()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            ours = translated(error.orig, where=self.where) if isinstance(error.orig, psycopg2.Error) else None
            if ours is None:
                raise
            raise ours from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        self._at_once.dispose()
