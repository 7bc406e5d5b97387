# SPDX-License-Identifier: GPL-2.0-or-later
"""Hearing: what a container says, stdout and stderr apart, while it runs and to the last word.

Podman's conmon writes it to a file, and that is read here. Following it by podman's service was tried (4.3.1): who reads slower
than a container writes loses lines, and their end. The file lies in `converter_temp`, also for an order that has no other folder
there: podman finds that place, whichever account it runs as, and nobody can put a link in its way, which conmon, as root, would
follow; beside a source anybody could who owns that folder. Nothing is lost when podman's service goes away.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.folders import PRIVATE, READABLE, make, opened, opened_in
from omero_adi_plugin.containers.rooms import TRIES, temp_of
from omero_adi_plugin.containers.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from omero_adi_plugin.containers.task import Task
    from omero_adi_plugin.settings import Settings

TOO_MUCH_BYTES = 256 * 2**20
"""A container that has said so much is ended: it is out of its mind. What podman adds counts too, 46 bytes a line."""

TOLD_SECONDS = 1
"""How often it is told that something was heard."""

_PIECE = 1 << 20

_FIELDS = 4
"""Of a line: time, stream, `F` if it has an end or `P` if not, and what was said (source: Kubernetes, CRI logging format)."""


class Listener:
    """Hears what a container says.

    Parameters
    ----------
    task : Task
        What it runs for.
    settings : Settings
        Say where rooms are.
    heard : callable
        Called now and then when there is something new.

    Raises
    ------
    OSError
        There is no place for it.
    """

    def __init__(self, task: Task, *, settings: Settings, heard: Callable[[], None]) -> None:
        self._heard, self._told = heard, 0.0
        self.stdout = Stream("stdout", task=task, level=logging.INFO)
        self.stderr = Stream("stderr", task=task, level=logging.WARNING)
        self._rest = b""
        self.path = temp_of(task.order, settings=settings) / f"{task.attempt}-{task.number}" / "log"
        self._number = _new(self.path)

    @property
    def too_much(self) -> bool:
        """Whether the container is to be ended for all that it says."""
        return os.fstat(self._number).st_size > TOO_MUCH_BYTES

    def hear(self) -> bool:
        """Take what is new, or a part of it; tell whether there was any."""
        piece = os.read(self._number, _PIECE)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._take(line)
        now = time.monotonic()
        if piece and now - self._told >= TOLD_SECONDS:
            self._told = now
            self._heard()
        return bool(piece)

    def hear_all(self) -> None:
        """Take all that it has said, if that is not too much; for one that has ended."""
        while not self.too_much and self.hear():
            pass
        self.stdout.end()
        self.stderr.end()

    def close(self) -> None:
        """Remove the file, and the folders above it if nothing else is in them."""
        os.close(self._number)
        with suppress(OSError):
            self.path.unlink()
            self.path.parent.rmdir()
            self.path.parent.parent.rmdir()

    def _take(self, line: bytes) -> None:
        fields = line.split(b" ", _FIELDS - 1)
        if len(fields) == _FIELDS:
            _, name, whole, text = fields
            stream = self.stderr if name == b"stderr" else self.stdout
            stream.feed(text + b"\n" if whole == b"F" else text)


def _new(file: Path) -> int:
    """Make `<converter_temp>/<order>/<attempt>-<number>/log` anew, in folders of ours alone; return a descriptor."""
    own, order = file.parent, file.parent.parent
    for _ in range(TRIES):
        with suppress(FileNotFoundError), opened(order.parent) as top:  # somebody has just removed one, as it was empty
            make(top, order.name, mode=READABLE)
            with opened_in(top, order.name) as shared:
                make(shared, own.name, mode=PRIVATE)
                with opened_in(shared, own.name) as folder:
                    return _new_in(folder, file.name, within=shared)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _new_in(folder: int, name: str, *, within: int) -> int:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    number = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    if {os.fstat(each).st_uid for each in (within, folder, number)} != {os.fstat(number).st_uid}:
        os.close(number)
        os.unlink(name, dir_fd=folder)
        raise PermissionError(errno.EPERM, "the folder for it is somebody else's")
    return number
