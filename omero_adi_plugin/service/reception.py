# SPDX-License-Identifier: GPL-2.0-or-later
"""Reception: what a service does to notice orders: those that are new, those whose worker died, and those of another importer."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.logs import event
from omero_adi_plugin.tracking import losses, pruning, takeover
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.pausing import raise_if_paused

if TYPE_CHECKING:
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.database import Database

_log = logging.getLogger(__name__)

PRUNE_SECONDS = 300.0
"""How often a service asks whether it is time to forget what ended long ago (`pruning.EVERY_SECONDS`, for all services)."""


class Reception:
    """The intake of one service. Any number of services may do the same at the same time.

    Parameters
    ----------
    database : Database
        With all tables.
    settings : Settings
        Of these: how orders are noticed, and how often.
    who : str
        ``host:pid`` of the service.
    """

    def __init__(self, database: Database, *, settings: Settings, who: str) -> None:
        self._database, self._settings, self._who = database, settings, who
        self._intake = Intake(database, pending_days=settings.pending_days)
        self._reconciled = self._pruned = float("-inf")
        self._first = False

    def open(self) -> None:
        """Settle once and for all what the former importer left unfinished, when no service has run on this database before.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there; nothing was settled.
        """
        done = takeover.take_over(self._database, who=self._who)
        if done is not None:
            self._first = True
            reached(Point.DATABASE_TAKEN_OVER)
            event(_log, logging.INFO, "database.taken_over", begun_orders_failed=done.failed)

    def take_in(self) -> None:
        """Queue what is new, make the orders of silent workers claimable again, and forget what ended long ago.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there; the next call goes on.
        """
        if time.monotonic() - self._reconciled >= self._settings.reconcile_seconds:
            self._look_for_others()
            found = self._intake.reconcile()
            self._reconciled = time.monotonic()
            if found:
                reached(Point.RECONCILED)
                expected = self._first or self._settings.intake == "scan"  # else `omero adi check` tells why
                level, name = (logging.INFO, "intake.reconciled") if expected else (logging.WARNING, "intake.trigger_was_silent")
                event(_log, level, name, orders=found)
            self._first = False
        elif self._settings.intake == "scan":
            self._intake.reconcile(whole=False)
        taken = self._intake.take_in()
        if taken:
            reached(Point.TAKEN_IN)
            event(_log, logging.INFO, "intake.taken_in", orders=taken)
        for lost in losses.free_lapsed(self._database):
            reached(Point.LAPSED_FREED)
            event(_log, logging.WARNING, "lease.lapsed", order=lost.uuid, owner=lost.owner, failed=lost.failed)
        self._prune()

    def check_not_paused(self) -> None:
        """Return if imports may begin.

        Raises
        ------
        ImportsPaused
            Somebody has paused all imports.
        DatabaseDown
            PostgreSQL is not there.
        """
        with self._database.begin() as connection:
            raise_if_paused(connection)

    def _prune(self) -> None:
        """Forget what ended long ago, if it is time; while there is more of it, again at the next call."""
        if time.monotonic() - self._pruned < PRUNE_SECONDS:
            return
        forgotten = pruning.prune(self._database, keep_days=self._settings.keep_days)
        if forgotten:
            reached(Point.FORGOTTEN)
            event(_log, logging.INFO, "orders.forgotten", orders=forgotten, days=self._settings.keep_days)
        else:
            self._pruned = time.monotonic()

    def _look_for_others(self) -> None:
        for start in takeover.watch(self._database, who=self._who):
            event(
                _log,
                logging.ERROR,
                "importer.another",
                order=start.uuid,
                imports_id=start.imports_id,
                at=start.at,
                remedy="another importer runs on this database: stop it, or files are imported twice",
            )
