# SPDX-License-Identifier: GPL-2.0-or-later
"""Ended: that a program was asked to end, by a signal or by one of its threads, and how its main thread waits for that."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress

END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ended:
    """Like an Event that signals set as well, and that the main thread waits for.

    Python runs the handler of a signal in the main thread. One that waits for a lock, as an Event's `wait` does, goes on waiting
    if another thread got the signal, or if it came just before the wait: one of some fifty servers that were told to end did not.
    The byte of `signal.set_wakeup_fd` is written whichever thread gets the signal. It only wakes, since a child between fork and
    exec writes it too.

    Attributes
    ----------
    event : threading.Event
        For other threads to wait for: set as soon as the main thread's `wait` has returned True.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._is_set = False
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """Be set by SIGTERM and by SIGINT from now on; only the main thread may say so."""
        for number in END_SIGNALS:
            signal.signal(number, lambda *_: self.set())
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def set(self) -> None:
        """Say that the program is to end; any thread and any signal handler may."""
        self._is_set = True
        with suppress(BlockingIOError):  # full of bytes that wake as well as one more
            os.write(self._wake, b"\0")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait in the main thread until it is set, `seconds` at the most; returns whether it is."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._is_set:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            if select.select([self._woken], [], [], left)[0]:
                os.read(self._woken, 4096)
        if self._is_set:
            self.event.set()  # not in a handler, which may have interrupted this thread in the middle of it
        return self._is_set
