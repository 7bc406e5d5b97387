# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking: what lies in the folders that a converter wrote to, looked at without following a link."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.contents import folder_of
from omero_adi_plugin.containers.folders import DEEPEST, OURS, is_too_deep, opened_in, walk_in
from omero_adi_plugin.errors import quoted

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_PATH = 4095
"""Bytes of a path that can be opened (Linux, limits.h: PATH_MAX, with a NUL at the end)."""

LONGEST_SHOWN = 150
"""So many characters of a path a clause of a sentence has room for."""

TOO_DEEP = "its folders lie too deep in one another"


class Lie(Exception):
    """What was said is not so; the text is a clause."""


def look(folder: Path, top: int, name: str) -> None:
    """Return if an output is a file or a folder, and no link leads to it or is in it; raises Lie.

    Parameters
    ----------
    folder, top
        What it lies in, and the same when it is open.
    name : str
        Its name there.
    """
    status = status_of(top, name)
    mode = 0 if status is None else status.st_mode
    if stat.S_ISLNK(mode):
        raise Lie(f"{shown(name)} is a link")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Lie(f"{shown(name)} is neither a file nor a folder")
    around = name if stat.S_ISDIR(mode) else name.rpartition("/")[0]
    if is_too_deep(around) or len(os.fsencode(folder / name)) > LONGEST_PATH:
        raise Lie(f"{shown(name)} lies too deep")
    if stat.S_ISDIR(mode):
        with folder_of(top, name) as (within, last), opened_in(within, last) as handle:
            for each, entry in walk_in(handle, f"{name}/"):
                _look_within(name, each, entry)
                if len(os.fsencode(folder / each)) > LONGEST_PATH:
                    raise Lie(f"what is in {shown(name)} lies too deep")


def _look_within(name: str, each: str, entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        if is_too_deep(each):
            raise Lie(f"{shown(name)} has more than {DEEPEST} folders in one another")
    elif not entry.is_file(follow_symlinks=False):
        raise Lie(f"{shown(each)} is {'a link' if entry.is_symlink() else 'no file'}")


def status_of(top: int, name: str) -> os.stat_result | None:
    """Return what is known of what has a name below an open folder, None if nothing has; raises Lie if it is behind a link."""
    try:
        with folder_of(top, name) as (folder, last):
            return os.stat(last, dir_fd=folder, follow_symlinks=False)
    except NotADirectoryError:
        for around in prefixes(name)[:-1]:
            status = status_of(top, around)
            if status is not None and stat.S_ISLNK(status.st_mode):
                raise Lie(f"the folder of {shown(name)} is a link") from None
        return None
    except (FileNotFoundError, ValueError):  # ValueError: a NUL, or half of a character
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise


def check_twins(first: tuple[int, str], second: tuple[int, str], *, name: str) -> None:
    """Return if two outputs that are said to be one have files of the same names and sizes; raises Lie.

    Parameters
    ----------
    first, second
        An open folder each, and a name below it.
    name : str
        For the sentence.
    """
    one, other = _sizes(*first), _sizes(*second)
    if one != other:
        sizes = f" ({sum(one.values())} and {sum(other.values())} bytes)"
        raise Lie(f"{shown(name)} and its twin in the other folder are not alike{sizes}")


def _sizes(top: int, name: str) -> dict[str, int]:
    """Return the size of a file, or of each file below a folder by name; -1 for a folder in it."""
    with folder_of(top, name) as (folder, last):
        status = os.stat(last, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return {"": status.st_size}
        with opened_in(folder, last) as handle:
            return {
                each: -1 if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_size
                for each, entry in walk_in(handle)
            }


def prefixes(name: str) -> list[str]:
    """Return a name and those of the folders that it lies in, from above."""
    parts = name.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]


def is_ours(name: str) -> bool:
    """Say whether a name, or that of a folder that it lies in, is kept for what we make ourselves."""
    return any(part.startswith(OURS) for part in name.split("/"))


def shown(path: str) -> str:
    """Return a path for a clause: quoted, and short enough."""
    return quoted(path, length=LONGEST_SHOWN)
