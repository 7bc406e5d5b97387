# SPDX-License-Identifier: GPL-2.0-or-later
"""Waking: how one thread of a process wakes another that waits for several things at once."""

from __future__ import annotations

import contextlib
import os
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Waker:
    """Wakes whoever waits with it. A call that comes while nobody waits ends the next wait at once: none gets lost."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor that can be read from after a call, for others to wait for; `clear` it afterwards."""
        return self._reads

    def wake(self) -> None:
        """Wake; from any thread."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of calls: one more would say nothing new
            os.write(self._writes, b"!")

    def clear(self) -> None:
        """Forget the calls until now."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reads, 1 << 16)

    def wait(self, seconds: float, *, also: Sequence[int] = ()) -> None:
        """Wait for a call, for something to read from one of other descriptors, or until the time is over."""
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._reads, *also):
                selector.register(descriptor, selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        self.clear()

    def close(self) -> None:
        """Give the descriptors back; nobody may wake after that."""
        os.close(self._reads)
        os.close(self._writes)
