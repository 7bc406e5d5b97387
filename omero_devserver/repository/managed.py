# SPDX-License-Identifier: GPL-2.0-or-later
"""ManagedRepository: the folder tree that holds imported files, and where an import begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.grid
from omero.rtypes import rlong, rmap, rstring

from omero_devserver.files.checksums import ALGORITHMS
from omero_devserver.repository.process import ImportProcess
from omero_devserver.repository.template import Registered, make_folders, register
from omero_devserver.services.raw_files import RawFiles
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_devserver.wire.servant import Call

REPOSITORY_ALGORITHM = "SHA1-160"


class ManagedRepository:
    """Operations of ``omero.grid.ManagedRepository``. `user` is the one of the session."""

    def __init__(self, *, user: int) -> None:
        self._user = user

    def root(self, call: Call) -> Any:
        """Give the file row of the repository itself: its path and name are the folder on the server's disk."""
        return call.server.store.get(SERVER, "OriginalFile", [call.server.disk.root_id])[0]

    def importFileset(self, call: Call, fileset: Any, settings: Any) -> Any:
        """Register a fileset, with its files, jobs and annotations in one commit; returns the proxy of its process."""
        call.server.store.check_writable()  # before anything is on the disk
        algorithm = _algorithm(fileset, settings)
        registered = register(call, fileset, settings=settings, algorithm=algorithm)
        return self._process(call, registered, settings)

    def importPaths(self, call: Call, paths: Sequence[str]) -> Any:
        """Register a fileset of plain paths, with the repository's own settings."""
        fileset = omero.model.FilesetI()
        for path in paths:
            entry = omero.model.FilesetEntryI()
            entry.clientPath = rstring(path)
            fileset.addFilesetEntry(entry)
        fileset.linkJob(omero.model.UploadJobI())
        settings = omero.grid.ImportSettings()
        settings.checksumAlgorithm = omero.model.ChecksumAlgorithmI()
        settings.checksumAlgorithm.value = rstring(REPOSITORY_ALGORITHM)
        return self.importFileset(call, fileset, settings)

    def listImports(self, call: Call) -> list[Any]:
        """List the import processes of this session; a closed one stays in the list (recorded: facts 1)."""
        return [
            omero.grid.ImportProcessPrx.uncheckedCast(call.server.proxy(call.session, name))
            for name, one in list(call.session.services.items())
            if isinstance(one.implementation, ImportProcess)
        ]

    def listChecksumAlgorithms(self, call: Call) -> list[Any]:
        """List the algorithms of this server, the best first."""
        ids = [call.server.store.enumeration("ChecksumAlgorithm", name) for name in ALGORITHMS]
        return call.server.store.get(SERVER, "ChecksumAlgorithm", [one for one in ids if one is not None])

    def suggestChecksumAlgorithm(self, call: Call, supported: Sequence[Any]) -> Any:
        """Choose the best algorithm that the client has as well; null if there is none."""
        names = {one.value.val for one in supported}
        return next((one for one in self.listChecksumAlgorithms(call) if one.value.val in names), None)

    def fileExists(self, call: Call, path: str) -> bool:
        """Tell whether a path is on disk and registered."""
        return self._place(call, path).exists() and call.server.disk.row_id(path) is not None

    def file(self, call: Call, path: str, mode: str) -> Any:
        """Open a registered file for reading; writing goes through an import."""
        file_id = call.server.disk.row_id(path)
        if mode != "r":
            raise call.server.journal.not_implemented("ManagedRepository.file for writing")
        if file_id is None:
            raise fault(omero.ResourceError, f"no such file: {path}")
        return self._reader(call, file_id)

    def fileById(self, call: Call, file_id: int) -> Any:
        """Open a registered file for reading."""
        return self._reader(call, file_id)

    def list(self, call: Call, path: str) -> list[str]:
        """List the paths in a folder."""
        place = self._place(call, path)
        if not place.is_dir():
            raise fault(omero.ValidationException, f"{path} does not exist")
        return [f"{path.rstrip('/')}/{name}" for name in sorted(one.name for one in place.iterdir())]

    def listFiles(self, call: Call, path: str) -> Any:
        """List the file rows in a folder that the caller may read."""
        ids = [call.server.disk.row_id(one) for one in self.list(call, path)]
        return call.server.store.get(call.user, "OriginalFile", [one for one in ids if one is not None])

    def treeList(self, call: Call, path: str) -> Any:
        """Describe a folder and everything in it: id, mimetype and size by path."""
        return rmap({path: self._described(call, path)})

    def makeDir(self, call: Call, path: str, parents: bool) -> None:
        """Make a folder in the caller's own tree, with those above it if `parents`."""
        who = call.user
        call.server.store.check_writable()
        self._place(call, path)
        parent, _, name = path.strip("/").rpartition("/")
        own = f"{call.server.store.people.user_name(who.user)}_{who.user}"
        if path.strip("/").partition("/")[0] != own or not parent:
            text = f'cannot create directory "{name}" with template path\'s root-owned "{parent}"'
            raise fault(omero.ValidationException, text)
        if not parents and not self._place(call, parent).is_dir():
            raise fault(omero.SecurityViolation, f"Cannot find parent directory: {parent}")
        with call.server.store.transaction():
            make_folders(call.server, who, path)

    def _described(self, call: Call, path: str) -> Any:
        place, file_id = self._place(call, path), call.server.disk.row_id(path)
        rows = call.server.store.rows("SELECT c_mimetype, c_size FROM t_OriginalFile WHERE id = ?", file_id or -1)
        values = {"id": rlong(file_id or -1), "size": rlong((rows[0]["c_size"] if rows else 0) or 0)}
        if rows and rows[0]["c_mimetype"]:
            values["mimetype"] = rstring(rows[0]["c_mimetype"])
        if place.is_dir():
            values["files"] = rmap({one: self._described(call, one) for one in self.list(call, path)})
        return rmap(values)

    def _reader(self, call: Call, file_id: int) -> Any:
        who = call.user
        file = call.server.store.get(who, "OriginalFile", [file_id])[0]
        store = RawFiles(file_id=file_id, path=call.server.disk.location(file), who=who)
        proxy = call.stateful(store, omero.api.RawFileStore)
        return omero.api.RawFileStorePrx.uncheckedCast(proxy)

    def _process(self, call: Call, registered: Registered, settings: Any) -> Any:
        process = ImportProcess(registered=registered, settings=settings)
        proxy = call.stateful(process, omero.grid.ImportProcess)
        return omero.grid.ImportProcessPrx.uncheckedCast(proxy)

    def _place(self, call: Call, path: str) -> Path:
        try:
            return call.server.disk.below_root(path)
        except ValueError as error:
            raise fault(omero.ValidationException, str(error)) from error


def _algorithm(fileset: Any, settings: Any) -> str:
    if fileset is None or fileset.sizeOfUsedFiles() < 1:
        raise fault(omero.ApiUsageException, "No paths provided")
    chosen = settings.checksumAlgorithm if settings is not None else None
    if chosen is None or chosen.value is None:
        raise fault(omero.ApiUsageException, "must specify checksum algorithm")
    name: str = chosen.value.val
    if name not in ALGORITHMS:
        raise fault(omero.ValidationException, f"unknown checksum algorithm: {name}")
    return name
