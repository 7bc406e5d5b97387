# SPDX-License-Identifier: GPL-2.0-or-later
"""Flight: a few filesets that are being imported at the same time, each in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_Result = TypeVar("_Result")

AHEAD = 32
"""So many pieces of work are got ready at a go: a reader that is asked now and then needs more CPU a file than a busy one."""

MOST_FILES = 20_000
"""So many files the work that waits may have at most: each takes some 400 bytes, and a plate has 100,000."""


class Flight(Generic[_Result]):
    """Work that waits, work in the air, and what has landed of it.

    Parameters
    ----------
    width : int
        How many pieces of work are done at the same time at most.
    places : int
        How many for now; see `allow`.
    """

    def __init__(self, width: int, *, places: int = 0) -> None:
        self._width, self._places = width, min(places, width)
        self._threads = ThreadPoolExecutor(width, thread_name_prefix="fileset")
        self._pending: dict[Future[_Result], int] = {}
        self._ended: SimpleQueue[Future[_Result]] = SimpleQueue()
        self._filling = True
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[_Result], Callable[[], _Result]]] = deque()
        self._flying = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Begin nothing more, and wait for what was begun."""
        self.drop_waiting()
        self._threads.shutdown(wait=True)

    @property
    def empty(self) -> bool:
        """Whether nothing waits or is in the air."""
        return not self._pending

    @property
    def waits(self) -> bool:
        """Whether work waits because no more may be in the air."""
        return bool(self._waiting)

    @property
    def flying(self) -> int:
        """How many pieces of work are in the air."""
        return self._flying

    @property
    def wanted(self) -> int:
        """How many pieces of work could be in the air by now."""
        return min(len(self._pending), self._width)

    @property
    def places(self) -> int:
        """How many pieces of work may be in the air."""
        return self._places

    @property
    def full(self) -> bool:
        """Whether there is no use in adding more before most of what waits has been begun."""
        if len(self._pending) >= self._width + AHEAD or sum(self._pending.values()) >= MOST_FILES:
            self._filling = False
        elif len(self._pending) <= 2 * self._width:
            self._filling = True
        return not self._filling

    def allow(self, places: int) -> None:
        """Let so many pieces of work be in the air from now on; what is there already stays."""
        with self._lock:
            self._places = min(places, self._width)
        self._begin()

    def start(self, work: Callable[[], _Result], *, files: int) -> None:
        """Have a piece of work done that concerns so many files; what it raises is raised where it lands."""
        future: Future[_Result] = Future()
        self._pending[future] = files
        with self._lock:
            self._waiting.append((future, work))
        self._begin()

    def drop_waiting(self) -> None:
        """Forget the work that was not begun yet."""
        with self._lock:
            dropped = [future for future, _ in self._waiting]
            self._waiting.clear()
        for future in dropped:
            del self._pending[future]

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

    def _begin(self) -> None:
        """Begin what may be begun; whoever has come to the end of one calls it too, so that nobody has to look after it."""
        with self._lock:  # all of it: whoever drops what waits, and ends, knows then that nothing is just being begun
            while self._waiting and self._flying < self._places:
                self._flying += 1
                self._threads.submit(self._do, *self._waiting.popleft())

    def _do(self, future: Future[_Result], work: Callable[[], _Result]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 (it is raised where it lands, whatever it is)
            future.set_exception(error)
        else:
            future.set_result(result)
        with self._lock:
            self._flying -= 1
        self._ended.put(future)  # to ask each whether it is done costs more than all else here
        self._begin()
