# SPDX-License-Identifier: GPL-2.0-or-later
"""Meter: how far the reading of large files has come, by us and by OMERO.server, for whoever watches from another thread."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOWEST = 20 * 2**20
"""So many bytes a second OMERO.server is trusted to read while it does not say anything: slower storage is in trouble."""


class CalledOff(Exception):
    """What is being read is not wanted any more; why knows whoever called it off."""


class Meter:
    """Counts the bytes of one fileset's files as they are read; for use from several threads.

    Each file is read twice for its sum: by us, and by the server, which says nothing meanwhile.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = 0
        self._silent: dict[object, tuple[int, float]] = {}
        self._called_off = False

    def read(self, count: int) -> None:
        """Take note of what was read here.

        Raises
        ------
        CalledOff
            No more is to be read.
        """
        if self._called_off:
            raise CalledOff
        with self._lock:
            self._read += count

    @contextmanager
    def server_reads(self, count: int) -> Iterator[None]:
        """Take it, meanwhile, that the server reads so many bytes, and gets on."""
        token = object()
        with self._lock:
            self._silent[token] = (count, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._silent[token]
                self._read += count

    @property
    def done(self) -> int:
        """How many bytes were read until now, as far as one can tell."""
        now = time.monotonic()
        with self._lock:
            return self._read + sum(min(count, int((now - since) * SLOWEST)) for count, since in self._silent.values())

    def call_off(self) -> None:
        """Have reading here end soon."""
        self._called_off = True
