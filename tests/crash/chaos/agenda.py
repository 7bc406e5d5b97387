# SPDX-License-Identifier: GPL-2.0-or-later
"""Agenda: what is to be done later, by one thread that does everything in turn."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable


class Agenda:
    """Things to do, each with its time."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._due)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do this in so many seconds."""
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))

    def run_due(self) -> None:
        """Do what is due."""
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()
