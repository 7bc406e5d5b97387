# SPDX-License-Identifier: GPL-2.0-or-later
"""Truncation: whether a TIFF has all the planes that it speaks of.

OMERO imports one that ends too early without a word, with fewer planes or wrong pixels ("Imports that succeed although they
should not", facts.md 1). About 20 µs for a small file; pixels are not read.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath

from omero_adi_plugin.errors import FileBroken
from omero_adi_plugin.importers.directories import Damaged, DirectoryWalk
from omero_adi_plugin.importers.omexml import MetadataBroken, OmeXml

TIFF_MAGIC = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"})
"""First bytes of TIFF and BigTIFF (TIFF 6.0 specification, section 2)."""

_IMAGEJ_PLANES = re.compile(rb"^images=([0-9]{1,9})\r?$", re.MULTILINE)


def check_tiff(path: str, handle: int) -> int:
    """Look whether everything that a TIFF points to, or says that it holds, is in the file.

    That is: the directories of all planes and of their reduced copies, and their pixels; the planes of an ImageJ stack over
    4 GB, which has one directory, the planes one after the other behind it; the planes that its OME-XML names, unless that is
    so long that looking would take time.

    Parameters
    ----------
    path : str
        For the error, and for its name in OME-XML.
    handle : int
        Descriptor of the file, opened for reading; it begins with one of `TIFF_MAGIC`.

    Returns
    -------
    int
        How many planes it has; 0 if there is no telling.

    Raises
    ------
    FileBroken
        Something is missing; the error says what.
    OSError
        Reading failed.
    """
    try:
        walk = DirectoryWalk(handle)
        planes = walk.check()
    except Damaged as damage:
        raise FileBroken(path=path, why=str(damage)) from damage
    first = walk.first
    if first.description.startswith(b"ImageJ="):
        found = _IMAGEJ_PLANES.search(first.description)
        stack = int(found[1]) if found else 1
        if planes == 1 and stack > 1 and first.bytes and first.start + stack * first.bytes > os.fstat(handle).st_size:
            raise FileBroken(path=path, why=f"it ends before the last of its {stack} planes")
    elif b"<OME" in first.description and planes:
        _check_ome(path, first.description, planes)
    return planes


def _check_ome(path: str, description: bytes, planes: int) -> None:
    try:
        ome = OmeXml.read(description.rstrip(b"\0").decode(), name=PurePath(path).name)
    except (MetadataBroken, UnicodeDecodeError):
        return  # whether it can be read nevertheless is for the reader to say
    if ome.last_plane >= planes:
        raise FileBroken(path=path, why=f"its OME-XML speaks of {ome.last_plane + 1} planes, and there are {planes}")
