# SPDX-License-Identifier: GPL-2.0-or-later
"""In place: imports a fileset so that OMERO holds links to its files and no copies.

The way is that of OMERO's managed repository: `importFileset` makes the rows, each file is put in its place, `verifyUpload`
makes the server import by itself, in five steps. Until `verifyUpload` is called everything can be taken back; from then on the
server may go on without us, so that only its answer, or the marker on the fileset, says what has become of it.

A fileset of one file takes ten requests: importFileset, where its file has to be, three for the link (see `links`),
verifyUpload, addCallback, getResponse, and two that close what was opened.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any

import Ice
import omero.all

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import (
    AdiError,
    ConnectionBroken,
    DiskFull,
    ImportInterrupted,
    ImportRefused,
    OmeroDown,
    ServerTrouble,
)
from omero_adi_plugin.ice import TROUBLE, translated
from omero_adi_plugin.importers import crews
from omero_adi_plugin.importers.filesets import client_path, new_fileset, new_settings
from omero_adi_plugin.importers.handles import NoProgress, finished, refusal
from omero_adi_plugin.importers.links import look_again, place_link
from omero_adi_plugin.importers.made import Finder
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.importers.meter import Meter
from omero_adi_plugin.importers.refusals import changed_source, fault_of_files
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.importers.serverlog import keep_log
from omero_adi_plugin.importers.target import check_target
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import FileStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from omero_adi_plugin.importers.made import MadeFileset
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import OnProgress, OnStep, Session, Skip
    from omero_adi_plugin.orders import Marker, Target

_log = logging.getLogger(__name__)

STEPS = ("reading metadata", "computing statistics", "making thumbnails", "processing", "finishing")
"""What the server does in each of its five steps (OMERO's ManagedImportRequestI)."""

LINKING = "linking files"
"""What we do before that."""

READING = "reading files"
"""What it is called when sums of large files are taken meanwhile."""

WATCHED_BYTES = 100 * 2**20
"""From this size on it is told how far the files of a fileset have been read for their sums."""

_IMPORTED = "::omero::grid::ImportResponse"
"""Ice's name of the answer to a success; everything in it can be asked for later (`contents`)."""

_SILENT = (ConnectionBroken, OmeroDown)
"""Nothing was answered: nobody knows what the server does."""


class InPlace:
    """Imports in place, in a given session; for use from several threads.

    Parameters
    ----------
    session : Session
        A session of the user who is to own the images, in the group they are to be in.
    skip : Skip
        What the server is not to do.
    patience_seconds : float
        How long the server may stay at one step of one fileset before it counts as stuck.
    parallel_files : int
        How many files of one fileset are linked, and read for their sums, at the same time.
    bioformats : str or None
        The version of Bio-Formats that read the files, None if it was not Bio-Formats.
    """

    def __init__(
        self, session: Session, *, skip: Skip, patience_seconds: float, parallel_files: int, bioformats: str | None
    ) -> None:
        self._session, self._skip = session, skip
        self._patience_seconds, self._parallel_files = patience_seconds, parallel_files
        self._bioformats = bioformats
        self.left_something = False

    def run(
        self, *, plan: FilesetPlan, target: Target, marker: Marker, on_step: OnStep, on_progress: OnProgress | None = None
    ) -> int:
        """Import one fileset, and return its id.

        When it fails, the fileset is removed again, unless after `verifyUpload` the server cannot be asked any more, or
        `on_progress` raises: then the server may still be importing it, and its marker will say what came of it.

        Raises
        ------
        FileMissing, SourceUnreadable, FileBroken, FormatUnknown, ImportRefused
            The files cannot be imported.
        TargetMissing, TargetNotWritable
            The target went away meanwhile.
        FileGrowing
            A file is not as it was when it was looked at.
        ImportInterrupted, ConnectionBroken, ServerTrouble
            It may work at the next attempt.
        OmeroDown, DiskFull, ConfigurationError
            Nothing can be imported at the moment.
        LeaseLost
            And whatever else `on_step` and `on_progress` raise.
        """
        repository = self._repository
        try:
            return self._run(plan, target, marker, on_step, on_progress)
        except (ServerTrouble, ImportInterrupted, ImportRefused) as error:  # what it says of the file, too
            if repository.full():
                raise DiskFull(path=str(repository.root)) from error
            raise

    def _run(self, plan: FilesetPlan, target: Target, marker: Marker, on_step: OnStep, on_progress: OnProgress | None) -> int:
        with self._registered(plan, target, marker) as (process, made):
            with self._taken_back(made.id):
                on_step(FileStep.CREATED, fileset=made.id)
                reached(Point.FILESET_NOTED)
                hashes = self._link(process, plan, made, on_progress)
                reached(Point.FILESET_LINKED)
                on_step(FileStep.VERIFYING, fileset=made.id)
            reached(Point.VERIFY_DUE)
            handle = self._verify(process, hashes, plan, made)
            reached(Point.VERIFY_CALLED)
            response = self._response(handle, plan, made.id, on_progress)
            reached(Point.FILESET_IMPORTED)
            if response is not None:
                keep_log(self._session, made.id, order=marker.uuid)
                self._take_back(made.id)
                raise self._refused(response, plan, target)
        return made.id

    @functools.cached_property
    def _repository(self) -> ManagedRepository:
        return ManagedRepository.of(self._session)

    @functools.cached_property
    def _finder(self) -> Finder:
        return Finder(self._session, self._repository)

    @contextlib.contextmanager
    def _registered(self, plan: FilesetPlan, target: Target, marker: Marker) -> Iterator[tuple[Any, MadeFileset]]:
        """Make the rows of the fileset; give the process that imports it, and what was made. At the end the process is closed."""
        settings = new_settings(plan, target, self._skip)
        fileset = new_fileset(plan, marker, bioformats=self._bioformats)
        process = None
        try:
            try:
                reached(Point.FILESET_DUE)
                with translated(_doing(plan), self._session.where):
                    process = self._repository.service.importFileset(fileset, settings)
                reached(Point.FILESET_MADE)
                made = self._finder.find(marker)
            except _SILENT:
                raise
            except BaseException:  # it may have got as far as the rows
                self._take_back_marked(marker)
                raise
            if made is None:
                raise ImportInterrupted(path=plan.files[0].path, words="somebody deleted what was there of it")
            yield process, made
        finally:
            if process is not None:
                with contextlib.suppress(*TROUBLE):
                    process.close()

    def _link(
        self,
        process: Any,  # noqa: ANN401 (ImportProcessPrx is untyped)
        plan: FilesetPlan,
        made: MadeFileset,
        on_progress: OnProgress | None,
    ) -> list[str]:
        """Put a link in the place of each file; return what the server has to find when it looks through them."""
        for file in plan.files:
            if client_path(file.path) not in made.locations:
                raise ImportInterrupted(path=file.path, words="OMERO.server does not say where it is to be")

        meter, size_only = Meter(), self._skip.checksum

        def link(index: int) -> str:
            file = plan.files[index]
            with translated(f"linking '{file.path}'", self._session.where):
                location = made.locations[client_path(file.path)]
                return place_link(process, index, file=file, location=location, size_only=size_only, meter=meter)

        large = plan.bytes >= WATCHED_BYTES and not size_only

        def on_wait(done: int, total: int) -> None:
            if on_progress is None:
                return
            try:
                if large:
                    on_progress(READING, meter.done, 2 * plan.bytes)
                else:
                    on_progress(LINKING, done, total)
            except BaseException:
                meter.call_off()
                raise

        watched = on_wait if large or len(plan.files) > 1 else None
        return crews.each(len(plan.files), link, threads=self._parallel_files, on_wait=watched)

    def _verify(self, process: Any, hashes: list[str], plan: FilesetPlan, made: MadeFileset) -> Any:  # noqa: ANN401 (as above)
        """Let the server compare, and begin to import. If it finds something else, it is told to look again, once."""
        try:
            with translated(_doing(plan), self._session.where):
                try:
                    return process.verifyUpload(hashes)
                except omero.ChecksumValidationException as error:
                    failing: Iterable[int] = error.failingChecksums or range(len(hashes))
                except Ice.UnknownException:  # so it says of a file that it has no sum of
                    if process.getHandle() is not None:
                        raise
                    failing = range(len(hashes))
                for index in sorted(failing):
                    file = plan.files[index]
                    look_again(process, index, file=file, location=made.locations[client_path(file.path)])
                try:
                    return process.verifyUpload(hashes)
                except omero.ChecksumValidationException as error:
                    words = "OMERO.server reads something else in it than this host, or somebody deleted what was there of it"
                    raise changed_source(plan) or ImportInterrupted(path=plan.files[0].path, words=words) from error
        except _SILENT:
            raise
        except AdiError:  # an answer: the server has not begun
            self._take_back(made.id)
            raise

    def _response(self, handle: Any, plan: FilesetPlan, fileset: int, on_progress: OnProgress | None) -> Any:  # noqa: ANN401 (as above)
        """Wait until the server has imported, or failed to; return None, or why it failed."""

        def on_status(done: int, total: int) -> None:
            if on_progress is not None:
                on_progress(STEPS[min(done, len(STEPS) - 1)], done, total)

        patience = self._patience_seconds
        try:
            return finished(
                self._session, handle, doing=_doing(plan), patience_seconds=patience, on_status=on_status, unread=_IMPORTED
            )
        except NoProgress as error:
            self._take_back(fileset)
            words = f"the server has made no progress for {patience:.0f} s"
            raise ImportInterrupted(path=plan.files[0].path, words=words) from error

    def _refused(self, response: Any, plan: FilesetPlan, target: Target) -> AdiError:  # noqa: ANN401 (omero.cmd.ERR is untyped)
        fault = fault_of_files(response, plan)
        if fault is not None:
            return fault
        try:
            check_target(self._session, target)  # gone since the order began? The response does not tell that from other trouble
        except AdiError as error:
            return error
        return ImportInterrupted(path=plan.files[0].path, words=refusal(response))

    @contextlib.contextmanager
    def _taken_back(self, fileset: int) -> Iterator[None]:
        """Remove a fileset of this attempt if anything goes wrong, whatever it is."""
        try:
            yield
        except BaseException:
            self._take_back(fileset)
            raise

    def _take_back(self, fileset: int) -> None:
        """Remove a fileset of this attempt; what cannot be removed now will be found by its marker."""
        try:
            delete_fileset(self._session, fileset)
        except AdiError as error:
            self.left_something = True
            event(_log, logging.WARNING, "fileset.left", fileset=fileset, why=str(error))

    def _take_back_marked(self, marker: Marker) -> None:
        """Remove what may have been made of it, though nobody has said so."""
        try:
            made = self._finder.find(marker)
        except AdiError:  # so it was with the one before
            self.left_something = True
            return
        if made is not None:
            self._take_back(made.id)


def _doing(plan: FilesetPlan) -> str:
    return f"importing '{plan.files[0].path}'"
