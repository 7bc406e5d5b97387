# SPDX-License-Identifier: GPL-2.0-or-later
"""Links: puts the link to a source in the place in the managed repository where OMERO expects the file itself."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Any

import omero.all

from omero_adi_plugin.errors import ConfigurationError, DiskFull, FileMissing, ImportInterrupted, SourceUnreadable
from omero_adi_plugin.ice import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_ONLY = {"omero.fs.mode": "r"}
"""Context for a file that is only read: else the server wants to write to the source (real server, recorded)."""

SERVER_ACCOUNT = "the account that runs OMERO.server"

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def place_link(process: Any, index: int, *, source: str, location: Path) -> None:  # noqa: ANN401 (ImportProcessPrx is untyped)
    """Make file `index` of an import a link to its source.

    First a random mark is written through the server and looked for on this host's disk: only if it is there are we writing
    into the same folder. At the end the server takes size and hash from the source, through the link.

    Parameters
    ----------
    process : omero.grid.ImportProcessPrx
        The import.
    index : int
        Number of the file among the fileset's entries.
    source : str
        Absolute path of the source.
    location : Path
        Where the server expects the file.

    Raises
    ------
    ConfigurationError
        This host and the server do not share the managed repository.
    ImportInterrupted
        The server sees another size of the source than this host: it grows.
    SourceUnreadable, FileMissing
        The server, or this account, cannot read the source.
    DiskFull
        No room for a link.
    """
    mark = secrets.token_bytes(16)
    with _closing(process.getUploader(index)) as uploader:
        uploader.write(mark, 0, len(mark))
    try:
        _replace_mark(mark, source=source, location=location)
        expected = os.stat(source).st_size  # noqa: PTH116 (a name that is no valid text for Path must get an answer too)
    except OSError as error:
        raise _local(error, source=source, location=location) from error
    try:
        # no limit on these calls: they last as long as the server takes to read the whole file
        with _closing(process.getUploader(index, READ_ONLY).ice_invocationTimeout(-1)) as uploader:
            size = uploader.size()
            uploader.save()
    except omero.ResourceError as error:
        raise SourceUnreadable(path=source, account=SERVER_ACCOUNT) from error
    if size != expected:
        words = (
            f"OMERO.server sees {size} bytes in it, this host {expected}: it is still being written, or it is another file there"
        )
        raise ImportInterrupted(path=source, words=words)


def file_hash(path: str, *, size_only: bool) -> str:
    """Return what OMERO compares a file by: its SHA1-160, or its File-Size-64, 8 bytes little-endian (real server, recorded).

    Raises
    ------
    FileMissing, SourceUnreadable, ImportInterrupted
        The file cannot be read any more.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (a name that is no valid text for Path must get an answer too)
            if size_only:
                return os.fstat(file.fileno()).st_size.to_bytes(8, "little").hex()
            return hashlib.file_digest(file, "sha1").hexdigest()
    except FileNotFoundError as error:
        raise FileMissing(path=path) from error
    except PermissionError as error:
        raise SourceUnreadable(path=path, account=f"uid {os.geteuid()}") from error
    except OSError as error:
        raise ImportInterrupted(path=path, words=f"it could not be read ({error.strerror})") from error


def _replace_mark(mark: bytes, *, source: str, location: Path) -> None:
    if location.read_bytes() != mark:
        raise _not_shared(location)
    location.unlink()
    location.symlink_to(source)


def _local(error: OSError, *, source: str, location: Path) -> Exception:
    if error.errno in _NO_ROOM:
        return DiskFull(path=str(location.parent))
    if error.filename == source and error.filename2 is None:  # else it is about the link: symlink(2) names the source too
        if isinstance(error, PermissionError):
            return SourceUnreadable(path=source, account=f"uid {os.geteuid()}")
        return FileMissing(path=source)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return ConfigurationError(
            f"This account (uid {os.geteuid()}) may not write to '{location.parent}', where OMERO keeps imported files. "
            "Run the service as the account that runs OMERO.server, or give it write access to the managed repository."
        )
    return _not_shared(location)


def _not_shared(location: Path) -> ConfigurationError:
    return ConfigurationError(
        f"What OMERO.server writes to '{location.parent}' does not appear there on this host. "
        "In-place import needs the managed repository mounted here under the same path as on the server."
    )


@contextlib.contextmanager
def _closing(uploader: Any) -> Iterator[Any]:  # noqa: ANN401 (RawFileStorePrx is untyped)
    """Close a stateful service whatever happens: each one left open costs the server a database connection."""
    try:
        yield uploader
    except BaseException:
        with contextlib.suppress(*TROUBLE):
            uploader.close()
        raise
    else:
        uploader.close()
