# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams: what a container writes to its stdout or its stderr, made into lines for the order's log, and what is kept of them.

Any bytes may come, and any amount of them: nothing here grows beyond the limits below.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from omero_adi_plugin.logs import order_event

if TYPE_CHECKING:
    from omero_adi_plugin.containers.task import Task

_log = logging.getLogger(__name__)

LOGGED_BYTES = 10 * 2**20
"""So much of a stream goes to the order's log."""

LINE_BYTES = 64
"""What a line there is counted for besides what it says: it has its time, the order and the entry."""

LONGEST_LOGGED = 4000
"""So many bytes of a line go there."""

LONGEST_KEPT = 16 * 2**20
"""So many bytes of a line are kept: the last one says what was made, with all its key-values."""

LINES_KEPT = 8
"""So many of the last lines are looked at when a converter has failed."""

LONGEST_LAST = 500
"""So many bytes of each."""


class Stream:
    """One of the two streams of a container."""

    def __init__(self, name: str, *, task: Task, level: int) -> None:
        self._name, self._task, self._level = name, task, level
        self._line, self._lost = bytearray(), 0
        self._logged, self._said_all = 0, True
        self._result: bytes | None = b""
        self._last: deque[str] = deque(maxlen=LINES_KEPT)

    @property
    def result(self) -> str | None:
        """The last line with anything in it but blanks, as it came; None: there is none.

        Raises
        ------
        OverflowError
            It is longer than what is kept.
        """
        if self._result is None:
            raise OverflowError
        return self._result.decode("utf-8", "backslashreplace").strip() or None

    @property
    def last(self) -> list[str]:
        """The last lines with anything in them, the newest at the end."""
        return list(self._last)

    def feed(self, piece: bytes) -> None:
        """Take what came."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._grow(part)
            self._end_line()
        self._grow(rest)

    def end(self) -> None:
        """Take what came for all: a last line may have no end."""
        if self._line:
            self._end_line()

    def _grow(self, part: bytes) -> None:
        room = LONGEST_KEPT - len(self._line)
        self._line += part[:room]
        self._lost += max(len(part) - room, 0)

    def _end_line(self) -> None:
        line, lost = bytes(self._line), self._lost
        self._line.clear()
        self._lost = 0
        start = line[: LONGEST_LOGGED + 1].strip(b" \t\r\0")
        if not start and not line.strip(b" \t\r\0"):
            return
        if self._name == "stdout":
            self._result = None if lost else line
        self._last.append(line[-LONGEST_LAST:].decode("utf-8", "backslashreplace").strip())
        self._say(line, lost=lost)

    def _say(self, line: bytes, *, lost: int) -> None:
        facts = {"order": self._task.order, "entry": self._task.path, "stream": self._name}
        if self._logged > LOGGED_BYTES:
            if self._said_all:
                self._said_all = False
                order_event(_log, logging.WARNING, "converter.not_logged_further", **facts, after_bytes=LOGGED_BYTES)
            return
        shown = line[:LONGEST_LOGGED]
        self._logged += len(shown) + LINE_BYTES
        cut = len(line) + lost - len(shown)
        text = shown.decode("utf-8", "backslashreplace").rstrip("\r")
        order_event(_log, self._level, "converter.says", **facts, text=text, cut_bytes=cut or None)
