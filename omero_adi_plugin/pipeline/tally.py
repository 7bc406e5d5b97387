# SPDX-License-Identifier: GPL-2.0-or-later
"""Tally: how many entries of an order have come to their end, how, and what that makes of the order, or of the attempt."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import NotOnThisHost
from omero_adi_plugin.pipeline.failures import EntriesFailed

if TYPE_CHECKING:
    from omero_adi_plugin.errors import EntryFailed, EntryNotReady, ImportInterrupted


MOST_INTERRUPTED = 3
"""After so many interruptions in a row it is not a file that is odd: the server, or the files' disk, is in trouble."""


class Streak:
    """Interruptions in a row.

    One alone does not keep the others waiting: a file that the server chokes on always does so, and an order of 10,000 would
    never get past it.
    """

    def __init__(self) -> None:
        self._length = 0

    def goes_on(self, error: ImportInterrupted) -> None:
        """Note one more; raise it if it is one too many."""
        self._length += 1
        if self._length >= MOST_INTERRUPTED:
            raise error

    def ends(self) -> None:
        """Note that something went well."""
        self._length = 0


class Tally:
    """Counts the filesets of each entry off.

    Parameters
    ----------
    entries : int
        How many the order has.

    Attributes
    ----------
    done : int
        How many have come to their end.
    """

    def __init__(self, *, entries: int) -> None:
        self.entries, self.done = entries, 0
        self._open: Counter[str] = Counter()
        self._parts: dict[str, int] = {}  # of those that have several
        self._failures: dict[str, list[EntryFailed]] = defaultdict(list)
        self._put_off: EntryNotReady | ImportInterrupted | None = None
        self._unfit: NotOnThisHost | None = None
        self._skipped = 0

    def __contains__(self, entry: str) -> bool:
        """Tell whether filesets of an entry are still open."""
        return entry in self._open

    def expect(self, entry: str, parts: int) -> None:
        """Note how many filesets and failures an entry consists of; with none it is done at once."""
        if not parts:
            self.done += 1
            return
        self._open[entry] = parts
        if parts > 1:
            self._parts[entry] = parts

    def end(self, entry: str) -> bool:
        """Count one of them off; True if that was the last one of its entry, which then is done."""
        self._open[entry] -= 1
        if self._open[entry] > 0:
            return False
        del self._open[entry]
        self.done += 1
        return True

    def fail(self, entry: str, failure: EntryFailed) -> None:
        """Note that something of an entry cannot be imported."""
        failure.__traceback__ = failure.__cause__ = failure.__context__ = None  # 100,000 of them would hold all their frames
        self._failures[entry].append(failure)

    def put_off(self, error: EntryNotReady | ImportInterrupted | NotOnThisHost) -> None:
        """Note that something cannot be imported at the moment, or not on this host."""
        if isinstance(error, NotOnThisHost):
            self._unfit = self._unfit or error
        else:
            self._put_off = self._put_off or error

    def skip(self) -> None:
        """Note that something was in the target already."""
        self._skipped += 1

    def has_failed(self, entry: str) -> bool:
        """Tell whether something of an entry cannot be imported."""
        return entry in self._failures

    @property
    def is_to_go_on(self) -> bool:
        """Whether something was put off, so that the order is to be tried again."""
        return self._put_off is not None or self._unfit is not None

    def outcome(self) -> str | None:
        """Return what there is to say of an order that went well, if there is anything.

        Raises
        ------
        EntryNotReady, ImportInterrupted
            The order is to be tried again.
        NotOnThisHost
            The same, and it is no failure of the order.
        EntriesFailed
            All that can be imported is.
        """
        if (why := self._put_off or self._unfit) is not None:  # what counts as a failure first: else it could go on for ever
            raise why
        if self._failures:
            failures = [failure for of_entry in self._failures.values() for failure in of_entry]
            partly = sum(len(of_entry) < self._parts.get(entry, 1) for entry, of_entry in self._failures.items())
            raise EntriesFailed(failures=failures, bad=len(self._failures), entries=self.entries, partly=partly)
        if not self._skipped:
            return None
        if self._skipped == 1:
            return "One file was in the target already, and was not imported again."
        return f"{self._skipped} files were in the target already, and were not imported again."
