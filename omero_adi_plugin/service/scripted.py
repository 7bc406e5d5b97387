# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripted: what the script does that a service launches on one of OMERO's Processors: it carries orders out, like a worker.

It has no password of OMERO's: it works in the session that the Processor gave it. It takes over the order that it was launched
for, and then further ones of the same user in the same group. The service learns what becomes of them from the database alone.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from omero_adi_plugin import logs
from omero_adi_plugin.crashpoints import Point, reached, warn_if_armed
from omero_adi_plugin.errors import AdiError, ConfigurationError, DatabaseDown, LeaseLost, NotPermitted, SessionOver
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import SAFE_UUID
from omero_adi_plugin.pipeline.outcome import GaveWay, ShuttingDown
from omero_adi_plugin.service.attempt import Attempts
from omero_adi_plugin.service.deadline import Lifespan
from omero_adi_plugin.service.outputs import printed_to_log
from omero_adi_plugin.service.reports import NOBODYS_FAULT
from omero_adi_plugin.service.signals import Signals
from omero_adi_plugin.service.signature import script_owner
from omero_adi_plugin.sessions import GivenSession
from omero_adi_plugin.sessions.given import age_seconds
from omero_adi_plugin.settings import Settings

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Claim

_log = logging.getLogger(__name__)

TURN_SECONDS = 30.0
"""For how long a script goes on with orders of its user while others wait: a launch costs two seconds of work."""

TERM_SECONDS = 5.0
"""How long a script may take to give its order back when its Processor asks it to end: it is killed some time after that."""

_ENDS = (*NOBODYS_FAULT, GaveWay, LeaseLost, SessionOver, ShuttingDown)
"""What ends a script along with the order that it is about."""

REFUSED = (
    "This script carries out nothing for you: the import service starts it, for an order that it has just taken. "
    'To order an import run "Import Files"; to see what becomes of it, "Import Status".'
)
"""What somebody is told who has started it by hand."""


def run(client: Any, *, order: str, token: str) -> str:  # noqa: ANN401 (omero.client is untyped)
    """Carry out the order that this script was launched for, and others of its user.

    Parameters
    ----------
    client : omero.client
        Of the script, joined to its session.
    order : str
        Its uuid.
    token : str
        Of the lease that it was launched with.

    Returns
    -------
    str
        What there is to say, for whoever started the script.
    """
    try:
        settings = Settings.load()
        logs.set_up(settings)
        warn_if_armed()
        given = GivenSession(client, config=os.environ["ICE_CONFIG"])
        script = _Script(settings, given)
        return script.run(order, token)
    except AdiError as error:
        event(_log, logging.ERROR, "script.ended", order=order, why=str(error))
        return f"The Processor on {socket.gethostname()} cannot carry out import orders: {_reason(error)}"
    except Exception as error:  # noqa: BLE001 (a fault of ours: its traceback is for the log, and not for a file of the user's)
        event(_log, logging.ERROR, "script.broke", order=order, error=error)
        return f"The Processor on {socket.gethostname()} cannot carry out import orders: {_reason(error)}"


class _Script:
    """One run of the script."""

    def __init__(self, settings: Settings, given: GivenSession) -> None:
        self._settings, self._given = settings, given
        self._lifespan = Lifespan(given.life_seconds, age_seconds=age_seconds())
        self._began = time.monotonic()

    def run(self, order: str, token: str) -> str:
        """Carry out all that there is to carry out; return what there is to say."""
        Signals({signal.SIGTERM: lambda: self._lifespan.in_seconds(TERM_SECONDS)}).listen()
        attempts = Attempts(self._settings, sessions=self._given, in_script=True, deadline=self._lifespan, on_stuck=_end_hard)
        carried_out, handed_over = 0, False
        try:
            whose = {"owner": script_owner(), "user": self._given.user, "group": self._given.group}
            claim = attempts.queue.hand_over(order, launch=token, **whose)
            if claim is None:
                event(_log, logging.WARNING, "script.refused", order=order, user=self._given.user)
                return REFUSED
            handed_over = True
            self._lifespan.first_order()
            reached(Point.HANDED_OVER)
            while claim is not None:
                error = self._carry_out(attempts, claim)
                carried_out += 1
                claim = self._next(attempts, whose) if self._goes_on(attempts, error) else None
        except AdiError as error:  # the database is away: what it has is taken over when its lease lapses
            if not carried_out:
                raise
            event(_log, logging.WARNING, "script.ended", why=str(error), orders=carried_out)
        finally:
            attempts.close()
            reached(Point.SCRIPT_DONE)
            logs.rotate(self._settings)
            if handed_over:  # before that whoever has launched it waits for what it says
                self._given.end()
            self._given.close()
        return f"Orders carried out: {carried_out}."

    def _carry_out(self, attempts: Attempts, claim: Claim) -> Exception | None:
        uuid = claim.lease.order
        with printed_to_log(self._settings, uuid=uuid if SAFE_UUID.fullmatch(uuid) else "malformed"):
            return attempts.carry_out(claim)

    def _next(self, attempts: Attempts, whose: dict[str, str]) -> Claim | None:
        """Take another order of this user in this group, if there is one."""
        self._lifespan.shared()
        claim = attempts.queue.claim(**whose)
        if claim is not None and (claim.text.user, claim.text.group) != (self._given.user, self._given.group):
            note = "The order names another user or group than when it came; it is begun for these."
            attempts.queue.give_back(claim.lease, note=note, after_seconds=0)
            return None
        return claim

    def _goes_on(self, attempts: Attempts, error: Exception | None) -> bool:
        """Tell whether there is time for another order, and it is this user's turn: others wait for a script, too."""
        if self._lifespan.is_set or isinstance(error, _ENDS):
            return False
        return time.monotonic() - self._began < TURN_SECONDS or not attempts.queue.others_due(user=self._given.user)


def _reason(error: Exception) -> str:
    """Return what keeps the script from working, without what only administrators are to know: anybody may start it."""
    details = "The log there has the details."
    match error:
        case DatabaseDown():
            return f"the tracking database cannot be reached from there. {details}"
        case ConfigurationError():
            return "its settings are missing or make no sense. `omero adi config check` says more there."
        case NotPermitted():
            return f"an account of its settings lacks a right. {details}"
        case _:
            return f"{type(error).__name__}. {details}"


def _end_hard() -> None:
    """End this process, whose main thread hangs; its order was given back."""
    os._exit(os.EX_TEMPFAIL)
