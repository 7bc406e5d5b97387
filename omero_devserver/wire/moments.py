# SPDX-License-Identifier: GPL-2.0-or-later
"""Moments: named places that the server's code passes, where something can be made to happen.

The code says `server.moments.reached(NAME, …)`; who wants to disturb the server registers with `at` what happens there: it
may wait, raise what the code at that place would raise, or end the process. With nothing registered a moment costs one look
into an empty dictionary.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from omero_devserver.wire.sessions import Session

CALL_BEFORE = "call.before"
"""An operation is about to begin; `operation` as ``IUpdate.saveObject``, `session` (None: the router) and `connection`."""
CALL_AFTER = "call.after"
"""It took effect, and the answer has not been sent; the same facts. Not reached if it raised."""
LOGIN = "login"
"""Somebody logs in or joins a session; nothing has been looked up yet."""
IMPORT_LOGGED = "import.logged"
"""`importFileset` has made the folder, and committed the row of the log; there is no fileset yet."""
IMPORT_REGISTERED = "import.registered"
"""`importFileset` has committed the rows of `fileset`; its process has not been made."""
IMPORT_VERIFIED = "import.verified"
"""`verifyUpload` found the checksums right; the request has not been accepted."""
IMPORT_BEGUN = "import.begun"
"""The request runs and holds its session; step 0 has not begun."""
IMPORT_ENDED = "import.ended"
"""The request is over: it has its response, or it was cut off. Nothing may be raised here."""
DISK_WRITE = "disk.write"
"""A file or folder is about to be written or made below the data folder; `path`. What is raised here is an OSError."""
DATABASE_COMMIT = "database.commit"
"""A transaction is about to be committed. What is raised here is a `sqlite3.Error`."""


class Part(StrEnum):
    """Where in a step of an import."""

    BEFORE = "before"  # nothing of it is done
    IN = "in"  # its work is done and not committed
    AFTER = "after"  # it is committed, the next has not begun


def import_step(step: int, part: Part) -> str:
    """Name the moment in a step of an import, counted from 0 to 4, as ``import.step.1.in``; its fact is `fileset`."""
    return f"import.step.{step}.{part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """One passing of a moment: what is known there (see the names above).

    removed: set when what was registered is removed; who waits must wait for it (`wait`).
    """

    moment: str
    operation: str = ""
    session: Session | None = None
    connection: Any = None
    fileset: int | None = None
    path: Path | None = None
    removed: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float | None = None) -> None:
        """Hold the passing thread up, until what was registered is removed or the server ends at the latest."""
        self.removed.wait(seconds)


class Moments:
    """What is to happen when. Safe for any number of threads."""

    def __init__(self) -> None:
        self._registered: dict[str, dict[threading.Event, Callable[[Passing], None]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def at(self, moment: str, happens: Callable[[Passing], None]) -> Callable[[], None]:
        """Let something happen whenever a moment is reached, in the thread that reaches it; returns how to remove it."""
        removed = threading.Event()
        with self._lock:
            self._registered = {**self._registered, moment: {**self._registered.get(moment, {}), removed: happens}}
            if self._closed:
                removed.set()

        def remove() -> None:
            with self._lock:
                left = {one: it for one, it in self._registered.get(moment, {}).items() if one is not removed}
                others = {name: them for name, them in self._registered.items() if name != moment}
                self._registered = {**others, moment: left} if left else others
            removed.set()

        return remove

    def reached(self, moment: str, **facts: Any) -> None:
        """Let happen what is registered for a moment; `facts` are fields of `Passing`. May raise whatever that raises."""
        registered = self._registered.get(moment)
        if registered is None:
            return
        for removed, happens in registered.items():
            if not removed.is_set():
                happens(Passing(moment=moment, removed=removed, **facts))

    def close(self) -> None:
        """Remove everything, and let go on who is held up: the server ends."""
        with self._lock:
            registered, self._registered, self._closed = self._registered, {}, True
        for one in registered.values():
            for removed in one:
                removed.set()
