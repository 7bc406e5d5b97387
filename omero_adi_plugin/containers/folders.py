# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders: made, opened, walked and removed without ever following a link that somebody has put in the way.

What converters make may be of any kind and depth, and lies in folders that other people may write to.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = ".adi-"
"""What the names of folders begin with that we make in folders of other people, and no output may be called."""

READABLE = 0o755
"""Mode of a folder that OMERO's account looks into."""

PRIVATE = 0o700
"""Mode of a folder that nobody else gets into."""

READABLE_FILE = 0o644

DEEPEST = 100
"""So deep may folders lie in one another if what is in them is to be kept: each is open while those in it are looked at."""

UNSHARE_SECONDS = 3600
"""So long may podman take over the files of other user ids; there may be a million of them."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_ITSELF = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Opens whatever has a name, be it unreadable or a link, so that nothing else can be meant from then on."""

_log = logging.getLogger(__name__)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Give a descriptor of a folder whose path has no link in it.

    Parameters
    ----------
    folder : Path
        Absolute, as `os.path.realpath` gives it.

    Raises
    ------
    OSError
        As the system says it; `NotADirectoryError` also if something on the way is a link.
    """
    handle = os.open(folder, _FOLDER)
    try:
        with suppress(FileNotFoundError):  # without /proc nobody can tell
            if os.readlink(f"/proc/self/fd/{handle}") != os.fspath(folder):  # noqa: PTH115 (a text)
                raise NotADirectoryError(errno.ENOTDIR, "a link is in the way", os.fspath(folder))
        yield handle
    finally:
        os.close(handle)


@contextmanager
def opened_in(parent: int, name: str) -> Iterator[int]:
    """Give a descriptor of a folder in one that is open; raises OSError as `opened`."""
    handle = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield handle
    finally:
        os.close(handle)


def make(parent: int, name: str, *, mode: int, anew: bool = False) -> bool:
    """Make a folder in one that is open, with this very mode; one that is there is left as it is, unless it is to be new.

    Returns
    -------
    bool
        Whether it was not there.

    Raises
    ------
    OSError
        As the system says it; `FileExistsError` if it is there and is to be new, `NotADirectoryError` if it is no folder.
    """
    try:
        os.mkdir(name, mode=PRIVATE, dir_fd=parent)
    except FileExistsError:
        if anew:
            raise
        os.close(os.open(name, _FOLDER, dir_fd=parent))
        return False
    with opened_in(parent, name) as handle:
        os.fchmod(handle, mode)
    return True


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Give all that lies below a folder, each folder before what is in it; links are given and not followed.

    Raises
    ------
    OSError
        A folder cannot be listed.
    """
    stack = [os.fspath(folder)]
    while stack:
        with os.scandir(stack.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                yield entry


def walk_in(folder: int, within: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Give all that lies below an open folder, each folder before what is in it; links are given and not followed.

    A folder that `is_too_deep` is given, and what is in it is not.

    Parameters
    ----------
    within : str
        What the names that are given begin with; it counts as so many folders.

    Raises
    ------
    OSError
        A folder cannot be listed.
    """
    for entry in listed(folder):
        name = f"{within}{entry.name}"
        yield name, entry
        if entry.is_dir(follow_symlinks=False) and not is_too_deep(name):
            with opened_in(folder, entry.name) as below:
                yield from walk_in(below, f"{name}/")


def listed(folder: int) -> list[os.DirEntry[str]]:
    """Return what lies in an open folder; raises OSError."""
    with os.scandir(folder) as found:
        return list(found)


def is_too_deep(name: str) -> bool:
    """Say whether nothing is kept of what is in a folder of this name."""
    return name.count("/") >= DEEPEST


def make_readable(parent: int, name: str) -> None:
    """Let everybody read what lies below a folder, and nobody but us, its owners then, write; what cannot be changed stays.

    Links are not followed, nor what is put in the place of something meanwhile; what `is_too_deep` is left as it is.

    Parameters
    ----------
    parent : int
        An open folder that nobody but us can write to.
    name : str
        Of the folder in it.
    """
    if not _made_readable(parent, name) and os.geteuid() != 0:
        _unshare(parent, "chown", "-hR", "0:0", "--", name)  # root of podman's user namespace is our account
        _made_readable(parent, name)


def clear(folder: Path) -> bool:
    """Remove a folder with all that is in it, however deep, also files of the other user ids that rootless podman has.

    A link in its place is removed, not followed; if its parent has a link in its path, nothing is.

    Returns
    -------
    bool
        Whether it is gone; if not, the log says why.
    """
    try:
        with opened(folder.parent) as parent:
            return _cleared(parent, folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        event(_log, logging.WARNING, "folder.not_removed", folder=folder, why=error.strerror)
        return False


def _cleared(parent: int, folder: Path) -> bool:
    try:
        _remove(parent, folder.name)
    except FileNotFoundError:
        return True
    except OSError as error:
        if os.geteuid() != 0 and isinstance(error, PermissionError):
            _unshare(parent, "rm", "-rf", "--", folder.name)
        with suppress(FileNotFoundError):
            os.stat(folder.name, dir_fd=parent, follow_symlinks=False)
            event(_log, logging.WARNING, "folder.not_removed", folder=folder, why=error.strerror)
            return False
    return True


def _remove(parent: int, name: str) -> None:
    """Remove a folder, or whatever else has this name; depth costs neither stack nor descriptors."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    with suppress(PermissionError):  # not ours: to be removed all the same if it is empty
        _open_up(parent, name)
    with opened_in(parent, name) as handle:
        while _flattened(handle):
            pass
    os.rmdir(name, dir_fd=parent)


def _flattened(top: int) -> bool:
    """Remove what is in a folder but what lies in its folders' folders, which come up to it; says whether any have."""
    deeper = False
    for entry in listed(top):
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=top)
            continue
        _open_up(top, entry.name)
        with opened_in(top, entry.name) as handle:
            deeper = _lifted(handle, top) or deeper
        os.rmdir(entry.name, dir_fd=top)
    return deeper


def _lifted(folder: int, top: int) -> bool:
    lifted = False
    for entry in listed(folder):
        if entry.is_dir(follow_symlinks=False):
            _open_up(folder, entry.name)  # a folder that may not be written to cannot be moved
            os.rename(entry.name, f"{OURS}{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=top)
            lifted = True
        else:
            os.unlink(entry.name, dir_fd=folder)
    return lifted


def _open_up(parent: int, name: str) -> None:
    """Let us look into a folder, and write to it; raises OSError."""
    with _itself(parent, name) as (handle, status):
        if stat.S_ISDIR(status.st_mode) and status.st_mode & PRIVATE != PRIVATE:
            os.chmod(_path_of(handle), PRIVATE)  # noqa: PTH101 (a text, for each of 100,000 files)


def _made_readable(parent: int, name: str, depth: int = 0) -> bool:
    """Say whether all modes below a folder, and its own, are as they should be."""
    whole = _changed(parent, name, READABLE)
    if depth > DEEPEST:
        return whole
    try:
        with opened_in(parent, name) as folder:
            for entry in listed(folder):
                if entry.is_dir(follow_symlinks=False):
                    whole = _made_readable(folder, entry.name, depth + 1) and whole
                elif entry.is_file(follow_symlinks=False):
                    whole = _changed(folder, entry.name, READABLE_FILE) and whole
    except OSError:  # not ours
        return False
    return whole


def _changed(parent: int, name: str, mode: int) -> bool:
    """Make a file or folder ours and give it a mode; say whether it has them."""
    try:
        with _itself(parent, name) as (handle, status):
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                return False
            if status.st_uid != os.geteuid():  # else whoever has this user id on the host could change what is kept
                os.chown(_path_of(handle), os.geteuid(), os.getegid())
            if stat.S_IMODE(status.st_mode) != mode:
                os.chmod(_path_of(handle), mode)  # noqa: PTH101 (a text, for each of 100,000 files)
    except OSError:
        return False
    return True


@contextmanager
def _itself(parent: int, name: str) -> Iterator[tuple[int, os.stat_result]]:
    """Give what has a name in an open folder, whatever has that name later, and what is known of it; raises OSError."""
    handle = os.open(name, _ITSELF, dir_fd=parent)
    try:
        yield handle, os.fstat(handle)
    finally:
        os.close(handle)


def _path_of(handle: int) -> str:
    """Return a path that leads to what is open, and to nothing else (proc(5), `/proc/pid/fd`)."""
    return f"/proc/self/fd/{handle}"


def _unshare(folder: int, *command: str) -> None:
    """Run a command in an open folder, as root of the user namespace that rootless podman gives its containers.

    Failures show by themselves.
    """
    environment = {name: value for name, value in os.environ.items() if name not in {"CONTAINER_HOST", "CONTAINER_CONNECTION"}}
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            ("podman", "unshare", *command),
            cwd=_path_of(folder),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=UNSHARE_SECONDS,
            check=False,
        )
