# SPDX-License-Identifier: GPL-2.0-or-later
"""Template folders: the new, unique folder of one import, and the rows that are made with it.

Order of things, for a server that dies in between: the folder is made first (its being new makes it unique), then all
rows in one commit. What is left by a death before the commit is an empty folder that nothing refers to.
"""

from __future__ import annotations

import locale
import platform
import shutil
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import Ice
import omero
import tifffile
from omero.rtypes import rlong, rstring, rtime

from omero_devserver.files.disk import DIRECTORY, LOG_MIMETYPE, USER_GROUP
from omero_devserver.repository import naming
from omero_devserver.repository.journal import ImportLog
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import DISK_WRITE

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server

ONE_UPLOAD_JOB = "Found more than one job link. Link only updateJob on creation!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A fileset whose rows are committed.

    activity: id of the link to the job that reads the metadata: what an ImportRequest names.
    folder:  template folder below the repository's root, with a slash at its end.
    paths:   of the files below that folder, in the order of the entries.
    files:   ids of their OriginalFile rows, in the same order.
    """

    who: Caller
    fileset: int
    upload_job: int
    activity: int
    log_file: int
    log: ImportLog
    folder: str
    paths: tuple[str, ...]
    files: tuple[int, ...]
    algorithm: str


def register(call: Call, fileset: Any, *, settings: Any, algorithm: str) -> Registered:
    """Save a fileset as the client made it, with what the server adds: files, folders, jobs and the log.

    Parameters
    ----------
    call : Call
        In whose name, and in which group.
    fileset : omero.model.Fileset
        Unsaved, with entries, one UploadJob and any annotations.
    settings : omero.grid.ImportSettings
        Decide whether there is a job for thumbnails.
    algorithm : str
        Of the files' checksums.

    Returns
    -------
    Registered
        Everything is committed, and the folder exists.

    Raises
    ------
    omero.ValidationException
        No single job, or two files of one path.
    Ice.UnknownException
        An entry without a path (a real server fails in the same way).
    """
    who, server = call.user, call.server
    jobs = [link.child for link in fileset.copyJobLinks()]
    if len(jobs) != 1 or not isinstance(jobs[0], omero.model.UploadJob):
        raise fault(omero.ValidationException, ONE_UPLOAD_JOB)
    entries = fileset.copyUsedFiles()
    if any(entry.clientPath is None for entry in entries):
        raise Ice.UnknownException("client path is null")
    version = {pair.name: pair.value for pair in jobs[0].versionInfo or []}
    paths = naming.used_paths([entry.clientPath.val for entry in entries], reader_named=naming.names_reader(version))
    if len(set(paths)) < len(paths):
        raise fault(omero.ValidationException, "could not insert; constraint [originalfile_repo_path_index]")
    folder = _new_folder(server, who)
    try:
        return _saved(call, who, fileset, folder=folder, paths=paths, settings=settings, algorithm=algorithm)
    except BaseException:
        shutil.rmtree(server.disk.below_root(folder), ignore_errors=True)
        server.disk.below_root(_log_path(folder)).unlink(missing_ok=True)
        raise


def make_folders(server: Server, who: Caller, path: str) -> None:
    """Make a folder of the repository and those above it, on disk and as rows; the first one belongs to root."""
    done = ""
    for number, name in enumerate(part for part in path.split("/") if part):
        done = f"{done}/{name}".lstrip("/")
        server.moments.reached(DISK_WRITE, path=server.disk.below_root(done))
        server.disk.below_root(done).mkdir(exist_ok=True)
        if server.disk.row_id(done) is None:
            owner = replace(SERVER, group=USER_GROUP) if number == 0 else replace(who, privileged=True)
            server.store.save(owner, [server.disk.new_file(done, mimetype=DIRECTORY)])


def _new_folder(server: Server, who: Caller) -> str:
    user = server.store.people.user_name(who.user) or str(who.user)
    now = datetime.now().astimezone()
    while True:
        folder = naming.template_folder(user=user, user_id=who.user, time=now)
        place = server.disk.below_root(folder)
        server.moments.reached(DISK_WRITE, path=place)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.mkdir()
        except FileExistsError:
            now += timedelta(milliseconds=1)  # another import of this user began in the same millisecond
        else:
            return folder


def _saved(call: Call, who: Caller, fileset: Any, *, folder: str, paths: list[str], settings: Any, algorithm: str) -> Registered:
    server, store = call.server, call.server.store
    log = ImportLog(server.disk.below_root(_log_path(folder)))
    log.line(f"fileset of {len(paths)} files for user {who.user}, group {who.group}")
    log.surroundings()
    upload = fileset.copyJobLinks()[0].child
    metadata = omero.model.MetadataImportJobI()
    metadata.versionInfo = [omero.model.NamedValue(name, value) for name, value in _version_info().items()]
    others = [omero.model.PixelDataJobI(), omero.model.IndexingJobI()]
    if settings.doThumbnails is not None and settings.doThumbnails.val:
        others.insert(1, omero.model.ThumbnailGenerationJobI())
    for job in (metadata, *others):
        fileset.linkJob(job)
    for job in (upload, metadata, *others):
        _submitted(server, who, job)
    upload.linkOriginalFile(server.disk.new_file(_log_path(folder), mimetype=LOG_MIMETYPE))
    fileset.templatePrefix = rstring(folder)
    with store.transaction():
        make_folders(server, who, folder)
        for entry, path in zip(fileset.copyUsedFiles(), paths, strict=True):
            if "/" in path:
                make_folders(server, who, folder + path.rpartition("/")[0])
            entry.originalFile = server.disk.new_file(folder + path, mimetype=None, algorithm=algorithm)
        saved = store.save(who, [fileset])[0]
        log_file = server.disk.row_id(_log_path(folder))
    links = {type(link.child): link for link in saved.copyJobLinks()}
    return Registered(
        who=who,
        fileset=saved.id.val,
        upload_job=links[omero.model.UploadJobI].child.id.val,
        activity=links[omero.model.MetadataImportJobI].id.val,
        log_file=log_file or -1,
        log=log,
        folder=folder,
        paths=tuple(paths),
        files=tuple(entry.originalFile.id.val for entry in saved.copyUsedFiles()),
        algorithm=algorithm,
    )


def _submitted(server: Server, who: Caller, job: Any) -> None:
    people = server.store.people
    job.username, job.groupname = rstring(people.user_name(who.user)), rstring(people.group_name(who.group) or "")
    job.type, job.message = rstring("Import"), rstring("")
    job.submitted = job.scheduledFor = rtime(int(time.time() * 1000))
    job.status = omero.model.JobStatusI(rlong(server.store.enumeration("JobStatus", "Submitted")), False)


def _version_info() -> dict[str, str]:
    return {
        "client.language.name": "Python",
        "client.language.version": platform.python_version(),
        "os.name": platform.system(),
        "os.version": platform.release(),
        "os.architecture": platform.machine(),
        "locale": locale.getlocale()[0] or "C",
        "tifffile.version": tifffile.__version__,
    }


def _log_path(folder: str) -> str:
    return folder.rstrip("/") + ".log"
