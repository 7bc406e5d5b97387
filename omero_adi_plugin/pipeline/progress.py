# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress: what is shown to whoever waits for an order that is being carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from omero_adi_plugin.orders import FileStep

WORDS = {
    FileStep.PLANNED: "reading",
    FileStep.CREATED: "linking",
    FileStep.VERIFYING: "importing",
    FileStep.IMPORTED: "annotating",
    FileStep.ANNOTATED: "done",
    FileStep.FAILED: "failed",
}
"""What a person who waits is told at each step."""

NO_PLACE = "waiting, because as many filesets as are allowed are being imported"
"""What a person is told while an order has no place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step forward.

    entry: the path of the order that is being worked on.
    step:  where its fileset now stands.
    done, total: entries of the order that have come to their end, and all of them.
    words: what is being done, for a person.
    moved: whether something has got on since the last time; False while something is only waited for.
    """

    entry: str
    step: FileStep
    done: int
    total: int
    words: str
    moved: bool = True


class OnProgress(Protocol):
    """Whoever wants to know of each step forward; must not raise."""

    def __call__(self, progress: Progress, /) -> None:
        """Take note of `progress`."""


class Guard(Protocol):
    """Says whether this worker may still go on with the order, and how much of it at the same time."""

    def check(self) -> None:
        """Return if the work may go on; asked before everything that somebody else can see.

        Raises
        ------
        LeaseLost
            The lease is gone, or could not be extended in time.
        ShuttingDown
            The service is ending and the time for finishing is over.
        NoProgress
            Nothing has got on for too long.
        """

    def safe_point(self, *, settled: int) -> None:
        """Return if something new may be begun; asked where the order can be left without leaving anything half done.

        Parameters
        ----------
        settled : int
            How many filesets this attempt has brought in so far.

        Raises
        ------
        Cancelled
            A person has called the order off.
        GaveWay
            Others are to have their turn, or all imports are paused and what runs is to be given back.
        LeaseLost, ShuttingDown, NoProgress
            As `check`; but `ShuttingDown` early enough for what is under way to be finished.
        """

    def places(self, *, wanted: int) -> int:
        """Return how many filesets may be in flight by now, of so many that could be.

        Raises
        ------
        LeaseLost
            The lease is gone.
        DatabaseDown
            PostgreSQL is not there.
        """
