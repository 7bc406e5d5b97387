# SPDX-License-Identifier: GPL-2.0-or-later
"""Surroundings: what keeps the processes of a service from working, said once and not by each of them every few seconds."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.service.reports import Trouble

_log = logging.getLogger(__name__)


class Surroundings:
    """The troubles of a service and its workers.

    Attributes
    ----------
    why : str or None
        What is wrong, for people; None if nothing is.
    """

    def __init__(self) -> None:
        self.why: str | None = None
        self._said: set[type[AdiError]] = set()
        self._since = 0.0

    def are(self, troubles: Mapping[int, Trouble]) -> None:
        """Take note of all troubles that there are, by process id; say what is new, and when all is well again."""
        if not troubles:
            if self.why is not None:
                event(_log, logging.INFO, "surroundings.up", seconds=time.monotonic() - self._since)
            self.why = None
            self._said.clear()
            return
        if self.why is None:
            self._since = time.monotonic()
        for pid, trouble in troubles.items():
            if trouble.kind not in self._said:
                event(_log, logging.ERROR, "surroundings.down", why=trouble.why, process=pid)
            self._said.add(trouble.kind)
        self.why = next(iter(troubles.values())).why
