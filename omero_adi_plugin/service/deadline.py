# SPDX-License-Identifier: GPL-2.0-or-later
"""Deadline: the time by which a process gives back what it carries out: because it was asked to end, or may live no longer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from omero_adi_plugin.pipeline.outcome import LateStart, ShuttingDown, TimeUp

if TYPE_CHECKING:
    from omero_adi_plugin.pipeline.outcome import GaveWay

SOON = 0.5
"""The part of `shutdown_timeout` after which nothing new is begun, so that what is under way can be finished in the rest."""

NO_ORDER, NO_FILESET, AT_LAST = 0.5, 0.8, 0.9
"""The parts of a script's life after which it takes no further order, begins no further fileset, and leaves what is under way: an
order that is taken up must have the time to get on."""


class Deadline:
    """The time by which a worker that was asked to end gives its order back; there is none until it is asked."""

    def __init__(self) -> None:
        self._asked: float | None = None
        self._seconds = 0.0

    def in_seconds(self, seconds: float) -> None:
        """Set the deadline; the first one stays."""
        if self._asked is None:
            self._seconds = seconds  # first: other threads look at it as soon as the time is set
            self._asked = time.monotonic()

    @property
    def is_set(self) -> bool:
        """Whether nothing more is to be taken up."""
        return self._asked is not None

    @property
    def is_near(self) -> bool:
        """Whether nothing more of what was taken up is to be begun."""
        return self._passed(SOON)

    def passed(self) -> bool:
        """Whether the time is over."""
        return self._passed(1.0)

    def reason(self) -> ShuttingDown | GaveWay:
        """Return what ends the attempt."""
        return ShuttingDown()

    def _passed(self, part: float) -> bool:
        return self._asked is not None and time.monotonic() >= self._asked + part * self._seconds


class Lifespan(Deadline):
    """The deadline of a script, whose session has an absolute life; it may be asked to end before.

    Parameters
    ----------
    seconds : float or None
        How long the session lives; None: without an end.
    age_seconds : float
        How long it has lived by now, at most.
    """

    def __init__(self, seconds: float | None, *, age_seconds: float) -> None:
        super().__init__()
        self._life, self._born = seconds, time.monotonic() - age_seconds
        self._whole = True
        self._late_seconds: float | None = None

    def first_order(self) -> None:
        """Take note that the order that the script was launched for is taken up now: late, perhaps, on a busy host."""
        if self._lived(NO_ORDER):
            self._late_seconds = time.monotonic() - self._born

    def shared(self) -> None:
        """Take note that what is carried out from now on does not have all of this life."""
        self._whole = False

    @property
    def is_set(self) -> bool:
        """Whether nothing more is to be taken up."""
        return super().is_set or self._lived(NO_ORDER)

    @property
    def is_near(self) -> bool:
        """Whether nothing more of what was taken up is to be begun."""
        return super().is_near or self._lived(NO_FILESET)

    def passed(self) -> bool:
        """Whether the time is over."""
        return super().passed() or self._lived(AT_LAST)

    def reason(self) -> ShuttingDown | GaveWay:
        """Return what ends the attempt."""
        if super().is_near or self._life is None:
            return ShuttingDown()
        if self._late_seconds is not None:
            return LateStart(seconds=self._late_seconds, minutes=self._life / 60)
        return TimeUp(minutes=self._life / 60, whole=self._whole)

    def _lived(self, part: float) -> bool:
        return self._life is not None and time.monotonic() - self._born >= part * self._life
