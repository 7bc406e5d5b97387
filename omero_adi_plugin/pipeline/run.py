# SPDX-License-Identifier: GPL-2.0-or-later
"""Run: carries one claimed order out, in a given session, from what the ledger and OMERO already hold to its end.

One thread reads the files, entry after entry, while others import the filesets that were found so far; what is in OMERO then
gets its key-values, many filesets at once.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import EntryFailed, EntryNotReady, TryAgain
from omero_adi_plugin.importers.existing import held
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.importers.markers import delete_fileset, find_marked, restore_link
from omero_adi_plugin.importers.protocol import ImportedFileset
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep, Marker, Route
from omero_adi_plugin.pipeline import preflight
from omero_adi_plugin.pipeline.finishing import Finishing, Landed
from omero_adi_plugin.pipeline.flight import Flight
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.keyvalues import Provenance
from omero_adi_plugin.pipeline.metadata import MetadataFiles
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.pipeline.record import Piece, Record
from omero_adi_plugin.pipeline.resume import KNOWN_COMPLETE, SETTLED, Adopt, ImportAnew, decide
from omero_adi_plugin.pipeline.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.plans import EntryPlan, FileReader, FilesetPlan
    from omero_adi_plugin.importers.protocol import Importer, MarkedFileset
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.pipeline.progress import Guard, OnProgress
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.ledger import Ledger

_log = logging.getLogger(__name__)

_WORDS = {
    FileStep.PLANNED: "reading",
    FileStep.CREATED: "linking",
    FileStep.VERIFYING: "importing",
    FileStep.IMPORTED: "annotating",
    FileStep.ANNOTATED: "done",
    FileStep.SKIPPED: "there already",
    FileStep.FAILED: "failed",
}
_LOOK_SECONDS = 0.5
"""How often it is looked, while all are waiting for OMERO, whether something else is due."""


class Halted(TryAgain):
    """Another fileset of the order has met trouble, so this one is not begun; that trouble is what gets told."""

    def __init__(self) -> None:
        super().__init__("The import was not begun, because the order had met trouble. It is tried again by itself.")


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
        How filesets get into OMERO.
    reader : FileReader
        How files are read before.
    ledger : Ledger
        Where each step is recorded, with the lease's token.
    guard : Guard
        Asked before everything that somebody else can see.
    settings : Settings
        All of them.
    skip_existing : bool
        Leave files alone that the target already holds.
    on_progress : OnProgress
        Told of each step; from several threads, but never at the same time.
    """

    def __init__(
        self,
        order: Order,
        *,
        attempt: int,
        session: OmeroSession,
        importer: Importer,
        reader: FileReader,
        ledger: Ledger,
        guard: Guard,
        settings: Settings,
        skip_existing: bool,
        on_progress: OnProgress,
    ) -> None:
        self._order, self._attempt, self._session, self._importer = order, attempt, session, importer
        self._guard, self._settings, self._skip_existing, self._on_progress = guard, settings, skip_existing, on_progress
        self._record = Record(ledger, route=Route.INPLACE)
        self._gate = FileGate.of(order, session=session, settings=settings)
        self._grouping = Grouping(gate=self._gate, reader=reader)
        self._metadata = MetadataFiles(locate=self._gate.locate, order=order.uuid)
        self._finishing = Finishing(
            order,
            session=session,
            record=self._record,
            guard=guard,
            namespace=settings.annotation_namespace,
            metadata=self._metadata,
            provenance=Provenance(route=Route.INPLACE, bioformats=reader.version),
        )
        self._marked: dict[str, list[MarkedFileset]] = defaultdict(list)
        self._tally = Tally(entries=len(order.entries))
        self._halted, self._abandoned = threading.Event(), threading.Event()
        self._showing = threading.Lock()

    def run(self) -> str | None:
        """Bring everything of the order into OMERO that is not there yet, annotated.

        Returns
        -------
        str or None
            What there is to say of an order that went well.

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
        self._record.load()
        statistics = not (self._settings.skip_minmax or self._settings.skip_all)
        for fileset in find_marked(self._session, uuid=self._order.uuid, target=self._order.target, statistics=statistics):
            self._marked[fileset.marker.key].append(fileset)
        with Flight[Landed](self._settings.parallel_filesets_per_worker) as flight:
            try:
                self._all_entries(flight)
            except BaseException as error:
                self._halted.set()
                if not isinstance(error, Exception):  # Ctrl-C: not even what OMERO is doing already is waited for
                    self._abandoned.set()
                raise
        self._record.flush()
        return self._tally.outcome()

    def _all_entries(self, flight: Flight[Landed]) -> None:
        for entry in self._order.entries:
            self._guard.check()
            self._begin(entry, flight)
            while flight.full:
                self._land(flight)
            self._finish_if_due()
        while not flight.empty:
            self._land(flight)
            self._finish_if_due()
        self._finish()

    # --- one entry: what is to be done with it

    def _begin(self, entry: Entry, flight: Flight[Landed]) -> None:
        """Adopt what is there of an entry, and have the rest imported."""
        known = self._record.of_entry(entry.path)
        if known and all(line.step in SETTLED for line in known):  # its files need not be there any more
            pieces = [Piece.of(line) for line in known]
            self._tally.expect(entry.path, len(pieces))
            for piece in pieces:
                self._settle(piece, None, flight)
            return
        try:
            plan = self._planned(entry)
        except EntryFailed as failure:
            self._fail(Piece.whole(entry), failure)
        except EntryNotReady as error:
            self._put_off(Piece.whole(entry), error)
        else:
            self._begin_plan(plan, flight)

    def _planned(self, entry: Entry) -> EntryPlan:
        plan = self._grouping.plan(entry)
        for left in plan.left_out:
            event(_log, logging.DEBUG, "file.left_out", order=self._order.uuid, entry=entry.path, file=left.path, why=left.why)
        if plan.left_out:
            first = plan.left_out[0]
            self._tell("entry.left_out", entry.path, files=len(plan.left_out), first=first.path, why=first.why)
        return plan

    def _begin_plan(self, plan: EntryPlan, flight: Flight[Landed]) -> None:
        entry = plan.entry.path
        filesets = [fileset for fileset in plan.filesets if not self._of_another(fileset)]
        self._tally.expect(entry, len(filesets) + len(plan.failures))  # none, if another entry has brought it
        for failure in plan.failures:
            self._fail(Piece.failed(entry, failure), failure)
        for fileset in filesets:  # all of them before any is begun: else a crash would make half an entry look like all of it
            line = self._record.line(fileset.key)
            if line is None or line.step not in SETTLED:
                self._record.note(Piece.planned(fileset), FileStep.PLANNED)
        if len(filesets) > 1:
            self._record.flush()
        there = self._held(filesets)
        for fileset in filesets:
            if fileset.key in there:
                self._skip(Piece.planned(fileset), there[fileset.key])
            else:
                self._settle(Piece.planned(fileset), fileset, flight)

    def _of_another(self, plan: FilesetPlan) -> bool:
        """Tell whether an earlier attempt has taken a fileset up for another entry, which then sees to it."""
        line = self._record.line(plan.key)
        return line is not None and line.entry != plan.entry.path and line.entry in self._entries

    @functools.cached_property
    def _entries(self) -> frozenset[str]:
        return frozenset(entry.path for entry in self._order.entries)

    def _held(self, plans: Sequence[FilesetPlan]) -> dict[str, ImportedFileset]:
        if not self._skip_existing:
            return {}
        begun = [plan for plan in plans if not self._marked[plan.key]]  # what this order has begun itself, it finishes
        return held(self._session, self._order.target, begun) if begun else {}

    def _settle(self, piece: Piece, plan: FilesetPlan | None, flight: Flight[Landed]) -> None:
        """Adopt a fileset that is in OMERO, or have it imported; without a plan it has been imported once."""
        line = self._record.line(piece.key)
        if plan is None and line is not None and line.step is FileStep.SKIPPED:
            self._land_skipped(piece)
            return
        try:
            if plan is not None:
                preflight.check_fits(plan, target=self._order.target)
            if line is None or line.step is not FileStep.ANNOTATED:
                self._metadata.of(piece.original)  # read here, where trouble with it is one of this entry alone
            decision = decide(line=line, found=self._marked[piece.key])
            if isinstance(decision, Adopt):
                self._adopt(piece, decision.found)
            elif plan is not None:
                flight.start(functools.partial(self._fly, piece, plan, decision))
        except EntryFailed as failure:
            self._fail(piece, failure)

    def _adopt(self, piece: Piece, found: MarkedFileset) -> None:
        imported = ImportedFileset(fileset=found.fileset, images=found.images, plates=found.plates)
        if not found.linked:
            self._guard.check()
            restore_link(self._session, self._order.target, found.images, found.plates)
        line = self._record.line(piece.key)
        if line is None or line.step not in KNOWN_COMPLETE:
            self._tell("fileset.adopted", piece.entry, fileset=found.fileset, of_attempt=found.marker.attempt)
        self._finishing.add(Landed(piece=piece, fileset=found.fileset, imported=imported, fresh=False))

    # --- one fileset: in a thread of its own

    def _fly(self, piece: Piece, plan: FilesetPlan, decision: ImportAnew) -> Landed:
        """Import one fileset, after what earlier attempts left of it was removed."""
        started = time.monotonic()
        try:
            self._check()
            self._gate.settle(plan.files, check=self._check)
            for half in decision.halves:
                self._check()
                delete_fileset(self._session, half.fileset)
                self._tell("fileset.half_deleted", piece.entry, fileset=half.fileset, of_attempt=half.marker.attempt)
            fileset = self._import(piece, plan)
        except (EntryFailed, EntryNotReady) as error:
            raise _Fallen(piece, error) from error
        seconds = time.monotonic() - started
        self._tell("fileset.imported", piece.entry, fileset=fileset, files=len(plan.files), bytes=plan.bytes, seconds=seconds)
        return Landed(piece=piece, fileset=fileset, fresh=True)

    def _import(self, piece: Piece, plan: FilesetPlan) -> int:
        def on_step(step: FileStep, *, fileset: int) -> None:
            self._check()
            if step is FileStep.CREATED:
                self._record.note(piece, step, fileset=fileset)  # the marker says the same
            else:
                self._record.write(piece, step, fileset=fileset)
            self._show(piece.entry, step, _WORDS[step])

        def on_progress(words: str, done: int, total: int) -> None:
            self._guard.check()  # a large import takes hours: whoever may not go on does not wait for its end
            if self._abandoned.is_set():
                raise Halted
            self._show(piece.entry, FileStep.VERIFYING, f"{_WORDS[FileStep.VERIFYING]}, {words} ({done} of {total})")

        marker = Marker(uuid=self._order.uuid, attempt=self._attempt, key=piece.key)
        self._show(piece.entry, FileStep.PLANNED, _WORDS[FileStep.PLANNED])
        try:
            return self._importer.run(
                plan=plan, target=self._order.target, marker=marker, on_step=on_step, on_progress=on_progress
            )
        except TryAgain:
            self._record.note(piece, FileStep.PLANNED)  # OMERO, not the ledger, says next time how much of it is there
            raise

    def _check(self) -> None:
        self._guard.check()
        if self._halted.is_set():
            raise Halted

    # --- what has come to its end

    def _land(self, flight: Flight[Landed]) -> None:
        """Wait a little for filesets that come to their end, and take them up."""
        landed = flight.landed(timeout_seconds=_LOOK_SECONDS)
        for future in landed:
            try:
                there = future.result()
                self._finishing.add(there)
                self._show(there.piece.entry, FileStep.IMPORTED, _WORDS[FileStep.IMPORTED])
            except _Fallen as fallen:
                if isinstance(fallen.error, EntryNotReady):
                    self._put_off(fallen.piece, fallen.error)
                else:
                    self._fail(fallen.piece, fallen.error)
        if not landed:
            self._record.flush()

    def _finish_if_due(self) -> None:
        if self._finishing.due:
            self._finish()

    def _finish(self) -> None:
        for piece, _ in self._finishing.finish():
            self._end(piece)

    def _skip(self, piece: Piece, there: ImportedFileset) -> None:
        self._tell("fileset.skipped", piece.entry, fileset=there.fileset, why="the target holds it already")
        self._record.write_imported(FileStep.SKIPPED, [(piece, there)])
        self._land_skipped(piece)

    def _land_skipped(self, piece: Piece) -> None:
        self._tally.skip()
        self._end(piece)

    def _fail(self, piece: Piece, failure: EntryFailed) -> None:
        event(_log, logging.WARNING, "entry.failed", order=self._order.uuid, entry=piece.entry, why=str(failure))
        self._record.note_failure(piece, failure)
        self._tally.fail(piece.entry, failure)
        self._end(piece)

    def _put_off(self, piece: Piece, error: EntryNotReady) -> None:
        self._tell("entry.not_ready", piece.entry, why=str(error))
        self._record.note(piece, FileStep.PLANNED)
        self._tally.put_off(error)
        self._end(piece)

    def _end(self, piece: Piece) -> None:
        if self._tally.end(piece.entry):
            step = FileStep.FAILED if self._tally.has_failed(piece.entry) else FileStep.ANNOTATED
            self._show(piece.entry, step, _WORDS[step])

    def _show(self, entry: str, step: FileStep, words: str) -> None:
        with self._showing:
            self._on_progress(Progress(entry=entry, step=step, done=self._tally.done, total=self._tally.entries, words=words))

    def _tell(self, name: str, entry: str, **facts: object) -> None:
        event(_log, logging.INFO, name, order=self._order.uuid, attempt=self._attempt, entry=entry, **facts)


class _Fallen(Exception):
    """Brings an error from a thread, with the fileset that it is about; the others of the order go on."""

    def __init__(self, piece: Piece, error: EntryFailed | EntryNotReady) -> None:
        super().__init__(piece.key)
        self.piece, self.error = piece, error
