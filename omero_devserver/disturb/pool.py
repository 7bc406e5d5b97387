# SPDX-License-Identifier: GPL-2.0-or-later
"""Pool: the limited number of database connections that a real server has, and what happens when they are used up.

Recorded on a real server with its 10 connections (facts 1, "Load"): up to 10 imports at a time are fine. With 12 or 24 none gets
on, logins of others hang, and after 95 s those that wait are refused with DatabaseBusyException `cannot create transaction`;
then the server comes back by itself. The rule behind it, as it is played here: an import holds one connection from
`verifyUpload` to its end. One import more waits for a connection; and because those that hold one need a second one now and
then, none of them gets on while anybody waits.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import Glacier2
import omero

from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import (
    CALL_BEFORE,
    IMPORT_BEGUN,
    IMPORT_ENDED,
    IMPORT_VERIFIED,
    LOGIN,
    Part,
    Passing,
    import_step,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

NO_CONNECTION = "Internal error. Please contact your administrator:\nCannot acquire connection"
WITHOUT_DATABASE = frozenset(
    f"Handle.{operation}" for operation in ("getStatus", "getResponse", "getRequest", "addCallback", "removeCallback", "close")
)


@dataclass(slots=True, kw_only=True, eq=False)
class _Held:
    """One connection that an import holds; an import whose session ends before it begins gives it back by that."""

    fileset: int | None
    session: Session | None
    begun: bool = False


class Pool:
    """The connections of `server`: `size` of them, and who finds none waits for `wait_seconds`. Size 0: nobody gets one."""

    def __init__(self, server: Server, *, size: int, wait_seconds: float) -> None:
        self._size, self._wait_seconds = size, wait_seconds
        self._held: list[_Held] = []
        self._waiting = 0
        self._changed = threading.Condition()
        at = server.moments.at
        self._removers: list[Callable[[], None]] = [
            server.sessions.on_end(self._session_ended),
            at(CALL_BEFORE, self._call),
            at(LOGIN, self._login),
            at(IMPORT_VERIFIED, self._take),
            at(IMPORT_BEGUN, self._begin),
            at(IMPORT_ENDED, self._give_back),
            *(at(import_step(step, Part.BEFORE), self._stand_still) for step in range(5)),
        ]

    def close(self) -> None:
        """Let everybody go on, and limit nothing any more."""
        for remove in self._removers:
            remove()
        with self._changed:
            self._changed.notify_all()

    def _used_up(self) -> bool:
        return self._waiting > 0 or self._size == 0

    def _call(self, passing: Passing) -> None:
        if passing.operation not in WITHOUT_DATABASE and not self._until(passing, lambda: not self._used_up()):
            raise _busy()

    def _login(self, passing: Passing) -> None:
        if not self._until(passing, lambda: not self._used_up()):
            raise Glacier2.PermissionDeniedException(NO_CONNECTION)

    def _stand_still(self, passing: Passing) -> None:
        self._until(passing, lambda: not self._used_up(), forever=True)

    def _take(self, passing: Passing) -> None:
        def take() -> bool:
            if passing.session is not None and passing.session.ended.is_set():
                return True  # nothing of it will begin, and so nothing would give the connection back
            if len(self._held) >= self._size:
                return False
            self._held.append(_Held(fileset=passing.fileset, session=passing.session))
            return True

        with self._changed:
            if take():
                return
            self._waiting += 1
        try:
            taken = self._until(passing, take)
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()
        if not taken:
            raise _busy()

    def _begin(self, passing: Passing) -> None:
        with self._changed:
            for held in self._held:
                if held.fileset == passing.fileset and not held.begun:
                    held.begun = True
                    return

    def _give_back(self, passing: Passing) -> None:
        with self._changed:
            found = next((held for held in self._held if held.fileset == passing.fileset and held.begun), None)
            if found is not None:
                self._held.remove(found)
            self._changed.notify_all()

    def _session_ended(self, session: Session) -> None:
        with self._changed:
            self._held = [held for held in self._held if held.begun or held.session is not session]
            self._changed.notify_all()

    def _until(self, passing: Passing, free: Callable[[], bool], *, forever: bool = False) -> bool:
        """Wait until `free`, which is asked with the lock held, says so; False when it took too long."""
        limit = time.monotonic() + self._wait_seconds
        with self._changed:
            while not free():
                left = limit - time.monotonic()
                if passing.removed.is_set():
                    return True
                if left <= 0 and not forever:
                    return False
                self._changed.wait(0.1 if forever else min(left, 0.1))  # `removed` has no condition of its own
        return True


def _busy() -> Exception:
    busy: Exception = fault(omero.DatabaseBusyException, "cannot create transaction")
    return busy
