# SPDX-License-Identifier: GPL-2.0-or-later
"""Private: a folder of this account on this host, for what is only there while something runs, that nobody else gets into."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from omero_adi_plugin.errors import PodmanDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")

SHORT = Path("/tmp")  # noqa: S108 (what is made in it is checked to be ours alone)
"""Where folders are whose paths have to be short."""

LONGEST_BASE = 48
"""So many bytes the path of the folder for temporary files may have: that of a socket may have 107 (unix(7)), with all below."""


TRIES = 1000
"""How often a folder is made again that somebody else has just removed, because it was empty."""


def host() -> str:
    """Return the name of this host, for sentences."""
    return socket.gethostname()


def private_folder(name: str) -> Path:
    """Return `<tmp>/omero-adi-<account>/<name>`; it is there, and only this account gets into it.

    Raises
    ------
    PodmanDown
        It cannot be made, or it is somebody else's, who may have made it to look at what we put there.
    """
    return within(name, lambda folder: folder)


def within(name: str, do: Callable[[Path], _Result]) -> _Result:
    """Do something in a folder of `private_folder`; again if somebody else takes it away meanwhile, as it is empty.

    Raises
    ------
    PodmanDown
        As `private_folder`.
    """
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > LONGEST_BASE:
        base = SHORT
    ours = base / f"omero-adi-{os.geteuid()}"
    try:
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError):
                for folder in (ours, ours / name):
                    _make(folder)
                return do(ours / name)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    except OSError as error:
        raise PodmanDown(host=host(), why=f"the folder '{ours}' cannot be used ({error.strerror or error})") from error


def leave(folder: Path) -> None:
    """Take a folder of `private_folder` away if it is empty, and the one above it."""
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


class Guarded:
    """A new folder in a private one, which others know to be in use as long as this process lives and has not closed it.

    The folders of processes that have died are removed on the way. folder: it.
    """

    _making = threading.Lock()

    def __init__(self, parent: str) -> None:
        with self._making:
            self.folder = within(parent, self._made_in)
            new = self.folder / "new"
            self._lock = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            new.rename(self.folder / "lock")  # nobody sees it before it is locked

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        leave(self.folder.parent)

    @classmethod
    def _made_in(cls, parent: Path) -> Path:
        for dead in cls._dead(parent):
            shutil.rmtree(dead, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix="", dir=parent))

    @staticmethod
    def _dead(parent: Path) -> Iterator[Path]:
        for folder in parent.iterdir():
            try:
                number = os.open(folder / "lock", os.O_WRONLY | os.O_CLOEXEC)
            except OSError:  # just being made, or just gone
                continue
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield folder
            except OSError:
                continue
            finally:
                os.close(number)


def _make(folder: Path) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(0, f"'{folder}' is not a folder of this account alone")
