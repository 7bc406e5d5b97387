# SPDX-License-Identifier: GPL-2.0-or-later
"""Names: what files are called in the managed repository.

All rules as a real server showed them (recorded: facts 1, "Names on disk" and "Rows").
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_CHARACTERS = str.maketrans({":": ";", "?": "%", "*": "x", '"': "'", "<": "[", ">": "]", "|": "!", "\\": "!"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)
_READER = re.compile(r"loci\.formats\.in\.\w+Reader$")


def safe(name: str) -> str:
    """Rewrite one path component so that any operating system can have it."""
    changed = _CONTROL.sub("_", name.translate(_CHARACTERS))
    return "_" + changed if _DEVICES.match(changed) else changed


def template_folder(*, user: str, user_id: int, time: datetime) -> str:
    """Expand ``%user%_%userId%//%year%-%month%/%day%/%time%``; returns the path below the root, with a slash at its end."""
    milliseconds = f"{time.microsecond // 1000:03d}"
    return f"{safe(user)}_{user_id}/{time:%Y-%m}/{time:%d}/{time:%H-%M-%S}.{milliseconds}/"


def names_reader(version_info: dict[str, str]) -> bool:
    """Tell whether the client named the Bio-Formats reader; then the folders that all files share are left out."""
    return bool(_READER.match(version_info.get("bioformats.reader", "")))


def used_paths(client_paths: Sequence[str], *, reader_named: bool) -> list[str]:
    """Work out where the files of a fileset lie below their template folder.

    Parameters
    ----------
    client_paths : sequence of str
        As the client sent them, with slashes.
    reader_named : bool
        Leave out the folder that all have in common; else their whole path is kept.

    Returns
    -------
    list of str
        One relative path each, in the same order; "" for an empty one.
    """
    split = [_parts(path) for path in client_paths]
    common = 0
    if reader_named:
        folders = [parts[:-1] for parts in split]
        while all(len(folder) > common and folder[common] == folders[0][common] for folder in folders):
            common += 1
    return ["/".join(safe(part) for part in parts[common:]) for parts in split]


def _parts(path: str) -> list[str]:
    return [part for part in posixpath.normpath(path).split("/") if part not in ("", ".", "..")]
