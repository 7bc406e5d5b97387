# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeper: extends the lease on one order while it is carried out, and says when the worker must stop, or leave it to others.

It has a connection of its own, so that a long statement of the worker does not starve it. When the lease could not be
extended in time it says so by this host's monotonic clock, without having to reach the database.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError, LeaseLost, SurroundingsDown
from omero_adi_plugin.logs import event
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay, NoProgress, settle
from omero_adi_plugin.service.deadline import Deadline
from omero_adi_plugin.tracking.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.pipeline.progress import Progress
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.queue import Queue

_log = logging.getLogger(__name__)

STUCK_SECONDS = 60.0
"""How long an order that has made no progress for too long may take to notice that: then its process is stuck."""


class LeaseKeeper:
    """Keeps the lease on an order while the context is open; the pipeline's guard.

    Parameters
    ----------
    claim : Claim
        An order that was claimed just now.
    queue : Queue
        The worker's own.
    settings : Settings
        Of these: the database's URL, and how long things may take.
    deadline : Deadline, optional
        When the order is to be given back because its process ends; None: never.
    on_stuck : callable, optional
        Called, in another thread, when the worker does not get away from an order that makes no progress any more: nobody can
        stop a thread that hangs. The order has been given back by then. None: the lease is only left to lapse.
    """

    def __init__(
        self,
        claim: Claim,
        *,
        queue: Queue,
        settings: Settings,
        deadline: Deadline | None = None,
        on_stuck: Callable[[], None] | None = None,
    ) -> None:
        self._claim, self._lease, self._queue, self._settings = claim, claim.lease, queue, settings
        self._deadline = deadline or Deadline()
        self._on_stuck = on_stuck
        self._good_until = claim.asked + settings.lease_seconds
        self._lost = False
        self._cancelled_by, self._draining = claim.cancelled_by, False
        self._places, self._widened = claim.places, float("-inf")
        self._began = self._resumed = self._progress = time.monotonic()
        self._yielded_to, self._doing = 0, ""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {claim.lease.order}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def note(self, progress: Progress) -> None:
        """Take note of a step forward; to wait for something is none."""
        self._doing = f"{progress.done}/{progress.total} {progress.entry}: {progress.words}"
        if progress.moved:
            self._progress = time.monotonic()

    # --- the guard, see `pipeline.progress.Guard`

    def check(self) -> None:
        """Return if the work may go on."""
        if self._lost or time.monotonic() > self._good_until:
            raise LeaseLost(uuid=self._lease.order)
        if self._deadline.passed():
            raise self._deadline.reason()
        if self._without_progress() > self._settings.no_progress_seconds:
            raise self._no_progress()

    def safe_point(self, *, settled: int) -> None:
        """Return if something new may be begun."""
        self.check()
        if self._cancelled_by is not None:
            raise Cancelled(by=self._cancelled_by)
        if self._draining:
            raise GaveWay("All imports were paused, and what was running was given back; the order goes on where it was.")
        if self._deadline.is_near:
            raise self._deadline.reason()
        self._give_way_if_due(settled)

    def places(self, *, wanted: int) -> int:
        """Return how many filesets may be in flight."""
        if self._places < wanted and time.monotonic() - self._widened >= self._pause_before_asking_again():
            self._widened = time.monotonic()
            try:
                self._places = self._queue.widen(self._lease, wanted=wanted)
                reached(Point.PLACES_GIVEN)
            except SurroundingsDown as error:
                if not self._places:
                    raise
                event(_log, logging.DEBUG, "places.not_asked_for", order=self._lease.order, why=str(error))
        return self._places

    def _give_way_if_due(self, settled: int) -> None:
        """Raise `GaveWay` after so many filesets, and not before as much time went into them as it took to get so far.

        An order of 100,000 files takes a minute to be taken up again when half of them are in OMERO; it would do nothing else if
        it gave way after the next hundred.
        """
        if settled < self._yielded_to:  # counted anew, in another session
            self._yielded_to = 0
        if not settled:
            self._resumed = time.monotonic()
            return
        spent, took = time.monotonic() - self._resumed, self._resumed - self._began
        if settled - self._yielded_to < self._settings.yield_after_filesets or spent < took:
            return
        self._yielded_to = settled
        try:
            others_wait = self._queue.others_wait(self._lease)
        except SurroundingsDown as error:  # nobody can be given anything just now
            event(_log, logging.DEBUG, "others.not_asked_for", order=self._lease.order, why=str(error))
            return
        if others_wait:
            raise GaveWay(f"gave way to orders of others after {settled} filesets")

    def _pause_before_asking_again(self) -> float:
        return 1.0 if self._places == 0 else float(self._settings.heartbeat_seconds)

    def _without_progress(self) -> float:
        return time.monotonic() - self._progress

    def _no_progress(self) -> NoProgress:
        return NoProgress(seconds=self._without_progress(), doing=self._doing or None)

    # --- in a thread of its own

    def _keep(self) -> None:
        database = Database(self._settings.ingest_tracking_db.get_secret_value(), name="adi lease")
        queue = self._queue.on(database)
        try:
            while not self._lost and not self._done.wait(self._settings.heartbeat_seconds):
                if self._without_progress() > self._settings.no_progress_seconds + STUCK_SECONDS:
                    self._let_go(queue)
                    return
                self._extend(queue)
        finally:
            database.close()

    def _extend(self, queue: Queue) -> None:
        asked = time.monotonic()  # the lease counts from before the question, not from when its answer arrived
        try:
            extension = queue.extend(self._lease, doing=self._doing or None)
            reached(Point.LEASE_EXTENDED)
        except LeaseLost:
            self._lost = True
            event(_log, logging.WARNING, "lease.lost", order=self._lease.order, attempt=self._lease.attempt)
        except AdiError as error:  # the database is away; or has taken rights from our account, and may give them back
            event(_log, logging.WARNING, "lease.not_extended", order=self._lease.order, why=str(error))
        else:
            self._good_until = asked + self._settings.lease_seconds
            self._cancelled_by, self._draining = extension.cancelled_by, extension.draining

    def _let_go(self, queue: Queue) -> None:
        """Take the order from the worker's own hands: it hangs somewhere where it asks nobody any more."""
        self._lost = True
        why = self._no_progress()
        event(_log, logging.ERROR, "worker.stuck", order=self._lease.order, attempt=self._lease.attempt, why=str(why))
        try:
            settle(queue, self._claim, why, settings=self._settings)
        except AdiError as error:
            event(_log, logging.WARNING, "lease.not_given_back", order=self._lease.order, why=str(error))
        if self._on_stuck is not None:
            self._on_stuck()
