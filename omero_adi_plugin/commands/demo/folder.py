# SPDX-License-Identifier: GPL-2.0-or-later
"""Folder: `.demo`, the one place that a demo writes to, and which demo it belongs to.

A file in it says that a demo made it, and whose lock it is tells whether that demo is still running: a lock goes with its
process, however that ends. A folder without this file is somebody else's and is left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import TryAgain, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWNER_FILE = "made-by-omero-adi-demo"

HAND_OVER_SECONDS = 60.0
"""How long a demo that is asked to end may take to end its servers."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The demo's folder, by its absolute path."""

    path: Path

    @property
    def data(self) -> Path:
        """Where the files to import lie."""
        return self.path / "data"

    @property
    def logs(self) -> Path:
        """Where every process writes what it has to say."""
        return self.path / "logs"

    @property
    def settings(self) -> Path:
        """The settings of the service."""
        return self.path / "settings.yml"

    @property
    def env(self) -> Path:
        """What a shell needs to work with the demo."""
        return self.path / "env"

    @property
    def pids(self) -> Path:
        """Which processes the demo has started: `name pid`, one a line."""
        return self.path / "pids"

    def write_private(self, name: str, text: str) -> Path:
        """Write a file that nobody else can read, because it holds passwords."""
        path = self.path / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def clear(self) -> None:
        """Remove everything that an earlier demo left, but not who the folder belongs to."""
        for path in self.path.iterdir():
            if path.name == OWNER_FILE:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def exists(self) -> bool:
        """Whether a demo has been here.

        Raises
        ------
        UsageError
            Something of this name is here that no demo made.
        """
        if (self.path / OWNER_FILE).is_file():
            return True
        if self.path.is_dir() and not any(self.path.iterdir()):
            return False
        if os.path.lexists(self.path):
            raise UsageError(
                f"'{self.path}' was not made by a demo, so it is left alone. Move it away, or work in another folder."
            )
        return False


@contextmanager
def owned(path: Path) -> Iterator[Folder]:
    """Have a demo's folder for oneself meanwhile; a demo that is running in it is asked to end, and is waited for.

    Parameters
    ----------
    path : Path
        The folder, which is made if it is not there.

    Raises
    ------
    UsageError
        It is somebody else's.
    TryAgain
        The demo that is running in it does not end.
    """
    folder = Folder(path.absolute())
    if not folder.exists():
        folder.path.mkdir(exist_ok=True)
    with (folder.path / OWNER_FILE).open("a+", encoding="ascii") as file:
        _lock(file.fileno(), folder)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield folder


def _lock(descriptor: int, folder: Folder) -> None:
    deadline = time.monotonic() + HAND_OVER_SECONDS
    asked = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = (folder.path / OWNER_FILE).read_text(encoding="ascii").strip()
            if not asked and holder.isdigit():  # it has the lock, so it lives, and the number is its own
                os.kill(int(holder), signal.SIGTERM)
                asked = True
            if time.monotonic() > deadline:
                raise TryAgain(f"The demo that is running in '{folder.path}' (process {holder}) does not end.") from error
            time.sleep(0.1)
        else:
            return
