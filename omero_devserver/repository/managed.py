# SPDX-License-Identifier: GPL-2.0-or-later
"""ManagedRepository: the folder tree that holds imported files, and where an import begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.cmd
import omero.grid
from omero.rtypes import rlong, rstring, unwrap

from omero_devserver.cmd.requests import submit
from omero_devserver.files.checksums import ALGORITHMS, digest
from omero_devserver.files.disk import REPOSITORY_UUID
from omero_devserver.repository.folders import folders_of
from omero_devserver.repository.process import ImportProcess, Processes
from omero_devserver.repository.registration import register
from omero_devserver.repository.template import FolderTaken
from omero_devserver.repository.tree import Tree
from omero_devserver.store.caller import ALL_GROUPS, SERVER
from omero_devserver.wire.arguments import loaded
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_devserver.files.disk import Disk
    from omero_devserver.repository.naming import Parts
    from omero_devserver.wire.servant import Call


#: Of files that come by `file` and `register`, which name none.
DEFAULT_ALGORITHM = "SHA1-160"


class ManagedRepository(Tree):
    """Operations of ``omero.grid.ManagedRepository``."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(uuid=REPOSITORY_UUID, root=disk.root, row=disk.root_id)

    def importFileset(self, call: Call, fileset: Any, settings: Any) -> Any:
        """Register a fileset, with its files, jobs and annotations in one commit; returns the proxy of its process.

        Raises what `registration.register` raises.
        """
        self._need_session(call)
        try:
            _ = call.caller
        except omero.SecurityViolation as error:  # untranslated, as a real server sends it (recorded: facts 1)
            raise Ice.UnknownException(f"ome.conditions.SecurityViolation: {error.message}") from error
        registered = register(call, fileset, settings)
        self._need_client(call)  # with all rows there already, as on a real server
        process = ImportProcess(registered=registered, settings=settings)
        proxy = omero.grid.ImportProcessPrx.uncheckedCast(call.stateful(process, omero.grid.ImportProcess))
        call.server.part(Processes).add(call.session, process)
        return proxy

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
        settings.checksumAlgorithm.value = rstring(ALGORITHMS[0])
        return self.importFileset(call, fileset, settings)

    def listImports(self, call: Call) -> list[Any]:
        """List the import processes, open or closed, in the caller's groups whose filesets the caller may change.

        A process is listed until its session ends (recorded: facts 1).
        """
        return [proxy for proxy, process in call.server.part(Processes).all() if _may_change(call, process)]

    def listChecksumAlgorithms(self, call: Call) -> list[Any]:
        """List the algorithms of this server, the best first."""
        ids = [call.server.store.enumeration("ChecksumAlgorithm", name) for name in ALGORITHMS]
        return call.server.store.get(SERVER, "ChecksumAlgorithm", [one for one in ids if one is not None])

    def suggestChecksumAlgorithm(self, call: Call, supported: Sequence[Any]) -> Any:
        """Choose the best algorithm that the client has as well; null if there is none."""
        names = {unwrap(loaded(one).value) for one in supported}
        return next((one for one in self.listChecksumAlgorithms(call) if one.value.val in names), None)

    def verifyChecksums(self, call: Call, ids: Sequence[int]) -> list[int]:
        """List those of some files whose content does not match their checksum any more; others' files are left out."""
        return [file.id.val for file in self._with_checksums(call, ids) if not self._matches(call, file)]

    def setChecksumAlgorithm(self, call: Call, algorithm: Any, ids: Sequence[int]) -> list[int]:
        """Take the checksums of some files with another algorithm; lists those that changed."""
        wanted = unwrap(loaded(algorithm).value)
        if wanted not in ALGORITHMS:
            raise Ice.UnknownException(f"unknown checksum algorithm: {wanted}")
        changed = []
        for file in self._with_checksums(call, ids, every=True):
            if file.hasher is not None and file.hasher.value.val == wanted and file.hash is not None:
                continue
            if not self._matches(call, file):
                raise fault(omero.ServerError, f"hash mismatch on file ID {file.id.val}")
            file.hash = rstring(self._digest(call, file, wanted))
            kind = call.server.store.enumeration("ChecksumAlgorithm", wanted)
            file.hasher = omero.model.ChecksumAlgorithmI(rlong(kind), False)
            call.server.store.save(replace(call.user, group=file.details.group.id.val), [file])
            changed.append(file.id.val)
        return changed

    def makeDir(self, call: Call, path: str, parents: bool) -> None:
        """Make a folder in the caller's own tree, with those above it if `parents`; see `UserFolders.make`."""
        parts = self._checked(call, path)
        try:
            folders_of(call.server, call.session, call.user).make(parts, parents=parents)
        except FolderTaken as error:
            raise fault(omero.ResourceError, f"Path exists on disk: {error}") from error

    def register(self, call: Call, path: str, mimetype: Any) -> Any:
        """Give the row of a path, and make it if there is none."""
        parts = self._checked(call, path)
        if not parts:
            raise fault(omero.SecurityViolation, "Can't re-register the repository")
        row = self._row(call, parts)
        if row is None:
            row = self._registered(call, parts, None if mimetype is None else mimetype.val)
        return call.server.store.get(call.user, "OriginalFile", [row])[0]

    def file(self, call: Call, path: str, mode: str) -> Any:
        """Open a file, for reading with mode ``r``; for writing with any other, and then a new one gets its row."""
        if mode == "r":
            return super().file(call, path, mode)
        parts = self._checked(call, path)
        row = self._row(call, parts)
        if row is None:
            if self._place(parts).exists():
                raise self._unregistered(parts)
            row = self._registered(call, parts, None)
        elif not call.server.store.get(call.user, "OriginalFile", [row])[0].details.permissions.canEdit():
            raise fault(omero.SecurityViolation, "requiresWrite is true but cannot modify")
        return self._opened(call, row, parts, writable=True)

    def deletePaths(self, call: Call, paths: Sequence[str], recursively: bool, force: bool) -> Any:
        """Delete files and folders, with everything in them; returns the handle of the Delete2 that does it."""
        ids: list[int] = []
        for path in paths:
            self._collect(call, self._checked(call, path), ids)
        request = omero.cmd.Delete2(targetObjects={"OriginalFile": ids})
        return submit(call, request, who=replace(call.user, group=ALL_GROUPS))

    def _collect(self, call: Call, parts: Parts, ids: list[int]) -> None:
        row = self._row(call, parts)
        if row is None:
            return
        for one in self._rows_in(call, parts):
            self._collect(call, (*parts, one["c_name"]), ids)
        ids.append(row)

    def _registered(self, call: Call, parts: Parts, mimetype: str | None) -> int:
        folders_of(call.server, call.session, call.user).may_add_to(parts[:-1])
        file = call.server.disk.new_file("/".join(parts), mimetype=mimetype, algorithm=DEFAULT_ALGORITHM)
        place = self._place(parts)
        if place.is_file():
            file.size, file.hash = rlong(place.stat().st_size), rstring(digest(place, DEFAULT_ALGORITHM))
        return int(call.server.store.save(call.user, [file])[0].id.val)

    def _with_checksums(self, call: Call, ids: Sequence[int], *, every: bool = False) -> Iterator[Any]:
        """Load those of some files that are in this repository, and (unless `every`) have a checksum."""
        self._need_session(call)
        query = "select f from OriginalFile f left outer join fetch f.hasher where f.id in (:ids) and f.repo = :repo"
        for at in range(0, len(ids), 500):
            parameters = omero.sys.ParametersI().addIds(ids[at : at + 500]).addString("repo", REPOSITORY_UUID)
            for file in call.server.store.objects(replace(call.user, group=ALL_GROUPS), query, parameters):
                if every or (file.hash is not None and file.hasher is not None):
                    yield file

    def _matches(self, call: Call, file: Any) -> bool:
        if file.hash is None or file.hasher is None:
            return True
        known: str = file.hash.val
        return self._digest(call, file, file.hasher.value.val).lower() == known.lower()

    def _digest(self, call: Call, file: Any, algorithm: str) -> str:
        try:
            return digest(self._place(self._checked(call, file.path.val + file.name.val)), algorithm)
        except OSError as error:
            raise Ice.UnknownException(f"java.lang.RuntimeException: {error}") from error


def _may_change(call: Call, process: ImportProcess) -> bool:
    if process.registered.who.group not in call.user.member_of:
        return False
    query = "select f from Fileset f where f.id = :id"
    parameters = omero.sys.ParametersI().addId(process.registered.fileset)
    found = call.server.store.objects(replace(call.user, group=ALL_GROUPS), query, parameters)
    return not found or bool(found[0].details.permissions.canEdit())
