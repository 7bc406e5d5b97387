# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep-alive: says to OMERO now and then that a session is still wanted, so that it does not end by its idle time.

omero.client has a keep-alive of its own, but that gives up for good after the first call that fails, and knows no interval below
5 s.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import Glacier2
import Ice
import omero.all

from omero_adi_plugin.ice import TROUBLE, words
from omero_adi_plugin.logs import event

_log = logging.getLogger(__name__)

SHORTEST_SECONDS, LONGEST_SECONDS = 1, 60
"""Between two calls: not so often that it costs anything, and not so rarely that a firewall takes the connection for dead."""

CALL_SECONDS = 10
"""How long one of them may take at least: what hangs must not keep the next one from being tried."""

_ENDED = (Ice.ObjectNotExistException, Glacier2.SessionNotExistException, omero.SessionException)
"""What is called is not there any more: nothing will keep it alive. All other trouble may pass."""


def interval_seconds(idle_milliseconds: int) -> float:
    """Return how often to call, in s, so that two calls may get lost: a third of the idle time.

    Parameters
    ----------
    idle_milliseconds : int
        The session's timeToIdle, as the server says it; 0 or less: no limit.
    """
    if idle_milliseconds <= 0:
        return LONGEST_SECONDS
    return min(max(idle_milliseconds / 3000, SHORTEST_SECONDS), LONGEST_SECONDS)


class KeepAlive:
    """Keeps one session alive, in a thread of its own, until `stop` or until the session has ended.

    Parameters
    ----------
    factory : omero.api.ServiceFactoryPrx
        Of a joined session.
    idle_milliseconds : int
        See `interval_seconds`.
    user, group : str
        Whose session it is, for the log.
    """

    def __init__(self, factory: Any, *, idle_milliseconds: int, user: str, group: str) -> None:  # noqa: ANN401 (untyped)
        self._seconds = interval_seconds(idle_milliseconds)
        self._factory = factory.ice_invocationTimeout(int(1000 * max(self._seconds, CALL_SECONDS)))
        self._facts = {"user": user, "group": group}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep-alive {user}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Call no more. A call that hangs just now ends with the session's communicator: `join` after that."""
        self._stopped.set()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _keep(self) -> None:
        failing = False
        while not self._stopped.wait(self._seconds):
            try:
                self._factory.keepAlive(None)
            except TROUBLE as error:
                if self._stopped.is_set():
                    return
                if isinstance(error, _ENDED):  # whoever works in it notices at the next call
                    event(_log, logging.WARNING, "session.ended_early", why=words(error), **self._facts)
                    return
                if not failing:  # said once, not all night
                    event(_log, logging.WARNING, "session.keep_alive_failed", why=words(error), **self._facts)
                failing = True
            else:
                failing = False
