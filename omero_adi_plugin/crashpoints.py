# SPDX-License-Identifier: GPL-2.0-or-later
"""Crash points: named places at which a process can be made to kill itself, so that tests see what is left and what comes of it.

Each lies before or after a write that somebody else can see: in OMERO, on a disk, in a table. In production this is one
comparison a place. The variable `ADI_CRASH_POINT` arms one of them for a process and its children, when it is set before they
start: `<point>:<file>`, or `<point>:<n>:<file>` for the n-th time that a process passes. Whoever comes by first makes the file
and dies by SIGKILL; when the file is there, nobody dies any more.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.logs import event

_log = logging.getLogger(__name__)

VARIABLE = "ADI_CRASH_POINT"
"""The variable that arms a point."""


class Point(StrEnum):
    """The places, by what has happened there just now, or (`…_due`) happens next."""

    # --- a session for the order's user

    SESSION_MADE = "session.made"
    """OMERO has made a session that nobody has joined."""
    SESSION_JOINED = "session.joined"
    """It was joined, and nothing was done in it."""
    SESSION_LEFT = "session.left"
    """Its client has logged out; the reference that the session counts itself was not given back."""
    SESSION_GIVEN_BACK = "session.given_back"
    """That was given back, too."""

    # --- one fileset in place

    FILESET_DUE = "inplace.fileset_due"
    """`importFileset` is to be called."""
    FILESET_MADE = "inplace.fileset_made"
    """OMERO has fileset, marker and files; nobody has noted that."""
    FILESET_NOTED = "inplace.fileset_noted"
    """The worker has noted it, and linked nothing."""
    MARK_WRITTEN = "links.mark_written"
    """The server has written a random mark where a file is to be."""
    MARK_REMOVED = "links.mark_removed"
    """The mark was removed, and no link is in its place."""
    LINK_PLACED = "links.link_placed"
    """The link is there; the server has the file open, and has neither size nor hash of it."""
    FILE_CLOSED = "links.file_closed"
    """The server has size and hash."""
    FILESET_LINKED = "inplace.fileset_linked"
    """All links are there; the ledger does not say that the server will be told."""
    VERIFY_DUE = "inplace.verify_due"
    """The ledger says that `verifyUpload` was called, and it was not."""
    VERIFY_CALLED = "inplace.verify_called"
    """The server imports; nobody waits for its response."""
    FILESET_IMPORTED = "inplace.fileset_imported"
    """The response was fetched, so that the server has cleared up; only OMERO knows that all is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What the variable says.

    point:   where.
    passing: 1 if a process dies at its first passing there, 2 if at its second, …
    file:    that is made by whoever dies.
    """

    point: Point
    passing: int
    file: Path


_SET = os.environ.get(VARIABLE)
_passed: Counter[Point] = Counter()
_lock = threading.Lock()


def reached(point: Point) -> None:
    """End this process by SIGKILL if this point was armed before it started, and nobody has died there yet.

    Raises
    ------
    ConfigurationError
        The variable makes no sense.
    """
    if _SET is not None:
        _die_if_meant(point)


def armed() -> Trap | None:
    """Return what was armed before this process started; None: nothing.

    Raises
    ------
    ConfigurationError
        The variable makes no sense: a test with a misspelt point would prove nothing.
    """
    if _SET is None:
        return None
    name, _, rest = _SET.partition(":")
    passing, _, file = rest.partition(":") if not rest.startswith("/") else ("1", "", rest)
    try:
        trap = Trap(point=Point(name), passing=int(passing), file=Path(file))
    except ValueError as error:
        raise ConfigurationError(f"{VARIABLE} is for tests, and '{_SET}' is not <point>:<file> ({error}). Unset it.") from error
    if not trap.file.is_absolute() or not trap.file.parent.is_dir():
        raise ConfigurationError(f"{VARIABLE} is for tests, and '{file}' is no path in a folder that is there. Unset it.")
    return trap


def warn_if_armed() -> None:
    """Log a warning if this process, or a child of it, is going to kill itself; raises as `armed` does."""
    trap = armed()
    if trap is not None:
        event(_log, logging.WARNING, "crash.armed", point=trap.point, passing=trap.passing, file=trap.file)


def _die_if_meant(point: Point) -> None:
    trap = armed()
    if trap is None or point is not trap.point:
        return
    with _lock:
        _passed[point] += 1
        if _passed[point] < trap.passing:
            return
    try:
        number = os.open(trap.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:  # others have died of it
        return
    os.write(number, f"{os.getpid()}\n".encode())
    event(_log, logging.WARNING, "crash.point_reached", point=point)
    os.kill(os.getpid(), signal.SIGKILL)
