# SPDX-License-Identifier: GPL-2.0-or-later
"""Launching: an order that was claimed is given to a script on one of OMERO's Processors, which carries it out by itself.

The lease is kept here until the script has taken the order over, with a lease of its own. From then on nothing is known of it but
what the database says, and nothing that happens here can harm it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError, ConnectionBroken, DatabaseDown, LeaseLost, NotBegun, NotLaunched, ScriptRefused
from omero_adi_plugin.grid.catalogue import find
from omero_adi_plugin.grid.launch import Launch
from omero_adi_plugin.grid.shipped import RUN_ORDERS
from omero_adi_plugin.logs import event, order_logs
from omero_adi_plugin.orders import SAFE_UUID
from omero_adi_plugin.pipeline.outcome import Cancelled, settle
from omero_adi_plugin.service.reports import NOBODYS_FAULT
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue, limits_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.orders import Claim, Lease
    from omero_adi_plugin.service.deadline import Deadline
    from omero_adi_plugin.sessions import Logins
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 300.0
"""How long a script may take to begin. It is Python that starts and imports OMERO: a second; minutes on a host without memory."""

LOOK_SECONDS = 0.2
"""How often it is looked whether it has."""


class Launches:
    """Has orders carried out by scripts, one launch after the other.

    Parameters
    ----------
    settings : Settings
        All of them.
    logins : Logins
        Where sessions for the orders' users come from.
    deadline : Deadline
        When a script that has not begun is not waited for any longer.
    """

    def __init__(self, settings: Settings, *, logins: Logins, deadline: Deadline) -> None:
        self._settings, self._logins, self._deadline = settings, logins, deadline
        self.database = Database(settings.ingest_tracking_db.get_secret_value(), name="adi launcher")
        self.queue = Queue(self.database, lease_seconds=settings.lease_seconds, limits=limits_of(settings), in_script=True)
        self._cancelled_by: str | None = None  # who has called off the order that is being launched

    def carry_out(self, claim: Claim) -> Exception | None:
        """Launch a script for an order, and see that it begins.

        Returns
        -------
        Exception or None
            What kept it from beginning, already written to queue and stage rows; None: the script has the order.

        Raises
        ------
        SurroundingsDown
            That could not be written: the lease will lapse, and the order be taken over.
        """
        lease = claim.lease
        with order_logs(self._settings, uuid=lease.order if SAFE_UUID.fullmatch(lease.order) else "malformed"):
            reached(Point.ORDER_CLAIMED)
            error = self._launched(claim)
            if error is not None and not isinstance(error, DatabaseDown) and self.queue.handed_over(lease):
                event(_log, logging.WARNING, "launch.lost_sight", order=lease.order, attempt=lease.attempt, why=str(error))
                error = None
            if error is None:
                event(_log, logging.INFO, "order.handed_over", order=lease.order, attempt=lease.attempt)
                return None
            try:
                settle(self.queue, claim, error, settings=self._settings, alone=isinstance(error, NotBegun))
            except LeaseLost as lost:
                event(_log, logging.WARNING, "order.lost", order=lease.order, attempt=lease.attempt, why=str(error))
                return lost
        return error

    def close(self) -> None:
        """Give connections back."""
        self.database.close()

    def _launched(self, claim: Claim) -> Exception | None:
        """Launch the script, and return when it has the order; or what kept it from that."""
        lease, self._cancelled_by = claim.lease, claim.cancelled_by
        try:
            self._check_wanted(nothing_begun=lease.attempt == 1)
            order = claim.text.read()
            event(_log, logging.INFO, "order.launching", order=lease.order, attempt=lease.attempt, user=order.user)
            with self._kept(lease) as kept, self._logins.act_for(order.user, order.group) as session:
                script = find(session, RUN_ORDERS)
                reached(Point.LAUNCH_DUE)
                inputs = {"Order": order.uuid, "Token": str(claim.lease.token)}
                launch = Launch.begin(session, script=script, inputs=inputs)
                reached(Point.LAUNCHED)
                try:
                    self._see_it_begin(kept, launch)
                except DatabaseDown:  # nobody knows whether it has begun: it knows itself, and ends by itself if it has not
                    launch.let_go()
                    raise
                except BaseException:
                    launch.end()
                    raise
                reached(Point.LET_GO_DUE)
                launch.let_go()
                reached(Point.LET_GO)
        except ConnectionBroken as error:  # nothing of the order was tried
            return self._cancelled(NotLaunched(where=self._settings.omero, why=str(error)))
        except DatabaseDown as error:
            return error
        except (NotBegun, *NOBODYS_FAULT) as error:
            return self._cancelled(error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the order gets an outcome: `settle` tells bugs apart)
            return error
        return None

    def _cancelled(self, error: AdiError) -> AdiError:
        """Return what becomes of an order that no script can carry out now: nobody waits for that with one that was called off.

        What earlier attempts have left half is deleted by the sweep after its end.
        """
        return error if self._cancelled_by is None else Cancelled(by=self._cancelled_by)

    def _check_wanted(self, *, nothing_begun: bool) -> None:
        if self._cancelled_by is not None and nothing_begun:
            raise Cancelled(by=self._cancelled_by)

    @contextlib.contextmanager
    def _kept(self, lease: Lease) -> Iterator[_Kept]:
        """Keep the lease meanwhile, until the script has one of its own: a busy server takes minutes for a log-in or a launch."""
        with contextlib.closing(Database(self._settings.ingest_tracking_db.get_secret_value(), name="adi lease")) as database:
            kept = _Kept(lease, queue=self.queue.on(database), every_seconds=self._settings.heartbeat_seconds)
            try:
                yield kept
            finally:
                kept.stop()
                self._cancelled_by = kept.cancelled_by or self._cancelled_by

    def _see_it_begin(self, kept: _Kept, launch: Launch) -> None:
        """Wait until the script has a lease of its own.

        Raises
        ------
        ScriptRefused
            It has ended without that, or does not begin.
        LeaseLost
            Somebody else has the order.
        ShuttingDown, SurroundingsDown
            It is not waited for any longer.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.queue.handed_over(kept.lease):
            if launch.has_ended():
                if self.queue.handed_over(kept.lease):  # and is done already
                    return
                raise ScriptRefused(words=launch.last_words())
            if kept.lost and not self.queue.handed_over(kept.lease):
                raise LeaseLost(uuid=kept.lease.order)
            if self._deadline.is_near:
                raise self._deadline.reason()
            if time.monotonic() > until:
                raise ScriptRefused(words=f"It has said nothing for {PATIENCE_SECONDS:.0f} s, and was ended.")
            time.sleep(LOOK_SECONDS)


class _Kept:
    """A lease that is extended, in a thread of its own, until it is stopped or the lease is gone.

    lost:         whether it is gone: taken by the script, or by somebody else.
    cancelled_by: who has called the order off meanwhile.
    """

    def __init__(self, lease: Lease, *, queue: Queue, every_seconds: float) -> None:
        self.lease, self._queue, self._seconds = lease, queue, every_seconds
        self.lost = False
        self.cancelled_by: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {lease.order}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self.lost and not self._stopped.wait(self._seconds):
            try:
                self.cancelled_by = self._queue.extend(self.lease, doing="launching a script on a Processor").cancelled_by
            except LeaseLost:
                self.lost = True
            except AdiError as error:
                event(_log, logging.WARNING, "lease.not_extended", order=self.lease.order, why=str(error))
