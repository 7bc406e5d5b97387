# SPDX-License-Identifier: GPL-2.0-or-later
"""Database: the SQLite file, its connections, and who writes when.

One writer at a time, any number of readers: SQLite's write-ahead log gives each reader the state of its first read.
A connection is never used by two threads at once (one shared without a lock gave wrong rows, not only errors); some idle
ones wait in a pool. Nesting is by thread: what runs inside a transaction reads and writes in it.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omero_devserver.store import refusals

_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    # A commit survives the end of the process at any moment; the last ones may be lost if the machine itself stops.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    # HQL's `like` tells capitals from small letters (PostgreSQL's does).
    "PRAGMA case_sensitive_like = ON",
    "PRAGMA cache_size = -32000",
)
_BUSY_SECONDS = 30.0
#: Connections kept open for the next call; each keeps what it has read, up to 32 MB, and a file handle or two.
_MOST_IDLE = 16


class Database:
    """One SQLite file; open until `close`. `before_commit` may raise, and nothing is committed then.

    read_only: whether writes are refused.
    """

    def __init__(self, path: Path, *, before_commit: Callable[[], None] | None = None) -> None:
        self._path = path
        self._before_commit = before_commit
        self._write = threading.RLock()
        self._here = threading.local()
        self._pool: list[sqlite3.Connection] = []
        self._pool_lock = threading.Lock()
        self._closed = False
        self.read_only = False

    def refuse_writes(self) -> None:
        """Write nothing any more: what would change something raises omero.ApiUsageException; reading goes on."""
        with self._write:
            self.read_only = True

    def close(self) -> None:
        """Close the idle connections, and each other one as soon as it is given back."""
        with self._write, self._pool_lock:
            self._closed = True
            for connection in self._pool:
                connection.close()
            self._pool.clear()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Let a block see one state of the database, whatever others write meanwhile."""
        outer = self._current()
        if outer is not None:
            yield outer
            return
        with self._borrowed() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Let a block write: all of it is committed at its end, or nothing if it raises.

        Inside another one a block is a savepoint: if it raises, its own changes are gone, even if the error is caught.
        """
        with self._write:
            outer = self._current()
            if outer is not None:
                if not self._here.writable:
                    raise RuntimeError("A transaction cannot start inside a read.")
                with _savepoint(outer):
                    yield outer
                return
            with self._borrowed(writable=True) as connection:
                # What only might write, like a request to say what it would delete, may go on until it does.
                connection.execute(f"PRAGMA query_only = {'ON' if self.read_only else 'OFF'}")
                connection.execute("BEGIN" if self.read_only else "BEGIN IMMEDIATE")
                try:
                    yield connection
                    if self._before_commit is not None:
                        self._before_commit()
                    connection.commit()
                except sqlite3.OperationalError as error:
                    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY and self.read_only:
                        raise refusals.read_only() from error
                    raise
                finally:
                    connection.rollback()  # does nothing after a commit

    def rows(self, sql: str, arguments: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Run one statement that reads, in the thread's transaction if there is one."""
        with self.reading() as connection:
            return list(connection.execute(sql, arguments))

    def _current(self) -> sqlite3.Connection | None:
        connection: sqlite3.Connection | None = getattr(self._here, "connection", None)
        return connection

    @contextmanager
    def _borrowed(self, *, writable: bool = False) -> Iterator[sqlite3.Connection]:
        with self._pool_lock:
            if self._closed:
                raise RuntimeError("The store is closed.")
            connection = self._pool.pop() if self._pool else None
        connection = connection or self._connect()
        self._here.connection, self._here.writable = connection, writable
        try:
            yield connection
        finally:
            self._here.connection = None
            self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if not self._closed and len(self._pool) < _MOST_IDLE:
                self._pool.append(connection)
                return
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            for setting in _SETTINGS:
                connection.execute(setting)
            # SQLite's own know the letters of ASCII only.
            connection.create_function("lower", 1, _lower, deterministic=True)
            connection.create_function("upper", 1, _upper, deterministic=True)
        except BaseException:
            connection.close()
            raise
        return connection


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


@contextmanager
def _savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT inner")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK TO inner")
        raise
    finally:
        connection.execute("RELEASE inner")
