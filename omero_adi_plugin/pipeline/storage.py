# SPDX-License-Identifier: GPL-2.0-or-later
"""Storage: whether what files to import lie on is there at all, asked when one of them cannot be had."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import StorageDown
from omero_adi_plugin.importers.unreadable import MOUNT_TROUBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

_AWAY = MOUNT_TROUBLE | {errno.ENOENT, errno.ENOTDIR, errno.EIO}
"""What is said of a root that is not there."""


def check_root(root: str, *, shown: str) -> None:
    """Return if something is in a root.

    One that is empty is taken for a mount point without its mount: an order whose files should lie there would fail for good.

    Parameters
    ----------
    root : str
        Absolute path, links resolved.
    shown : str
        What people call it.

    Raises
    ------
    StorageDown
        It is not there, does not answer, or is empty.
    """
    try:
        with os.scandir(root) as found:
            if next(found, None) is None:
                raise StorageDown(folder=shown, why="is empty")
    except OSError as error:
        if error.errno in _AWAY:  # else it is there: whoever may not list it can still open what it knows by name
            raise StorageDown(folder=shown, why=_why(error)) from error


def check_above(place: str, *, root: str) -> None:
    """Return if the folders between a root and a file answer, or are not there: then it is the file that is in trouble.

    Raises
    ------
    StorageDown
        The file system of one of them is away.
    """
    for folder in _between(root, place):
        try:
            os.stat(folder)  # noqa: PTH116 (the same; Path would only cost time)
        except OSError as error:
            if error.errno in MOUNT_TROUBLE:
                raise StorageDown(folder=folder, why=_why(error)) from error
            return


def _between(root: str, place: str) -> Iterator[str]:
    """Give the folders below a root that lead to a place, from above."""
    folder = root.rstrip("/")
    for name in place[len(folder) :].strip("/").split("/")[:-1]:
        folder = f"{folder}/{name}"
        yield folder


def _why(error: OSError) -> str:
    return "is not there" if isinstance(error, (FileNotFoundError, NotADirectoryError)) else f"does not answer ({error.strerror})"
