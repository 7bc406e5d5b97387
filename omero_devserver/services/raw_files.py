# SPDX-License-Identifier: GPL-2.0-or-later
"""RawFileStore: the bytes of one file, of a repository or of an attachment."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import Ice
import omero
from omero.rtypes import rlong, rstring, rtime

from omero_devserver.files import checksums
from omero_devserver.files.disk import USER_GROUP
from omero_devserver.services.stateful import Stateful
from omero_devserver.store.caller import ALL_GROUPS, SERVER
from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import DISK_WRITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from omero_devserver.wire.servant import Call

NOT_SET = "This RawFileStore has not been properly initialized.\nPlease set the file id before executing any other methods."

LONGEST_READ = 250_000 * 1024  # no message is longer


class Watcher:
    """Who wants to know what is done with a file store."""

    def written(self, end: int) -> None:
        """Note that bytes were written, the last one before place `end`."""

    def closed(self) -> None:
        """Note that the store has been closed."""


class RawFiles(Stateful):
    """Operations of ``omero.api.RawFileStore``.

    Made by `createRawFileStore` it gets its file by `setFileId`; made by a repository it has it from the start, and `writable`
    says what the repository found out about the caller's rights.
    """

    name = ""

    def __init__(
        self,
        *,
        file_id: int | None = None,
        path: Path | None = None,
        writable: bool = False,
        watcher: Watcher | None = None,
    ) -> None:
        self._file_id, self._path, self._writable = file_id, path, writable
        self._watcher = watcher or Watcher()
        self._descriptor: int | None = None  # opened when it is needed first
        # The descriptor of a closed file may be that of another one at once: nobody closes it while somebody reads or writes.
        self._in_use = threading.RLock()
        self._released = False
        self._changed = False

    def setFileId(self, call: Call, file_id: int) -> None:
        """Choose the file."""
        file = call.server.store.get(call.user, "OriginalFile", [file_id])[0]
        managed = call.server.disk.location(file)
        with self._in_use:
            self._close_file()
            self._file_id, self._changed = file_id, False
            self._path = managed or call.server.disk.attachment(file_id)
            self._writable = managed is None and file.details.permissions.canEdit()

    def getFileId(self, call: Call) -> Any:
        """Give the id of the file; null before it is chosen."""
        return None if self._file_id is None else rlong(self._file_id)

    def exists(self, call: Call) -> bool:
        """Tell whether the file is on disk."""
        path = self._located()
        with _resource(path):
            return path.exists()

    def size(self, call: Call) -> int:
        """Give the size in bytes; a new file comes into being, empty."""
        return self._size()

    def read(self, call: Call, position: int, length: int) -> bytes:
        """Read bytes; past the end they are zeros (recorded: facts 9)."""
        if length > LONGEST_READ:
            raise fault(omero.ApiUsageException, f"{length} bytes are too many for one answer.")
        with self._in_use, _resource(self._located()):
            return os.pread(self._opened(), length, position).ljust(length, b"\0")

    def write(self, call: Call, content: Any, position: int, length: int) -> None:
        """Write bytes; the file comes into being with the first write."""
        path = self._to_write()
        left = memoryview(bytes(content))[:length]
        with self._in_use, _resource(path):
            call.server.moments.reached(DISK_WRITE, path=path)
            descriptor = self._opened()
            self._changed = True
            while left:
                written = os.pwrite(descriptor, left, position)
                left, position = left[written:], position + written
        self._watcher.written(position)

    def truncate(self, call: Call, length: int) -> bool:
        """Cut the file to a length in bytes; False if it was not longer."""
        path = self._to_write()
        with self._in_use, _resource(path):
            if os.fstat(self._opened()).st_size <= length:
                return False
            call.server.moments.reached(DISK_WRITE, path=path)
            os.ftruncate(self._opened(), length)
        self._changed = True
        return True

    def save(self, call: Call) -> Any:
        """Take size and hash from the file on disk, and return its row; null if there is nothing new."""
        return self._save(call)

    def close(self, call: Call) -> None:
        """Save, and end the service."""
        try:
            self._save(call)
        finally:
            self.release()
            self._watcher.closed()
            call.session.services.pop(self.name, None)

    def release(self) -> None:
        """Give the open file back for good; called at the session's end, when a call may still be on its way."""
        with self._in_use:
            self._released = True
            self._close_file()

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _save(self, call: Call) -> Any:
        """Save what is new: bytes were written, the size differs from the row's, or the file is empty (omero's RawFileBean)."""
        if self._file_id is None or self._path is None:
            return None
        file = call.server.store.get(SERVER, "OriginalFile", [self._file_id])[0]
        size = self._size()
        if not self._changed and size and (file.size is None or file.size.val == size):
            return None
        with _resource(self._path):
            if file.hasher is not None:
                file.hash = rstring(checksums.digest(self._path, _algorithm(call, file)))
            if file.size is None or file.size.val != size or self._changed:
                # of what the path leads to now, as the hash: a link may have taken the place of the file (omero's RawFileBean)
                status = self._path.stat()
                file.size, file.mtime = rlong(status.st_size), rtime(int(status.st_mtime * 1000))
        self._store(call, file)
        self._changed = False
        return call.server.store.get(SERVER, "OriginalFile", [self._file_id])[0]

    @staticmethod
    def _store(call: Call, file: Any) -> None:
        who, group = call.user, file.details.group.id.val
        if who.group not in (ALL_GROUPS, group) and group != USER_GROUP:
            # In the name of this call, not of the one that opened the file (recorded: facts 1).
            text = f"Currently logged into group {who.group}. Cannot alter object in group {group}"
            raise fault(omero.SecurityViolation, text)
        call.server.store.save(who, [file])

    def _size(self) -> int:
        with self._in_use, _resource(self._located()):
            return os.fstat(self._opened()).st_size

    def _to_write(self) -> Path:
        path = self._located()
        if not self._writable:
            raise fault(omero.SecurityViolation, "File not writeable!")
        return path

    def _located(self) -> Path:
        if self._path is None:
            raise fault(omero.ApiUsageException, NOT_SET)
        return self._path

    def _opened(self) -> int:
        return self._open() if self._descriptor is None else self._descriptor

    def _open(self) -> int:
        path = self._located()
        if self._released:
            raise Ice.ObjectNotExistException
        with _resource(path):
            if self._writable:
                path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT if self._writable else os.O_RDONLY
            self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o664)
        return self._descriptor


def _algorithm(call: Call, file: Any) -> str:
    rows = call.server.store.rows("SELECT c_value FROM t_ChecksumAlgorithm WHERE id = ?", file.hasher.id.val)
    return str(rows[0]["c_value"])


@contextmanager
def _resource(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into ResourceError `PATH (Permission denied)`, as recorded."""
    try:
        yield
    except OSError as error:
        raise fault(omero.ResourceError, f"{path} ({error.strerror})") from error
