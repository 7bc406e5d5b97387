# SPDX-License-Identifier: GPL-2.0-or-later
"""Hearing: what a container says, stdout and stderr apart, while it runs and to the last word.

Podman's conmon writes it to a file, and that is read here. Following it by podman's service was tried (4.3.1): who reads slower
than a container writes loses lines, and their end. The file is ours, beside the folders that the container writes to: podman
finds that place, whichever account it runs as, for it mounts what is there. Nothing is lost when podman's service goes away.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.containers.task import Task

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
    heard : callable
        Called now and then when there is something new.
    """

    def __init__(self, task: Task, *, heard: Callable[[], None]) -> None:
        self._heard, self._told = heard, 0.0
        self.stdout = Stream("stdout", task=task, level=logging.INFO)
        self.stderr = Stream("stderr", task=task, level=logging.WARNING)
        self._rest = b""
        self.path = (task.room.temp or task.room.staging).parent / "log"
        self.path.unlink(missing_ok=True)
        self._number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

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
        """Remove the file."""
        os.close(self._number)
        self.path.unlink(missing_ok=True)

    def _take(self, line: bytes) -> None:
        fields = line.split(b" ", _FIELDS - 1)
        if len(fields) == _FIELDS:
            _, name, whole, text = fields
            stream = self.stderr if name == b"stderr" else self.stdout
            stream.feed(text + b"\n" if whole == b"F" else text)
