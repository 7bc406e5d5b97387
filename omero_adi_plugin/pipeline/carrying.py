# SPDX-License-Identifier: GPL-2.0-or-later
"""Carrying: what all ways of carrying an order out have in common: entries are read, grouped, adopted, skipped or failed."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError, EntryFailed, EntryNotReady, ImportInterrupted, ServerTrouble
from omero_adi_plugin.importers.contents import client_paths
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.importers.markers import examine, in_work, restore_link
from omero_adi_plugin.importers.protocol import ImportedFileset
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep
from omero_adi_plugin.pipeline import preflight
from omero_adi_plugin.pipeline.finishing import Finishing, Landed
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.keyvalues import Provenance
from omero_adi_plugin.pipeline.metadata import MetadataFiles
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay, ShuttingDown
from omero_adi_plugin.pipeline.progress import WORDS, Progress
from omero_adi_plugin.pipeline.reading import WatchedReader, in_opening_order
from omero_adi_plugin.pipeline.record import Piece, Record
from omero_adi_plugin.pipeline.resume import ENDED, KNOWN_COMPLETE, SETTLED, Adopt, decide
from omero_adi_plugin.pipeline.skipping import Skipping
from omero_adi_plugin.pipeline.sweeping import sweep
from omero_adi_plugin.pipeline.tally import Streak, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_adi_plugin.importers.plans import EntryPlan, FileReader, FilesetPlan
    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.orders import Entry, LedgerFile, Order, Route
    from omero_adi_plugin.pipeline.progress import Guard, OnProgress
    from omero_adi_plugin.pipeline.resume import ImportAnew
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.ledger import Ledger

_log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
"""How often it is told that reading goes on: a folder may hold a million files."""

AWAIT_SECONDS = 2.0
"""How often OMERO is asked what has become of what an earlier attempt has begun."""

STOCKTAKING = "looking up what is in OMERO already"
"""What a person is told of the first look, which takes a while when much was imported earlier."""

REMOVING = "removing what an earlier attempt left"
"""And while that is done."""


class Stopped(Exception):
    """The order is to be left, or called off, at a point where nothing of it is half done; `why` is what ends the attempt."""

    def __init__(self, why: Cancelled | GaveWay | ShuttingDown) -> None:
        super().__init__(str(why))
        self.why = why


class Carrying(ABC):
    """One attempt at one order; subclasses say how filesets get into OMERO.

    Parameters
    ----------
    order : Order
        What is to be done.
    attempt : int
        The number of this attempt; goes into the markers.
    session : OmeroSession
        A session of the order's user in the order's group.
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
    again : bool
        Import anew what was imported once and is not to be seen any more: a person wants it.
    resumed : bool
        Something of this order was begun before, by an earlier attempt or in a session that was lost.
    on_progress : OnProgress
        Told of each step; from several threads, but never at the same time.
    """

    route: ClassVar[Route]

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
        again: bool,
        resumed: bool,
        on_progress: OnProgress,
    ) -> None:
        self._order, self._attempt, self._session = order, attempt, session
        self._guard, self._settings, self._on_progress = guard, settings, on_progress
        self._again, self._resumed = again, resumed
        self._skipping = Skipping(session, order.target, wanted=skip_existing)
        self._record = Record(ledger, route=self.route)
        self._gate = FileGate.of(order, session=session, settings=settings)
        self._grouping = Grouping(gate=self._gate, reader=WatchedReader(reader, watch=self._watch), watch=self._watch)
        self._metadata = MetadataFiles(locate=self._gate.locate, order=order.uuid)
        self._finishing = Finishing(
            order,
            session=session,
            record=self._record,
            guard=guard,
            namespace=settings.annotation_namespace,
            metadata=self._metadata,
            provenance=Provenance(route=self.route, bioformats=reader.version),
        )
        self._tally = Tally(entries=len(order.entries))
        self._unread = Streak()
        self._taken: set[int] = set()  # filesets of earlier attempts whose files were set apart
        self._brought = 0  # filesets that this attempt has brought in
        self._reading, self._told = order.entries[0].path, time.monotonic()
        self._showing = threading.Lock()

    @abstractmethod
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
        Cancelled
            Somebody has called it off. What is in OMERO by then is complete and annotated, and nothing half is left.
        GaveWay, ShuttingDown
            The order is left as it is, where nothing of it is half done if there was time for that.
        LeaseLost, NoProgress
            This worker must stop.
        """

    @abstractmethod
    def _take_stock(self) -> None:
        """Look up what OMERO holds of the order."""

    @abstractmethod
    def _holds(self, fileset: int) -> bool:
        """Tell whether OMERO holds this fileset, and it is one of this order: ids alone prove nothing after a restore."""

    @abstractmethod
    def _half(self) -> list[MarkedFileset]:
        """Return what is half in OMERO, and was never known to be whole."""

    @abstractmethod
    def _found(self, piece: Piece, plan: FilesetPlan | None) -> list[MarkedFileset]:
        """Return what OMERO holds of a fileset of this order, of whichever attempt."""

    @abstractmethod
    def _bring_in(self, piece: Piece, plan: FilesetPlan, decision: ImportAnew) -> None:
        """Have a fileset imported, now or with others later."""

    @property
    def _statistics(self) -> bool:
        return not (self._settings.skip_minmax or self._settings.skip_all)

    # --- what earlier attempts have left

    def _begin_stock(self) -> None:
        """Take stock for the first time, of what can be relied on: OMERO.server may still be at work for an earlier attempt."""
        self._take_stock()
        if self._again:
            self._record.forget_gone(self._holds)
        self._safe_point()  # it may have been called off while it waited for this attempt
        preflight.check_order(self._order, session=self._session)
        if self._resumed:
            self._await_server()

    def _await_server(self) -> None:
        """Wait while the server imports what an earlier attempt has begun: what becomes whole is adopted, the rest deleted."""
        until = time.monotonic() + self._settings.takeover_patience_seconds
        halves = {half.fileset: half.marker for half in self._half()}
        begun = len(halves)
        while time.monotonic() < until:
            under_way = in_work(self._session, sorted(halves))
            halves = {fileset: marker for fileset, marker in halves.items() if fileset in under_way}
            if not halves:
                break
            words = f"waiting for {len(halves)} filesets that OMERO.server is still importing"
            self._show(self._reading, FileStep.VERIFYING, words, moved=False)
            self._safe_point()
            time.sleep(AWAIT_SECONDS)
            looked = examine(self._session, halves, target=self._order.target, statistics=self._statistics)
            halves = {each.fileset: each.marker for each in looked if not each.complete}
        if begun:
            self._take_stock()

    def _sweep(self) -> None:
        """Look once more, before the order ends, for what lost workers and sessions have done since stock was taken."""
        if self._resumed and not self._tally.is_to_go_on:
            files = self._record.lines()
            with self._as_far_as_possible((ImportInterrupted, ServerTrouble)):  # all that was ordered is in OMERO by now
                sweep(
                    self._order,
                    session=self._session,
                    attempt=self._attempt,
                    files=files,
                    settings=self._settings,
                    check=self._guard.check,
                )

    @contextlib.contextmanager
    def _as_far_as_possible(self, troubles: tuple[type[AdiError], ...] = (AdiError,)) -> Iterator[None]:
        """Go on when there is trouble of these kinds with tidying up, and have it seen to later."""
        try:
            yield
        except troubles as error:
            event(_log, logging.WARNING, "order.not_tidied", order=self._order.uuid, attempt=self._attempt, why=str(error))
            with contextlib.suppress(AdiError):
                self._record.suspect()

    # --- entries

    def _entries(self) -> Iterator[Entry]:
        """Give the order's entries in the order in which they are to be opened, after what is settled was set apart."""
        self._record.unsettle(self._skipping.gone(self._record.skipped()))
        self._take_settled()
        entries = in_opening_order(self._order.entries)
        coming = self._skipping.ahead(entries, of_interest=self._is_open)
        for entry in self._grouping.ahead(coming, is_open=self._is_open):
            self._reading = entry.path
            if self._is_open(entry):
                self._safe_point()
            else:
                self._guard.check()
            yield entry

    def _take_settled(self) -> None:
        """Set apart the files of what is in OMERO, also of folders of which the rest is not: they are not opened again."""
        settled = {}
        for entry in self._order.entries:
            steps = KNOWN_COMPLETE if self._is_open(entry) else SETTLED
            for line in self._record.of_entry(entry.path):
                if line.step not in steps or line.fileset is None:
                    continue
                if line.step is FileStep.SKIPPED or self._holds(line.fileset):
                    settled[line.fileset] = entry
        for fileset, paths in client_paths(self._session, sorted(settled)).items():
            entry = settled[fileset]
            self._grouping.take(entry.path, paths, all_of_it=not self._is_open(entry))
            self._taken.add(fileset)

    def _is_open(self, entry: Entry) -> bool:
        return not self._record.is_settled(entry.path)

    def _begin(self, entry: Entry) -> None:
        """Adopt what is there of an entry, and have the rest imported."""
        if not self._is_open(entry):  # its files need not be there any more
            known = self._record.of_entry(entry.path)
            self._tally.expect(entry.path, len(known))
            for line in known:
                self._settle_known(line)
            return
        try:
            plan = self._grouping.plan(entry)
        except EntryFailed as failure:
            self._fail(Piece.whole(entry), failure)
        except EntryNotReady as error:
            self._put_off(Piece.whole(entry), error)
        except ImportInterrupted as error:
            self._put_off(Piece.whole(entry), error)
            self._unread.goes_on(error)
        else:
            self._unread.ends()
            self._begin_plan(plan)

    def _begin_plan(self, plan: EntryPlan) -> None:
        entry = plan.entry.path
        self._tell_left_out(plan)
        known = [line for line in self._record.of_entry(entry) if line.step in KNOWN_COMPLETE and line.fileset in self._taken]
        parts = len(known) + len(plan.filesets) + len(plan.failures) + len(plan.growing)
        self._tally.expect(entry, parts)  # none, if another entry has brought it
        for there in known:
            self._settle_known(there)
            self._finish_if_due()
        for failure in plan.failures:
            self._fail(Piece.failed(entry, failure), failure)
        for growing in plan.growing:
            self._put_off(Piece.failed(entry, growing), growing)
        for fileset in plan.filesets:  # before any is begun: else a crash would make half an entry look like all of it
            line = self._record.line(fileset.key)
            if line is None or line.step not in SETTLED:
                self._record.note(Piece.planned(fileset), FileStep.PLANNED)
        if len(plan.filesets) > 1:
            self._record.flush()
            reached(Point.PLAN_WRITTEN)
        held = self._held(plan.filesets)
        for fileset in plan.filesets:
            if fileset.key in held:
                self._skip(Piece.planned(fileset), held[fileset.key])
            else:
                self._settle(Piece.planned(fileset), fileset)

    def _tell_left_out(self, plan: EntryPlan) -> None:
        entry = plan.entry.path
        for left in plan.left_out:
            event(_log, logging.DEBUG, "file.left_out", order=self._order.uuid, entry=entry, file=left.path, why=left.why)
        if plan.left_out:
            first = plan.left_out[0]
            self._tell("entry.left_out", entry, files=len(plan.left_out), first=first.path, why=first.why)

    def _held(self, plans: Sequence[FilesetPlan]) -> dict[str, ImportedFileset]:
        # what this order has begun itself, it finishes
        return self._skipping.held([plan for plan in plans if not self._found(Piece.planned(plan), plan)])

    # --- filesets

    def _settle(self, piece: Piece, plan: FilesetPlan) -> None:
        """Adopt a fileset that is in OMERO, or have it imported."""
        try:
            preflight.check_fits(plan, target=self._order.target)
            decision = decide(line=self._record.line(piece.key), found=self._found(piece, plan))
            if isinstance(decision, Adopt):
                self._adopt(piece, decision.found)
                return
            self._metadata.of(piece.original)  # read here, where trouble with it is one of this entry alone
        except EntryFailed as failure:
            self._fail(piece, failure)
            return
        self._bring_in(piece, plan, decision)

    def _settle_known(self, line: LedgerFile) -> None:
        """See to it that what was imported once is still there, linked and annotated."""
        piece = Piece.of(line)
        if line.step is FileStep.SKIPPED:
            self._tally.skip()
            self._end(piece)
            return
        try:
            decision = decide(line=line, found=self._found(piece, None))
            if isinstance(decision, Adopt):
                self._adopt(piece, decision.found)
        except EntryFailed as failure:
            self._fail(piece, failure)

    def _adopt(self, piece: Piece, found: MarkedFileset) -> None:
        if not found.linked:
            self._guard.check()
            restore_link(self._session, self._order.target, found.images, found.plates)
        line = self._record.line(piece.key)
        try:
            self._metadata.of(piece.original)  # as in `_settle`
        except EntryFailed as failure:
            if line is None or line.step is not FileStep.ANNOTATED:
                raise
            self._tell("key_values.not_compared", piece.entry, fileset=found.fileset, why=str(failure))  # it once had them
            self._end(piece)
            return
        if line is None or line.step not in KNOWN_COMPLETE:
            self._tell("fileset.adopted", piece.entry, fileset=found.fileset, of_attempt=found.marker.attempt)
        imported = ImportedFileset(fileset=found.fileset, images=found.images, plates=found.plates)
        self._finishing.add(Landed(piece=piece, fileset=found.fileset, imported=imported, fresh=False))

    def _skip(self, piece: Piece, there: ImportedFileset) -> None:
        self._tell("fileset.skipped", piece.entry, fileset=there.fileset, why="the target holds it already")
        self._record.write_imported(FileStep.SKIPPED, [(piece, there)])
        reached(Point.SKIPPED_WRITTEN)
        self._tally.skip()
        self._end(piece)

    # --- leaving it in good order

    def _safe_point(self) -> None:
        """Return if something new may be begun; to be asked where nothing but what is in the air is half done.

        Raises
        ------
        Stopped
            Nothing new may be begun: what is under way is to be brought to its end.
        LeaseLost, NoProgress
            Not even that.
        """
        try:
            self._guard.safe_point(settled=self._brought)
        except (Cancelled, GaveWay, ShuttingDown) as why:
            raise Stopped(why) from why

    def _watch(self) -> None:
        """Take note that reading has got on a little: nothing in OMERO depends on it, so it can be left at any time."""
        self._safe_point()
        now = time.monotonic()
        if now - self._told >= WATCH_SECONDS:
            self._told = now
            self._show(self._reading, FileStep.PLANNED)

    def _adopt_rest(self) -> None:
        """Take up what is complete in OMERO, and has no key-values yet; its files are not looked at."""
        for line in self._record.lines():
            if line.step in ENDED or not any(found.complete for found in self._found(Piece.of(line), None)):
                continue
            self._settle_known(line)
            self._finish_if_due()

    # --- what has come to its end

    def _finish_if_due(self) -> None:
        if self._finishing.due:
            self._finish()

    def _finish(self) -> None:
        finished = self._finishing.finish()
        for piece, _ in finished:
            self._end(piece)
        if finished and finished[-1][0].entry in self._tally:  # a folder of many, of which no end is told
            self._show(finished[-1][0].entry, FileStep.IMPORTED)

    def _fail(self, piece: Piece, failure: EntryFailed) -> None:
        self._gate.check_storage(getattr(failure, "path", piece.original))  # when that is away, it says nothing of the file
        event(_log, logging.WARNING, "entry.failed", order=self._order.uuid, entry=piece.entry, why=str(failure))
        self._record.note_failure(piece, failure)
        self._tally.fail(piece.entry, failure)
        self._end(piece)

    def _put_off(self, piece: Piece, error: EntryNotReady | ImportInterrupted) -> None:
        """Leave something to the next attempt."""
        self._gate.check_storage(getattr(error, "path", piece.original))
        self._tell("entry.not_ready", piece.entry, why=str(error))
        self._record.note(piece, FileStep.PLANNED)
        self._tally.put_off(error)
        self._end(piece)

    def _end(self, piece: Piece) -> None:
        if self._tally.end(piece.entry):
            step = FileStep.FAILED if self._tally.has_failed(piece.entry) else FileStep.ANNOTATED
            self._show(piece.entry, step)

    def _show(self, entry: str, step: FileStep, words: str = "", *, moved: bool = True) -> None:
        done, total = self._tally.done, self._tally.entries
        with self._showing:
            self._on_progress(Progress(entry=entry, step=step, done=done, total=total, words=words or WORDS[step], moved=moved))

    def _tell(self, name: str, entry: str, **facts: object) -> None:
        event(_log, logging.INFO, name, order=self._order.uuid, attempt=self._attempt, entry=entry, **facts)
