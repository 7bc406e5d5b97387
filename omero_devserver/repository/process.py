# SPDX-License-Identifier: GPL-2.0-or-later
"""ImportProcess: from the registered fileset to the running import: upload, comparison of checksums, start."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.cmd
import omero.grid
from omero.rtypes import rlong

from omero_devserver.cmd.handle import Handle
from omero_devserver.cmd.requests import start
from omero_devserver.files.disk import REPOSITORY_UUID
from omero_devserver.repository.run import ImportRun
from omero_devserver.services.raw_files import RawFiles
from omero_devserver.services.stateful import Stateful
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from pathlib import Path

    from omero_devserver.repository.template import Registered
    from omero_devserver.wire.servant import Call


class ImportProcess(Stateful):
    """Operations of ``omero.grid.ImportProcess``. Closing it changes nothing: the server lists it until the session ends."""

    name = ""

    def __init__(self, *, registered: Registered, settings: Any) -> None:
        self._registered = registered
        self._settings = settings
        self._handle: Any = None

    def getUploader(self, call: Call, index: int) -> Any:
        """Open file `index` of the fileset: to write, or with `omero.fs.mode` r in the call's context only to read."""
        if not 0 <= index < len(self._registered.files):
            raise Ice.UnknownException(f"no file {index}")
        store = RawFiles(
            file_id=self._registered.files[index],
            path=self._place(call, index),
            who=self._registered.who,
            writable=call.context.get("omero.fs.mode", "rw") != "r",
            algorithm=self._registered.algorithm,
        )
        proxy = call.stateful(store, omero.api.RawFileStore)
        return omero.api.RawFileStorePrx.uncheckedCast(proxy)

    def getUploadOffset(self, call: Call, index: int) -> int:
        """Give the bytes that file `index` has already; 0 before the first write."""
        place = self._place(call, index)
        return place.stat().st_size if place.exists() else 0

    def getImportSettings(self, call: Call) -> Any:
        """Give the settings back."""
        return self._settings

    def getHandle(self, call: Call) -> Any:
        """Give the handle of the running import, null before `verifyUpload`."""
        return self._handle

    def verifyUpload(self, call: Call, hashes: list[str] | None) -> Any:
        """Compare the client's checksums with those taken at the uploaders' `save`, and start the import.

        May be called again after a ChecksumValidationException; after a success it imports once more (recorded: facts 1).
        """
        wanted, files = len(self._registered.files), self._registered.files
        if hashes is None or len(hashes) != wanted:
            given = "null" if hashes is None else len(hashes)
            raise fault(omero.ApiUsageException, f"hashes size should be {wanted} not {given}")
        server = call.server
        failing = {}
        for index, (file, given) in enumerate(zip(files, hashes, strict=True)):
            rows = server.store.rows("SELECT c_hash FROM t_OriginalFile WHERE id = ?", file)
            if rows and rows[0]["c_hash"] is None:
                raise Ice.UnknownException(f"file {index} has not been uploaded")
            known = rows[0]["c_hash"] if rows else ""
            if known != given:
                failing[index] = known
        if failing:
            text = "A checksum mismatch has occurred."
            raise omero.ChecksumValidationException("", "omero.ChecksumValidationException", text, failing)
        finished = server.store.enumeration("JobStatus", "Finished")
        server.store.update("Job", self._registered.upload_job, r_status=finished, c_message="Finished")
        return self._start(call)

    def close(self, call: Call) -> None:
        """Do nothing."""

    def _start(self, call: Call) -> Any:
        request = omero.grid.ImportRequest()
        request.repoUuid, request.clientUuid = REPOSITORY_UUID, str(uuid.uuid4())
        request.settings = self._settings
        request.activity = omero.model.FilesetJobLinkI(rlong(self._registered.activity), False)
        request.location = omero.grid.ImportLocation()
        request.location.sharedPath = self._registered.folder.rstrip("/")
        request.location.usedFiles, request.location.omittedLevels = list(self._registered.paths), 0
        request.logFile = omero.model.OriginalFileI(rlong(self._registered.log_file), False)
        handle = Handle(request)
        run = ImportRun(
            server=call.server,
            session=call.session,
            registered=self._registered,
            settings=self._settings,
            request=request,
            handle=handle,
        )
        proxy = call.stateful(handle, omero.cmd.Handle)
        self._handle = omero.cmd.HandlePrx.uncheckedCast(proxy)
        # A session that is closed in this moment imports nothing, as on a real server (recorded: facts 2).
        start(call.server, call.session, run.run, after_seconds=call.server.options.step_seconds)
        return self._handle

    def _place(self, call: Call, index: int) -> Path:
        return call.server.disk.below_root(self._registered.folder + self._registered.paths[index])
