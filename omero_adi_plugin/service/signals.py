# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals: noticed at once, whichever thread of the process the kernel chose, and whatever the main thread does just now.

Python's own handlers run in the main thread, and there only between two lines of Python: not while it sleeps in a library, and
not while it waits for a database that hangs. So a thread of its own reads what the interpreter notes of each signal.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

_log = logging.getLogger(__name__)


class Signals:
    """Calls what is to be done for each signal, one after the other, in a thread of its own. Once in a process, for its life.

    Parameters
    ----------
    actions : mapping of signal.Signals to callable
        What to do.
    """

    def __init__(self, actions: Mapping[signal.Signals, Callable[[], None]]) -> None:
        self._actions = {int(number): act for number, act in actions.items()}

    def listen(self) -> None:
        """Begin; only the main thread may call it. What came before and was blocked (pthread_sigmask) comes now."""
        reads, writes = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(writes, False)
        threading.Thread(target=self._act, args=(reads,), name="signals", daemon=True).start()
        signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
        for number in self._actions:
            signal.signal(number, _noted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._actions)

    def _act(self, reads: int) -> None:
        while numbers := os.read(reads, 64):
            for number in filter(self._actions.__contains__, numbers):
                try:
                    self._actions[number]()
                except Exception as error:  # noqa: BLE001 (whatever it is, the next signal must be seen to as well)
                    event(_log, logging.ERROR, "signal.not_seen_to", number=number, error=error)


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing: the interpreter notes a signal only if it has a handler."""
    del number, frame
