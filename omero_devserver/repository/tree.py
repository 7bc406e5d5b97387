# SPDX-License-Identifier: GPL-2.0-or-later
"""Tree: a repository as clients read it: the folders and files below one folder of the server's disk, each with its row.

Rules and texts: omero-blitz's `PublicRepositoryI`, `CheckedPath` and `RepositoryDaoImpl`; those of facts 9 are recorded.
"""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.grid
import omero.sys
from omero.rtypes import rlong, rmap, rstring

from omero_devserver.files.disk import DIRECTORY
from omero_devserver.repository.naming import PathRefused, resolved
from omero_devserver.services.raw_files import RawFiles
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_devserver.repository.naming import Parts
    from omero_devserver.wire.servant import Call

UNKNOWN_TYPE = "application/octet-stream"
CLIENT, SESSION = "omero.client.uuid", "omero.session.uuid"


class Tree:
    """The operations of ``omero.grid.Repository`` that change nothing.

    uuid: in the column `repo` of its files.
    root: its folder on the server's disk.
    row:  id of the row that describes it.
    """

    def __init__(self, *, uuid: str, root: Path, row: int) -> None:
        self._uuid, self._root, self._row_of_root = uuid, root, row

    def root(self, call: Call) -> Any:
        """Give the file row of the repository itself: its path and name are the folder on the server's disk."""
        return call.server.store.get(SERVER, "OriginalFile", [self._row_of_root])[0]

    def fileExists(self, call: Call, path: str) -> bool:
        """Tell whether a path is registered; raises SecurityViolation for one that the caller may not read."""
        return self._readable_row(call, self._checked(call, path)) is not None

    def mimetype(self, call: Call, path: str) -> str:
        """Tell the kind of a file by its name."""
        self._existing(call, path)
        return mimetypes.guess_type(path)[0] or UNKNOWN_TYPE

    def list(self, call: Call, path: str) -> list[str]:
        """List the paths in a folder that are registered and that the caller may read."""
        return [file.path.val + file.name.val for file in self.listFiles(call, path)]

    def listFiles(self, call: Call, path: str) -> Any:
        """List the file rows in a folder that the caller may read."""
        parts = self._existing(call, path)
        if self._readable_row(call, parts) is None:
            raise fault(omero.SecurityViolation, f"No such parent dir: {_named(parts)}")
        ids = [one["id"] for one in self._rows_in(call, parts)]
        if not ids:
            return []
        query = "select f from OriginalFile f left outer join fetch f.hasher where f.id in (:ids) order by f.id"
        return call.server.store.objects(call.user, query, omero.sys.ParametersI().addIds(ids))

    def treeList(self, call: Call, path: str) -> Any:
        """Describe a file, or a folder and everything in it: id, mimetype and size by name; empty for a missing one."""
        return rmap(self._described(call, self._checked(call, path)))

    def file(self, call: Call, path: str, mode: str) -> Any:
        """Open a registered file for reading."""
        if mode != "r":
            raise call.server.journal.not_implemented("Repository.file for writing")
        parts = self._checked(call, path)
        row = self._readable_row(call, parts)
        if row is None:
            raise self._unregistered(parts)
        return self._opened(call, row, parts, writable=False)

    def fileById(self, call: Call, file_id: int) -> Any:
        """Open a registered file for reading."""
        rows = call.server.store.rows(
            "SELECT c_path, c_name FROM t_OriginalFile WHERE id = ? AND c_repo = ?", file_id, self._uuid
        )
        if not rows:
            raise fault(omero.SecurityViolation, f"FileNotFound: {file_id}")
        try:
            call.server.store.get(call.user, "OriginalFile", [file_id])
        except omero.SecurityViolation as error:
            raise fault(omero.SecurityViolation, f"FileNotAccessible: {file_id}") from error
        return self._opened(call, file_id, self._checked(call, rows[0]["c_path"] + rows[0]["c_name"]), writable=False)

    def _opened(self, call: Call, row: int, parts: Parts, *, writable: bool) -> Any:
        self._need_client(call)
        store = RawFiles(file_id=row, path=self._place(parts), writable=writable)
        return omero.api.RawFileStorePrx.uncheckedCast(call.stateful(store, omero.api.RawFileStore))

    def _unregistered(self, parts: Parts) -> Any:
        """Make the refusal of a path that has no row."""
        if not self._place(parts).exists():
            return fault(omero.ResourceError, f"{self._place(parts)} (No such file or directory)")
        refusal = omero.grid.UnregisteredFileException()
        refusal.message = refusal.serverStackTrace = ""
        refusal.serverExceptionClass = "omero.grid.UnregisteredFileException"
        refusal.file = omero.model.OriginalFileI()
        refusal.file.name, refusal.file.path = rstring(parts[-1]), rstring("/".join(parts[:-1]) + "/")
        return refusal

    def _described(self, call: Call, parts: Parts) -> dict[str, Any]:
        row = self._row(call, parts)
        if row is None:
            return {}
        file = call.server.store.get(call.user, "OriginalFile", [row])[0]
        values = {"id": rlong(row), "mimetype": file.mimetype if file.mimetype is not None else rstring("")}
        if file.size is not None:
            values["size"] = file.size
        if file.mimetype is not None and file.mimetype.val == DIRECTORY:
            below: dict[str, Any] = {}
            for one in self._rows_in(call, parts):
                below |= self._described(call, (*parts, one["c_name"]))
            values["files"] = rmap(below)
        return {file.name.val: rmap(values)}

    def _readable_row(self, call: Call, parts: Parts) -> int | None:
        row = self._row(call, parts)
        if row is not None and parts:
            call.server.store.get(call.user, "OriginalFile", [row])  # raises if the caller may not
        return row

    def _row(self, call: Call, parts: Parts) -> int | None:
        if not parts:
            return self._row_of_root
        folder = "/".join((*parts[:-1], ""))
        rows = call.server.store.rows(
            "SELECT id FROM t_OriginalFile WHERE c_repo = ? AND c_path IN (?, ?) AND c_name = ?",
            self._uuid,
            folder or "/",
            f"/{folder}",  # so the script repository writes them
            parts[-1],
        )
        return int(rows[0]["id"]) if rows else None

    def _rows_in(self, call: Call, parts: Parts) -> Sequence[Any]:
        folder = "/".join((*parts, ""))
        return call.server.store.rows(
            "SELECT id, c_name FROM t_OriginalFile WHERE c_repo = ? AND c_path IN (?, ?)", self._uuid, folder or "/", f"/{folder}"
        )

    def _existing(self, call: Call, path: str) -> Parts:
        parts = self._checked(call, path)
        if not self._place(parts).exists():
            raise fault(omero.ValidationException, f"{path} does not exist")
        return parts

    def _checked(self, call: Call, path: str) -> Parts:
        self._need_session(call)
        try:
            return resolved(path)
        except PathRefused as error:
            raise fault(omero.ValidationException, str(error)) from error

    def _place(self, parts: Parts) -> Path:
        return self._root.joinpath(*parts)

    @staticmethod
    def _need_session(call: Call) -> None:
        """Refuse a call with a context of its own that does not name the session; omero.client names it unasked (recorded)."""
        if SESSION not in call.context:
            raise Ice.UnknownException("ome.conditions.ApiUsageException: Uuid cannot be null.")

    @staticmethod
    def _need_client(call: Call) -> None:
        """Refuse to make a servant for a client that such a context does not name (recorded: facts 1)."""
        if CLIENT not in call.context:
            raise fault(omero.InternalException, "Cannot create session id for servant:\nInfo:\n")


def _named(parts: Parts) -> str:
    return f"CheckedPath({'/'.join(parts)})"
