# SPDX-License-Identifier: GPL-2.0-or-later
"""RawFileStore: the bytes of one file, of the managed repository or of an attachment."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rlong, rstring

from omero_devserver.files import checksums
from omero_devserver.services.stateful import Stateful
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import DISK_WRITE
from omero_devserver.wire.servant import slow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call

DEFAULT_ALGORITHM = "SHA1-160"


class RawFiles(Stateful):
    """Operations of ``omero.api.RawFileStore``.

    Made by `createRawFileStore` it gets its file by `setFileId`; made by a repository it has it from the start.
    """

    name = ""

    def __init__(
        self,
        *,
        file_id: int | None = None,
        path: Path | None = None,
        who: Caller | None = None,
        writable: bool = False,
        algorithm: str = DEFAULT_ALGORITHM,
    ) -> None:
        self._file_id = file_id
        self._path = path
        self._who = who
        self._writable = writable
        self._algorithm = algorithm
        self._descriptor: int | None = None
        self._changed = False
        if path is not None and (not writable or path.exists()):
            self._open()

    def setFileId(self, call: Call, file_id: int) -> None:
        """Choose the file; the caller of this call also counts for `save` and `close`."""
        self.release()
        who = call.user
        file = call.server.store.get(who, "OriginalFile", [file_id])[0]
        self._file_id, self._who = file_id, who
        managed = call.server.disk.location(file)
        self._path = managed or call.server.disk.attachment(file_id)
        self._writable = managed is None and file.details.permissions.canEdit()
        self._algorithm = DEFAULT_ALGORITHM
        if self._path.exists() or managed is not None:
            self._open()

    def getFileId(self, call: Call) -> Any:
        """Give the id of the file; null before it is chosen."""
        return None if self._file_id is None else rlong(self._file_id)

    def exists(self, call: Call) -> bool:
        """Tell whether the file is on disk."""
        return self._located().exists()

    def size(self, call: Call) -> int:
        """Give the size in bytes; 0 for a file that has not been written."""
        path = self._located()
        with _resource(path):
            return path.stat().st_size if path.exists() else 0

    @slow
    def read(self, call: Call, position: int, length: int) -> bytes:
        """Read bytes; past the end they are zeros (recorded: facts 9)."""
        with _resource(self._located()):
            return os.pread(self._opened(), length, position).ljust(length, b"\0")

    @slow
    def write(self, call: Call, content: Any, position: int, length: int) -> None:
        """Write bytes; the file comes into being with the first write."""
        if not self._writable:
            raise fault(omero.SecurityViolation, "File not writeable!")
        path = self._located()
        left = memoryview(bytes(content))[:length]
        with _resource(path):
            call.server.moments.reached(DISK_WRITE, path=path)
            self._changed = True
            while left:
                written = os.pwrite(self._opened(), left, position)
                left, position = left[written:], position + written

    def truncate(self, call: Call, length: int) -> bool:
        """Cut the file to a length in bytes; False if it was shorter. One that has not been written comes into being, empty."""
        if not self._writable:
            raise fault(omero.SecurityViolation, "File not writeable!")
        with _resource(self._located()):
            if os.fstat(self._opened()).st_size < length:
                return False
            os.ftruncate(self._opened(), length)
        self._changed = True
        return True

    @slow
    def save(self, call: Call) -> Any:
        """Take size and hash from the file on disk, and return its row."""
        return self._save(call)

    @slow
    def close(self, call: Call) -> None:
        """Save what was written, and end the service."""
        if self._changed and self._path is not None and self._path.exists():
            self._save(call)
        self.release()
        call.session.services.pop(self.name, None)

    def release(self) -> None:
        """Give the open file back; called at the session's end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _save(self, call: Call) -> Any:
        path = self._located()
        if self._file_id is None or self._who is None:
            return None
        store = call.server.store
        with _resource(path):
            size, digest = path.stat().st_size, checksums.digest(path, self._algorithm)
        # Size and hash are the server's own knowledge, whoever owns the row (Directory rows and logs are root's).
        who = replace(self._who, group=-1, privileged=True)
        file = store.get(who, "OriginalFile", [self._file_id])[0]
        file.size, file.hash = rlong(size), rstring(digest)
        file.hasher = omero.model.ChecksumAlgorithmI(rlong(store.enumeration("ChecksumAlgorithm", self._algorithm)), False)
        store.save(replace(who, group=file.details.group.id.val), [file])
        self._changed = False
        return store.get(SERVER, "OriginalFile", [self._file_id])[0]

    def _located(self) -> Path:
        if self._path is None:
            text = "This RawFileStore has not been properly initialized."
            raise fault(omero.ApiUsageException, text + "\nPlease set the file id before executing any other methods.")
        return self._path

    def _opened(self) -> int:
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None  # noqa: S101  _open sets it or raises
        return self._descriptor

    def _open(self) -> None:
        path = self._located()
        with _resource(path):
            if self._writable:
                path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT if self._writable else os.O_RDONLY
            self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o664)


@contextmanager
def _resource(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into ResourceError `PATH (Permission denied)`, as recorded."""
    try:
        yield
    except OSError as error:
        raise fault(omero.ResourceError, f"{path} ({error.strerror})") from error
