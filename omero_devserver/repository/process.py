# SPDX-License-Identifier: GPL-2.0-or-later
"""ImportProcess: from the registered fileset to the running import: upload, comparison of checksums, start."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.cmd
import omero.grid
from omero.rtypes import rlong, rstring

from omero_devserver.cmd.handle import Handle
from omero_devserver.cmd.requests import start
from omero_devserver.files.disk import REPOSITORY_UUID
from omero_devserver.repository.run import ImportRun
from omero_devserver.services.raw_files import RawFiles, Watcher
from omero_devserver.services.stateful import Stateful
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import IMPORT_VERIFIED
from omero_devserver.wire.servant import waiting

if TYPE_CHECKING:
    from omero_devserver.repository.registration import Registered
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session


@dataclass(slots=True)
class _Upload(Watcher):
    """An open uploader; `offset` is where its last write ended."""

    process: ImportProcess
    index: int
    proxy: Any = None
    offset: int = 0

    def written(self, end: int) -> None:
        self.offset = end

    def closed(self) -> None:
        self.process.drop(self)


class ImportProcess(Stateful):
    """Operations of ``omero.grid.ImportProcess``.

    Closing it stops nothing: an import that runs goes on, and the repository lists the process until its session ends
    (recorded: facts 1 and 2).
    """

    name = ""

    def __init__(self, *, registered: Registered, settings: Any) -> None:
        self.registered = registered
        #: By number of the file; there is one uploader for each at a time.
        self._uploads: dict[int, _Upload] = {}
        self._lock = threading.Lock()
        self._settings = settings
        self._handle: Any = None

    def getUploader(self, call: Call, index: int) -> Any:
        """Open file `index` of the fileset: to write, or with `omero.fs.mode` r in the call's context only to read.

        While an uploader of it is open, that one is given again.
        """
        if not 0 <= index < len(self.registered.files):
            raise Ice.UnknownException(f"no file {index}")
        with self._lock:
            if index not in self._uploads:
                self._uploads[index] = self._uploader(call, index)
            return self._uploads[index].proxy

    def getUploadOffset(self, call: Call, index: int) -> int:
        """Give the place after the last bytes that the open uploader of file `index` wrote; 0 if none is open."""
        with self._lock:
            return self._uploads[index].offset if index in self._uploads else 0

    def getImportSettings(self, call: Call) -> Any:
        """Give the settings back."""
        return self._settings

    def getHandle(self, call: Call) -> Any:
        """Give the handle of the running import, null before `verifyUpload`."""
        return self._handle

    @waiting
    def verifyUpload(self, call: Call, hashes: list[str]) -> Any:
        """Compare the client's checksums with those taken at the uploaders' `save`, and start the import.

        May be called again after a ChecksumValidationException; after a success it imports once more (recorded: facts 1).
        """
        wanted = len(self.registered.files)
        if len(hashes) != wanted:
            raise fault(omero.ApiUsageException, f"hashes size should be {wanted} not {len(hashes)}")
        with self.registered.log.timed("omero.import.process.checksum"):
            self._compare(call, hashes)
        self._finish_upload_job(call)
        call.server.moments.reached(IMPORT_VERIFIED, fileset=self.registered.fileset, session=call.session)
        return self._start(call)

    def close(self, call: Call) -> None:
        """End the service, and nothing else."""
        self._end(call.session)

    def drop(self, upload: _Upload) -> None:
        """Forget an uploader, which has been closed; the next one of its file is a new one."""
        with self._lock:
            if self._uploads.get(upload.index) is upload:
                del self._uploads[upload.index]

    def _uploader(self, call: Call, index: int) -> _Upload:
        upload, path = _Upload(self, index), self.registered.path(index)
        mode = call.context.get("omero.fs.mode", "rw")
        self.registered.log.line(f"uploader of {path}, mode {mode}")
        place = call.server.disk.below_root(path)
        store = RawFiles(file_id=self.registered.files[index], path=place, writable=mode != "r", watcher=upload)
        upload.proxy = omero.api.RawFileStorePrx.uncheckedCast(call.stateful(store, omero.api.RawFileStore))
        return upload

    def _end(self, session: Session) -> None:
        session.services.pop(self.name, None)

    def _compare(self, call: Call, hashes: list[str]) -> None:
        entries = (
            "SELECT f.id, f.c_hash FROM t_FilesetEntry e JOIN t_OriginalFile f ON f.id = e.r_originalFile WHERE e.r_fileset = ?"
        )
        known = {row["id"]: row["c_hash"] for row in call.server.store.rows(entries, self.registered.fileset)}
        for file, its in known.items():
            if its is None:
                raise Ice.UnknownException(f"file {file} has not been uploaded")
        # A fileset that was deleted meanwhile has no files any more: all of them fail (recorded: facts 1).
        servers = [known.get(file, "") for file in self.registered.files]
        failing = {number: mine for number, (mine, given) in enumerate(zip(servers, hashes, strict=True)) if mine != given}
        if failing:
            text = "A checksum mismatch has occurred."
            self.registered.log.line(f"{text} {failing}", level="ERROR")
            raise omero.ChecksumValidationException("", "omero.ChecksumValidationException", text, failing)

    def _finish_upload_job(self, call: Call) -> None:
        store = call.server.store
        job = store.get(SERVER, "UploadJob", [self.registered.upload_job])[0]
        job.status = omero.model.JobStatusI(rlong(store.enumeration("JobStatus", "Finished")), False)
        job.message = rstring("Finished")
        store.save(replace(self.registered.who, privileged=True), [job])

    def _start(self, call: Call) -> Any:
        request = self._request()
        handle = Handle(request)
        run = ImportRun(
            server=call.server,
            session=call.session,
            registered=self.registered,
            end_process=partial(self._end, call.session),
            settings=self._settings,
            request=request,
            handle=handle,
        )
        proxy = call.stateful(handle, omero.cmd.Handle)
        self._handle = omero.cmd.HandlePrx.uncheckedCast(proxy)
        # A session that is closed in this moment imports nothing, as on a real server (recorded: facts 2).
        start(call.server, call.session, run.run, after_seconds=call.server.options.step_seconds)
        return self._handle

    def _request(self) -> Any:
        registered = self.registered
        request = omero.grid.ImportRequest()
        request.repoUuid, request.clientUuid = REPOSITORY_UUID, str(uuid.uuid4())
        request.settings = self._settings
        request.activity = omero.model.FilesetJobLinkI(rlong(registered.activity), False)
        request.location = omero.grid.ImportLocation()
        request.location.sharedPath = registered.base
        request.location.usedFiles, request.location.omittedLevels = list(registered.paths), 0
        request.logFile = omero.model.OriginalFileI(rlong(registered.log_file), False)
        return request


class Processes:
    """The import processes of the whole server, open or closed, until their sessions end (recorded: facts 1)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._by_session: dict[str, list[ImportProcess]] = {}
        self._lock = threading.Lock()
        server.sessions.on_end(self._forget)

    def add(self, session: Session, process: ImportProcess) -> None:
        """Take a process up, which must have its name; not of a session that ended while it was made."""
        with self._lock:
            if not session.ended.is_set():  # who ends it calls `_forget` after that
                self._by_session.setdefault(session.uuid, []).append(process)

    def all(self) -> list[tuple[Any, ImportProcess]]:
        """List the processes with their proxies."""
        with self._lock:
            found = [(key, process) for key, processes in self._by_session.items() for process in processes]
        sessions = {session.uuid: session for session in self._server.sessions.all()}
        return [
            (omero.grid.ImportProcessPrx.uncheckedCast(self._server.proxy(sessions[key], process.name)), process)
            for key, process in found
            if key in sessions
        ]

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._by_session.pop(session.uuid, None)
