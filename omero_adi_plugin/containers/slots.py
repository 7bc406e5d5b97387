# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots: how many converters run at the same time on this host, for all processes of this account together.

A slot is a file that is locked. When a process dies, the kernel gives its slots back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.private import leave, within
from omero_adi_plugin.errors import Halted

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

LOOK_SECONDS = 0.2
"""How often who waits looks whether a slot is free."""

_FOLDER = "slots"


@contextlib.contextmanager
def slot(most: int, *, stop: threading.Event) -> Iterator[None]:
    """Hold one of a number of slots for a while; wait until one is free.

    Raises
    ------
    Halted
        `stop` was set meanwhile.
    PodmanDown
        There is no place for them.
    """
    while True:
        if stop.is_set():
            raise Halted
        held = within(_FOLDER, lambda folder: _free(folder, most))
        if held is not None:
            break
        stop.wait(LOOK_SECONDS)
    try:
        yield
    finally:
        held.close()


def tidy() -> None:
    """Remove the slots that nobody holds: those of processes that died."""
    leave(within(_FOLDER, _tidied))


def _free(folder: Path, most: int) -> _Held | None:
    return next((held for number in range(most) if (held := _take(folder / str(number))) is not None), None)


def _tidied(folder: Path) -> Path:
    for file in folder.iterdir():
        held = _take(file)
        if held is not None:
            held.close()
    return folder


class _Held:
    """A locked file, which goes when it is let go."""

    def __init__(self, file: Path, number: int) -> None:
        self._file, self._number = file, number

    def close(self) -> None:
        """Let it go."""
        self._file.unlink(missing_ok=True)  # still locked: who opened it before sees that it is not the one there any more
        os.close(self._number)
        leave(self._file.parent)


def _take(file: Path) -> _Held | None:
    """Lock a file; None: somebody else has it; raises OSError, FileNotFoundError if its folder has just gone."""
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(number), file.stat()):
            return _Held(file, number)
    except OSError:  # locked by somebody else, or removed after it was opened
        pass
    os.close(number)
    return None
