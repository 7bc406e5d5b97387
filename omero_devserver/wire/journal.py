# SPDX-License-Identifier: GPL-2.0-or-later
"""Journal: counts calls, and names the operations that were wanted and are not there."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Any

import omero

from omero_devserver.wire.faults import fault

log = logging.getLogger(__name__)


class Journal:
    """What was called, by `INTERFACE.operation`: how often."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def called(self, where: str) -> None:
        """Count a call."""
        with self._lock:  # of two threads that count the first call of an operation, one was lost
            self.calls[where] += 1

    def not_implemented(self, where: str) -> Any:
        """Write a missing operation to the log; returns the exception for the client."""
        log.warning("not implemented: %s", where)
        return fault(omero.InternalException, f"not implemented by the development server: {where}")
