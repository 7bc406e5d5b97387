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
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import AdiError, EntryFailed, EntryNotReady, Halted, ImportInterrupted, OrderFailed, TryAgain
from omero_adi_plugin.importers.markers import delete_fileset, find_marked
from omero_adi_plugin.importers.protocol import ImportedFileset
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep, Marker, Route
from omero_adi_plugin.pipeline.carrying import REMOVING, STOCKTAKING, Carrying
from omero_adi_plugin.pipeline.failures import given_up
from omero_adi_plugin.pipeline.finishing import Landed
from omero_adi_plugin.pipeline.flight import Flight
from omero_adi_plugin.pipeline.outcome import Cancelled, Stopped
from omero_adi_plugin.pipeline.progress import NO_PLACE, WORDS
from omero_adi_plugin.pipeline.record import Piece
from omero_adi_plugin.pipeline.resume import KNOWN_COMPLETE
from omero_adi_plugin.pipeline.tally import Streak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import Importer, MarkedFileset
    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.pipeline.resume import ImportAnew

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
"""How often it is looked, while all are waiting for OMERO, whether something else is due."""

PER_CENT = 100


class OrderRun(Carrying):
    """One attempt at one order, fileset by fileset.

    Parameters
    ----------
    importer : Importer
        How a fileset gets into OMERO.

    All others are those of `Carrying`.
    """

    route = Route.INPLACE
    links_are_ours = True

    def __init__(self, order: Order, *, importer: Importer, **given: Any) -> None:  # noqa: ANN401 (see `Carrying`)
        super().__init__(order, **given)
        self._importer = importer
        self._marked: dict[str, list[MarkedFileset]] = defaultdict(list)
        self._halves: dict[int, MarkedFileset] = {}
        self._there: set[int] = set()
        self._flight = Flight[Landed](self._settings.parallel_filesets_per_worker)
        self._interrupted = Streak()
        self._halted, self._abandoned, self._stopping = threading.Event(), threading.Event(), threading.Event()

    def _run(self) -> str | None:
        self._record.load()
        try:
            self._begin_stock()
            self._fence()
            self._carry_out()
        except Stopped as stopped:
            self._leave_tidy(stopped)
            raise stopped.why from None
        except OrderFailed as error:  # no further attempt will clear up
            complete: list[MarkedFileset] = []
            with suppress(AdiError):
                self._finish_rest()
            with self._as_far_as_possible():
                self._take_stock()
                self._clear_up()
                complete = [found for of_key in self._marked.values() for found in of_key if found.complete]
                self._write_down(complete)
                self._tidy()
            raise given_up(self._order, error, complete, session=self._session) from error
        except BaseException:  # whoever calls the order off before the next attempt goes by the ledger
            with suppress(AdiError):
                self._record.flush()
            raise
        return self._tally.outcome()

    def _write_down(self, complete: list[MarkedFileset]) -> None:
        """Have the ledger know what stays in OMERO without key-values: what it does not name is swept later."""
        lines = ((found, self._record.line(found.marker.key)) for found in complete)
        kept = [
            (Piece.of(line), ImportedFileset(fileset=found.fileset, images=found.images, plates=found.plates))
            for found, line in lines
            if line is not None and line.step not in KNOWN_COMPLETE
        ]
        self._record.write_imported(FileStep.IMPORTED, kept)

    def _take_stock(self) -> None:
        self._show(self._reading, FileStep.PLANNED, STOCKTAKING)
        self._marked.clear()
        marked = find_marked(self._session, uuid=self._order.uuid, target=self._order.target, statistics=self._statistics)
        for fileset in marked:
            self._marked[fileset.marker.key].append(fileset)
        self._halves = {found.fileset: found for found in marked if not found.complete}
        self._there = {found.fileset for found in marked}

    def _holds(self, fileset: int) -> bool:
        return fileset in self._there

    def _is_there(self, key: str) -> bool:
        return any(found.complete for found in self._marked.get(key, ()))

    def _half(self) -> list[MarkedFileset]:
        lines = ((found, self._record.line(found.marker.key)) for found in self._halves.values())
        return [
            found for found, line in lines if line is None or line.step not in KNOWN_COMPLETE or line.fileset != found.fileset
        ]

    def _fence(self) -> None:
        """Delete the halves of earlier attempts before anything is begun: the server may be at work on them still.

        So no more of the order is ever imported at the same time than it has places. What cannot be deleted now keeps only its
        own fileset waiting, which tries once more.
        """
        for half in self._half():
            with suppress(ImportInterrupted):
                self._delete_half(half)

    def _clear_up(self) -> None:
        """Delete halves of earlier attempts that nothing came of: their files are gone, say."""
        for half in self._half():
            self._delete_half(half)

    def _delete_half(self, half: MarkedFileset) -> None:
        self._guard.check()
        delete_fileset(self._session, half.fileset)
        self._halves.pop(half.fileset, None)
        self._tell("fileset.half_deleted", half.marker.key, fileset=half.fileset, of_attempt=half.marker.attempt)
        self._show(self._reading, FileStep.PLANNED, REMOVING)

    def _leave_tidy(self, stopped: Stopped) -> None:
        """Finish what came in; of an order that is called off, also remove what is half, as nobody will come back for it."""
        if isinstance(stopped.why, Cancelled):
            self._take_stock()
            self._adopt_rest()
            self._clear_up()
        self._finish()
        if isinstance(stopped.why, Cancelled):
            self._tidy()
        self._record.flush()

    def _carry_out(self) -> None:
        with self._flight, self._halting_in_trouble():
            try:
                self._all_entries()
            except Stopped as stopped:
                event(_log, logging.INFO, "order.stops", order=self._order.uuid, why=str(stopped), under_way=self._flight.flying)
                self._stopping.set()
                self._flight.drop_waiting()
                self._land_all()
                raise
        self._clear_up()
        self._record.flush()
        self._resumed |= self._importer.left_something
        self._sweep()
        if not self._tally.is_to_go_on:
            with self._as_far_as_possible():
                self._tidy()
        self._record.conclude()

    @contextmanager
    def _halting_in_trouble(self) -> Iterator[None]:
        """Have nothing more begun after trouble; at Ctrl-C not even what OMERO is doing already is waited for."""
        try:
            yield
        except Stopped:
            raise
        except BaseException as error:
            self._halted.set()
            if not isinstance(error, Exception):
                self._abandoned.set()
            raise

    def _all_entries(self) -> None:
        for entry in self._entries():
            self._begin(entry)
            self._meanwhile()
        self._land_all()
        self._finish()

    def _meanwhile(self) -> None:
        self._take_up(self._flight.landed(timeout_seconds=0))
        self._finish_if_due()
        self._make_room()

    def _found(self, piece: Piece, plan: FilesetPlan | None) -> list[MarkedFileset]:
        del plan
        return self._marked.get(piece.key, [])

    def _bring_in(self, piece: Piece, plan: FilesetPlan, decision: ImportAnew) -> None:
        while self._flight.full:
            self._land()
        self._flight.start(functools.partial(self._fly, piece, plan, decision), files=len(plan.files))
        self._make_room()

    def _make_room(self) -> None:
        """Have more in the air, if there is more to be done; what must wait is begun as soon as something has landed."""
        if self._flight.waits and self._flight.places < self._flight.wanted:
            width = self._settings.parallel_filesets_per_worker
            self._flight.allow(self._guard.places(wanted=width if self._flight.wanted > 1 else 1))

    # --- one fileset: in a thread of its own

    def _fly(self, piece: Piece, plan: FilesetPlan, decision: ImportAnew) -> Landed:
        """Import one fileset, after what earlier attempts left of it was removed."""
        started = time.monotonic()
        try:
            self._check_wanted()
            self._gate.settle(plan.files, check=self._check_wanted)
            for half in decision.halves:
                if half.fileset in self._halves:
                    self._check()
                    self._delete_half(half)
            fileset = self._import(piece, plan)
        except (EntryFailed, EntryNotReady, ImportInterrupted) as error:
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
            self._show(piece.entry, step)

        seen: list[tuple[str, int]] = []

        def on_progress(words: str, done: int, total: int) -> None:
            self._guard.check()  # a large import takes hours: whoever may not go on does not wait for its end
            if self._abandoned.is_set():
                raise Halted
            text = f"{WORDS[FileStep.VERIFYING]}, {words} ({_amount(done, total)})"
            self._show(piece.entry, FileStep.VERIFYING, text, moved=[(words, done)] != seen)
            seen[:] = [(words, done)]

        marker = Marker(uuid=self._order.uuid, attempt=self._attempt, key=piece.key)
        self._show(piece.entry, FileStep.PLANNED)
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

    def _check_wanted(self) -> None:
        """As `_check`; also for what need not be begun at all."""
        self._check()
        if self._stopping.is_set():
            raise Halted

    # --- what has come to its end

    def _land_all(self) -> None:
        while not self._flight.empty:
            self._land()

    def _land(self) -> None:
        """Wait a little for filesets that come to their end, and take them up."""
        landed = self._flight.landed(timeout_seconds=_LOOK_SECONDS)
        self._take_up(landed)
        if not landed:
            self._record.flush()
        self._finish_if_due()
        if self._flight.waits:
            self._make_room()
            if not self._flight.places:
                self._show(self._reading, FileStep.PLANNED, NO_PLACE, moved=False)
            self._safe_point()

    def _take_up(self, landed: list[Future[Landed]]) -> None:
        for future in landed:
            try:
                there = future.result()
            except _Fallen as fallen:
                self._take_up_fallen(fallen)
            except Halted:
                if not self._stopping.is_set():
                    raise
            else:
                self._interrupted.ends()
                self._brought += 1
                self._finishing.add(there)
                self._show(there.piece.entry, FileStep.IMPORTED)

    def _finish_rest(self) -> None:
        """Give what came in while others met trouble its key-values: nobody will come back for it."""
        for future in self._flight.landed(timeout_seconds=0):
            if future.exception() is None:
                self._finishing.add(future.result())
        self._finish()

    def _take_up_fallen(self, fallen: _Fallen) -> None:
        if isinstance(fallen.error, EntryFailed):
            self._fail(fallen.piece, fallen.error)
            return
        self._put_off(fallen.piece, fallen.error)
        if isinstance(fallen.error, ImportInterrupted):
            self._interrupted.goes_on(fallen.error)


def _amount(done: int, total: int) -> str:
    """Return how far something is; of more than a hundred steps nobody wants to be told each one."""
    return f"{done} of {total}" if total <= PER_CENT else f"{done * PER_CENT // total} %"


class _Fallen(Exception):
    """Brings an error from a thread, with the fileset that it is about; the others of the order go on."""

    def __init__(self, piece: Piece, error: EntryFailed | EntryNotReady | ImportInterrupted) -> None:
        super().__init__(piece.key)
        self.piece, self.error = piece, error
