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

UNSHARE_SECONDS = 3600
"""So long may podman take over the files of other user ids; there may be a million of them."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

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


def make_readable(folder: Path) -> None:
    """Let everybody read what lies below a folder, and nobody but us, its owners then, write; what cannot be changed stays.

    Only for a folder that nobody else can write to any more.
    """
    if not _made_readable(folder) and os.geteuid() != 0:
        _unshare("chown", "-hR", "0:0", "--", os.fspath(folder))  # root of podman's user namespace is our account
        _made_readable(folder)


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
            _unshare("rm", "-rf", "--", os.fspath(folder))
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
        os.chmod(name, PRIVATE, dir_fd=parent)
    with opened_in(parent, name) as handle:
        while _flattened(handle):
            pass
    os.rmdir(name, dir_fd=parent)


def _flattened(top: int) -> bool:
    """Remove what is in a folder but what lies in its folders' folders, which come up to it; says whether any have."""
    with os.scandir(top) as found:
        entries = list(found)
    deeper = False
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=top)
            continue
        os.chmod(entry.name, PRIVATE, dir_fd=top)
        with opened_in(top, entry.name) as handle:
            deeper = _lifted(handle, top) or deeper
        os.rmdir(entry.name, dir_fd=top)
    return deeper


def _lifted(folder: int, top: int) -> bool:
    with os.scandir(folder) as found:
        entries = list(found)
    lifted = False
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.name, PRIVATE, dir_fd=folder)  # a folder that may not be written to cannot be moved
            os.rename(entry.name, f"{OURS}{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=top)
            lifted = True
        else:
            os.unlink(entry.name, dir_fd=folder)
    return lifted


def _made_readable(folder: Path) -> bool:
    """Say whether all modes below a folder, and its own, are as they should be."""
    whole = _change(os.fspath(folder), READABLE)
    stack = [os.fspath(folder)]
    while stack:
        try:
            with os.scandir(stack.pop()) as found:
                for entry in found:
                    if entry.is_dir(follow_symlinks=False):
                        whole = _change(entry.path, READABLE) and whole
                        stack.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        whole = _change(entry.path, READABLE_FILE) and whole
        except OSError:  # too deep for a path, or not ours
            whole = False
    return whole


def _change(path: str, mode: int) -> bool:
    """Make something ours and give it a mode; say whether it has them."""
    try:
        status = os.lstat(path)
        if status.st_uid != os.geteuid():  # else whoever has this user id on the host could change what is kept
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
        if stat.S_IMODE(status.st_mode) != mode:
            os.chmod(path, mode)  # noqa: PTH101 (a text, for each of 100,000 files)
    except OSError:
        return False
    return True


def _unshare(*command: str) -> None:
    """Run a command as root of the user namespace that rootless podman gives its containers; failures show by themselves."""
    environment = {name: value for name, value in os.environ.items() if name not in {"CONTAINER_HOST", "CONTAINER_CONNECTION"}}
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            ("podman", "unshare", *command),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=UNSHARE_SECONDS,
            check=False,
        )
