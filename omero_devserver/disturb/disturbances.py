# SPDX-License-Identifier: GPL-2.0-or-later
"""Disturbances: what can be made to go wrong in a running server.

Each method that takes an occasion returns at once; the disturbance happens when the occasion comes, and stays until it has
happened as often as was asked or `clear` is called.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
import time
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import Glacier2
import Ice
import omero

from omero_devserver.disturb.occasion import Counted, Occasion
from omero_devserver.disturb.pool import Pool
from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import DATABASE_COMMIT, DISK_WRITE, Passing

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.wire.server import Server

_MODULES = {"omero": omero, "Ice": Ice, "Glacier2": Glacier2}


class Place(StrEnum):
    """What is written to."""

    REPOSITORY = "repository"  # the managed repository: what is uploaded, folders
    FILES = "files"  # attachments and other files
    DATABASE = "database"


class Disturbances:
    """Everything that can be done to `server`, from its own process (see `control` for another one)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._removers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._planned: dict[str, list[tuple[Counted, Callable[[Passing], None]]]] = {}

    def fail(
        self,
        where: str,
        *,
        exception: str = "omero.InternalException",
        message: str = "",
        call: int = 1,
        times: int | None = 1,
        after: bool = False,
    ) -> None:
        """Raise an exception, named as a client sees it: ``omero.SecurityViolation``, ``Ice.UnknownException``.

        Raises
        ------
        ValueError
            It is not an exception of OMERO, Ice or Glacier2, or the occasion (see `Occasion`) makes no sense.
        """
        kind = _exception(exception)

        def happens(_: Passing) -> None:
            raise _made(kind, message)

        self._on(Occasion(where=where, call=call, times=times, after=after), happens)

    def delay(
        self, where: str, *, seconds: float | None = None, call: int = 1, times: int | None = 1, after: bool = False
    ) -> None:
        """Hold a thread up for some seconds; None: until `clear`."""
        self._on(Occasion(where=where, call=call, times=times, after=after), lambda passing: passing.wait(seconds))

    def lose_connection(self, where: str, *, call: int = 1, times: int | None = 1, after: bool = False) -> None:
        """Close the caller's connection before an operation begins, or when it took effect; at other moments all connections."""

        def happens(passing: Passing) -> None:
            if passing.connection is None:
                self.drop_connections()
                return
            _close(passing.connection)
            if not after:
                raise Ice.ConnectionLostException  # the operation must not take effect; nobody gets this answer

        self._on(Occasion(where=where, call=call, times=times, after=after), happens)

    def kill(self, where: str, *, call: int = 1, after: bool = False) -> None:
        """End the server's process as ``kill -9`` does; only for a server that has a process of its own."""
        self._on(Occasion(where=where, call=call, after=after), lambda _: os.kill(os.getpid(), signal.SIGKILL))

    def stop(self, where: str, *, call: int = 1, after: bool = False) -> None:
        """End the server's process in order, with SIGTERM; what passes the moment goes no further."""

        def happens(passing: Passing) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            passing.wait()
            raise Ice.CommunicatorDestroyedException

        self._on(Occasion(where=where, call=call, after=after), happens)

    def drop_connections(self, *, session: str | None = None) -> int:
        """Close the connections of all clients at once, or of those of one session; returns how many there were."""
        found = self._server.clients.connections(session)
        for connection in found:
            _close(connection)
        return len(found)

    def expire(self, session: str) -> None:
        """Let a session be over its longest silence (or its life, if it has no limit of silence).

        Raises
        ------
        ValueError
            There is no such session, or it has no limit.
        """
        found = self._server.sessions.find(session)
        if found is None:
            raise ValueError(f"There is no session {session}.")
        if found.time_to_idle > 0:
            found.used = time.time() - found.time_to_idle / 1000 - 1
        elif found.time_to_live > 0:
            found.started = time.time() - found.time_to_live / 1000 - 1
        else:
            raise ValueError(f"Session {session} has no limit.")

    def exhaust_pool(self, *, wait_seconds: float = 1) -> None:
        """Have no database connection left: calls and logins hang for `wait_seconds` and are refused, imports stand still."""
        self._removers.append(Pool(self._server, size=0, wait_seconds=wait_seconds).close)

    def fill_disk(self, *places: str) -> None:
        """Let every write end with "No space left on device"; `places` as in `Place`, none: everywhere."""
        self._refuse_writes(errno.ENOSPC, "database or disk is full", places)

    def protect_disk(self, *places: str) -> None:
        """Let every write end with "Read-only file system"; `places` as in `Place`, none: everywhere."""
        self._refuse_writes(errno.EROFS, "attempt to write a readonly database", places)

    def clear(self) -> None:
        """Take back everything, and let go on who is held up."""
        with self._lock:
            removers, self._removers, self._planned = self._removers, [], {}
        for remove in removers:
            remove()

    def _on(self, occasion: Occasion, happens: Callable[[Passing], None]) -> None:
        with self._lock:
            if occasion.moment not in self._planned:
                planned = self._planned[occasion.moment] = []
                self._removers.append(self._server.moments.at(occasion.moment, partial(_passed, planned)))
            planned = self._planned[occasion.moment]
            planned[:] = [*(one for one in planned if not one[0].over), (Counted(occasion=occasion), happens)]

    def _refuse_writes(self, number: int, words: str, places: tuple[str, ...]) -> None:
        chosen = {Place(one) for one in places} or set(Place)
        repository = self._server.disk.root

        def file(passing: Passing) -> None:
            inside = passing.path is not None and passing.path.is_relative_to(repository)
            if (Place.REPOSITORY if inside else Place.FILES) in chosen:
                raise OSError(number, os.strerror(number), str(passing.path))

        def commit(_: Passing) -> None:
            raise sqlite3.OperationalError(words)

        self._removers.append(self._server.moments.at(DISK_WRITE, file))
        if Place.DATABASE in chosen:
            self._removers.append(self._server.moments.at(DATABASE_COMMIT, commit))


def _passed(planned: list[tuple[Counted, Callable[[Passing], None]]], passing: Passing) -> None:
    # All of them count, also those that come after one that raises.
    due = [happens for counted, happens in list(planned) if counted.is_now(passing.operation)]
    for happens in due:
        happens(passing)


def _exception(name: str) -> type[Exception]:
    module, _, short = name.partition(".")
    kind = getattr(_MODULES.get(module), short, None)
    if not (isinstance(kind, type) and issubclass(kind, (Ice.UserException, Ice.LocalException))):
        raise ValueError(f"'{name}' is no exception of omero, Ice or Glacier2.")  # noqa: TRY004  a name with a wrong value
    return kind


def _made(kind: Any, message: str) -> Exception:
    if issubclass(kind, omero.ServerError):
        made: Exception = fault(kind, message)
        return made
    if issubclass(kind, (Glacier2.PermissionDeniedException, Glacier2.CannotCreateSessionException, Ice.UnknownException)):
        return kind(message)  # type: ignore[no-any-return]  # Ice carries no types
    return kind()  # type: ignore[no-any-return]  # as above


def _close(connection: Any) -> None:
    connection.close(True)  # at once, as when a network is cut
