# SPDX-License-Identifier: GPL-2.0-or-later
"""Official: carries one claimed order out with OMERO's own importer, which brings in all that is missing in one call.

Files are admitted, read and grouped as on the other way (`run`), so that the same is refused in the same words before anything
is touched. Before the call and after it OMERO is asked what it holds of the order; what the importer prints only explains.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import AdiError, EntryFailed, EntryNotReady, OrderFailed
from omero_adi_plugin.importers.existing import held
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.importers.markers import delete_fileset, restore_link
from omero_adi_plugin.importers.official.arguments import Installation
from omero_adi_plugin.importers.official.holdings import ALL, announce, client_paths, made_here, withdraw
from omero_adi_plugin.importers.official.importer import OfficialImporter
from omero_adi_plugin.importers.official.naming import rename
from omero_adi_plugin.importers.official.stock import Stock
from omero_adi_plugin.importers.protocol import ImportedFileset, Skip
from omero_adi_plugin.importers.serverlog import keep_log
from omero_adi_plugin.importers.target import check_target
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep, Marker, Route
from omero_adi_plugin.pipeline import preflight
from omero_adi_plugin.pipeline.finishing import Finishing, Landed
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.keyvalues import Provenance
from omero_adi_plugin.pipeline.metadata import MetadataFiles
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.pipeline.record import Piece, Record
from omero_adi_plugin.pipeline.resume import KNOWN_COMPLETE, SETTLED, Adopt, decide
from omero_adi_plugin.pipeline.tally import Tally

if TYPE_CHECKING:
    from omero_adi_plugin.importers.official.importer import Ended
    from omero_adi_plugin.importers.plans import EntryPlan, FileReader, FilesetPlan
    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.pipeline.progress import Guard, OnProgress
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.ledger import Ledger

_log = logging.getLogger(__name__)


class OfficialRun:
    """One attempt at one order; the parameters are those of `run.OrderRun`, but for the importer."""

    def __init__(
        self,
        order: Order,
        *,
        attempt: int,
        session: OmeroSession,
        reader: FileReader,
        ledger: Ledger,
        guard: Guard,
        settings: Settings,
        skip_existing: bool,
        on_progress: OnProgress,
    ) -> None:
        self._order, self._attempt, self._session = order, attempt, session
        self._guard, self._settings, self._skip_existing, self._on_progress = guard, settings, skip_existing, on_progress
        self._importer = _importer(session, settings)
        self._record = Record(ledger, route=Route.OMERO)
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
            provenance=Provenance(route=Route.OMERO, bioformats=reader.version),
        )
        self._tally = Tally(entries=len(order.entries))
        self._stock = Stock()
        self._kept: set[int] = set()  # filesets that are in OMERO for good
        self._missing: dict[str, tuple[Piece, FilesetPlan]] = {}  # what is to be imported, by the file to open
        self._interrupted: AdiError | None = None

    def run(self) -> str | None:
        """Bring everything of the order into OMERO that is not there yet, annotated; returns and raises as `OrderRun.run`."""
        self._record.load()
        for entry in self._order.entries:
            lines = self._record.of_entry(entry.path)
            self._kept |= {line.fileset for line in lines if line.step in KNOWN_COMPLETE and line.fileset is not None}
        try:
            self._carry_out()
        except OrderFailed:  # no further attempt will clear up
            with contextlib.suppress(AdiError):
                self._clear_up()
            raise
        if self._interrupted is not None:
            raise self._interrupted
        return self._tally.outcome()

    def _carry_out(self) -> None:
        preflight.check_order(self._order, session=self._session)
        Installation.find()
        self._take_stock()
        for entry in self._order.entries:
            self._guard.check()
            self._begin(entry)
            self._finish_if_due()
        self._delete(self._stock.halves(kept=self._kept))
        self._await_rest()
        if self._missing:
            self._bring_in()
        self._finish()
        self._guard.check()
        withdraw(self._session, uuid=self._order.uuid)
        self._record.flush()

    def _clear_up(self) -> None:
        self._take_stock()
        self._delete(self._stock.halves(kept=self._kept))
        withdraw(self._session, uuid=self._order.uuid)

    def _take_stock(self) -> None:
        statistics = not (self._settings.skip_minmax or self._settings.skip_all)
        self._stock = Stock.taken(self._session, uuid=self._order.uuid, target=self._order.target, statistics=statistics)

    # --- one entry: what is to be done with it

    def _begin(self, entry: Entry) -> None:
        """Adopt what is there of an entry, and note what is to be imported."""
        known = self._record.of_entry(entry.path)
        if known and all(line.step in SETTLED for line in known):  # its files need not be there any more
            self._tally.expect(entry.path, len(known))
            for line in known:
                self._settle(Piece.of(line), None)
            return
        try:
            plan = self._grouping.plan(entry)
        except EntryFailed as failure:
            self._fail(Piece.whole(entry), failure)
        except EntryNotReady as error:
            self._put_off(Piece.whole(entry), error)
        else:
            self._begin_plan(plan)

    def _begin_plan(self, plan: EntryPlan) -> None:
        entry = plan.entry.path
        filesets = [fileset for fileset in plan.filesets if not self._of_another(fileset)]
        self._tally.expect(entry, len(filesets) + len(plan.failures))
        if plan.left_out:
            first = plan.left_out[0]
            self._tell("entry.left_out", entry, files=len(plan.left_out), first=first.path, why=first.why)
        for failure in plan.failures:
            self._fail(Piece.failed(entry, failure), failure)
        there = self._held(filesets)
        for fileset in filesets:
            piece, line = Piece.planned(fileset), self._record.line(fileset.key)
            if fileset.key in there:
                self._skip(piece, there[fileset.key])
                continue
            if line is None or line.step not in SETTLED:
                self._record.note(piece, FileStep.PLANNED)
            self._settle(piece, fileset)

    def _of_another(self, plan: FilesetPlan) -> bool:
        line = self._record.line(plan.key)
        return line is not None and line.entry != plan.entry.path and line.entry in self._entries

    @functools.cached_property
    def _entries(self) -> frozenset[str]:
        return frozenset(entry.path for entry in self._order.entries)

    def _held(self, plans: list[FilesetPlan]) -> dict[str, ImportedFileset]:
        if not self._skip_existing:
            return {}
        begun = [plan for plan in plans if not self._stock.of(plan)]  # what this order has begun itself, it finishes
        return held(self._session, self._order.target, begun) if begun else {}

    def _settle(self, piece: Piece, plan: FilesetPlan | None) -> None:
        """Adopt a fileset that is in OMERO, or note it as missing; without a plan it has been imported once."""
        line = self._record.line(piece.key)
        if line is not None and line.step is FileStep.SKIPPED and plan is None:
            self._tally.skip()
            self._end(piece)
            return
        try:
            if plan is not None:
                preflight.check_fits(plan, target=self._order.target)
            if line is None or line.step is not FileStep.ANNOTATED:
                self._metadata.of(piece.original)  # read here, where trouble with it is one of this entry alone
            found = self._stock.get(line.fileset if line else None) + (self._stock.of(plan) if plan else [])
            decision = decide(line=line, found=found)
            if isinstance(decision, Adopt):
                self._adopt(piece, decision.found)
            elif plan is not None:
                self._missing[plan.files[0].source] = (piece, plan)
        except EntryFailed as failure:
            self._fail(piece, failure)

    def _adopt(self, piece: Piece, found: MarkedFileset) -> None:
        if not found.linked:
            self._guard.check()
            restore_link(self._session, self._order.target, found.images, found.plates)
        line = self._record.line(piece.key)
        if line is None or line.step not in KNOWN_COMPLETE:
            self._tell("fileset.adopted", piece.entry, fileset=found.fileset, of_attempt=found.marker.attempt)
        imported = ImportedFileset(fileset=found.fileset, images=found.images, plates=found.plates)
        self._kept.add(found.fileset)
        self._finishing.add(Landed(piece=piece, fileset=found.fileset, imported=imported, fresh=False))

    # --- the call

    def _await_rest(self) -> None:
        """Take out what is still being written."""
        for source, (piece, plan) in list(self._missing.items()):
            try:
                self._gate.settle(plan.files, check=self._guard.check)
            except EntryFailed as failure:
                self._fail(piece, failure)
            except EntryNotReady as error:
                self._put_off(piece, error)
            else:
                continue
            del self._missing[source]

    def _bring_in(self) -> None:
        """Have all that is missing imported, and see what came of it."""
        marker = Marker(uuid=self._order.uuid, attempt=self._attempt, key=ALL)
        plans = [plan for _, plan in self._missing.values()]
        self._record.flush()
        self._guard.check()
        announce(self._session, marker)
        try:
            ended = self._importer.run(
                plans, target=self._order.target, marker=marker, on_reported=self._take_up, on_wait=self._wait
            )
        except Exception:
            self._take_back()
            raise
        self._take_stock()
        for piece, plan in list(self._missing.values()):
            complete = [found.fileset for found in self._stock.of(plan) if found.complete]
            if complete:
                self._land(piece, plan, min(complete))
        self._finish()
        self._delete(self._stock.halves(kept=self._kept))
        self._see_to_links()
        for piece, plan in self._missing.values():
            self._explain(piece, plan, ended)
        for plan in plans:
            self._delete(self._stock.doubles(plan, kept=self._kept))

    def _wait(self) -> None:
        self._guard.check()
        self._finish_if_due()
        for piece, _ in self._missing.values():
            self._show(piece.entry, FileStep.VERIFYING, f"importing, {len(self._missing)} filesets to go")
            break

    def _take_up(self, filesets: list[int]) -> None:
        """Take up filesets that the importer has reported, while it goes on with others."""
        for fileset, paths in client_paths(self._session, made_here(self._session, filesets)).items():
            for source in self._missing.keys() & paths:
                self._land(*self._missing[source], fileset)

    def _land(self, piece: Piece, plan: FilesetPlan, fileset: int) -> None:
        del self._missing[plan.files[0].source]
        if fileset in self._kept:  # the importer has put into one fileset what we had taken for two
            self._record.note(piece, FileStep.ANNOTATED, fileset=fileset)
            self._end(piece)
            return
        if plan.name is not None:
            self._guard.check()
            rename(self._session, fileset=fileset, path=plan.files[0].source, name=plan.name)
        self._kept.add(fileset)
        self._tell("fileset.imported", piece.entry, fileset=fileset, files=len(plan.files), bytes=plan.bytes)
        self._finishing.add(Landed(piece=piece, fileset=fileset, fresh=True))

    def _take_back(self) -> None:
        """After a call that was cut off: remove what this session has left unfinished; the rest is found by its marker."""
        with contextlib.suppress(AdiError):
            self._take_stock()
            halves = [half.fileset for half in self._stock.halves(kept=self._kept)]
            for half in made_here(self._session, halves):
                delete_fileset(self._session, half)

    def _see_to_links(self) -> None:
        """Put into the target what is not in it, unless that is gone: then nothing else explains what is missing, either."""
        loose = self._stock.loose(kept=self._kept)
        if loose or self._missing:
            check_target(self._session, self._order.target)
        for found in loose:
            self._guard.check()
            restore_link(self._session, self._order.target, found.images, found.plates)

    def _explain(self, piece: Piece, plan: FilesetPlan, ended: Ended) -> None:
        why = ended.why_not(plan)
        if isinstance(why, EntryFailed):
            self._fail(piece, why)
        elif isinstance(why, EntryNotReady):
            self._put_off(piece, why)
        else:
            self._tell("fileset.interrupted", piece.entry, why=str(why))
            self._interrupted = self._interrupted or why
            self._end(piece)

    def _delete(self, filesets: list[MarkedFileset]) -> None:
        for found in filesets:
            self._guard.check()
            if not found.complete:
                keep_log(self._session, found.fileset, order=self._order.uuid)
            delete_fileset(self._session, found.fileset)
            name = "fileset.double_deleted" if found.complete else "fileset.half_deleted"
            event(_log, logging.INFO, name, order=self._order.uuid, fileset=found.fileset, of_attempt=found.marker.attempt)

    # --- what has come to its end

    def _finish_if_due(self) -> None:
        if self._finishing.due:
            self._finish()

    def _finish(self) -> None:
        for piece, _ in self._finishing.finish():
            self._end(piece)

    def _skip(self, piece: Piece, there: ImportedFileset) -> None:
        self._tell("fileset.skipped", piece.entry, fileset=there.fileset, why="the target holds it already")
        self._record.write_imported(FileStep.SKIPPED, [(piece, there)])
        self._tally.skip()
        self._end(piece)

    def _fail(self, piece: Piece, failure: EntryFailed) -> None:
        event(_log, logging.WARNING, "entry.failed", order=self._order.uuid, entry=piece.entry, why=str(failure))
        self._record.note_failure(piece, failure)
        self._tally.fail(piece.entry, failure)
        self._end(piece)

    def _put_off(self, piece: Piece, error: EntryNotReady) -> None:
        self._tell("entry.not_ready", piece.entry, why=str(error))
        self._tally.put_off(error)
        self._end(piece)

    def _end(self, piece: Piece) -> None:
        if self._tally.end(piece.entry):
            failed = self._tally.has_failed(piece.entry)
            self._show(piece.entry, FileStep.FAILED if failed else FileStep.ANNOTATED, "failed" if failed else "done")

    def _show(self, entry: str, step: FileStep, words: str) -> None:
        self._on_progress(Progress(entry=entry, step=step, done=self._tally.done, total=self._tally.entries, words=words))

    def _tell(self, name: str, entry: str, **facts: object) -> None:
        event(_log, logging.INFO, name, order=self._order.uuid, attempt=self._attempt, entry=entry, **facts)


def _importer(session: OmeroSession, settings: Settings) -> OfficialImporter:
    return OfficialImporter(
        session=session,
        skip=Skip.of(settings),
        skip_upgrade=settings.skip_all or settings.skip_upgrade,
        parallel_files=settings.parallel_upload_per_worker,
        parallel_filesets=settings.parallel_filesets_per_worker,
        heap_mb=settings.reader_heap_mb,
        patience_seconds=settings.import_patience_seconds,
    )
