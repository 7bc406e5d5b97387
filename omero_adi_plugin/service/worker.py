# SPDX-License-Identifier: GPL-2.0-or-later
"""Worker: a process that claims orders and carries them out, one at a time, until it is asked to end."""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from omero_adi_plugin import logs
from omero_adi_plugin.errors import AdiError, ConfigurationError, NotPermitted, SurroundingsDown
from omero_adi_plugin.logs import event
from omero_adi_plugin.service.attempt import Attempts, owner
from omero_adi_plugin.service.keeper import Deadline
from omero_adi_plugin.tracking.bell import Bell

if TYPE_CHECKING:
    from types import FrameType

    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

NOBODYS_FAULT = (SurroundingsDown, ConfigurationError, NotPermitted)
"""What keeps this process from carrying out any order: something is away, set wrongly, or forbidden to our own account."""

PR_SET_PDEATHSIG = 1  # linux/prctl.h
DRAIN_SECONDS = 0.5
"""How soon a draining worker looks again whether the others have finished."""

SHORTEST_SECONDS = 0.2
"""The shortest rest: a lease that has lapsed is due at once, and yet nothing can be claimed until the service has freed it."""

LONGEST_PAUSES = 30
"""The longest pause, in pauses: 5 minutes with the default of 10 s."""


def main(settings: Settings, parent: int, *, once: bool) -> None:
    """Work until asked to end (SIGTERM), or, with `once`, until nothing is left to do.

    Parameters
    ----------
    settings : Settings
        All of them.
    parent : int
        Process id of the service: the worker dies with it.
    once : bool
        End when no order is waiting or running any more; or at once when the surroundings are down.

    Raises
    ------
    SystemExit
        With `once`, `EX_UNAVAILABLE` when the surroundings are down.
    """
    _die_with(parent)
    logs.set_up(settings)
    worker = Worker(settings, once=once)
    signal.signal(signal.SIGTERM, worker.asked_to_end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the service too, which then asks its workers to end
    try:
        worker.run()
    except AdiError as error:
        event(_log, logging.ERROR, "worker.ended", why=str(error))
        sys.exit(os.EX_UNAVAILABLE)


class Worker:
    """The loop of one worker process."""

    def __init__(self, settings: Settings, *, once: bool) -> None:
        self._settings, self._once = settings, once
        self._down = False
        self._in_vain = 0  # orders claimed one after the other with which nothing could be done
        self._deadline = Deadline()
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def asked_to_end(self, number: int, frame: FrameType | None) -> None:
        """Take no new order; give the present one back if it is not done in `shutdown_timeout`."""
        del number, frame
        self._deadline.in_seconds(self._settings.shutdown_timeout)
        os.write(self._wake, b"!")

    def run(self) -> None:
        """Claim and carry out, until asked to end."""
        attempts = Attempts(self._settings, deadline=self._deadline)
        bell = Bell(self._settings.ingest_tracking_db.get_secret_value(), channels=("adi_order",))
        try:
            while not self._deadline.is_set:
                try:
                    if not self.turn(attempts, bell):
                        return
                except NOBODYS_FAULT as error:
                    if self._once:
                        raise
                    self._pause(error)
        finally:
            bell.close()
            attempts.close()

    def turn(self, attempts: Attempts, bell: Bell) -> bool:
        """Carry out the next order, or wait for one; False if there will be none.

        Raises
        ------
        SurroundingsDown, ConfigurationError, NotPermitted
            Nothing can be done at the moment.
        """
        if self._down:  # each claim leaves a row for people to read: none before OMERO answers
            attempts.knock()
        worked = self._one(attempts)
        if worked or not self._in_vain:  # what failed with an order in hand is over when an order has gone well, not before
            self._resume()
        return worked or self._rest(attempts, bell)

    def _pause(self, error: Exception) -> None:
        if not self._down:  # said once, not every few seconds of a whole weekend
            event(_log, logging.ERROR, "worker.paused", why=str(error))
        self._down = True
        seconds = pause_seconds(self._settings.surroundings_seconds, in_vain=self._in_vain)
        select.select([self._woken], [], [], seconds)

    def _resume(self) -> None:
        if self._down:
            event(_log, logging.INFO, "worker.resumed")
        self._down, self._in_vain = False, 0

    def _one(self, attempts: Attempts) -> bool:
        """Carry out the next order; False if none is due."""
        claim = attempts.queue.claim(owner=owner())
        if claim is None:
            return False
        error = attempts.carry_out(claim)
        if isinstance(error, NOBODYS_FAULT):
            self._in_vain += 1
            raise error
        return True

    def _rest(self, attempts: Attempts, bell: Bell) -> bool:
        """Wait for work; False if there will be none."""
        if self._once and attempts.queue.pending() == 0:
            return False
        due = attempts.queue.next_due_seconds()
        seconds = float(self._settings.poll_seconds) if due is None else min(due, self._settings.poll_seconds)
        if self._once:
            seconds = min(seconds, DRAIN_SECONDS)
        bell.wait(max(seconds, SHORTEST_SECONDS), also=(self._woken,))
        return True


def pause_seconds(first: float, *, in_vain: int) -> float:
    """Return how long to leave the surroundings alone, in s.

    When OMERO is away nothing is claimed, and the pause stays short. Other trouble, a full disk, shows only with an order in
    hand, and each claim leaves a row for people to read: so the pause is doubled with each, up to `LONGEST_PAUSES` times.
    """
    return first * min(1 << max(0, in_vain - 1), LONGEST_PAUSES)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its service dies, so that no half-alive worker is left.

    Source: prctl(2). The parent may have died before the call: then its id is not ours any more.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(os.EX_TEMPFAIL)
