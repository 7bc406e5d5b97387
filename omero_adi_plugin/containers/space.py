# SPDX-License-Identifier: GPL-2.0-or-later
"""Space: whether there is room for what a converter is likely to make, and how much a source takes up."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.folders import walk
from omero_adi_plugin.errors import NoRoomToConvert

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FULL_BYTES = 2**20
"""A disk with less room than this is full: file systems keep a little back, and what did not fit may have been removed again."""


def check_space(folders: Iterable[Path], *, needed_bytes: int) -> None:
    """Return if there is room in folders; file systems that several of them are on are asked once.

    Parameters
    ----------
    folders : iterable of Path
        One that is not there yet counts as the one that it would be made in.
    needed_bytes : int
        How much is needed on each file system. 0: nothing is asked.

    Raises
    ------
    NoRoomToConvert
        With the first that has too little.
    """
    if needed_bytes <= 0:
        return
    asked: set[int] = set()
    for folder in folders:
        with suppress(OSError):  # whoever makes something there says what is wrong
            there = _nearest(folder)
            device = there.stat().st_dev
            if device in asked:
                continue
            asked.add(device)
            if free_bytes(there) < needed_bytes:
                raise no_room(folder, needed_bytes=needed_bytes)


def check_free(folder: int, *, needed_bytes: int, shown: Path) -> None:
    """Return if something of a known size can be written in an open folder.

    Parameters
    ----------
    shown : Path
        What the folder is called in the sentence.

    Raises
    ------
    NoRoomToConvert
        It cannot.
    """
    status = os.fstatvfs(folder)
    free = status.f_bavail * status.f_frsize
    if status.f_blocks > 0 and free < needed_bytes:  # some file systems of the network do not say how large they are
        raise NoRoomToConvert(folder=os.fspath(shown), free_bytes=free, needed_bytes=needed_bytes)


def needed(file: Path, *, factor: float) -> int:
    """Return how many bytes should be free for a conversion of a file or folder (`converter_space_factor`)."""
    return int(size_of(file) * factor)


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files below a folder, in bytes; what cannot be looked at counts nothing."""
    try:
        status = path.stat()
    except OSError:
        return 0
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    total = 0
    with suppress(OSError):
        for entry in walk(path):
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def free_bytes(folder: Path) -> int:
    """Return how many bytes an account without privileges may still write in a folder; raises OSError."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def is_full(folder: Path) -> bool:
    """Say whether hardly anything can be written in a folder, for want of bytes or of inodes; False if nobody can tell."""
    try:
        status = os.statvfs(_nearest(folder))
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < FULL_BYTES or (status.f_files > 0 and status.f_favail == 0)


def no_room(folder: Path, *, needed_bytes: int) -> NoRoomToConvert:
    """Return what is to be raised when a disk has turned out to be too small."""
    try:
        free = free_bytes(_nearest(folder))
    except OSError:
        free = 0
    return NoRoomToConvert(folder=os.fspath(folder), free_bytes=free, needed_bytes=needed_bytes)


def _nearest(folder: Path) -> Path:
    """Return a folder, or of those above it the first that is there."""
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)
