# SPDX-License-Identifier: GPL-2.0-or-later
"""Course: what an attempt at an order has at hand, what it tells of how it goes, and how what came in is finished."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from omero_adi_plugin.errors import AdiError, EntryFailed, EntryNotReady, ImportInterrupted, NotOnThisHost
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep
from omero_adi_plugin.pipeline.files import OwnFiles
from omero_adi_plugin.pipeline.finishing import Finishing
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.keyvalues import Provenance
from omero_adi_plugin.pipeline.metadata import MetadataFiles
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay, ShuttingDown, Stopped
from omero_adi_plugin.pipeline.progress import WORDS, Progress
from omero_adi_plugin.pipeline.reading import WatchedReader
from omero_adi_plugin.pipeline.record import Piece, Record
from omero_adi_plugin.pipeline.skipping import Skipping
from omero_adi_plugin.pipeline.tally import Streak, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.importers.plans import FileReader
    from omero_adi_plugin.orders import Entry, LedgerFile, Order, Route
    from omero_adi_plugin.pipeline.files import Files
    from omero_adi_plugin.pipeline.means import Means
    from omero_adi_plugin.pipeline.progress import Guard, OnProgress
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.ledger import Ledger

_log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
"""How often it is told that reading goes on: a folder may hold a million files."""


SILENT_SECONDS = 120
"""When nothing was heard of converters for so long, whoever looks at the order is told: it may hang."""


class Course(ABC):
    """One attempt at one order; subclasses say what is done, and in which order.

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
    means : Means or None
        What converters need, if the order asks for one.
    on_progress : OnProgress
        Told of each step; from several threads, but never at the same time.
    """

    route: ClassVar[Route]
    links_are_ours: ClassVar[bool]
    """Whether filesets may be imported from where they do not stay, because their links are made, and renewed, by us."""

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
        means: Means | None = None,
    ) -> None:
        self._order, self._attempt, self._session = order, attempt, session
        self._guard, self._settings, self._on_progress = guard, settings, on_progress
        self._again, self._resumed = again, resumed
        self._skipping = Skipping(session, order.target, wanted=skip_existing)
        self._record = Record(ledger, route=self.route)
        self._gate = FileGate.of(order, session=session, settings=settings)
        self._files = self._files_of(reader, means)
        self._metadata = MetadataFiles(locate=self._gate.locate, order=order.uuid, processed=settings.processed_folder)
        self._finishing = Finishing(
            order,
            session=session,
            record=self._record,
            guard=guard,
            namespace=settings.annotation_namespace,
            metadata=self._metadata,
            provenance=Provenance(route=self.route, bioformats=reader.version),
            files=self._files,
        )
        self._tally = Tally(entries=len(order.entries))
        self._unread = Streak()
        self._taken: dict[int, Entry] = {}  # filesets of earlier attempts whose files are set apart
        self._brought = 0  # filesets that this attempt has brought in
        self._reading, self._told = order.entries[0].path, time.monotonic()
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
        Cancelled
            Somebody has called it off. What is in OMERO by then is complete and annotated, and nothing half is left.
        GaveWay, ShuttingDown
            The order is left as it is, where nothing of it is half done if there was time for that.
        LeaseLost, NoProgress
            This worker must stop.
        """
        try:
            return self._run()
        finally:
            self._files.close()

    @abstractmethod
    def _run(self) -> str | None:
        """Do it; see `run`."""

    @abstractmethod
    def _is_there(self, key: str) -> bool:
        """Tell whether OMERO holds the fileset with this key completely, of whichever attempt."""

    def _files_of(self, reader: FileReader, means: Means | None) -> Files:
        order = self._order
        if order.preprocessing is None or means is None:
            return OwnFiles(
                order,
                gate=self._gate,
                reader=reader,
                skipping=self._skipping,
                is_open=self._is_open,
                watch=self._watch,
                processed=self._settings.processed_folder,
            )
        return means.files_of(
            order,
            order.preprocessing,
            session=self._session,
            reader=WatchedReader(reader, watch=self._watch_keeping),
            settings=self._settings,
            from_temp=self.links_are_ours,
            on_wait=self._while_converting,
            check=self._guard.check,
            watch=self._watch_keeping,
            is_open=self._is_open,
            is_there=self._is_there,
        )

    @property
    def _statistics(self) -> bool:
        return not (self._settings.skip_minmax or self._settings.skip_all)

    @contextlib.contextmanager
    def _as_far_as_possible(self, troubles: tuple[type[AdiError], ...] = (AdiError,)) -> Iterator[None]:
        """Go on when there is trouble of these kinds with tidying up, and have it seen to later."""
        try:
            yield
        except troubles as error:
            event(_log, logging.WARNING, "order.not_tidied", order=self._order.uuid, attempt=self._attempt, why=str(error))
            with contextlib.suppress(AdiError):
                self._record.suspect()

    def _is_open(self, entry: Entry) -> bool:
        return not self._record.is_settled(entry.path)

    def _piece(self, line: LedgerFile) -> Piece:
        return Piece.of(line, made=self._files.made(line.key))

    def _read_metadata(self, piece: Piece) -> None:
        self._metadata.of(piece.original, late=self._files.metadata(piece.entry))

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
        self._show_reading()

    def _watch_keeping(self) -> None:
        """Take note of it while what a converter has made is kept: that is done also when nothing more is to be begun."""
        try:
            self._safe_point()
        except Stopped as stopped:
            if isinstance(stopped.why, Cancelled):
                raise
            try:
                self._guard.check()
            except (GaveWay, ShuttingDown):  # there is no time any more
                raise stopped from None
        self._show_reading()

    def _show_reading(self) -> None:
        now = time.monotonic()
        if now - self._told >= WATCH_SECONDS:
            self._told = now
            self._show(self._reading, FileStep.PLANNED)

    def _while_converting(self, running: int, waiting: int, silent_seconds: float) -> None:
        """Go on with what was made, while converters are at work."""
        self._meanwhile()
        doing = "getting the converter ready" if not running else f"converting {running} file{'s' if running > 1 else ''}"
        words = f"{doing}, {waiting} wait{'s' if waiting == 1 else ''}" if waiting else doing
        if silent_seconds >= SILENT_SECONDS:
            words += f", nothing heard for {silent_seconds / 60:.0f} min"
        self._show(self._reading, FileStep.PLANNED, words)
        self._safe_point()

    def _meanwhile(self) -> None:
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

    def _put_off(self, piece: Piece, error: EntryNotReady | ImportInterrupted | NotOnThisHost) -> None:
        """Leave something to the next attempt."""
        self._gate.check_storage(getattr(error, "path", piece.original))
        self._tell("entry.not_ready", piece.entry, why=str(error))
        self._record.note(piece, FileStep.PLANNED)
        self._tally.put_off(error)
        self._end(piece)

    def _end(self, piece: Piece) -> None:
        if self._tally.end(piece.entry):
            failed = self._tally.has_failed(piece.entry)
            self._show(piece.entry, FileStep.FAILED if failed else FileStep.ANNOTATED)
            if not (failed or self._tally.is_to_go_on):
                self._files.release(piece.entry)

    def _show(self, entry: str, step: FileStep, words: str = "", *, moved: bool = True) -> None:
        done, total = self._tally.done, self._tally.entries
        with self._showing:
            self._on_progress(Progress(entry=entry, step=step, done=done, total=total, words=words or WORDS[step], moved=moved))

    def _tell(self, name: str, entry: str, **facts: object) -> None:
        event(_log, logging.INFO, name, order=self._order.uuid, attempt=self._attempt, entry=entry, **facts)
