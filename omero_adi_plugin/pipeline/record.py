# SPDX-License-Identifier: GPL-2.0-or-later
"""Record: the ledger of the order that is being carried out, as this worker knows it, and what is still to be written into it.

Each write is a transaction that has to reach the database's disk. What OMERO itself would tell after a crash may wait for the
next one; only what must be on record before something happens is written at once. Threads may share it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.orders import FileStep, LedgerFile
from omero_adi_plugin.pipeline.resume import KNOWN_COMPLETE, SETTLED
from omero_adi_plugin.tracking.ledger import stored_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.errors import AdiError, EntryFailed, FileGrowing
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import ImportedFileset
    from omero_adi_plugin.orders import Entry, Route
    from omero_adi_plugin.preprocessing import ConvertedFileset
    from omero_adi_plugin.tracking.ledger import Ledger

_AT_ONCE = 500
"""How many lines wait at most: a transaction each would take minutes for an order of 100,000 missing files."""

_NOTHING_THERE = frozenset({FileStep.PLANNED, FileStep.FAILED})
"""Steps at which nothing of a fileset is in OMERO."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One fileset of the order: all that is left of it when its files are gone.

    entry:    the path of the order that it belongs to.
    key:      names it within the order, see `Marker`.
    original: the file that is meant, as the order or its folder has it.
    source:   the file that OMERO's link points to, in the end.
    output:   how a converter has called it, None: it is no converter's.
    made:     all that is known of it then.
    """

    entry: str
    key: str
    original: str
    source: str
    output: str | None = None
    made: ConvertedFileset | None = None

    @classmethod
    def of(cls, line: LedgerFile, *, made: ConvertedFileset | None = None) -> Piece:
        """Return what a line of the ledger is about."""
        if line.output is None:
            return cls(entry=line.entry, key=line.key, original=line.key, source=line.key)
        source = line.entry if made is None else made.files[0].place
        return cls(entry=line.entry, key=line.key, original=line.entry, source=source, output=line.output, made=made)

    @classmethod
    def planned(cls, plan: FilesetPlan) -> Piece:
        """Return what a fileset that is to be imported is about."""
        if plan.made is not None:
            first, entry = plan.made.files[0], plan.entry.path
            return cls(entry=entry, key=plan.key, original=entry, source=first.place, output=first.name, made=plan.made)
        paths = {file.path for file in plan.files}
        original = plan.entry.path if plan.entry.path in paths else plan.files[0].path
        source = next(file.source for file in plan.files if file.path == original)
        return cls(entry=plan.entry.path, key=plan.key, original=original, source=source)

    @classmethod
    def whole(cls, entry: Entry) -> Piece:
        """Return all of an entry of which nothing more is known."""
        return cls(entry=entry.path, key=entry.path, original=entry.path, source=entry.path)

    @classmethod
    def failed(cls, entry: str, failure: EntryFailed | FileGrowing) -> Piece:
        """Return the file of an entry that a failure names."""
        path, output = getattr(failure, "path", entry), getattr(failure, "output", None)
        key = path if output is None else f"{entry}#{output}"
        return cls(entry=entry, key=key, original=path, source=path, output=output)


class Record:
    """What the ledger holds of the order, and what is to be written into it.

    Parameters
    ----------
    ledger : Ledger
        With the lease on the order.
    route : Route
        Which way the order's files go.
    """

    def __init__(self, ledger: Ledger, *, route: Route) -> None:
        self._ledger, self._route = ledger, route
        self._lines: dict[str, LedgerFile] = {}
        self._keys: dict[str, list[str]] = defaultdict(list)  # by entry: an order may have 100,000 of them
        self._unsettled: set[str] = set()  # entries of which something failed in earlier attempts, say
        self._old: set[str] = set()  # keys of which nothing is in OMERO, until this attempt says something of them
        self._waiting: list[LedgerFile] = []
        self._lock, self._writing = threading.Lock(), threading.Lock()

    def load(self) -> None:
        """Read what earlier attempts wrote; of what failed in them this one finds out again what it is.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there.
        """
        for line in self._ledger.files():
            if line.step in _NOTHING_THERE:
                self._old.add(line.key)
            if line.step is FileStep.FAILED:
                self._unsettled.add(line.entry)
                continue
            self._lines[line.key] = line
            self._keys[line.entry].append(line.key)

    def line(self, key: str) -> LedgerFile | None:
        """Return what is on record of a fileset."""
        return self._lines.get(key)

    def lines(self) -> list[LedgerFile]:
        """Return all that is on record, but for what failed in earlier attempts."""
        return list(self._lines.values())

    def of_entry(self, entry: str) -> list[LedgerFile]:
        """Return what earlier attempts wrote of an entry's filesets."""
        return [self._lines[key] for key in self._keys[entry]] if entry in self._keys else []

    def is_settled(self, entry: str) -> bool:
        """Tell whether earlier attempts have imported all of an entry, of which nothing failed."""
        known = self.of_entry(entry)
        return bool(known) and entry not in self._unsettled and all(line.step in SETTLED for line in known)

    def skipped(self) -> list[int]:
        """Return the filesets that earlier attempts found in the target."""
        return sorted(
            {line.fileset for line in self._lines.values() if line.step is FileStep.SKIPPED and line.fileset is not None}
        )

    def unsettle(self, filesets: frozenset[int]) -> None:
        """Have entries seen to anew of which such a fileset was skipped."""
        if filesets:
            lines = self._lines.values()
            self._unsettled |= {line.entry for line in lines if line.step is FileStep.SKIPPED and line.fileset in filesets}

    def forget_gone(self, is_there: Callable[[int], bool]) -> None:
        """Have what was imported, and is not there any more, imported anew."""
        gone = [
            line
            for line in self._lines.values()
            if line.step in KNOWN_COMPLETE and not (line.fileset is not None and is_there(line.fileset))
        ]
        self._unsettled |= {line.entry for line in gone}
        lines = [replace(line, step=FileStep.PLANNED, fileset=None, images=(), plates=(), error=None) for line in gone]
        self._put(lines, at_once=bool(lines))
        if lines:
            reached(Point.GONE_WRITTEN)

    def suspect(self) -> None:
        """Have it looked later for what nobody could remove now.

        Raises
        ------
        LeaseLost, DatabaseDown
            It was not written.
        """
        self._ledger.suspect()

    def note(self, piece: Piece, step: FileStep, *, fileset: int | None = None) -> None:
        """Have a step written with whatever is written next."""
        self._put([self._line(piece, step, fileset)], at_once=False)

    def write(self, piece: Piece, step: FileStep, *, fileset: int | None = None) -> None:
        """Write a step; when this returns, it is on the database's disk.

        Raises
        ------
        LeaseLost, DatabaseDown
            It was not written.
        """
        self._put([self._line(piece, step, fileset)], at_once=True)

    def write_imported(self, step: FileStep, imported: list[tuple[Piece, ImportedFileset]]) -> None:
        """Write what has become of filesets, with their ids.

        Raises
        ------
        LeaseLost, DatabaseDown
            Nothing of it was written.
        """
        lines = [
            replace(self._line(piece, step, each.fileset), images=each.images, plates=each.plates) for piece, each in imported
        ]
        self._put(lines, at_once=True)

    def note_failure(self, piece: Piece, failure: AdiError) -> None:
        """Have a failure written with whatever is written next: nothing of it is in OMERO, should the line get lost."""
        known = self._lines.get(piece.key)
        if known is not None and known.step in KNOWN_COMPLETE:  # what was imported once stays on record: it is not repeated
            line = replace(known, error=str(failure))
        else:
            line = replace(self._line(piece, FileStep.FAILED, None), error=str(failure))
        self._put([line], at_once=False)

    def flush(self) -> None:
        """Write what waits.

        Raises
        ------
        LeaseLost, DatabaseDown
            It was not written.
        """
        self._put([], at_once=True)

    def conclude(self) -> None:
        """Write what waits, when all entries were seen to; what failed or was planned earlier, and was not again, is forgotten.

        Not before: an attempt that ends in between would leave an entry that looks as if all of it were imported.

        Raises
        ------
        LeaseLost, DatabaseDown
            It was not written.
        """
        self.flush()
        reached(Point.LEDGER_FLUSHED)
        if self._old:
            self._ledger.forget(self._old)
            reached(Point.LEDGER_TIDIED)

    def _line(self, piece: Piece, step: FileStep, fileset: int | None) -> LedgerFile:
        return LedgerFile(entry=piece.entry, key=piece.key, route=self._route, step=step, fileset=fileset, output=piece.output)

    def _put(self, lines: list[LedgerFile], *, at_once: bool) -> None:
        with self._lock:
            for line in lines:
                self._lines[line.key] = line
                if self._old:
                    self._old.discard(stored_key(line.key))
            self._waiting += lines
            if not (at_once or len(self._waiting) >= _AT_ONCE):
                return
        with self._writing:  # one after the other, or an older line of a fileset might arrive after a newer one
            with self._lock:
                written, self._waiting = self._waiting, []
            try:
                if written:
                    self._ledger.record(*written)
            except BaseException:
                with self._lock:  # so that nobody whose line was among them takes it for written
                    self._waiting = written + self._waiting
                raise
