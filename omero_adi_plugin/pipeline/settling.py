# SPDX-License-Identifier: GPL-2.0-or-later
"""Settling: a file is imported when it has not changed for a while, because it may still be on its way from the microscope."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import FileGrowing, FileMissing, ImportInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_adi_plugin.importers.plans import AdmittedFile

LONGEST_NAP_SECONDS = 0.5
"""So often whoever waits is asked whether it may go on."""


CLOCK_SECONDS = 60
"""So far the clock of a file server may go ahead of ours; a time that lies further in the future says nothing."""


class Settling:
    """Remembers which files of an order had changed lately when they were admitted, and when to look at them again.

    That is when they are `seconds` old, so that many new files wait together and not one after the other; and at the latest
    `seconds` after the first look, should their times lie in the future, because the clock of a file server goes ahead of ours.

    Parameters
    ----------
    seconds : float
        How long a file must not have changed. 0: files are taken as they are.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[str, float] = {}

    def is_new(self, mtime_ns: int) -> bool:
        """Say whether a file with this time of modification has changed lately."""
        return self._seconds > 0 and -CLOCK_SECONDS < time.time() - mtime_ns / 1e9 < self._seconds

    def note(self, source: str, mtime_ns: int) -> None:
        """Take note of a file at the first look."""
        age = time.time() - mtime_ns / 1e9
        if age < self._seconds:
            self._due[source] = time.monotonic() + min(self._seconds, self._seconds - age)

    def wait(self, files: Sequence[AdmittedFile], *, check: Callable[[], None]) -> None:
        """Return when none of the files has changed since it was admitted, and has not for long enough.

        Parameters
        ----------
        files : sequence of AdmittedFile
            All files of a fileset.
        check : callable
            Asked meanwhile whether the waiting is to go on; what it raises ends it.

        Raises
        ------
        FileGrowing, FileMissing
            Since it was admitted a file has changed, or is gone.
        ImportInterrupted
            Its file system does not answer at the moment.
        """
        if not self._seconds:
            return
        due = max((self._due.get(file.source, 0.0) for file in files), default=0.0)
        while (rest := due - time.monotonic()) > 0:
            time.sleep(min(rest, LONGEST_NAP_SECONDS))
            check()
        for file in files:
            _look_again(file)
            self._due.pop(file.source, None)


def _look_again(file: AdmittedFile) -> None:
    try:
        status = os.lstat(file.source)  # a link that has taken its place meanwhile may lead anywhere
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileMissing(path=file.path) from error
    except OSError as error:
        raise ImportInterrupted(path=file.path, words=f"it cannot be looked at any more ({error.strerror})") from error
    if (status.st_size, status.st_mtime_ns) != (file.bytes, file.mtime_ns):
        raise FileGrowing(path=file.path)
