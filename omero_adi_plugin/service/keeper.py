# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeper: extends the lease on one order while it is carried out, and says when the worker must stop.

It has a connection of its own, so that a long statement of the worker does not starve it. When the lease could not be
extended in time it says so by this host's monotonic clock, without having to reach the database.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.errors import LeaseLost, SurroundingsDown
from omero_adi_plugin.logs import event
from omero_adi_plugin.pipeline.outcome import ShuttingDown
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue

if TYPE_CHECKING:
    from types import TracebackType

    from omero_adi_plugin.orders import Lease
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)


class LeaseKeeper:
    """Keeps `lease` while the context is open; the pipeline's guard.

    Parameters
    ----------
    lease : Lease
        A lease that was taken or extended just now.
    settings : Settings
        Of these: the database's URL, `lease_seconds` and `heartbeat_seconds`.
    deadline : Deadline, optional
        When the order is to be given back because the service ends; None: never.
    """

    def __init__(self, lease: Lease, *, settings: Settings, deadline: Deadline | None = None) -> None:
        self._lease, self._settings = lease, settings
        self._deadline = deadline or Deadline()
        self._good_until = time.monotonic() + settings.lease_seconds
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {lease.order}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def check(self) -> None:
        """Return if the work may go on.

        Raises
        ------
        LeaseLost
            Somebody else has the order, or may have it by now.
        ShuttingDown
            The service is ending and the time for finishing is over.
        """
        if self._lost or time.monotonic() > self._good_until:
            raise LeaseLost(uuid=self._lease.order)
        if self._deadline.passed():
            raise ShuttingDown

    def _keep(self) -> None:
        database = Database(self._settings.ingest_tracking_db.get_secret_value(), name="adi lease")
        queue = Queue(database, lease_seconds=self._settings.lease_seconds)
        try:
            while not self._done.wait(self._settings.heartbeat_seconds):
                asked = time.monotonic()  # the lease counts from before the question, not from when its answer arrived
                try:
                    queue.extend(self._lease)
                except LeaseLost:
                    self._lost = True
                    event(_log, logging.WARNING, "lease.lost", order=self._lease.order, attempt=self._lease.attempt)
                    return
                except SurroundingsDown as error:
                    event(_log, logging.WARNING, "lease.not_extended", order=self._lease.order, why=str(error))
                else:
                    self._good_until = asked + self._settings.lease_seconds
        finally:
            database.close()


class Deadline:
    """The time by which a worker that was asked to end gives its order back; there is none until it is asked."""

    def __init__(self) -> None:
        self._at: float | None = None

    def in_seconds(self, seconds: float) -> None:
        """Set the deadline; the first one stays."""
        if self._at is None:
            self._at = time.monotonic() + seconds

    @property
    def is_set(self) -> bool:
        """Whether the worker was asked to end."""
        return self._at is not None

    def passed(self) -> bool:
        """Whether the time is over."""
        return self._at is not None and time.monotonic() >= self._at
