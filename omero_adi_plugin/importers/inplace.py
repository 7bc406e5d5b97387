# SPDX-License-Identifier: GPL-2.0-or-later
"""In place: imports a fileset so that OMERO holds links to its files and no copies.

The way is that of OMERO's managed repository: `importFileset` makes the rows, each file is put in its place, `verifyUpload`
makes the server import by itself, in five steps. Until `verifyUpload` is called everything can be taken back; from then on the
server may go on without us, so that only its answer, or the marker on the fileset, says what has become of it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import omero.all
from omero.model import (
    ChecksumAlgorithmI,
    CommentAnnotationI,
    FilesetEntryI,
    FilesetI,
    ImageI,
    NamedValue,
    PlateI,
    UploadJobI,
)
from omero.rtypes import rbool, rstring

from omero_adi_plugin._version import __version__
from omero_adi_plugin.errors import AdiError, FileBroken, ImportInterrupted, ImportRefused, ServerTrouble
from omero_adi_plugin.ice import TROUBLE, translated
from omero_adi_plugin.importers.grouping import plan_entry
from omero_adi_plugin.importers.handles import NoProgress, finished, refusal
from omero_adi_plugin.importers.links import file_hash, place_link
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.importers.protocol import ImportedFileset
from omero_adi_plugin.importers.references import reference
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.importers.target import check_target
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import MARKER_NAMESPACE, FileStep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_adi_plugin.importers.protocol import FilesetPlan, OnProgress, OnStep, Session, Skip
    from omero_adi_plugin.orders import Entry, Marker, Target

_log = logging.getLogger(__name__)

TRANSFER_NAMESPACE, TRANSFER = (
    "openmicroscopy.org/omero/import/fileTransfer",
    "ome.formats.importer.transfers.SymlinkFileTransfer",
)
"""How OMERO's own client notes on a fileset that its files are links; `omero fs sets` shows it (real server, recorded)."""

STEPS = ("reading metadata", "computing statistics", "making thumbnails", "processing", "finishing")
"""What the server does in each of its five steps (OMERO's ManagedImportRequestI)."""

_FILE_REFUSED = frozenset({"error-on-init", "import-unknown-format", "import-missing-library"})
"""Names of the server's errors that speak of the file (OMERO's ManagedImportRequestI; the first one recorded)."""


class InPlace:
    """Imports in place, in a given session.

    Parameters
    ----------
    session : Session
        A session of the user who is to own the images, in the group they are to be in.
    skip : Skip
        What the server is not to do.
    patience_seconds : float
        How long the server may stay at one step of one fileset before it counts as stuck.
    """

    def __init__(self, session: Session, *, skip: Skip, patience_seconds: float) -> None:
        self._session, self._skip = session, skip
        self._patience_seconds = patience_seconds

    def plan(self, *, entry: Entry) -> Sequence[FilesetPlan]:
        """Group the files of `entry` into filesets (see `grouping.plan_entry`)."""
        return plan_entry(entry)

    def run(
        self, *, plan: FilesetPlan, target: Target, marker: Marker, on_step: OnStep, on_progress: OnProgress | None = None
    ) -> ImportedFileset:
        """Import one fileset.

        When it fails, the fileset is removed again, unless the connection broke after `verifyUpload` was called: then the server
        may still be importing it, and its marker will say what came of it.

        Raises
        ------
        FileMissing, SourceUnreadable, FileBroken, ImportRefused
            The files cannot be imported.
        TargetMissing, TargetNotWritable
            The target went away meanwhile.
        ImportInterrupted, ConnectionBroken, ServerTrouble
            It may work at the next attempt.
        OmeroDown, DiskFull, ConfigurationError
            Nothing can be imported at the moment.
        LeaseLost
            And whatever else `on_step` and `on_progress` raise.
        """
        doing = f"importing '{plan.entry.path}'"
        with translated(doing, self._session.where):
            process = self._repository.service.importFileset(_fileset(plan, marker), self._settings(plan, target))
        try:
            made = self._made(process, plan)
            try:
                on_step(FileStep.CREATED, fileset=made.id)
                hashes = self._upload(process, plan, made)
                on_step(FileStep.VERIFYING, fileset=made.id)
            except BaseException:  # whatever it is, nothing of this attempt stays
                self._take_back(made.id)
                raise
            handle = self._verify(process, hashes, plan, made.id)
            response = self._response(handle, plan, made.id, on_progress)
            imported = self._imported(response, plan, target, made.id)
        finally:
            with contextlib.suppress(*TROUBLE):
                process.close()
        on_step(FileStep.IMPORTED, fileset=imported.fileset, images=imported.images, plates=imported.plates)
        return imported

    @functools.cached_property
    def _repository(self) -> ManagedRepository:
        return ManagedRepository.of(self._session)

    def _settings(self, plan: FilesetPlan, target: Target) -> Any:  # noqa: ANN401 (omero.grid.ImportSettings is untyped)
        settings = omero.grid.ImportSettings()
        settings.userSpecifiedTarget = reference(target.kind, target.id)
        if plan.name is not None:
            settings.userSpecifiedName = rstring(plan.name)
        settings.doThumbnails = rbool(not self._skip.thumbnails)
        settings.noStatsInfo = rbool(self._skip.minmax)
        settings.checksumAlgorithm = ChecksumAlgorithmI()
        settings.checksumAlgorithm.setValue(rstring("File-Size-64" if self._skip.checksum else "SHA1-160"))
        return settings

    def _made(self, process: Any, plan: FilesetPlan) -> _MadeFileset:  # noqa: ANN401 (ImportProcessPrx is untyped)
        """Return what importFileset has made; it does not say so itself, but each of its files is in the fileset."""
        with translated("looking up the new fileset", self._session.where):
            uploader = process.getUploader(0)
            file = uploader.getFileId().getValue()
            uploader.close()
        rows = self._session.query(
            "select e.fileset.id, e.clientPath, f.path, f.name from FilesetEntry e join e.originalFile f "
            "where e.fileset.id in (select mine.fileset.id from FilesetEntry mine where mine.originalFile.id = :file)",
            file=file,
        )
        if not rows:
            raise ImportInterrupted(path=plan.entry.path, words="somebody deleted what was there of it")
        locations = {client_path: self._repository.location(path, name) for _, client_path, path, name in rows}
        return _MadeFileset(id=rows[0][0], locations=locations)

    def _upload(self, process: Any, plan: FilesetPlan, made: _MadeFileset) -> list[str]:  # noqa: ANN401 (as above)
        """Put a link in the place of each file; return what the server shall find when it looks through them."""
        hashes = []
        for index, source in enumerate(plan.used):
            with translated(f"linking '{source}'", self._session.where):
                place_link(process, index, source=source, location=made.locations[_client_path(source)])
            hashes.append(file_hash(source, size_only=self._skip.checksum))
        return hashes

    def _response(self, handle: Any, plan: FilesetPlan, fileset: int, on_progress: OnProgress | None) -> Any:  # noqa: ANN401 (as above)
        """Wait until the server has imported, or failed to."""

        def on_status(done: int, total: int) -> None:
            if on_progress is not None:
                on_progress(STEPS[min(done, len(STEPS) - 1)], done, total)

        doing = f"importing '{plan.entry.path}'"
        try:
            return finished(self._session, handle, doing=doing, patience_seconds=self._patience_seconds, on_status=on_status)
        except NoProgress as error:
            self._take_back(fileset)
            words = f"the server has made no progress for {self._patience_seconds:.0f} s"
            raise ImportInterrupted(path=plan.entry.path, words=words) from error

    def _imported(self, response: Any, plan: FilesetPlan, target: Target, fileset: int) -> ImportedFileset:  # noqa: ANN401 (as above)
        """Return what the server has made of the fileset."""
        if isinstance(response, omero.cmd.ERR):
            self._take_back(fileset)
            raise self._refused(response, plan, target)
        plates = tuple(item.getId().getValue() for item in response.objects if isinstance(item, PlateI))
        images = tuple(item.getId().getValue() for item in response.objects if isinstance(item, ImageI))
        if plates:  # then the response names no image, and its pixels come in no useful order (real server, recorded)
            rows = self._session.query(
                "select i.id from Image i where i.fileset.id = :fileset order by i.series, i.id", fileset=fileset
            )
            images = tuple(image for (image,) in rows)
        return ImportedFileset(fileset=fileset, images=images, plates=plates)

    def _verify(self, process: Any, hashes: list[str], plan: FilesetPlan, fileset: int) -> Any:  # noqa: ANN401 (as above)
        try:
            with translated(f"importing '{plan.entry.path}'", self._session.where):
                try:
                    return process.verifyUpload(hashes)
                except omero.ChecksumValidationException as error:
                    words = "the file was changed meanwhile, or somebody deleted what was there of it"
                    raise ImportInterrupted(path=plan.entry.path, words=words) from error
        except (ImportInterrupted, ServerTrouble):  # an answer: the server has not begun
            self._take_back(fileset)
            raise

    def _refused(self, response: Any, plan: FilesetPlan, target: Target) -> AdiError:  # noqa: ANN401 (omero.cmd.ERR is untyped)
        if response.name in _FILE_REFUSED:
            return ImportRefused(path=plan.entry.path, words=refusal(response))
        if response.name == "import-file-exception":
            return FileBroken(path=plan.entry.path, why=refusal(response))
        try:
            check_target(self._session, target)  # gone since the order began? The response does not tell that from other trouble
        except AdiError as error:
            return error
        return ImportInterrupted(path=plan.entry.path, words=refusal(response))

    def _take_back(self, fileset: int) -> None:
        """Remove a fileset of this attempt; what cannot be removed now will be found by its marker."""
        try:
            delete_fileset(self._session, fileset)
        except AdiError as error:
            event(_log, logging.WARNING, "fileset.left", fileset=fileset, why=str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class _MadeFileset:
    """A fileset that importFileset has just made, and where its files have to be, by client path."""

    id: int
    locations: dict[str, Path]


def _client_path(path: str) -> str:
    """Return a path as OMERO's own client writes it: without the slash at its beginning (real server, recorded)."""
    return path.lstrip("/")


def _fileset(plan: FilesetPlan, marker: Marker) -> Any:  # noqa: ANN401 (classes of omero.model are untyped)
    """Return the fileset to make, with all that must be saved in the same transaction: the marker above all."""
    fileset = FilesetI()
    for path in plan.used:
        entry = FilesetEntryI()
        entry.setClientPath(rstring(_client_path(path)))
        fileset.addFilesetEntry(entry)
    job = UploadJobI()
    job.setVersionInfo(
        [
            NamedValue("bioformats.reader", plan.reader),  # without it the server keeps the source's folders below its own
            NamedValue("client.name", "omero-adi-plugin"),
            NamedValue("client.version", __version__),
            NamedValue("os.name", platform.system()),
            NamedValue("os.version", platform.release()),
        ]
    )
    fileset.linkJob(job)
    for namespace, text in ((MARKER_NAMESPACE, str(marker)), (TRANSFER_NAMESPACE, TRANSFER)):
        comment = CommentAnnotationI()
        comment.setNs(rstring(namespace))
        comment.setTextValue(rstring(text))
        fileset.linkAnnotation(comment)
    return fileset
