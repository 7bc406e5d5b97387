# SPDX-License-Identifier: GPL-2.0-or-later
"""Names: what files are called in the managed repository, and how paths in it are read.

All rules as a real server showed them (recorded: facts 1, "Names on disk" and "Rows"); those that no recording reaches are
OMERO's `FilePathRestrictionInstance` and `ManagedRepositoryI.trimPaths`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Parts = tuple[str, ...]

_CHARACTERS = str.maketrans({":": ";", "?": "%", "*": "x", '"': "'", "<": "[", ">": "]", "|": "!", "\\": "!", "/": "!"})
_DEVICE = r"(aux|clock\$|con|nul|prn|com[1-9]|lpt[1-9])"
_DEVICE_NAME = re.compile(_DEVICE, re.IGNORECASE)
_BAD_START = re.compile(_DEVICE + r"\.|\$", re.IGNORECASE)
#: Without a reader that says how many it needs, so many folders above a file keep their names.
_FOLDERS_KEPT = 3


class PathRefused(ValueError):
    """A path that the repository does not take; the text is a real server's."""


class FoldersApart(ValueError):
    """Files of one fileset that have fewer folders in common than would be left out."""


def safe(name: str) -> str:
    """Rewrite one path component so that any operating system can have it."""
    if _DEVICE_NAME.fullmatch(name):
        name += "_"
    if _BAD_START.match(name):
        name = "_" + name
    rewritten = name.translate(_CHARACTERS)
    return "".join("_" if unicodedata.category(one) == "Cc" else one for one in rewritten)


def parts_of(path: str) -> Parts:
    """Split a path at its slashes; double ones, and those at its ends, count for nothing."""
    return tuple(part for part in path.split("/") if part)


def resolved(path: str) -> Parts:
    """Work out what a repository path means: `.` and `..` as usual; the root is ().

    Raises
    ------
    PathRefused
        It leads out of the repository, or holds a name that the repository would have rewritten.
    """
    done: list[str] = []
    for part in parts_of(path):
        if part == "..":
            if not done:
                raise PathRefused("Path may not make references above root")
            done.pop()
        elif part != ".":
            done.append(part)
    if any(safe(part) != part for part in done):
        raise PathRefused("Path contains illegal components")
    return tuple(done)


def below_template(client_paths: Sequence[str], *, required: int | None) -> list[Parts]:
    """Work out where the files of a fileset lie below their template folder.

    Parameters
    ----------
    client_paths : sequence of str
        As the client sent them, with slashes.
    required : int or None
        How many of the folders that all files have in common their reader needs; None if the reader is not known.

    Returns
    -------
    list of tuple of str
        Folders and name of each, in the same order; () for an empty path. `..` may be among them.

    Raises
    ------
    FoldersApart
        The reader is not known, and the files have too little in common.
    """
    split = [parts_of(path) for path in client_paths]
    common = len(common_start([parts[:-1] for parts in split]))
    left_out = min(map(len, split)) - _FOLDERS_KEPT - 1 if required is None else common - required
    if left_out > common:
        raise FoldersApart(f"{common} folders in common, {left_out} to be left out")
    return [tuple(safe(part) for part in parts[max(left_out, 0) :]) for parts in split]


def common_start(paths: Sequence[Parts]) -> Parts:
    """Give the folders with which all of some paths begin."""
    length = 0
    while all(len(path) > length and path[length] == paths[0][length] for path in paths):
        length += 1
    return paths[0][:length]
