# SPDX-License-Identifier: GPL-2.0-or-later
"""Crews: a few threads that do the same to many things."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

LOOK_SECONDS = 1.0
"""How often the one who waits is told how far it is."""


def each(
    count: int, do: Callable[[int], _Result], *, threads: int, on_wait: Callable[[int, int], None] | None = None
) -> list[_Result]:
    """Do something for each of the numbers 0 … `count` - 1.

    The first error ends it: nothing new is begun, what has begun comes to its end, and the error is raised.

    Parameters
    ----------
    threads : int
        How many are at work at the same time; one that nobody watches is the caller's own.
    on_wait : callable, optional
        Told about once a second how many are done, and of how many; an error of it ends the work as well.

    Returns
    -------
    list
        What `do` returned, by number.
    """
    if on_wait is None and min(threads, count) <= 1:
        return [do(number) for number in range(count)]
    work = _Work(count, do)
    size = max(min(threads, count), 1)
    with ThreadPoolExecutor(size, thread_name_prefix="crew") as pool:
        try:
            busy = {pool.submit(work.go_on) for _ in range(size)}  # not a future for each of 10,000 files
            while busy:
                ended, busy = wait(busy, timeout=LOOK_SECONDS, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()
                if busy and on_wait is not None:
                    on_wait(len(work.results), count)
        finally:
            work.stopped.set()
    return [work.results[number] for number in range(count)]


class _Work(Generic[_Result]):
    """What there is to do, from which each thread takes the next."""

    def __init__(self, count: int, do: Callable[[int], _Result]) -> None:
        self.results: dict[int, _Result] = {}
        self.stopped = threading.Event()
        self._do, self._left, self._lock = do, iter(range(count)), threading.Lock()

    def go_on(self) -> None:
        while not self.stopped.is_set():
            with self._lock:
                number = next(self._left, None)
            if number is None:
                return
            self.results[number] = self._do(number)
