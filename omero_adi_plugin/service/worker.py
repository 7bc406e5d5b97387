# SPDX-License-Identifier: GPL-2.0-or-later
"""Worker: a process that claims orders and carries them out, one at a time, until it is asked to end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Protocol

from omero_adi_plugin import logs
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError, DatabaseDown, NotBegun
from omero_adi_plugin.grid.catalogue import standing
from omero_adi_plugin.lifeline import die_with
from omero_adi_plugin.logs import event
from omero_adi_plugin.service.attempt import Attempts, account
from omero_adi_plugin.service.deadline import Deadline
from omero_adi_plugin.service.launching import Launches
from omero_adi_plugin.service.reports import NOBODYS_FAULT, Trouble, Voice
from omero_adi_plugin.service.signals import Signals
from omero_adi_plugin.service.signature import owner
from omero_adi_plugin.service.sweeper import Sweeper
from omero_adi_plugin.service.waking import Waker
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking.bell import Bell

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.queue import Queue

_log = logging.getLogger(__name__)

DRAIN_SECONDS = 0.5
"""How soon a draining worker looks again whether the others have finished."""

SHORTEST_SECONDS = 0.2
"""The shortest rest: a lease that has lapsed is due at once, and yet nothing can be claimed until the service has freed it."""

GIVE_WAY_SECONDS = 0.5
"""How long a worker that launches scripts leaves what has just become due to the scripts that run. The end of an order wakes all,
and only then does its script take the next: without this the worker was first, and launched a script for nearly each order."""

POLLS_PER_SWEEP = 12
"""How often a sweep gets its turn when orders never cease, in times of `poll_seconds`: once a minute with the default of 5 s."""

LONGEST_PAUSES = 30
"""The longest pause, in pauses: 5 minutes with the default of 10 s."""


def main(settings: Settings, parent: int, *, once: bool, first: bool, pipe: Connection) -> None:
    """Work until asked to end (SIGTERM), or, with `once`, until nothing is left to do.

    Parameters
    ----------
    settings : Settings
        All of them.
    parent : int
        Process id of the service: the worker dies with it.
    once : bool
        End when no order is waiting or running any more; or at once when the surroundings are down.
    first : bool
        Whether the service had none before it: this one looks at what concerns all.
    pipe : Connection
        Where to report troubles to.

    Raises
    ------
    SystemExit
        `EX_UNAVAILABLE` when it cannot work, which it has reported then; `EX_SOFTWARE` over a fault of ours.
    """
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the service too, which then asks its workers to end
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    voice = Voice(pipe)
    try:
        logs.set_up(settings)
        worker = Worker(settings, once=once, first=first, voice=voice)
        Signals({signal.SIGTERM: worker.ask_to_end}).listen()
        worker.run()
    except AdiError as error:
        voice.tell(Trouble.of(error))  # the service says it
        sys.exit(os.EX_UNAVAILABLE)
    except Exception as error:  # noqa: BLE001 (a fault of ours; whoever looks for it needs the traceback)
        event(_log, logging.ERROR, "worker.broke", error=error)
        sys.exit(os.EX_SOFTWARE)


class Hands(Protocol):
    """Who carries out what a worker claims: `Attempts`, or `Launches`."""

    database: Database
    queue: Queue

    def carry_out(self, claim: Claim) -> Exception | None:
        """Carry an order out, or have it done; return what kept it from that, already written."""

    def close(self) -> None:
        """Give back what was used for it."""


class Worker:
    """The loop of one worker process.

    Parameters
    ----------
    settings : Settings
        All of them.
    once, first : bool
        See `main`.
    voice : Voice
        The way to the service.
    """

    def __init__(self, settings: Settings, *, once: bool, first: bool, voice: Voice) -> None:
        self._settings, self._once, self._first, self._voice = settings, once, first, voice
        self._unsure = True  # whether OMERO is there: it is asked before anything is claimed, at the start too
        self._cut_off = False
        self._in_vain = 0  # orders claimed one after the other with which nothing could be done
        self._swept = time.monotonic()  # when it was last looked for a sweep
        self._deadline = Deadline()
        self._waker = Waker()

    def ask_to_end(self) -> None:
        """Take no new order; give the present one back if it is not done in `shutdown_timeout`. From any thread."""
        self._deadline.in_seconds(self._settings.shutdown_timeout)
        self._waker.wake()

    def run(self) -> None:
        """Claim and carry out, until asked to end."""
        logins = Logins(account(self._settings))
        hands = self._hands(logins)
        sweeper = Sweeper(self._settings, database=hands.database, logins=logins, deadline=self._deadline, on_stuck=_end_hard)
        bell = Bell(self._settings.ingest_tracking_db.get_secret_value(), channels=("adi_order",))
        try:
            while not self._deadline.is_set:
                try:
                    if not self.turn(hands, logins, sweeper, bell):
                        reached(Point.WORKER_DONE)
                        return
                    self._cut_off = False
                except NOBODYS_FAULT as error:
                    if isinstance(error, DatabaseDown) and not self._cut_off and not self._in_vain:
                        self._cut_off = True  # it was perhaps restarted, or an idle connection ended: the next one tells
                        continue
                    if self._once:
                        raise
                    self.pause(error)
        finally:
            bell.close()
            hands.close()
            logins.close()

    def turn(self, hands: Hands, logins: Logins, sweeper: Sweeper, bell: Bell) -> bool:
        """Carry out the next order; if none is due do a sweep, or wait. False if there will be nothing to do any more.

        Raises
        ------
        SurroundingsDown, ConfigurationError, NotPermitted
            Nothing can be done at the moment.
        """
        if self._unsure:  # each claim leaves a row for people to read: none before OMERO answers
            logins.service()
        if self._sweep_is_overdue():
            self._sweep(sweeper)
        worked = self._one(hands)
        if worked or not self._in_vain:  # what failed with an order in hand is over when an order has gone well, not before
            self._unsure, self._in_vain = False, 0
            self._voice.tell(None)
        return worked or self._sweep(sweeper) or self._rest(hands, logins, bell)

    def pause(self, error: AdiError) -> None:
        """Tell the service what is wrong, and leave it alone for a while."""
        self._unsure = True
        self._voice.tell(Trouble.of(error))
        self._waker.wait(pause_seconds(self._settings.surroundings_seconds, in_vain=self._in_vain))

    def _look_at_scripts(self, service: OmeroSession) -> None:
        """Say so if our scripts on the server are of another version; orders go on all the same."""
        try:
            differing = standing(service, wanted=self._settings.dispatch == "grid")
        except AdiError as error:
            event(_log, logging.DEBUG, "scripts.not_looked_at", why=str(error))
            return
        if differing is not None:
            event(_log, logging.WARNING, "scripts.differ", why=differing)

    def _hands(self, logins: Logins) -> Hands:
        """Return who carries out what is claimed: this process, or scripts on OMERO's Processors."""
        if self._settings.dispatch == "grid":
            return Launches(self._settings, logins=logins, deadline=self._deadline)
        return Attempts(self._settings, sessions=logins, deadline=self._deadline, on_stuck=_end_hard)

    def _one(self, hands: Hands) -> bool:
        """Carry out the next order, or have it carried out; False if none is due."""
        claim = hands.queue.claim(owner=owner())
        if claim is None:
            return False
        error = hands.carry_out(claim)
        if isinstance(error, NOBODYS_FAULT):
            self._in_vain += 1
            raise error
        if self._once and isinstance(error, NotBegun):  # else the queue keeps it from being launched again at once
            raise error
        return True

    def _sweep_is_overdue(self) -> bool:
        return time.monotonic() - self._swept >= POLLS_PER_SWEEP * self._settings.poll_seconds

    def _sweep(self, sweeper: Sweeper) -> bool:
        """Do one sweep; False if none is due, or this worker is to end."""
        if self._deadline.is_set:
            return False
        self._swept = time.monotonic()
        return sweeper.sweep_one()

    def _rest(self, hands: Hands, logins: Logins, bell: Bell) -> bool:
        """Wait for work; False if there will be none."""
        if self._first:  # orders come first
            self._first = False
            self._look_at_scripts(logins.service())
        if self._once and hands.queue.pending() == 0:
            return False
        due = hands.queue.next_due_seconds()
        seconds = float(self._settings.poll_seconds) if due is None else min(due, self._settings.poll_seconds)
        if self._once:
            seconds = min(seconds, DRAIN_SECONDS)
        bell.wait(max(seconds, SHORTEST_SECONDS), also=(self._waker.fileno(),))
        if self._settings.dispatch == "grid":
            self._waker.wait(GIVE_WAY_SECONDS)
        return True


def pause_seconds(first: float, *, in_vain: int) -> float:
    """Return how long to leave the surroundings alone, in s.

    When OMERO is away nothing is claimed, and the pause stays short. Other trouble, a full disk, shows only with an order in
    hand, and each claim leaves a row for people to read: so the pause is doubled with each, up to `LONGEST_PAUSES` times.
    """
    return first * min(1 << max(0, in_vain - 1), LONGEST_PAUSES)


def _end_hard() -> None:
    """End this process, whose main thread hangs: the service replaces it, and does not take it for a death."""
    os._exit(os.EX_TEMPFAIL)
