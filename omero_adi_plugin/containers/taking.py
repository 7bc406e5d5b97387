# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking a place: an output gets its name beside the source, and never over anything of others.

A file gets its second name there (a hard link), which is made only where no name is. Where a file system has no hard links, a
file of ours keeps the place until the real one is moved over it. A folder is moved as a whole, which happens only where none, or
an empty one, is.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from omero_adi_plugin.containers.contents import content
from omero_adi_plugin.containers.folders import READABLE_FILE, opened_in

_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
"""What is said where a file can have no second name, or may not (Linux: fs.protected_hardlinks)."""

_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})
"""What is said of a folder that was to be moved to where something else is."""


class Place:
    """Where an output is to be kept.

    Parameters
    ----------
    folder : int
        An open folder.
    name : str
        In it.
    reservation : str
        What a file says that keeps the place for this output of this conversion, and for no other; one line.
    """

    def __init__(self, folder: int, name: str, *, reservation: str) -> None:
        self._folder, self._name = folder, name
        self._reservation = os.fsencode(f"omero-adi: {reservation}\n")

    def is_free(self, *, for_folder: bool) -> bool:
        """Return whether nothing is there, or a folder with nothing in it that a folder is to come to."""
        try:
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return True
        found = content(self._folder, self._name)
        if found is None or not (found.is_folder and for_folder):
            return False
        with opened_in(self._folder, self._name) as handle:
            return not os.listdir(handle)  # noqa: PTH208 (of a descriptor)

    def is_ours(self) -> bool:
        """Return whether a file is there that keeps the place for this output."""
        found = content(self._folder, self._name)
        if found is None or found.is_folder or found.bytes != len(self._reservation):
            return False
        handle = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            return os.read(handle, len(self._reservation)) == self._reservation
        finally:
            os.close(handle)

    def take(self, folder: int, name: str) -> None:
        """Give the place to an output, whose own name is gone then or is a second one of the same file.

        Parameters
        ----------
        folder, name : int, str
            The open folder in which it lies, on the same file system, and its name in it.

        Raises
        ------
        FileExistsError
            Something else is there.
        OSError
            Whatever else the file system says.
        """
        found = content(folder, name)
        if found is not None and found.is_folder:
            self._take_with_folder(folder, name)
            return
        if not self.is_ours():
            if self._linked(folder, name):
                return
            self._reserve()
        os.rename(name, self._name, src_dir_fd=folder, dst_dir_fd=self._folder)

    def _take_with_folder(self, folder: int, name: str) -> None:
        try:
            os.rename(name, self._name, src_dir_fd=folder, dst_dir_fd=self._folder)
        except OSError as error:
            if error.errno in _TAKEN:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
            raise

    def _linked(self, folder: int, name: str) -> bool:
        """Give a file its second name here; returns False where it can have none."""
        try:
            os.link(name, self._name, src_dir_fd=folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_HARD_LINKS:
                return False
            raise
        return True

    def _reserve(self) -> None:
        handle = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READABLE_FILE, dir_fd=self._folder)
        try:
            os.write(handle, self._reservation)
        finally:
            os.close(handle)
