# SPDX-License-Identifier: GPL-2.0-or-later
"""Flight: a few filesets that are being imported at the same time, each in a thread of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

_Result = TypeVar("_Result")

AHEAD = 32
"""So many pieces of work are got ready at a go: a reader that is asked now and then needs more CPU a file than a busy one."""

MOST_FILES = 20_000
"""So many files the work that waits may have at most: each takes some 400 bytes, and a plate has 100,000."""


class Flight(Generic[_Result]):
    """Work in the air, and what has landed of it.

    Parameters
    ----------
    width : int
        How many pieces of work are done at the same time.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._threads = ThreadPoolExecutor(width, thread_name_prefix="fileset")
        self._pending: dict[Future[_Result], int] = {}
        self._ended: SimpleQueue[Future[_Result]] = SimpleQueue()
        self._filling = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def empty(self) -> bool:
        """Whether nothing is in the air."""
        return not self._pending

    @property
    def full(self) -> bool:
        """Whether there is no use in adding more before most of what waits has been begun."""
        if len(self._pending) >= self._width + AHEAD or sum(self._pending.values()) >= MOST_FILES:
            self._filling = False
        elif len(self._pending) <= 2 * self._width:
            self._filling = True
        return not self._filling

    def start(self, work: Callable[[], _Result], *, files: int) -> None:
        """Have a piece of work done that concerns so many files; what it raises is raised where it lands."""
        future = self._threads.submit(work)
        self._pending[future] = files
        future.add_done_callback(self._ended.put)  # to ask each whether it is done costs more than all else here

    def landed(self, *, timeout_seconds: float) -> list[Future[_Result]]:
        """Return what has come to its end, after waiting for the first one if there is none yet."""
        done: list[Future[_Result]] = []
        with suppress(Empty):
            if timeout_seconds and self._pending:
                done.append(self._ended.get(timeout=timeout_seconds))
            while True:
                done.append(self._ended.get_nowait())
        for future in done:
            del self._pending[future]
        return done
