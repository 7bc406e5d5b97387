# SPDX-License-Identifier: GPL-2.0-or-later
"""Journal: counts calls, and names the operations that were wanted and are not there."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import omero

from omero_devserver.wire.faults import fault

log = logging.getLogger(__name__)


class Journal:
    """What was called, by `INTERFACE.operation`."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()

    def not_implemented(self, where: str) -> Any:
        """Note a missing operation; returns the exception for the client."""
        self.missing[where] += 1
        log.warning("not implemented: %s", where)
        return fault(omero.InternalException, f"not implemented by the development server: {where}")
