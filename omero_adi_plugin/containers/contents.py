# SPDX-License-Identifier: GPL-2.0-or-later
"""Contents: files and folders looked at, measured, compared and copied, without following a link that lies in them.

What is looked at is named by a folder that is open and a name in it, so that nobody can put a link in its way meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.folders import PRIVATE, READABLE, READABLE_FILE, make, opened_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE = 4 * 2**20
"""So many bytes are read at a time; between two pieces is asked whether to go on."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not blocking: a pipe must not hold us up."""

_NOT_THERE = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a name stands for.

    is_folder: else it is a file.
    bytes:     its size, for a folder that of all files in it.
    mtime_ns:  when it was changed, for a folder that of the file in it that was changed last; in ns since 1970.
    identity:  device and inode.
    """

    is_folder: bool
    bytes: int
    mtime_ns: int
    identity: tuple[int, int]


@contextmanager
def folder_of(top: int, name: str) -> Iterator[tuple[int, str]]:
    """Give the folder that a name with `/` lies in, below one that is open, and its last part.

    Raises
    ------
    OSError
        `FileNotFoundError`: it is not there; `NotADirectoryError`: a link or a file is in the way.
    """
    *folders, last = name.split("/")
    handle = os.dup(top)
    try:
        for each in folders:
            with opened_in(handle, each) as below:
                os.close(handle)
                handle = os.dup(below)
        yield handle, last
    finally:
        os.close(handle)


@contextmanager
def made_for(top: int, name: str) -> Iterator[tuple[int, str]]:
    """Give the same as `folder_of`; folders that are not there are made."""
    *folders, last = name.split("/")
    handle = os.dup(top)
    try:
        for each in folders:
            if make(handle, each, mode=READABLE):
                os.fsync(handle)
            with opened_in(handle, each) as below:
                os.close(handle)
                handle = os.dup(below)
        yield handle, last
    finally:
        os.close(handle)


def content(top: int, name: str) -> Content | None:
    """Return what a name below an open folder stands for; None if it is not there, or no file or folder, or behind a link."""
    try:
        with folder_of(top, name) as (folder, last):
            return _content(folder, last)
    except _NOT_THERE:
        return None


def same(folder: int, name: str, other_folder: int, other_name: str, *, check: Callable[[], None]) -> bool:
    """Say whether two names, each in an open folder, stand for the same bytes, or for folders with the same in them.

    Parameters
    ----------
    check : callable
        Called now and then; what it raises ends the reading.
    """
    try:
        return _same((folder, name), (other_folder, other_name), check)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM}:
            return False  # what we may not read, or has just gone, is not known to be the same
        raise


def copy(
    folder: int,
    name: str,
    new_folder: int,
    new_name: str,
    *,
    check: Callable[[], None],
    on_bytes: Callable[[int], None],
) -> None:
    """Copy a file or folder under a name that is not there yet; when this returns, it is on the disk. Times of files are kept.

    Raises
    ------
    OSError
        As the system says it; there may be a part of the copy then.
    """
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        _copy_file(folder, name, new_folder, new_name, check=check, on_bytes=on_bytes)
        return
    make(new_folder, new_name, mode=PRIVATE, anew=True)
    with opened_in(folder, name) as old, opened_in(new_folder, new_name) as new:
        for each in os.listdir(old):  # noqa: PTH208 (of a descriptor)
            copy(old, each, new, each, check=check, on_bytes=on_bytes)
        os.fchmod(new, READABLE)
        os.fsync(new)


def sync(folder: int, name: str) -> None:
    """Return when a file, or all in a folder, is on the disk; raises OSError."""
    handle = os.open(name, _READ, dir_fd=folder)
    try:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            for each in os.listdir(handle):  # noqa: PTH208 (of a descriptor)
                sync(handle, each)
        os.fsync(handle)
    finally:
        os.close(handle)


def _content(folder: int, name: str) -> Content | None:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISREG(status.st_mode):
            return Content(is_folder=False, bytes=status.st_size, mtime_ns=status.st_mtime_ns, identity=identity)
        if stat.S_ISDIR(status.st_mode):
            with opened_in(folder, name) as handle:
                within = [_content(handle, each) for each in os.listdir(handle)]  # noqa: PTH208 (of a descriptor)
            known = [each for each in within if each is not None]
            size, latest = sum(each.bytes for each in known), max((each.mtime_ns for each in known), default=0)
            return Content(is_folder=True, bytes=size, mtime_ns=latest, identity=identity)
    return None


def _same(one: tuple[int, str], other: tuple[int, str], check: Callable[[], None]) -> bool:
    first, second = (os.stat(name, dir_fd=folder, follow_symlinks=False) for folder, name in (one, other))
    if os.path.samestat(first, second):
        return True
    if stat.S_ISREG(first.st_mode) and stat.S_ISREG(second.st_mode):
        return first.st_size == second.st_size and _same_bytes(one, other, check)
    if not (stat.S_ISDIR(first.st_mode) and stat.S_ISDIR(second.st_mode)):
        return False
    with opened_in(*one) as old, opened_in(*other) as new:
        names = set(os.listdir(old))  # noqa: PTH208 (of a descriptor)
        return names == set(os.listdir(new)) and all(_same((old, each), (new, each), check) for each in names)  # noqa: PTH208


def _same_bytes(one: tuple[int, str], other: tuple[int, str], check: Callable[[], None]) -> bool:
    with _reading(*one) as old, _reading(*other) as new:
        while True:
            check()
            piece = _piece(old)
            if piece != _piece(new):
                return False
            if not piece:
                return True


@contextmanager
def _reading(folder: int, name: str) -> Iterator[int]:
    handle = os.open(name, _READ, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _piece(handle: int) -> bytes:
    """Read a whole piece, but for the last one: some file systems give less at a time."""
    parts, missing = [], PIECE
    while missing and (part := os.read(handle, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _copy_file(
    folder: int, name: str, new_folder: int, new_name: str, *, check: Callable[[], None], on_bytes: Callable[[int], None]
) -> None:
    with _reading(folder, name) as old:
        status = os.fstat(old)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ELOOP, "it is no ordinary file", name)
        new = os.open(new_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=new_folder)
        try:
            while piece := os.read(old, PIECE):
                check()
                _write(new, piece)
                on_bytes(len(piece))
            os.fchmod(new, READABLE_FILE)
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(new)
        finally:
            os.close(new)


def _write(handle: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(handle, rest) :]
