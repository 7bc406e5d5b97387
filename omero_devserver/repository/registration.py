# SPDX-License-Identifier: GPL-2.0-or-later
"""Registration: what `importFileset` leaves behind: the folder and the log of an import, and the rows of its fileset.

It commits in the order of a real server: first the folders, then the log's row, then the fileset with its files, jobs and
annotations in one. A refusal, or a death, in between leaves what was there before it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import Ice
import omero
from omero.rtypes import rlong, rstring, rtime

from omero_devserver.files.checksums import ALGORITHMS
from omero_devserver.files.disk import LOG_MIMETYPE
from omero_devserver.repository import library, naming
from omero_devserver.repository.folders import folders_of
from omero_devserver.repository.journal import ImportLog
from omero_devserver.repository.versions import version_info
from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import IMPORT_LOGGED, IMPORT_REGISTERED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.repository.folders import UserFolders
    from omero_devserver.repository.naming import Parts
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call

ONE_UPLOAD_JOB = "Found more than one job link. Link only updateJob on creation!"
READER = "bioformats.reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A fileset whose rows are committed.

    activity: id of the link to the job that reads the metadata: what an ImportRequest names.
    base:     path of the folder in it that all files have in common.
    paths:    of the files below `base`, in the order of the entries; "" for an entry that is the folder itself.
    files:    ids of their OriginalFile rows, in the same order.
    """

    who: Caller
    fileset: int
    upload_job: int
    activity: int
    log_file: int
    log: ImportLog
    base: str
    paths: tuple[str, ...]
    files: tuple[int, ...]

    def path(self, index: int) -> str:
        """Give the path of file `index` below the repository's root."""
        return f"{self.base}/{self.paths[index]}".rstrip("/")


def register(call: Call, fileset: Any, settings: Any) -> Registered:
    """Save a fileset as the client made it, with what the server adds.

    Parameters
    ----------
    call : Call
        In whose name, and in which group.
    fileset : omero.model.Fileset or None
        Unsaved, with entries, one UploadJob and any annotations.
    settings : omero.grid.ImportSettings or None
        Name the algorithm of the checksums, and decide whether there is a job for thumbnails.

    Returns
    -------
    Registered
        Everything is committed, and the folder exists.

    Raises
    ------
    omero.ApiUsageException
        There are no entries, or no algorithm.
    omero.ValidationException
        The algorithm is unknown; there is no single UploadJob; two files have one path, or one leaves the repository.
    omero.ResourceError
        The disk refuses.
    Ice.UnknownException
        An entry without a path, or files that have nothing in common (a real server fails in the same way).
    """
    who = call.user
    entries = _entries(fileset, settings)
    client_paths = [entry.clientPath.val for entry in entries]
    folders = folders_of(call.server, call.session, who, client_paths)
    template = folders.new_template_folder()
    required = library.required_folders(_reader(fileset), [f"{call.server.disk.root}/{path}" for path in client_paths])
    files = _files(template, client_paths, required=required)
    algorithm = settings.checksumAlgorithm.value.val
    if algorithm not in ALGORITHMS:
        raise fault(omero.ValidationException, f"unknown checksum algorithm: {algorithm}")
    for folder in dict.fromkeys(file[:-1] for file in files if file != template):
        folders.make(folder, parents=True)
    jobs = [link.child for link in fileset.copyJobLinks()]
    if len(jobs) != 1 or not isinstance(jobs[0], omero.model.UploadJob):
        raise fault(omero.ValidationException, ONE_UPLOAD_JOB)
    registered = _Saving(call, who, folders, fileset, settings, algorithm).run(template, files)
    call.server.moments.reached(IMPORT_REGISTERED, fileset=registered.fileset, session=call.session)
    return registered


def _entries(fileset: Any, settings: Any) -> Sequence[Any]:
    entries: Sequence[Any] = fileset.copyUsedFiles() if fileset is not None else []
    if not entries:
        raise fault(omero.ApiUsageException, "No paths provided")
    if settings is None or settings.checksumAlgorithm is None:
        raise fault(omero.ApiUsageException, "must specify checksum algorithm")
    if any(entry is None or entry.clientPath is None for entry in entries) or settings.checksumAlgorithm.value is None:
        raise Ice.UnknownException("a name is null")
    return entries


def _reader(fileset: Any) -> str | None:
    for link in fileset.copyJobLinks():
        if link is not None and isinstance(link.child, omero.model.UploadJob):
            for pair in link.child.versionInfo or []:
                if pair is not None and pair.name == READER:
                    return str(pair.value)
    return None


def _files(template: Parts, client_paths: Sequence[str], *, required: int | None) -> list[Parts]:
    """Work out the path of each file below the repository's root."""
    try:
        below = naming.below_template(client_paths, required=required)
        return [naming.resolved("/".join((*template, *parts))) for parts in below]
    except naming.PathRefused as error:
        raise fault(omero.ValidationException, str(error)) from error
    except naming.FoldersApart as error:
        raise Ice.UnknownException(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Saving:
    """The rows of one fileset."""

    call: Call
    who: Caller
    folders: UserFolders
    fileset: Any
    settings: Any
    algorithm: str

    def run(self, template: Parts, files: list[Parts]) -> Registered:
        server, store = self.call.server, self.call.server.store
        log_path = "/".join(template) + ".log"
        log = ImportLog(server.disk.below_root(log_path), server.moments)
        with log.timed("omero.import.process.init"):
            self._describe(log, template)
            upload, metadata = self._add_jobs()
            log_row = store.save(self.who, [server.disk.new_file(log_path, mimetype=LOG_MIMETYPE)])[0]
            upload.linkOriginalFile(omero.model.OriginalFileI(log_row.id, False))
            self.fileset.templatePrefix = rstring("/".join(template) + "/")
        server.moments.reached(IMPORT_LOGGED, session=self.call.session)
        with log.timed("omero.repo.save_fileset"), store.transaction():
            for entry, file in zip(self.fileset.copyUsedFiles(), files, strict=True):
                entry.originalFile = self._original_file(file)
            saved = store.save(self.who, [self.fileset])[0]
        links = {type(link.child): link for link in saved.copyJobLinks()}
        base = naming.common_start([file if file == template else file[:-1] for file in files])
        registered = Registered(
            who=self.who,
            fileset=saved.id.val,
            upload_job=links[type(upload)].child.id.val,
            activity=links[type(metadata)].id.val,
            log_file=log_row.id.val,
            log=log,
            base="/".join(base),
            paths=tuple("/".join(file[len(base) :]) for file in files),
            files=tuple(entry.originalFile.id.val for entry in saved.copyUsedFiles()),
        )
        self._describe_rows(log, saved, registered)
        return registered

    def _add_jobs(self) -> tuple[Any, Any]:
        upload = self.fileset.copyJobLinks()[0].child
        metadata = omero.model.MetadataImportJobI()
        metadata.versionInfo = [omero.model.NamedValue(name, value) for name, value in version_info().items()]
        others = [omero.model.PixelDataJobI(), omero.model.IndexingJobI()]
        if self.settings.doThumbnails is not None and self.settings.doThumbnails.val:
            others.insert(1, omero.model.ThumbnailGenerationJobI())
        for job in (metadata, *others):
            self.fileset.linkJob(job)
        for job in (upload, metadata, *others):
            self._submitted(job)
        return upload, metadata

    def _submitted(self, job: Any) -> None:
        store = self.call.server.store
        job.username = rstring(store.people.user_name(self.who.user))
        job.groupname = rstring(store.people.group_name(self.who.group) or "")
        job.type, job.message = rstring("Import"), rstring("")
        job.submitted = job.scheduledFor = rtime(int(time.time() * 1000))
        job.status = omero.model.JobStatusI(rlong(store.enumeration("JobStatus", "Submitted")), False)

    def _original_file(self, file: Parts) -> Any:
        disk, path = self.call.server.disk, "/".join(file)
        row = disk.row_id(path)
        if row is not None:  # an entry that names no file is the template folder itself (recorded)
            return omero.model.OriginalFileI(rlong(row), False)
        self.folders.may_add_to(file[:-1])
        return disk.new_file(path, mimetype=None, algorithm=self.algorithm)

    def _describe(self, log: ImportLog, template: Parts) -> None:
        log.line(f"user={self.who.user} group={self.who.group} session={self.call.session.uuid} folder={'/'.join(template)}")
        log.values("server", version_info())
        upload = self.fileset.copyJobLinks()[0].child
        log.values("client", {pair.name: pair.value for pair in upload.versionInfo or [] if pair is not None})
        chosen = {name: getattr(self.settings, name) for name in _SETTINGS}
        log.values("settings", {name: getattr(value, "val", value) for name, value in chosen.items()})
        log.line(f"checksums: {self.algorithm}")

    def _describe_rows(self, log: ImportLog, saved: Any, registered: Registered) -> None:
        for link in saved.copyJobLinks():
            log.line(f"INSERT {type(link.child).__name__[:-1]}:{link.child.id.val}", speaker="store")
        for number, entry in enumerate(saved.copyUsedFiles()):
            place = f"OriginalFile:{registered.files[number]} {registered.path(number)}"
            log.line(f"INSERT FilesetEntry:{entry.id.val} {entry.clientPath.val} -> {place}", speaker="store")
        log.line(f"INSERT Fileset:{registered.fileset}", speaker="store")


_SETTINGS = ("doThumbnails", "noStatsInfo", "userSpecifiedName", "userSpecifiedDescription", "userSpecifiedPixels")
