# SPDX-License-Identifier: GPL-2.0-or-later
"""Outcome: how an attempt at an order ends, by the type of what went wrong and never by its text."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    LeaseLost,
    NotBegun,
    NotOnThisHost,
    NotPermitted,
    OrderFailed,
    SessionOver,
    StorageDown,
    SurroundingsDown,
    TryAgain,
)
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.queue import Queue

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 600.0
"""Pauses between attempts at an order with transient trouble: doubled each time up to the longest, give or take a quarter."""


class ShuttingDown(AdiError):
    """The service ends and the time for finishing is over: the order is given back, which is no failure of it."""

    def __init__(self) -> None:
        super().__init__("The service was stopped; the order goes on where it was.")


class GaveWay(AdiError):
    """The order is left for now, at a point where nothing of it is half done; that is no failure of it."""


class TimeUp(GaveWay):
    """The script that carries the order out may live no longer.

    whole: whether the order had all of its life: then it is a failure of the order if nothing of it came to its end.
    """

    def __init__(self, *, minutes: float, whole: bool) -> None:
        super().__init__(
            f"A script on this OMERO may run for {minutes:.3g} minutes, and that time was over: another one goes on, unless one "
            "file alone takes longer. Then the administrator raises `omero.scripts.timeout`, or has it imported without scripts."
        )
        self.whole = whole


class LateStart(GaveWay):
    """The script had begun so late with the order that it says nothing of the order that nothing of it came to its end.

    seconds: for how long the script had lived by then.
    minutes: for how long it may live.
    """

    def __init__(self, *, seconds: float, minutes: float) -> None:
        super().__init__(
            f"The script that was to carry the order out took {seconds:.0f} s to begin, more than half of the {minutes:.3g} "
            "minutes that a script on this OMERO may run, and its time was over. The order is tried again by itself. The host of "
            "that Processor is overloaded, or its disk is slow."
        )
        self.seconds, self.minutes = seconds, minutes


class Cancelled(AdiError):
    """A person has called the order off while it was carried out.

    by: ``name@host on 2026-11-28 09:30 UTC``.
    """

    def __init__(self, *, by: str) -> None:
        super().__init__(
            f"Cancelled by {by or 'somebody'}, while it was being carried out. What had been imported by then stays in OMERO. "
            "Order again if the rest is wanted."
        )
        self.by = by


class Stopped(Exception):
    """The order is to be left, or called off, at a point where nothing of it is half done; `why` is what ends the attempt."""

    def __init__(self, why: Cancelled | GaveWay | ShuttingDown) -> None:
        super().__init__(str(why))
        self.why = why


class NoProgress(TryAgain):
    """Nothing of the order has got on for too long."""

    def __init__(self, *, seconds: float, doing: str | None) -> None:
        last = f" The last that was heard of it: {doing}." if doing else ""
        super().__init__(f"The order has made no progress for {seconds / 60:.0f} minutes.{last} It is tried again by itself.")
        self.seconds, self.doing = seconds, doing


def settle(
    queue: Queue,
    claim: Claim,
    error: Exception | None,
    *,
    settings: Settings,
    report: str | None = None,
    alone: bool = False,
) -> None:
    """Write the outcome of an attempt into the queue and, with it, the order's stage row.

    Parameters
    ----------
    queue : Queue
        The queue that the claim came from.
    claim : Claim
        The claim; its lease must still be ours.
    error : Exception or None
        What ended the attempt; None if all is done.
    report : str, optional
        What there is to say of an order that went well.
    alone : bool
        Whether this process cannot keep others from meeting the same trouble of the surroundings, as a script cannot: then the
        queue does it.

    Raises
    ------
    LeaseLost
        Another worker has the order: nothing was written.
    DatabaseDown
        Nothing was written; the lease will lapse and the order be taken over.
    """
    order = claim.lease.order
    match error:
        case None:
            queue.complete(claim.lease, description=report)
            event(_log, logging.INFO, "order.completed", order=order, attempt=claim.lease.attempt, report=report)
        case LeaseLost():
            raise error
        case OrderFailed():
            queue.fail(claim.lease, reason=str(error))
            event(_log, logging.WARNING, "order.failed", order=order, attempt=claim.lease.attempt, why=str(error))
        case TimeUp(whole=True) | LateStart() | SessionOver() if not queue.got_on(claim.lease):
            again = _hold_up if isinstance(error, LateStart) else _try_again
            again(queue, claim, error, settings=settings)
        case ShuttingDown() | GaveWay() | SessionOver():
            queue.give_back(claim.lease, note=str(error), after_seconds=0)
            event(_log, logging.INFO, "order.given_back", order=order, why=str(error))
        case Cancelled():
            queue.cancel(claim.lease, reason=str(error))
            event(_log, logging.WARNING, "order.cancelled", order=order, attempt=claim.lease.attempt, by=error.by)
        case SurroundingsDown() | ConfigurationError() | NotPermitted() | NotBegun() if alone:
            _hold_up(queue, claim, error, settings=settings)
        case StorageDown() | NotOnThisHost():  # that of one group, perhaps, while others can be served: less and less often
            seconds = min(LONGEST_PAUSE_SECONDS, settings.surroundings_seconds * claim.lease.attempt)
            queue.give_back(claim.lease, note=str(error), after_seconds=seconds)
            event(_log, logging.WARNING, "order.given_back", order=order, why=str(error))
        case SurroundingsDown() | ConfigurationError() | NotPermitted():  # a right of our own account is missing
            queue.give_back(claim.lease, note=str(error), after_seconds=settings.surroundings_seconds)
            event(_log, logging.WARNING, "order.given_back", order=order, why=str(error))  # the service says it for all
        case _:
            _try_again(queue, claim, error, settings=settings)


def _hold_up(queue: Queue, claim: Claim, error: AdiError, *, settings: Settings) -> None:
    first = settings.surroundings_seconds
    queue.hold_up(claim.lease, note=str(error), first_seconds=first, longest_seconds=LONGEST_PAUSE_SECONDS)
    event(_log, logging.WARNING, "order.held_up", order=claim.lease.order, why=str(error))


def _try_again(queue: Queue, claim: Claim, error: Exception, *, settings: Settings) -> None:
    if isinstance(error, (TryAgain, TimeUp, SessionOver)):
        why = str(error)
    else:  # a bug, or a fault of the server that nobody has met yet: often gone at the next attempt
        event(_log, logging.ERROR, "attempt.broke", order=claim.lease.order, attempt=claim.lease.attempt, error=error)
        why = f"An unexpected fault ended the attempt ({type(error).__name__}). The administrator finds the details in the log."
    failures = 1 if queue.got_on(claim.lease) else claim.failures + 1
    if failures >= settings.failures_allowed:
        reason = f"{why} It was tried {failures} times: order again when the cause is gone."
        queue.fail(claim.lease, reason=reason)
        event(_log, logging.ERROR, "order.failed", order=claim.lease.order, attempt=claim.lease.attempt, why=reason)
        return
    seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (failures - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 (a pause is no secret)
    queue.give_back(claim.lease, note=why, after_seconds=seconds, failures=failures)
    event(_log, logging.WARNING, "order.retried_later", order=claim.lease.order, failures=failures, seconds=seconds, why=why)
