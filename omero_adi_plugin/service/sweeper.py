# SPDX-License-Identifier: GPL-2.0-or-later
"""Sweeper: looks once more, between two orders, what an interrupted order has left in OMERO some time after its end.

A sweep can be begun anew after it was cut off at any point, and nobody waits for its end. So no lease is kept on it in a thread
of its own: of whoever dies over it, or takes too long, it is done again by the next one.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ConfigurationError, NotPermitted, OrderFailed, StorageDown, SurroundingsDown, TryAgain
from omero_adi_plugin.logs import event, order_logs
from omero_adi_plugin.orders import SAFE_UUID
from omero_adi_plugin.pipeline.outcome import ShuttingDown
from omero_adi_plugin.pipeline.sweeping import sweep_late
from omero_adi_plugin.service.janitor import Janitor
from omero_adi_plugin.tracking.conversions import conversions_of
from omero_adi_plugin.tracking.sweeps import Sweeps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.orders import DueSweep
    from omero_adi_plugin.service.deadline import Deadline
    from omero_adi_plugin.sessions import Logins
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.database import Database

_log = logging.getLogger(__name__)

MOST_TRIES = 8
"""So often a sweep is begun that comes to no end for a reason of its own, in four hours with the pauses that the settings come
with. What it would have found stays in OMERO then, and the log says so."""

LEASES = 10
"""So many times `lease_seconds` may a sweep be silent before it is done again, ten minutes with the default: it has no heartbeat,
and a server may be slow."""

PAUSES = 6
"""So many times `surroundings_seconds` pass before a sweep is tried again; twice as many with each time that counts."""


class Sweeper:
    """Does the sweeps that are due, one at a time.

    Parameters
    ----------
    settings : Settings
        All of them.
    database : Database
        The worker's own.
    logins : Logins
        The worker's own.
    deadline : Deadline
        When a sweep is left to others, at the next change that it would make.
    on_stuck : callable, optional
        Called, in another thread, when a sweep hangs for longer than `no_progress_seconds`; None: nobody looks.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        logins: Logins,
        deadline: Deadline,
        on_stuck: Callable[[], None] | None = None,
    ) -> None:
        self._settings, self._logins, self._deadline, self._on_stuck = settings, logins, deadline, on_stuck
        self._database = database
        self._janitor = Janitor(settings, database=database, logins=logins, deadline=deadline)
        lease_seconds = LEASES * settings.lease_seconds
        self._sweeps = Sweeps(database, delay_seconds=settings.sweep_seconds, lease_seconds=lease_seconds)

    def sweep_one(self) -> bool:
        """Do the sweep that has been due for longest; if none is, see to what converters left here. False if nothing was done.

        Raises
        ------
        SurroundingsDown
            Nothing can be done at the moment; what was begun is due again later.
        """
        due = self._sweeps.claim()
        if due is None:  # or all imports are paused
            return self._janitor.look() > 0
        reached(Point.SWEEP_CLAIMED)
        with order_logs(self._settings, uuid=due.uuid if SAFE_UUID.fullmatch(due.uuid) else "malformed"), self._watched(due):
            self._sweep(due)
        return True

    def _sweep(self, due: DueSweep) -> None:
        """Do a sweep, and say what becomes of it by the type of what went wrong."""
        try:
            if due.tries > MOST_TRIES:
                self._give_up(due, why=f"it was begun {MOST_TRIES} times and came to no end")
                return
            self._look(due)
        except _NotWanted:
            event(_log, logging.INFO, "sweep.left", order=due.uuid, why="the order was begun again, or others have done it")
        except ShuttingDown as error:
            self._put_off(due, error, seconds=0, counts=False)
        except OrderFailed as error:  # it cannot be read any more, or its user is gone, with the group or altogether
            self._give_up(due, why=str(error))
        except (StorageDown, ConfigurationError, NotPermitted) as error:  # orders meet the same, and the service says it then
            self._put_off(due, error, seconds=self._pause_seconds, counts=False)
        except SurroundingsDown as error:
            self._put_off(due, error, seconds=self._pause_seconds, counts=False)
            raise
        except TryAgain as error:
            self._put_off(due, error, seconds=self._pause_seconds * 2 ** (due.tries - 1), counts=True)
        except Exception as error:  # noqa: BLE001 (a fault of ours, or one of the server that nobody has met yet: orders go on)
            event(_log, logging.ERROR, "sweep.broke", order=due.uuid, error=error)
            self._put_off(due, error, seconds=self._pause_seconds * 2 ** (due.tries - 1), counts=True)
        else:
            self._sweeps.done(due)
            reached(Point.SWEEP_WRITTEN)
            event(_log, logging.INFO, "sweep.done", order=due.uuid, attempt=due.attempt)

    def _look(self, due: DueSweep) -> None:
        order = due.text.read()
        with self._logins.act_for(order.user, order.group) as session:
            sweep_late(
                order,
                session=session,
                service=self._logins.service(),
                attempt=due.attempt,
                files=self._sweeps.files(due.uuid),
                conversions=conversions_of(self._database, due.uuid),
                since=due.since,
                now=min(time.time(), due.now),  # of two clocks the one that calls fewer folders old
                settings=self._settings,
                check=lambda: self._check(due),
            )

    def _check(self, due: DueSweep) -> None:
        """Return if something may be removed."""
        if self._deadline.passed():
            raise ShuttingDown
        if not self._sweeps.wanted(due):
            raise _NotWanted

    def _give_up(self, due: DueSweep, *, why: str) -> None:
        self._sweeps.done(due)
        event(_log, logging.WARNING, "sweep.given_up", order=due.uuid, attempt=due.attempt, why=why)

    def _put_off(self, due: DueSweep, error: Exception, *, seconds: float, counts: bool) -> None:
        event(_log, logging.WARNING, "sweep.put_off", order=due.uuid, tries=due.tries, seconds=float(seconds), why=str(error))
        self._sweeps.put_off(due, seconds=seconds, counts=counts)

    @property
    def _pause_seconds(self) -> float:
        return float(self._settings.surroundings_seconds * PAUSES)

    @contextmanager
    def _watched(self, due: DueSweep) -> Iterator[None]:
        """Say so when the body hangs: nobody can stop a thread that does."""
        seconds = self._settings.no_progress_seconds
        timer = threading.Timer(seconds, self._stuck, args=(due, seconds))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _stuck(self, due: DueSweep, seconds: float) -> None:
        event(_log, logging.ERROR, "sweep.stuck", order=due.uuid, seconds=float(seconds))
        if self._on_stuck is not None:
            self._on_stuck()


class _NotWanted(Exception):
    """The order was begun again meanwhile, so that another attempt looks itself; or the sweep is done."""
