# SPDX-License-Identifier: GPL-2.0-or-later
"""Deaths: workers that died with an order, until the queue knows it, so that their orders go on without waiting for the lease."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.logs import event
from omero_adi_plugin.service.signature import owner
from omero_adi_plugin.tracking import losses

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Death:
    why: str
    counts: bool


class Deaths:
    """Those that the queue does not know of yet. For several threads."""

    def __init__(self) -> None:
        self._deaths: dict[int, _Death] = {}

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def add(self, pid: int, *, why: str, counts: bool) -> None:
        """Take note of a worker of this service; see `tracking.losses.bury`."""
        self._deaths[pid] = _Death(why=why, counts=counts)

    def report(self, database: Database) -> None:
        """Give the orders of all of them back.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there: those that are left are for the next call, and their leases lapse meanwhile.
        """
        for pid, death in list(self._deaths.items()):
            for loss in losses.bury(database, owner=owner(pid), why=death.why, counts=death.counts):
                reached(Point.DEATH_REPORTED)
                event(_log, logging.WARNING, "order.worker_gone", order=loss.uuid, owner=loss.owner, failed=loss.failed)
            self._deaths.pop(pid, None)
