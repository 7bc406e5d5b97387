# SPDX-License-Identifier: GPL-2.0-or-later
"""Ending: how a service ends when it is asked to, and how it ends at once when it is asked again.

What it says to the database at its end is said in a thread that is not waited for for long: a PostgreSQL that hangs must not
keep a service from ending. What it could not say others find out: leases lapse.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

KILL_SECONDS = 15.0
"""How long after `shutdown_timeout` a worker may take to give its order back before it is killed."""

FAREWELL_SECONDS = 3.0
"""How long a service may take at its end to give back the orders of killed workers, and to say that it has gone."""


class Ending:
    """Whether a service is to end, and the last way out.

    Parameters
    ----------
    asked : callable
        Done at the first request: ask everybody to end.
    farewell : callable
        Kill whoever is left. Returns what is to be said to the database after that; it may raise what it likes.
    seconds : float
        How long the end may take in good order.
    """

    def __init__(self, *, asked: Callable[[], None], farewell: Callable[[], Callable[[], None]], seconds: float) -> None:
        self._asked, self._farewell, self._seconds = asked, farewell, seconds
        self._requests = 0
        self._last = threading.Lock()
        self.deadline = float("inf")

    def __bool__(self) -> bool:
        """Whether it was asked to end."""
        return self._requests > 0

    def ask(self) -> None:
        """Ask it to end. The second time it ends at once, and any further time changes nothing."""
        self._requests += 1
        if self._requests == 1:
            self.deadline = time.monotonic() + self._seconds
            event(_log, logging.INFO, "service.ending", seconds=self._seconds)
            self._asked()
            # the main thread ends the service, unless it hangs: PostgreSQL may, in the middle of an answer
            timer = threading.Timer(self._seconds + 2 * FAREWELL_SECONDS, self._end_now, kwargs={"why": "it hangs"})
            timer.daemon = True
            timer.start()
        elif self._requests == 2:  # noqa: PLR2004 (it says so)
            self._end_now(why="it was asked twice")

    def say_farewell(self) -> None:
        """Kill whoever is left, and say good-bye to the database, as far as that can be done in `FAREWELL_SECONDS`."""
        say = self._farewell()
        thread = threading.Thread(target=_said, args=(say,), name="farewell", daemon=True)
        thread.start()
        thread.join(FAREWELL_SECONDS)
        if thread.is_alive():
            event(_log, logging.WARNING, "service.farewell_unheard", why="the database does not answer")

    def _end_now(self, *, why: str) -> None:
        if self._last.acquire(blocking=False):
            event(_log, logging.WARNING, "service.ended_at_once", why=why)
            try:
                self.say_farewell()
            finally:
                os._exit(os.EX_OK)  # the main thread may hang, and would be waited for otherwise


def _said(say: Callable[[], None]) -> None:
    try:
        say()
    except AdiError as error:
        event(_log, logging.WARNING, "service.farewell_unheard", why=str(error))
