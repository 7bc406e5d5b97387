# SPDX-License-Identifier: GPL-2.0-or-later
"""Flight: a few filesets that are being imported at the same time, each in a thread of its own."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_Result = TypeVar("_Result")


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
        self._pending: set[Future[_Result]] = set()

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
        """Whether there is no use in adding more yet: everybody is busy, and has the next piece at hand."""
        return len(self._pending) >= 2 * self._width

    def start(self, work: Callable[[], _Result]) -> None:
        """Have a piece of work done; what it raises is raised where it lands."""
        self._pending.add(self._threads.submit(work))

    def landed(self, *, timeout_seconds: float) -> list[Future[_Result]]:
        """Return what has come to its end, after waiting for the first one if there is none yet."""
        done, self._pending = wait(self._pending, timeout=timeout_seconds, return_when=FIRST_COMPLETED)
        return list(done)
