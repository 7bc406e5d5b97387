# SPDX-License-Identifier: GPL-2.0-or-later
"""Replacing: an order goes on in a new session when OMERO has taken away the one it had.

Sessions are killed by administrators, end by their times, and do not outlive the server or a network that breaks. What the order
had done by then is found again by its markers, so that work begun anew in another session brings nothing twice.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ConnectionBroken, TryAgain
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.pipeline.progress import Guard
    from omero_adi_plugin.sessions import OmeroSession

_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)

PAUSES_SECONDS = (0.5, 1.0, 2.0)
"""Before each new session in a row in which nothing got done; after that many it is another attempt's turn, later."""

_LOOK_SECONDS = 0.2


class Sessions(Protocol):
    """Where sessions for users come from: `sessions.Logins`, or `sessions.GivenSession` in a script."""

    def act_for(self, user: str, group: str) -> OmeroSession:
        """Return a session of `user` in `group`; whoever asked for it closes it."""


def in_sessions(
    sessions: Sessions,
    order: Order,
    work: Callable[[OmeroSession], _Result],
    *,
    guard: Guard,
    settled: Callable[[], int],
    on_lost: Callable[[], None],
) -> _Result:
    """Do `work` in a session of the order's user, and again in a new one when that was lost.

    Parameters
    ----------
    sessions : Sessions
        Where sessions come from.
    order : Order
        Whose user and group it is about.
    work : callable
        Takes the session; can be begun anew after it was cut off at any point.
    guard : Guard
        Asked before each new session.
    settled : callable
        How many filesets of the order are in OMERO for good, by the ledger: while that grows, sessions are replaced for as long
        as it takes.
    on_lost : callable
        Called when a session was lost, before another one begins: its last request may still be on its way.

    Raises
    ------
    ConnectionBroken
        Several sessions in a row were lost without getting one fileset further.
    OmeroDown
        OMERO lets nobody in: nothing about this order.
    SessionOver
        The session was lost, and a script has no other.
    AdiError
        Whatever else the log-in, the work, the guard and `on_lost` raise.
    """
    in_vain, before = 0, 0
    while True:
        try:
            with sessions.act_for(order.user, order.group) as session:
                return _work_in(session, work)
        except ConnectionBroken as error:
            guard.check()
            on_lost()
            reached(Point.LOSS_WRITTEN)
            now = settled()
            in_vain = 0 if now > before else in_vain
            if in_vain == len(PAUSES_SECONDS):
                raise
            pause, in_vain, before = PAUSES_SECONDS[in_vain], in_vain + 1, now
            event(_log, logging.WARNING, "session.lost", order=order.uuid, user=order.user, why=error.doing, filesets=now)
        _pause(pause, guard)


def _work_in(session: OmeroSession, work: Callable[[OmeroSession], _Result]) -> _Result:
    """Do the work; when it fails for a time and the session has ended, that is why, whatever the server's words were.

    Operations of a handle, for one, have no exception of OMERO's that they could tell it by.
    """
    try:
        return work(session)
    except ConnectionBroken:
        raise
    except TryAgain as error:
        if session.alive():
            raise
        raise ConnectionBroken(doing="carrying the order out") from error


def _pause(seconds: float, guard: Guard) -> None:
    until = time.monotonic() + seconds
    never = threading.Event()
    while (left := until - time.monotonic()) > 0:
        guard.check()
        never.wait(min(left, _LOOK_SECONDS))
