# SPDX-License-Identifier: GPL-2.0-or-later
"""Links: puts the link to a source in the place in the managed repository where OMERO expects the file itself.

A random mark is written through the server and looked for on this host's disk: only if it is there are both writing into the
same folder. The link takes its place while the server still has the file open. At `close` the server takes size and hash of
what the path leads to, because something was written: through the link, of the source. That is read from OMERO's source
(ome.services.RawFileBean.save and isModified) and was not tried on a real server; where it is otherwise, the upload is refused,
and `look_again` makes up for it in the way that was tried there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Any

import Ice
import omero.all

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import (
    ConfigurationError,
    DiskFull,
    FileGrowing,
    FileMissing,
    ImportInterrupted,
    SourceUnreadable,
)
from omero_adi_plugin.ice import CUT_OFF, NOBODY_ANSWERS, TROUBLE
from omero_adi_plugin.importers.meter import CalledOff, Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.plans import AdmittedFile

READ_ONLY = {"omero.fs.mode": "r"}
"""Context for a file that is only read: else the server wants to write to the source (real server, recorded)."""

PIECE = 2**20
"""So many bytes of a file are read at a time, about a thousandth of a second."""

SERVER_ACCOUNT = "the account that runs OMERO.server"

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_UNLIMITED = -1
"""For calls that last as long as the server takes to read a whole file."""


def place_link(
    process: Any,  # noqa: ANN401 (ImportProcessPrx is untyped)
    index: int,
    *,
    file: AdmittedFile,
    location: Path,
    size_only: bool,
    meter: Meter | None = None,
) -> str:
    """Make file `index` of an import a link to its source.

    Parameters
    ----------
    process : omero.grid.ImportProcessPrx
        The import.
    index : int
        Number of the file among the fileset's entries.
    location : Path
        Where the server expects the file.
    size_only : bool
        Compare sizes and no sums.
    meter : Meter, optional
        Told how far the reading for the sum is.

    Returns
    -------
    str
        What the server has to find, see `file_hash`.

    Raises
    ------
    ConfigurationError
        This host and the server do not share the managed repository.
    FileGrowing, FileMissing, SourceUnreadable, ImportInterrupted
        The source is not as it was when it was looked at, or cannot be read.
    DiskFull
        No room for a link.
    CalledOff
        The meter was told that it is not wanted any more.
    """
    meter = meter or Meter()
    silent = 0 if size_only else file.bytes
    mark = secrets.token_bytes(16)
    with _closed_after_trouble(process.getUploader(index)) as uploader:
        uploader.write(mark, 0, len(mark))
        reached(Point.MARK_WRITTEN)
        shared = _holds(location, mark)
        if not shared:  # on a network file system it may appear with the closing
            uploader.close()
            if not _holds(location, mark):
                raise not_shared(location)
        _replace(location, file.source)
        reached(Point.LINK_PLACED)
        try:
            digest = file_hash(file, size_only=size_only, on_read=meter.read)
        except CalledOff:
            location.unlink(missing_ok=True)  # or the server reads all of it at the closing
            raise
    with meter.server_reads(silent):
        if not (shared and _saved(uploader, size_only=size_only)):
            look_again(process, index, file=file, location=location)
    reached(Point.FILE_CLOSED)
    return digest


def look_again(process: Any, index: int, *, file: AdmittedFile, location: Path) -> None:  # noqa: ANN401 (as above)
    """Make the server take size and hash of a file anew, through its link (tried on a real server), and say what it sees.

    Raises
    ------
    ImportInterrupted
        The link is not there any more, or the server sees another size of the source than this host.
    SourceUnreadable, FileMissing
        The server cannot read the source.
    """
    if not os.path.lexists(location):
        raise ImportInterrupted(path=file.path, words="somebody deleted what was there of it")
    try:
        with _closed_after_trouble(process.getUploader(index, READ_ONLY).ice_invocationTimeout(_UNLIMITED)) as uploader:
            size = uploader.size()
            uploader.save()
        uploader.close()
    except omero.ResourceError as error:
        if not os.path.exists(file.source):  # noqa: PTH110 (the same; Path would only cost time)
            raise FileMissing(path=file.path) from error
        raise SourceUnreadable(path=file.path, account=SERVER_ACCOUNT) from error
    if size != file.bytes:
        words = f"OMERO.server sees {size} bytes in it, this host {file.bytes}: it is still being written, or another file there"
        raise ImportInterrupted(path=file.path, words=words)


def file_hash(file: AdmittedFile, *, size_only: bool, on_read: Callable[[int], None] = lambda _: None) -> str:
    """Return what OMERO compares a file by: its SHA1-160, or its File-Size-64, 8 bytes little-endian (real server, recorded).

    Parameters
    ----------
    on_read : callable, optional
        Told after each piece how many bytes it had; what it raises ends the reading.

    Raises
    ------
    FileGrowing
        It is not the file any more that was admitted.
    FileMissing, SourceUnreadable, ImportInterrupted
        The file cannot be read any more.
    """
    try:
        if size_only:
            status = os.stat(file.source)  # noqa: PTH116 (the same; Path would only cost time)
            digest = status.st_size.to_bytes(8, "little").hex()
        else:
            with open(file.source, "rb", buffering=0) as content:  # noqa: PTH123 (as above)
                digest = _sum(content, on_read)
                status = os.fstat(content.fileno())
    except FileNotFoundError as error:
        raise FileMissing(path=file.path) from error
    except PermissionError as error:
        raise SourceUnreadable(path=file.path, account=f"uid {os.geteuid()}") from error
    except OSError as error:
        raise ImportInterrupted(path=file.path, words=f"it could not be read ({error.strerror})") from error
    if (status.st_size, status.st_mtime_ns) != (file.bytes, file.mtime_ns):
        raise FileGrowing(path=file.path)
    return digest


def _sum(content: FileIO, on_read: Callable[[int], None]) -> str:
    summed, buffer = hashlib.sha1(usedforsecurity=False), memoryview(bytearray(PIECE))
    while count := content.readinto(buffer):
        summed.update(buffer[:count])
        on_read(count)
    return summed.hexdigest()


def _holds(location: Path, mark: bytes) -> bool:
    """Tell whether a file has just this content."""
    try:
        return location.read_bytes() == mark
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refused(error, location) from error


def _replace(location: Path, source: str) -> None:
    """Put a link in the place of a file.

    Not by a new link and a rename: whoever dies in between would leave a name behind that nobody knows.
    """
    try:
        location.unlink()
        reached(Point.MARK_REMOVED)
        os.symlink(source, location)  # noqa: PTH211 (as above)
    except OSError as error:
        raise refused(error, location) from error


def refused(error: OSError, location: Path) -> AdiError:
    """Return what to say when the system does not let a link be made, or looked at."""
    if error.errno in _NO_ROOM:
        return DiskFull(path=str(location.parent))
    if error.errno in _NOT_ALLOWED:
        return ConfigurationError(
            f"This account (uid {os.geteuid()}) may not write to '{location.parent}', where OMERO keeps imported files. "
            "Run the service as the account that runs OMERO.server, or give it write access to the managed repository."
        )
    return not_shared(location)


def not_shared(location: Path) -> ConfigurationError:
    """Return what to say when the server's managed repository is not the one that is seen here."""
    return ConfigurationError(
        f"What OMERO.server writes to '{location.parent}' does not appear there on this host. "
        "In-place import needs the managed repository mounted here under the same path as on the server."
    )


def _saved(uploader: Any, *, size_only: bool) -> bool:  # noqa: ANN401 (RawFileStorePrx is untyped)
    """Close an uploader, which saves size and hash; tell whether it has."""
    try:
        (uploader if size_only else uploader.ice_invocationTimeout(_UNLIMITED)).close()
    except (*NOBODY_ANSWERS, *CUT_OFF):
        raise
    except Ice.Exception:  # cannot read the source, say, or has lost the file that it had open: the second look tells
        return False
    return True


@contextlib.contextmanager
def _closed_after_trouble(uploader: Any) -> Iterator[Any]:  # noqa: ANN401 (RawFileStorePrx is untyped)
    """Close a stateful service when something goes wrong: each one left open costs the server a database connection."""
    try:
        yield uploader
    except BaseException:
        with contextlib.suppress(*TROUBLE):
            uploader.close()
        raise
