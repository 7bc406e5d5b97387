# SPDX-License-Identifier: GPL-2.0-or-later
"""On disk: whether what the managed repository holds of imported files is as OMERO recorded it.

Files are looked at by several threads: on a network file system each answer takes its time, and there may be a million of them.
"""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

THREADS = 8
"""How many files are looked at at the same time."""


class Condition(StrEnum):
    """How a file of the managed repository was found."""

    AS_RECORDED = "as recorded"  # a link that leads to a file of the recorded size
    MISSING = "missing"  # neither link nor file
    DANGLING = "dangling"  # a link that leads nowhere
    OTHER_SIZE = "other size"
    NO_LINK = "no link"  # a file of the recorded size, which somebody has put into the place of the link
    UNREADABLE = "unreadable"  # the file system does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file as OMERO has recorded it.

    location: where it lies in the managed repository.
    source:   the absolute path that it was imported from.
    bytes:    its size; None: OMERO has none on record.
    """

    location: Path
    source: str
    bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found of a file.

    leads_to: what the link names, None if it is none.
    bytes:    the size that was found, None if there was nothing to be measured.
    why:      what the operating system says of one that is unreadable.
    """

    file: KeptFile
    condition: Condition
    leads_to: str | None = None
    bytes: int | None = None
    why: str = ""


def look_at(files: Sequence[KeptFile]) -> list[Look]:
    """Return how files were found, in the order in which they were given."""
    if not files:
        return []
    with ThreadPoolExecutor(THREADS, thread_name_prefix="look") as threads:
        return list(threads.map(_look, files))


def _look(file: KeptFile) -> Look:
    leads_to = None
    try:
        own = os.lstat(file.location)
        if stat.S_ISLNK(own.st_mode):
            leads_to = os.readlink(file.location)  # noqa: PTH115 (there may be a million; Path would only cost time)
    except (FileNotFoundError, NotADirectoryError):
        return Look(file=file, condition=Condition.MISSING)
    except OSError as error:
        return Look(file=file, condition=Condition.UNREADABLE, why=_words(error))
    try:
        found = os.stat(file.location)  # noqa: PTH116 (as above)
    except (FileNotFoundError, NotADirectoryError):
        return Look(file=file, condition=Condition.DANGLING, leads_to=leads_to)
    except OSError as error:
        return Look(file=file, condition=Condition.UNREADABLE, leads_to=leads_to, why=_words(error))
    size = found.st_size
    if stat.S_ISDIR(found.st_mode) and leads_to is None:  # OMERO records folders, too; they have no size that means anything
        condition = Condition.AS_RECORDED
    elif file.bytes is not None and size != file.bytes:
        condition = Condition.OTHER_SIZE
    else:
        condition = Condition.AS_RECORDED if leads_to is not None else Condition.NO_LINK
    return Look(file=file, condition=condition, leads_to=leads_to, bytes=size)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
