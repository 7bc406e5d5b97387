# SPDX-License-Identifier: GPL-2.0-or-later
"""Run: carries one claimed order out, in a given session, from what the ledger and OMERO already hold to its end."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from omero_adi_plugin.errors import AdiError, EntryFailed, OrderFailed, TryAgain
from omero_adi_plugin.importers.annotating import annotate
from omero_adi_plugin.importers.markers import delete_fileset, find_marked, restore_link
from omero_adi_plugin.importers.protocol import FilesetPlan, ImportedFileset
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep, LedgerFile, Marker, Route, TargetKind
from omero_adi_plugin.pipeline import preflight
from omero_adi_plugin.pipeline.keyvalues import key_values
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.pipeline.resume import KNOWN_COMPLETE, Adopt, ImportAnew, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_adi_plugin.importers.protocol import Importer, MarkedFileset
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.pipeline.progress import Guard, OnProgress
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.ledger import Ledger

_Part = TypeVar("_Part", "_Piece", FilesetPlan)

_log = logging.getLogger(__name__)

_WORDS = {
    FileStep.PLANNED: "reading",
    FileStep.CREATED: "linking",
    FileStep.VERIFYING: "importing",
    FileStep.IMPORTED: "annotating",
    FileStep.ANNOTATED: "done",
    FileStep.FAILED: "failed",
}
_ENDS = frozenset({FileStep.ANNOTATED, FileStep.FAILED})
_FAILURES_QUOTED = 3
"""How many failed entries an order's last sentence quotes at most, if there is room; all are in the ledger."""

_FAILURES_AT_ONCE = 500
"""How many failed entries are written at once: a transaction each would take minutes for an order of 100,000 missing files."""

_ROOM = 400
"""How many characters they may take together, unless it is a single one: what follows them must not be cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """One fileset of the order, by its entry and its key: all that is left of it when its files are gone."""

    entry: str
    key: str


class EntriesFailed(OrderFailed):
    """Some entries, `bad` of `entries`, could not be imported; all others are in OMERO."""

    def __init__(self, *, failures: Sequence[AdiError], bad: int, entries: int) -> None:
        quoted = [str(failure) for failure in failures[:_FAILURES_QUOTED]]
        while len(quoted) > 1 and len(" ".join(quoted)) > _ROOM:
            quoted.pop()
        more = len(failures) - len(quoted)
        rest = f" And {more} more: `omero adi orders show` lists them." if more else ""
        super().__init__(_how_many(bad, entries) + " ".join(quoted) + rest)
        self.failures, self.bad, self.entries = tuple(failures), bad, entries


class OrderRun:
    """One attempt at one order.

    Parameters
    ----------
    order : Order
        What is to be done.
    attempt : int
        The number of this attempt; goes into the markers.
    session : OmeroSession
        A session of the order's user in the order's group.
    importer : Importer
        How entries get into OMERO.
    ledger : Ledger
        Where each step is recorded, with the lease's token.
    guard : Guard
        Asked before everything that somebody else can see.
    on_progress : OnProgress
        Told of each step.
    """

    def __init__(
        self,
        order: Order,
        *,
        attempt: int,
        session: OmeroSession,
        importer: Importer,
        ledger: Ledger,
        guard: Guard,
        settings: Settings,
        on_progress: OnProgress,
    ) -> None:
        self._order, self._attempt, self._session, self._importer = order, attempt, session, importer
        self._ledger, self._guard, self._settings, self._on_progress = ledger, guard, settings, on_progress
        self._lines: dict[str, LedgerFile] = {}
        self._keys: dict[str, list[str]] = defaultdict(list)  # by entry: an order may have 100,000 of them
        self._marked: dict[str, list[MarkedFileset]] = defaultdict(list)
        self._unwritten: list[LedgerFile] = []
        self._done = 0

    def run(self) -> None:
        """Bring everything of the order into OMERO that is not there yet, annotated.

        Raises
        ------
        OrderFailed
            For good; `EntriesFailed` after everything else was imported.
        TryAgain, SurroundingsDown
            Another attempt will go on from here.
        LeaseLost, ShuttingDown
            This worker must stop.
        """
        preflight.check_order(self._order, session=self._session)
        for line in self._ledger.files():
            self._lines[line.key] = line
            self._keys[line.entry].append(line.key)
        statistics = not (self._settings.skip_minmax or self._settings.skip_all)
        for fileset in find_marked(self._session, uuid=self._order.uuid, target=self._order.target, statistics=statistics):
            self._marked[fileset.marker.key].append(fileset)
        failures: list[AdiError] = []
        bad = 0
        for entry in self._order.entries:
            self._guard.check()
            failed = self._settle(entry)
            failures += failed
            bad += bool(failed)
            self._done += 1
            ended = FileStep.FAILED if failed else FileStep.ANNOTATED
            self._show(entry.path, ended, _WORDS[ended])
        self._write()
        if failures:
            raise EntriesFailed(failures=failures, bad=bad, entries=len(self._order.entries))

    def _settle(self, entry: Entry) -> list[EntryFailed]:
        """Import one entry, or adopt what is there of it; return what could not be done."""
        known = [self._lines[key] for key in self._keys[entry.path]]
        if known and all(line.step in KNOWN_COMPLETE for line in known):  # its files need not be there any more
            return self._collect(self._keep, [_Piece(entry=entry.path, key=line.key) for line in known])
        try:
            plans = self._planned(entry)
        except EntryFailed as failure:
            self._record_failure(_Piece(entry=entry.path, key=entry.path), failure)
            return [failure]
        return self._collect(self._bring_in, plans)

    def _collect(self, work: Callable[[_Part], None], parts: Sequence[_Part]) -> list[EntryFailed]:
        failures = []
        for part in parts:
            try:
                work(part)
            except EntryFailed as failure:
                self._record_failure(_piece(part), failure)
                failures.append(failure)
        return failures

    def _planned(self, entry: Entry) -> Sequence[FilesetPlan]:
        preflight.check_entry(entry, base_dir=self._settings.base_dir)
        plans = self._importer.plan(entry=entry)
        for plan in plans:
            preflight.check_fits(plan, target=self._order.target)
        for plan in plans:  # all of them before any is begun: else a crash would make half an entry look like all of it
            if plan.key not in self._lines or self._lines[plan.key].step not in KNOWN_COMPLETE:
                self._record(_piece(plan), FileStep.PLANNED)
        return plans

    def _keep(self, piece: _Piece) -> None:
        """See to it that what the ledger knows to be imported is still there, linked and annotated."""
        decision = decide(line=self._lines[piece.key], found=self._marked[piece.key])
        if isinstance(decision, Adopt):
            self._adopt(piece, decision.found)

    def _bring_in(self, plan: FilesetPlan) -> None:
        started = time.monotonic()
        piece = _piece(plan)
        match decide(line=self._lines.get(plan.key), found=self._marked[plan.key]):
            case Adopt(found=found):
                self._adopt(piece, found)
            case ImportAnew(halves=halves):
                for half in halves:
                    self._guard.check()
                    delete_fileset(self._session, half.fileset)
                    self._tell("fileset.half_deleted", piece, fileset=half.fileset, of_attempt=half.marker.attempt)
                imported = self._import(plan)
                seconds = time.monotonic() - started
                self._tell("fileset.imported", piece, fileset=imported.fileset, images=len(imported.images), seconds=seconds)
                self._annotate(piece, imported)

    def _adopt(self, piece: _Piece, found: MarkedFileset) -> None:
        imported = ImportedFileset(fileset=found.fileset, images=found.images, plates=found.plates)
        if not found.linked:
            restore_link(self._session, self._order.target, found.images, found.plates)
        if self._lines[piece.key].step not in KNOWN_COMPLETE:
            self._record(piece, FileStep.IMPORTED, imported)
            self._tell("fileset.adopted", piece, fileset=found.fileset, of_attempt=found.marker.attempt)
        self._annotate(piece, imported)

    def _import(self, plan: FilesetPlan) -> ImportedFileset:
        def on_step(
            step: FileStep, *, fileset: int | None = None, images: Sequence[int] = (), plates: Sequence[int] = ()
        ) -> None:
            if step is not FileStep.IMPORTED:  # what is there is written down, whoever has the lease
                self._guard.check()
            imported = ImportedFileset(fileset=fileset, images=tuple(images), plates=tuple(plates)) if fileset else None
            self._record(_piece(plan), step, imported)

        def on_progress(words: str, done: int, total: int) -> None:
            self._guard.check()  # a large import takes hours: whoever may not go on does not wait for its end
            self._show(plan.entry.path, FileStep.VERIFYING, f"{_WORDS[FileStep.VERIFYING]}, {words} ({done} of {total})")

        marker = Marker(uuid=self._order.uuid, attempt=self._attempt, key=plan.key)
        try:
            return self._importer.run(
                plan=plan, target=self._order.target, marker=marker, on_step=on_step, on_progress=on_progress
            )
        except TryAgain:
            self._record(_piece(plan), FileStep.PLANNED)  # OMERO, not the ledger, says next time how much of it is there
            raise

    def _annotate(self, piece: _Piece, imported: ImportedFileset) -> None:
        self._guard.check()
        plates = imported.plates if self._order.target.kind is TargetKind.SCREEN else ()
        annotate(
            self._session,
            images=() if plates else imported.images,
            plates=plates,
            namespace=self._settings.annotation_namespace,
            values=key_values(self._order, entry=piece.entry, imported_from=piece.key),
            uuid=self._order.uuid,
        )
        self._record(piece, FileStep.ANNOTATED, imported)

    def _record(self, piece: _Piece, step: FileStep, imported: ImportedFileset | None = None) -> None:
        line = LedgerFile(entry=piece.entry, key=piece.key, route=Route.INPLACE, step=step)
        if imported is not None:
            line = replace(line, fileset=imported.fileset, images=imported.images, plates=imported.plates)
        self._write(line)

    def _record_failure(self, piece: _Piece, failure: EntryFailed) -> None:
        event(_log, logging.WARNING, "entry.failed", order=self._order.uuid, entry=piece.entry, why=str(failure))
        known = self._lines.get(piece.key)
        if known is not None and known.step in KNOWN_COMPLETE:  # what was imported once stays on record: it is not repeated
            self._write(replace(known, error=str(failure)))
            return
        failed = LedgerFile(entry=piece.entry, key=piece.key, route=Route.INPLACE, step=FileStep.FAILED, error=str(failure))
        self._lines[failed.key] = failed
        self._unwritten.append(failed)  # nothing of it is in OMERO: should it get lost, the next attempt finds out again
        if len(self._unwritten) >= _FAILURES_AT_ONCE:
            self._write()

    def _write(self, *lines: LedgerFile) -> None:
        """Write lines into the ledger, after those that wait for it."""
        if not (lines or self._unwritten):
            return
        self._ledger.record(*self._unwritten, *lines)
        self._unwritten.clear()
        for line in lines:
            self._lines[line.key] = line
            if line.step not in _ENDS:  # an entry's end is shown when all of its filesets have come to theirs
                self._show(line.entry, line.step, _WORDS[line.step])

    def _show(self, entry: str, step: FileStep, words: str) -> None:
        total = len(self._order.entries)
        self._on_progress(Progress(entry=entry, step=step, done=self._done, total=total, words=words))

    def _tell(self, name: str, piece: _Piece, **facts: object) -> None:
        event(_log, logging.INFO, name, order=self._order.uuid, attempt=self._attempt, entry=piece.entry, **facts)


def _how_many(bad: int, entries: int) -> str:
    if entries == 1:
        return ""
    if bad == entries:
        return f"None of the {entries} files could be imported. "
    return f"{bad} of {entries} files could not be imported, the others are in OMERO. "


def _piece(part: _Piece | FilesetPlan) -> _Piece:
    return part if isinstance(part, _Piece) else _Piece(entry=part.entry.path, key=part.key)
