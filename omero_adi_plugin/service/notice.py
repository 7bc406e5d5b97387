# SPDX-License-Identifier: GPL-2.0-or-later
"""Notice: what a service shows of itself to whoever asks, often enough to be believed and never at the cost of its work."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.tracking.services import Presence, WorkerState

_log = logging.getLogger(__name__)

TELL_SECONDS = 10.0
"""How often a service says that it is at work, if nothing changes."""


class Notice:
    """Tells when something is new, or the last time was `TELL_SECONDS` ago. For several threads.

    Parameters
    ----------
    presence : Presence
        Where to tell it.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._told: object = None
        self._at = float("-inf")
        self._lock = threading.Lock()
        self._is_down = False

    def show(self, workers: Sequence[WorkerState], *, trouble: str | None, ending: bool) -> None:
        """Tell how the service stands; see `Presence.tell`. Never raises for the database's sake; nothing after `take_down`."""
        state = (tuple(workers), trouble, ending)
        with self._lock:
            if self._is_down or (state == self._told and time.monotonic() - self._at < TELL_SECONDS):
                return
            try:
                self._presence.tell(workers, trouble=trouble, ending=ending)
                reached(Point.SERVICE_SHOWN)
            except AdiError as error:  # whoever needs the database for work meets the same, and says it
                event(_log, logging.DEBUG, "service.not_shown", why=str(error))
            self._told, self._at = state, time.monotonic()

    def take_down(self) -> None:
        """Tell that the service has ended; whatever is to be shown from now on is not: its main thread may be at it still.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there; the notice grows old by itself.
        """
        reached(Point.FAREWELL_DUE)
        with self._lock:
            self._is_down = True
            self._presence.leave()
        reached(Point.FAREWELL_SAID)
