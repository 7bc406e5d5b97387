# SPDX-License-Identifier: GPL-2.0-or-later
"""Trouble: what is to be said when something beside a source cannot be written."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.space import no_room
from omero_adi_plugin.errors import FileMissing, ImportInterrupted, ProcessedNotWritable, SourceUnreadable

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.errors import AdiError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What is said of a disk that is full, or has no more room for this account."""

_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG})
"""What is said of a folder in which nothing can be written until somebody sees to it."""


def trouble_beside(file: Path, error: OSError, *, folder: Path, needed_bytes: int) -> AdiError:
    """Return what is to be raised when something beside a source cannot be written.

    Parameters
    ----------
    folder : Path
        What could not be written to.
    needed_bytes : int
        How much was to be written there.
    """
    why = error.strerror or type(error).__name__
    if error.errno in NO_ROOM:
        return no_room(folder, needed_bytes=needed_bytes)
    if isinstance(error, FileNotFoundError) and _is_gone(file):
        return FileMissing(path=os.fspath(file))
    if isinstance(error, PermissionError) and not os.access(file.parent, os.R_OK | os.X_OK, effective_ids=True):
        return SourceUnreadable(path=os.fspath(file), account=f"uid {os.geteuid()}")
    if isinstance(error, NotADirectoryError):
        why = "it, or something on the way to it, is a link or no folder"
    if error.errno in _REFUSED:
        return ProcessedNotWritable(folder=os.fspath(folder), why=why)
    return ImportInterrupted(path=os.fspath(file), words=f"{folder} cannot be written to at the moment ({why})")


def _is_gone(file: Path) -> bool:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # nobody can tell
        return False
    return False
