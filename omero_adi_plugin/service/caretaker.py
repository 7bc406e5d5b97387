# SPDX-License-Identifier: GPL-2.0-or-later
"""Caretaker: has the containers removed that dead workers of this host have left, in a thread of its own.

Podman may take its time, and a service has others to look after. Where no image may run, nothing of this is begun.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.logs import event
from omero_adi_plugin.service.signature import owner

if TYPE_CHECKING:
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

GOODBYE_SECONDS = 5.0
"""How long a service waits at its end for what is being removed; the next one that starts here sees to the rest."""


class Caretaker:
    """Removes containers of those that are dead. For several threads.

    Parameters
    ----------
    settings : Settings
        All of them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wanted: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Have the containers of all owners removed that are not alive on this host any more."""
        self._have_removed(is_alive=seems_alive)

    def bury(self, pid: int) -> None:
        """Have those of a worker of this service removed, which has died."""
        self._have_removed(owner=owner(pid))

    def close(self, seconds: float = GOODBYE_SECONDS) -> None:
        """Wait a little for what is being removed."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _have_removed(self, **which: Any) -> None:  # noqa: ANN401 (arguments of `remove_containers`)
        if not self._settings.allowed_containers:
            return
        with self._lock:
            self._wanted.append(which)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="caretaker", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        from omero_adi_plugin.containers.leftovers import remove_containers  # noqa: PLC0415 (few services ever need it)

        while True:
            with self._lock:
                if not self._wanted:
                    self._thread = None
                    return
                which = self._wanted.pop(0)
            try:
                remove_containers(self._settings, **which)
            except Exception as error:  # noqa: BLE001 (a fault of ours; whatever is left is looked for again later)
                event(_log, logging.ERROR, "container.leftovers_broke", error=error)


def seems_alive(owner: str) -> bool:
    """Say whether an owner of containers may be alive: of another host, whose podman this one uses, nobody can tell.

    Parameters
    ----------
    owner : str
        As in `signature`, also of a script.
    """
    host, _, pid = owner.removeprefix("script@").rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return bool(host)  # a label that says nobody is of nobody
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return int(pid) > 0
