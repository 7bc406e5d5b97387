# SPDX-License-Identifier: GPL-2.0-or-later
"""Carrying: what all ways of carrying an order out have in common: entries are read, grouped, adopted, skipped or failed."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import EntryFailed, EntryNotReady, ImportInterrupted, NotOnThisHost, ServerTrouble
from omero_adi_plugin.importers.markers import examine, in_work, restore_link
from omero_adi_plugin.importers.protocol import ImportedFileset
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep
from omero_adi_plugin.pipeline import preflight
from omero_adi_plugin.pipeline.course import Course
from omero_adi_plugin.pipeline.finishing import Landed
from omero_adi_plugin.pipeline.record import Piece
from omero_adi_plugin.pipeline.resume import ENDED, KNOWN_COMPLETE, SETTLED, Adopt, decide
from omero_adi_plugin.pipeline.sweeping import sweep
from omero_adi_plugin.pipeline.tidying import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_adi_plugin.importers.plans import EntryPlan, FilesetPlan
    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.orders import Entry, LedgerFile
    from omero_adi_plugin.pipeline.resume import ImportAnew

_log = logging.getLogger(__name__)

AWAIT_SECONDS = 2.0
"""How often OMERO is asked what has become of what an earlier attempt has begun."""

STOCKTAKING = "looking up what is in OMERO already"
"""What a person is told of the first look, which takes a while when much was imported earlier."""

REMOVING = "removing what an earlier attempt left"
"""And while that is done."""


class Carrying(Course):
    """One attempt at one order; subclasses say how filesets get into OMERO. The parameters are those of `Course`."""

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

    def _tidy(self) -> None:
        """Remove the folders that converters have written to, when nobody will need them again."""
        self._files.close()
        done = tidy(
            self._order,
            session=self._session,
            attempt=self._attempt,
            conversions=self._files.conversions(),
            files=self._record.lines(),
            settings=self._settings,
            check=self._guard.check,
        )
        if not done:
            self._record.suspect()

    # --- entries

    def _entries(self) -> Iterator[Entry]:
        """Give the order's entries in the order in which they are to be seen to, after what is settled was set apart."""
        self._record.unsettle(self._skipping.gone(self._record.skipped()))
        self._take_settled()
        for entry in self._files.entries():
            self._reading = entry.path
            if self._is_open(entry):
                self._safe_point()
            else:
                self._guard.check()
            yield entry

    def _take_settled(self) -> None:
        """Set apart what is in OMERO, also of folders of which the rest is not."""
        for entry in self._order.entries:
            steps = KNOWN_COMPLETE if self._is_open(entry) else SETTLED
            for line in self._record.of_entry(entry.path):
                if line.step not in steps or line.fileset is None:
                    continue
                if line.step is FileStep.SKIPPED or self._holds(line.fileset):
                    self._taken[line.fileset] = entry
        self._files.set_apart(self._session, self._taken)

    def _begin(self, entry: Entry) -> None:
        """Adopt what is there of an entry, and have the rest imported."""
        if not self._is_open(entry):  # its files need not be there any more
            known = self._record.of_entry(entry.path)
            self._tally.expect(entry.path, len(known))
            for line in known:
                self._settle_known(line)
            return
        try:
            plan = self._files.plan(entry)
        except EntryFailed as failure:
            self._fail(Piece.whole(entry), failure)
        except (EntryNotReady, NotOnThisHost) as error:
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
        keys = {line.key for line in known}
        plan = replace(plan, filesets=tuple(each for each in plan.filesets if each.key not in keys))
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
            self._read_metadata(piece)  # here, where trouble with it is one of this entry alone
        except EntryFailed as failure:
            self._fail(piece, failure)
            return
        self._bring_in(piece, plan, decision)

    def _settle_known(self, line: LedgerFile) -> None:
        """See to it that what was imported once is still there, linked and annotated."""
        piece = self._piece(line)
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
            self._read_metadata(piece)  # as in `_settle`
        except EntryFailed as failure:
            if line is None or line.step is not FileStep.ANNOTATED:
                raise
            self._tell("key_values.not_compared", piece.entry, fileset=found.fileset, why=str(failure))  # it once had them
            self._end(piece)
            return
        if line is None or line.step not in KNOWN_COMPLETE:
            self._tell("fileset.adopted", piece.entry, fileset=found.fileset, of_attempt=found.marker.attempt)
        imported = ImportedFileset(fileset=found.fileset, images=found.images, plates=found.plates)
        renewed = line is not None and line.step is FileStep.ANNOTATED
        self._finishing.add(Landed(piece=piece, fileset=found.fileset, imported=imported, fresh=False, renewed=renewed))

    def _skip(self, piece: Piece, there: ImportedFileset) -> None:
        self._tell("fileset.skipped", piece.entry, fileset=there.fileset, why="the target holds it already")
        self._record.write_imported(FileStep.SKIPPED, [(piece, there)])
        reached(Point.SKIPPED_WRITTEN)
        self._tally.skip()
        self._end(piece)

    def _adopt_rest(self) -> None:
        """Take up what is complete in OMERO, and has no key-values yet; its files are not looked at."""
        for line in self._record.lines():
            if line.step in ENDED or not any(found.complete for found in self._found(self._piece(line), None)):
                continue
            self._settle_known(line)
            self._finish_if_due()
