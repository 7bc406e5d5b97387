# SPDX-License-Identifier: GPL-2.0-or-later
"""Official: carries one claimed order out with OMERO's own importer, which brings in many filesets in one call.

Files are admitted, read and grouped as on the other way (`run`), so that the same is refused in the same words before anything
is touched. Before the call and after it OMERO is asked what it holds of the order; what the importer prints only explains.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError, EntryFailed, EntryNotReady, ImportInterrupted, OrderFailed
from omero_adi_plugin.importers.contents import client_paths
from omero_adi_plugin.importers.markers import delete_fileset, restore_link
from omero_adi_plugin.importers.official.arguments import Installation
from omero_adi_plugin.importers.official.holdings import ALL, announce, made_here, withdraw
from omero_adi_plugin.importers.official.importer import OfficialImporter
from omero_adi_plugin.importers.official.naming import rename
from omero_adi_plugin.importers.official.stock import Stock
from omero_adi_plugin.importers.protocol import Skip
from omero_adi_plugin.importers.serverlog import keep_log
from omero_adi_plugin.importers.target import check_target
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep, Marker, Route
from omero_adi_plugin.pipeline.carrying import REMOVING, STOCKTAKING, Carrying
from omero_adi_plugin.pipeline.failures import given_up
from omero_adi_plugin.pipeline.finishing import Landed
from omero_adi_plugin.pipeline.outcome import Cancelled, Stopped
from omero_adi_plugin.pipeline.progress import NO_PLACE
from omero_adi_plugin.pipeline.resume import KNOWN_COMPLETE

if TYPE_CHECKING:
    from omero_adi_plugin.importers.official.importer import Ended
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.pipeline.record import Piece
    from omero_adi_plugin.pipeline.resume import ImportAnew
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
"""How often who waits for a place looks whether there is one."""


class OfficialRun(Carrying):
    """One attempt at one order, with a call for each `yield_after_filesets` that are missing: between them it can be left.

    The parameters are those of `Carrying`.
    """

    route = Route.OMERO
    links_are_ours = False

    def __init__(self, order: Order, *, session: OmeroSession, settings: Settings, **given: Any) -> None:  # noqa: ANN401 (see there)
        super().__init__(order, session=session, settings=settings, **given)
        self._importer = _importer(session, settings)
        self._stock = Stock()
        self._kept: set[int] = set()  # filesets that are in OMERO for good
        self._missing: dict[str, tuple[Piece, FilesetPlan]] = {}  # what is to be imported, by the file to open
        self._named: dict[str, FilesetPlan] = {}  # what the order calls by a name, by key
        self._interrupted: AdiError | None = None
        self._heard = 0  # lines that the importer has said

    def _run(self) -> str | None:
        self._record.load()
        try:
            self._carry_out()
        except Stopped as stopped:
            self._leave_tidy(stopped)
            raise stopped.why from None
        except OrderFailed as error:  # no further attempt will clear up
            with self._as_far_as_possible():
                self._clear_up()
                self._tidy()
            raise given_up(self._order, error, self._stock.complete(), session=self._session) from error
        if self._interrupted is not None:
            raise self._interrupted
        return self._tally.outcome()

    def _carry_out(self) -> None:
        self._begin_stock()
        Installation.find()
        for entry in self._entries():
            self._begin(entry)
            self._finish_if_due()
        self._delete(self._half())
        self._await_rest()
        missing, most = list(self._missing.items()), self._settings.yield_after_filesets
        for start in range(0, len(missing), most):
            self._safe_point()
            self._missing = dict(missing[start : start + most])
            self._call(self._await_place())
        self._finish()
        self._record.flush()
        if self._interrupted is None:
            self._sweep()
            if not self._tally.is_to_go_on:
                with self._as_far_as_possible():
                    self._tidy()
        self._withdraw()
        self._record.conclude()

    def _leave_tidy(self, stopped: Stopped) -> None:
        """Finish what came in; of an order that is called off, also remove what is half, as nobody will come back for it."""
        if isinstance(stopped.why, Cancelled):
            self._clear_up()
            self._adopt_rest()
        self._finish()
        if isinstance(stopped.why, Cancelled):
            self._tidy()
        self._record.flush()

    def _clear_up(self) -> None:
        self._take_stock()
        self._delete(self._half())
        self._withdraw()

    def _withdraw(self) -> None:
        """Take back what announced the call; after an interruption it still tells the later sweep what is the order's."""
        if not self._resumed and self._interrupted is None:
            self._guard.check()
            withdraw(self._session, uuid=self._order.uuid)

    def _take_stock(self) -> None:
        order = self._order
        self._show(self._reading, FileStep.PLANNED, STOCKTAKING)
        self._stock = Stock.taken(self._session, uuid=order.uuid, target=order.target, statistics=self._statistics)

        known = (line.fileset for line in self._record.lines() if line.step in KNOWN_COMPLETE)
        self._kept |= {fileset for fileset in known if fileset is not None and self._holds(fileset)}

    def _holds(self, fileset: int) -> bool:
        return bool(self._stock.get(fileset))

    def _is_there(self, key: str) -> bool:
        line, made = self._record.line(key), self._files.made(key)
        found = self._stock.get(line.fileset if line else None) + (self._stock.at(made.files[0].place) if made else [])
        return any(each.complete for each in found)

    def _half(self) -> list[MarkedFileset]:
        return self._stock.halves(kept=self._kept)

    # --- one fileset: what is to be done with it

    def _found(self, piece: Piece, plan: FilesetPlan | None) -> list[MarkedFileset]:
        line = self._record.line(piece.key)
        return self._stock.get(line.fileset if line else None) + (self._stock.of(plan) if plan else self._stock.at(piece.source))

    def _bring_in(self, piece: Piece, plan: FilesetPlan, decision: ImportAnew) -> None:
        del decision  # halves are deleted all together
        self._missing[plan.files[0].source] = (piece, plan)

    def _settle(self, piece: Piece, plan: FilesetPlan) -> None:
        if plan.name is not None:
            self._named[piece.key] = plan
        super()._settle(piece, plan)

    def _adopt(self, piece: Piece, found: MarkedFileset) -> None:
        line = self._record.line(piece.key)
        if piece.key in self._named and (line is None or line.step not in KNOWN_COMPLETE):  # who brought it in may have died
            self._rename(found.fileset, self._named[piece.key])
        super()._adopt(piece, found)
        self._kept.add(found.fileset)

    # --- the call

    def _await_rest(self) -> None:
        """Take out what is still being written."""
        for source, (piece, plan) in list(self._missing.items()):
            try:
                self._gate.settle(plan.files, check=self._guard.check)
            except EntryFailed as failure:
                self._fail(piece, failure)
            except (EntryNotReady, ImportInterrupted) as error:
                self._put_off(piece, error)
            else:
                continue
            del self._missing[source]

    def _await_place(self) -> int:
        """Return how many filesets may be imported at the same time, as soon as one may."""
        wanted = min(self._settings.parallel_filesets_per_worker, len(self._missing))
        while not (places := self._guard.places(wanted=wanted)):
            self._show(self._reading, FileStep.PLANNED, NO_PLACE, moved=False)
            self._safe_point()
            time.sleep(_LOOK_SECONDS)
        return places

    def _call(self, places: int) -> None:
        """Have what is missing imported, so many filesets at the same time, and see what came of it."""
        marker = Marker(uuid=self._order.uuid, attempt=self._attempt, key=ALL)
        plans = [plan for _, plan in self._missing.values()]
        self._record.flush()
        self._guard.check()
        reached(Point.ANNOUNCE_DUE)
        announce(self._session, marker)
        reached(Point.ANNOUNCED)
        try:
            ended = replace(self._importer, parallel_filesets=places).run(
                plans, target=self._order.target, marker=marker, on_reported=self._take_up, on_wait=self._wait
            )
        except Exception:
            self._take_back()
            raise
        reached(Point.IMPORTER_ENDED)
        self._take_stock()
        for piece, plan in list(self._missing.values()):
            complete = [found.fileset for found in self._stock.of(plan) if found.complete]
            if complete:
                self._land(piece, plan, min(complete))
        self._finish()
        self._delete(self._half())
        self._see_to_links()
        for piece, plan in self._missing.values():
            self._explain(piece, plan, ended)
        for plan in plans:
            self._delete(self._stock.doubles(plan, kept=self._kept))

    def _wait(self, heard: int) -> None:
        self._guard.check()
        self._finish_if_due()
        for piece, _ in self._missing.values():
            words = f"importing, {len(self._missing)} filesets to go"
            self._show(piece.entry, FileStep.VERIFYING, words, moved=heard != self._heard)
            break
        self._heard = heard

    def _take_up(self, filesets: list[int]) -> None:
        """Take up filesets that the importer has reported, while it goes on with others."""
        for fileset, paths in client_paths(self._session, made_here(self._session, filesets)).items():
            for source in self._missing.keys() & paths:
                self._land(*self._missing[source], fileset)
        reached(Point.REPORT_TAKEN_UP)

    def _land(self, piece: Piece, plan: FilesetPlan, fileset: int) -> None:
        del self._missing[plan.files[0].source]
        if fileset in self._kept:  # the importer has put into one fileset what we had taken for two
            self._record.note(piece, FileStep.ANNOTATED, fileset=fileset)
            self._end(piece)
            return
        self._rename(fileset, plan)
        self._kept.add(fileset)
        self._brought += 1
        self._tell("fileset.imported", piece.entry, fileset=fileset, files=len(plan.files), bytes=plan.bytes)
        self._finishing.add(Landed(piece=piece, fileset=fileset, fresh=True))

    def _rename(self, fileset: int, plan: FilesetPlan) -> None:
        """Call what was brought in as the order does: OMERO's importer takes one name for all files of a call."""
        if plan.name is not None:
            self._guard.check()
            rename(self._session, fileset=fileset, path=plan.files[0].source, name=plan.name)

    def _take_back(self) -> None:
        """After a call that was cut off: remove what this session has left unfinished; the rest is found by its marker."""
        with contextlib.suppress(AdiError):
            self._take_stock()
            halves = [half.fileset for half in self._half()]
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
        self._gate.check_storage(piece.original)
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
            self._show(self._reading, FileStep.PLANNED, REMOVING)


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
