# SPDX-License-Identifier: GPL-2.0-or-later
"""Janitor: removes from `converter_temp`, between two orders, what was left there of orders that ended long ago.

The end of an order removes it, and so does the sweep of one that was interrupted; but either may have been done on another host,
which does not see the folder. What lies there of an order that nobody knows is not touched: it may be of another database.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.leftovers import remove_containers
from omero_adi_plugin.errors import AdiError, ConfigurationError, NotPermitted, StorageDown, SurroundingsDown
from omero_adi_plugin.logs import event, order_logs
from omero_adi_plugin.orders import SAFE_UUID
from omero_adi_plugin.pipeline.outcome import ShuttingDown
from omero_adi_plugin.pipeline.tidying import tidy
from omero_adi_plugin.tracking.conversions import conversions_of
from omero_adi_plugin.tracking.sweeps import Sweeps

if TYPE_CHECKING:
    from omero_adi_plugin.service.deadline import Deadline
    from omero_adi_plugin.sessions import Logins
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.sweeps import Over

_log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""How often it is looked."""

LONGEST_PAUSE_SECONDS = 86400.0
"""What cannot be removed is tried again after `sweep_seconds`, then after twice as long each time, up to a day."""


class Janitor:
    """Looks for folders that orders have left on this host, and tidies them.

    Parameters
    ----------
    settings : Settings
        All of them.
    database : Database
        The worker's own.
    logins : Logins
        The worker's own: the service account sees what the order's user may not see any more.
    deadline : Deadline
        When nothing more is removed.
    """

    def __init__(self, settings: Settings, *, database: Database, logins: Logins, deadline: Deadline) -> None:
        self._settings, self._database, self._logins, self._deadline = settings, database, logins, deadline
        self._sweeps = Sweeps(database, delay_seconds=settings.sweep_seconds)
        self._looks_at = float("-inf")
        self._pauses: dict[str, tuple[float, float]] = {}  # of what could not be removed: until when, and how long it was

    def look(self) -> int:
        """Tidy all that is due; return of how many orders.

        Raises
        ------
        SurroundingsDown
            OMERO or the database is not there; the same is due again later.
        """
        now = time.monotonic()
        if now < self._looks_at:
            return 0
        self._looks_at = now + LOOK_SECONDS
        due = [uuid for uuid in _folders(self._settings) if self._pauses.get(uuid, (now, 0.0))[0] <= now]
        done = 0
        for over in self._sweeps.over(due) if due else ():
            if self._deadline.is_set:
                break
            with order_logs(self._settings, uuid=over.uuid):
                done += self._tidied(over)
        return done

    def _tidied(self, over: Over) -> bool:
        """Tidy one order; say whether nothing is left of it, and have it tried again later if not."""
        try:
            done = self._tidy(over)
        except (StorageDown, ConfigurationError, NotPermitted) as error:  # of one group, perhaps; orders meet the same
            self._keep(over, why=str(error))
            return False
        except SurroundingsDown:
            raise
        except (AdiError, ShuttingDown) as error:
            self._keep(over, why=str(error))
            return False
        if done:
            self._pauses.pop(over.uuid, None)
            event(_log, logging.INFO, "rooms.tidied", order=over.uuid)
        else:
            self._put_off(over)
        return done

    def _tidy(self, over: Over) -> bool:
        order = self._sweeps.text(over).read()
        if order.preprocessing is None:
            return False
        remove_containers(self._settings, order=over.uuid)
        return tidy(
            order,
            session=self._logins.service(),
            attempt=over.attempt,
            conversions=conversions_of(self._database, over.uuid),
            files=self._sweeps.files(over.uuid),
            settings=self._settings,
            check=lambda: self._check(over),
            sees_all=True,
        )

    def _check(self, over: Over) -> None:
        """Return if something may be removed."""
        if self._deadline.passed() or over not in self._sweeps.over([over.uuid]):  # it was begun again
            raise ShuttingDown

    def _keep(self, over: Over, *, why: str) -> None:
        event(_log, logging.WARNING, "rooms.kept", order=over.uuid, why=why)
        self._put_off(over)

    def _put_off(self, over: Over) -> None:
        _, last = self._pauses.get(over.uuid, (0.0, self._settings.sweep_seconds / 2))
        pause = min(2 * last, LONGEST_PAUSE_SECONDS)
        self._pauses[over.uuid] = time.monotonic() + pause, pause


def _folders(settings: Settings) -> list[str]:
    """Return what folders below `converter_temp` are called that may be those of orders."""
    try:
        with os.scandir(settings.converter_temp) as found:
            return [each.name for each in found if SAFE_UUID.fullmatch(each.name) and each.is_dir(follow_symlinks=False)]
    except OSError:  # no converter has ever run here
        return []
