# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths: the files and folders that somebody has named, one path or pattern a line.

OMERO.web has one line for a text, so `;` separates as well. Nothing outside the roots of the group is looked at: this process
runs under the account of OMERO.server, which sees more than people may.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import PathOutsideRoots, UsageError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_adi_plugin.pipeline.roots import Roots

MOST_MATCHES = 10_000
"""So many files one text may name; the folder that they lie in makes one entry, however many there are."""

_SEPARATORS = re.compile(r"[;\r\n]+")
_WILDCARDS = re.compile(r"[*?\[]")
_QUOTES = ('"', "'")


def split(text: str) -> list[str]:
    """Return the parts of a text that stand on lines of their own, or between semicolons, without outer blanks and quotes."""
    return [part for part in (_unquoted(part.strip()) for part in _SEPARATORS.split(text)) if part]


def named_in(text: str, *, folders: Sequence[str], roots: Roots) -> list[str]:
    """Return what a text names, in the order in which it is named; what one pattern matches as people count: 2 before 10.

    A name that exists is that file, whatever characters it has; else `*`, `?` and `[…]` stand for a part of one name, as in a
    shell: what begins with a dot is not meant.

    Parameters
    ----------
    text : str
        Paths and patterns.
    folders : sequence of str
        Where a path begins that does not begin with `/`; of several the first counts in which something is found.
    roots : Roots
        Of the group that is imported into.

    Returns
    -------
    list of str
        Absolute paths; none twice.

    Raises
    ------
    UsageError
        Something is not found, or it is too much.
    PathOutsideRoots
        Something leads out of the roots.
    StorageDown
        Something is not found because the storage that it should lie on is not there.
    """
    found: dict[str, None] = {}
    for part in split(text):
        found |= dict.fromkeys(_found(part, folders=folders, roots=roots))
        if len(found) > MOST_MATCHES:
            raise _too_many(part)
    if not found:
        raise UsageError("No file is named. Write the path of a file or folder, or a pattern like /data/day1/*.tif.")
    return list(found)


def _found(part: str, *, folders: Sequence[str], roots: Roots) -> list[str]:
    """Return what one path or pattern stands for, at least one path."""
    if "\0" in part:
        raise UsageError(f"{quoted(part)} is no path.")
    candidates = [part] if part.startswith("/") else [f"{folder.rstrip('/')}/{part}" for folder in folders]
    for candidate in candidates:
        place = roots.locate(candidate)
        if os.path.lexists(place):
            return [roots.source(place) if ".." in candidate.split("/") else os.path.normpath(candidate)]
        if _WILDCARDS.search(part) and (matches := _matches(candidate, roots=roots)):
            return sorted(matches, key=_natural)
    for candidate in candidates:
        roots.check_storage(roots.locate(_fixed(candidate)))
    raise UsageError(_nothing(part, candidates))


def _matches(pattern: str, *, roots: Roots) -> list[str]:
    """Return the paths that a pattern matches."""
    names = [name for name in pattern.split("/") if name not in {"", "."}]
    if ".." in names or "**" in names:
        raise UsageError(
            f"{quoted(pattern)} is no pattern that is understood here: `*`, `?` and `[…]` stand for a part of one name, and "
            "there are no `..` and `**`. Name a folder if all that lies in it is meant: it is imported with the folders in it."
        )
    found = [""]
    for number, name in enumerate(names, start=1):
        found = [path for folder in found for path in _below(folder, name)]
        if len(found) > MOST_MATCHES:
            raise _too_many(pattern)
        if number < len(names) and _WILDCARDS.search("/".join(names[:number])):  # before that a folder may lie above the roots
            found = [path for path in found if _leads_inside(path, roots)]
    for path in found:
        roots.locate(path)
    return found


def _leads_inside(folder: str, roots: Roots) -> bool:
    """Return whether a folder on the way of a pattern lies in the roots; links that lead out are not followed."""
    try:
        roots.locate(folder)
    except PathOutsideRoots:
        return False
    return True


def _below(folder: str, name: str) -> Iterator[str]:
    """Give what is in a folder and matches a name."""
    if not _WILDCARDS.search(name):
        if os.path.lexists(f"{folder}/{name}"):
            yield f"{folder}/{name}"
        return
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if fnmatchcase(entry.name, name) and (name.startswith(".") or not entry.name.startswith(".")):
                    yield f"{folder}/{entry.name}"
    except PermissionError as error:
        raise UsageError(
            f"The folder {quoted(folder)} cannot be listed by the account that runs OMERO. Give it the right, or name the files."
        ) from error
    except OSError:  # no folder, or it has just gone
        return


def _fixed(pattern: str) -> str:
    """Return the folders of a pattern before its first wildcard."""
    wildcard = _WILDCARDS.search(pattern)
    return pattern[: wildcard.start()].rpartition("/")[0] or "/" if wildcard else pattern


def _nothing(part: str, candidates: Sequence[str]) -> str:
    """Return what to say of a path or pattern of which there is nothing."""
    if "\\" in part:
        hint = "That is how Windows writes paths: here they are those of the server, with `/`."
    elif not part.startswith("/"):
        hint = f"It was looked for as {' and '.join(quoted(each) for each in candidates[:3])}."
    else:
        hint = "Check the path, or copy the file there."
    return f"On the server there is nothing called {quoted(part)}. {hint}"


def _too_many(part: str) -> UsageError:
    return UsageError(
        f"More than {MOST_MATCHES:,} files are named, with {quoted(part)}. "
        "Name the folder that they lie in, or order them in parts."
    )


def _natural(path: str) -> list[tuple[int, str]]:
    """Return a key by which numbers in names count as numbers."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path)]


def _unquoted(part: str) -> str:
    """Return a part without the quotes around it that some programs copy a path with."""
    return part[1:-1] if len(part) > 1 and part[0] in _QUOTES and part[0] == part[-1] else part
