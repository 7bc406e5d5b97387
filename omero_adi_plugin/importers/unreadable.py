# SPDX-License-Identifier: GPL-2.0-or-later
"""Unreadable: what it means when the operating system refuses a file or a folder."""

from __future__ import annotations

import errno
import os
import pwd
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import FileBroken, FileMissing, FormatUnknown, ImportInterrupted, SourceUnreadable

if TYPE_CHECKING:
    from omero_adi_plugin.errors import AdiError

MOUNT_TROUBLE = frozenset({errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EAGAIN})
"""What a network file system says while it is away: nothing against the file."""


_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
"""What is said of a path that leads to nothing."""

_DAMAGE = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG})
"""What disks and file systems say of what they have lost."""


def unreadable(path: str, error: OSError | ValueError) -> AdiError:
    """Return what is to be raised for a path that could not be opened or read.

    Parameters
    ----------
    path : str
        As the order, or the reader, names it.
    error : OSError or ValueError
        What Python said; ValueError is for a path that no file can have.

    Returns
    -------
    AdiError
        `SourceUnreadable`, `FileBroken`, `FormatUnknown`, `FileMissing`; or `ImportInterrupted` if its file system is away, or
        this process may open no more files, say: what is said of neither the path nor the file holds for now alone.
    """
    if isinstance(error, PermissionError):
        return SourceUnreadable(path=path, account=_account())
    number = error.errno if isinstance(error, OSError) else None
    if number in MOUNT_TROUBLE:
        return ImportInterrupted(path=path, words=f"its file system does not answer ({os.strerror(number or 0)})")
    if number in _DAMAGE:
        return FileBroken(path=path, why=f"reading it fails ({os.strerror(number or 0)})")
    if number == errno.ENXIO:
        return FormatUnknown(path=path, why="it is no ordinary file")
    if number is None or number in _NOT_THERE:
        return FileMissing(path=path)
    return ImportInterrupted(path=path, words=f"it cannot be opened at the moment ({os.strerror(number)})")


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
