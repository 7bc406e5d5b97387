# SPDX-License-Identifier: GPL-2.0-or-later
"""Outcome: how an attempt at an order ends, by the type of what went wrong and never by its text."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import AdiError, ConfigurationError, LeaseLost, NotPermitted, OrderFailed, SurroundingsDown, TryAgain
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


def settle(queue: Queue, claim: Claim, error: Exception | None, *, settings: Settings, report: str | None = None) -> None:
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
        case ShuttingDown():
            queue.give_back(claim.lease, note=str(error), failed=False, after_seconds=0)
            event(_log, logging.INFO, "order.given_back", order=order, why=str(error))
        case SurroundingsDown() | ConfigurationError() | NotPermitted():  # a right of our own account is missing
            queue.give_back(claim.lease, note=str(error), failed=False, after_seconds=settings.surroundings_seconds)
            event(_log, logging.ERROR, "surroundings.down", order=order, why=str(error))
        case _:
            _try_again(queue, claim, error, settings=settings)


def _try_again(queue: Queue, claim: Claim, error: Exception, *, settings: Settings) -> None:
    if isinstance(error, TryAgain):
        why = str(error)
    else:  # a bug, or a fault of the server that nobody has met yet: often gone at the next attempt
        event(_log, logging.ERROR, "attempt.broke", order=claim.lease.order, attempt=claim.lease.attempt, error=error)
        why = f"An unexpected fault ended the attempt ({type(error).__name__}). The administrator finds the details in the log."
    failures = claim.failures + 1
    if failures >= settings.failures_allowed:
        reason = f"{why} It was tried {failures} times: order again when the cause is gone."
        queue.fail(claim.lease, reason=reason)
        event(_log, logging.ERROR, "order.failed", order=claim.lease.order, attempt=claim.lease.attempt, why=reason)
        return
    seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**claim.failures) * random.uniform(0.75, 1.25)  # noqa: S311 (a pause is no secret)
    queue.give_back(claim.lease, note=why, failed=True, after_seconds=seconds)
    event(_log, logging.WARNING, "order.retried_later", order=claim.lease.order, failures=failures, seconds=seconds, why=why)
