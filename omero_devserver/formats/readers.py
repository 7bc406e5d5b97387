# SPDX-License-Identifier: GPL-2.0-or-later
"""Readers: who reads the files of a fileset: Bio-Formats, or tifffile where there is no Java."""

from __future__ import annotations

import functools
import hashlib
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from omero_devserver.formats import bioformats, java, tiff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from omero_devserver.formats.values import Opened, Planes

log = logging.getLogger(__name__)

#: They leave out what is no number; typed so because the types of numpy 2.5 do not know how they reduce.
_LEAST: Any = np.fmin
_GREATEST: Any = np.fmax
#: Of a larger plane a real server takes no statistics (omero.pixeldata.max_plane_width and …_height).
MAXIMUM_PLANE = 3192 * 3192


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the values of a picture's pixels are.

    extremes: the least and the greatest value of each channel; values that are not numbers do not count.
    sha1:     of all planes, big-endian, by time, channel and z.
    """

    extremes: tuple[tuple[float, float], ...]
    sha1: str


def describe() -> str:
    """Say in one sentence which files can be read, without starting anything."""
    try:
        java.check()
    except java.NoJava as error:
        return f"image files: TIFF and OME-TIFF only, read by tifffile ({error})"
    return f"image files: all that Bio-Formats reads ({java.jar()})"


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Have the files of a fileset for a block, found by the first of them; nothing is read before it is asked for."""
    files: Opened = bioformats.Files(path) if _java_works() else tiff.Files(path)
    try:
        yield files
    finally:
        files.close()


def statistics(pixels: Planes) -> Statistics | None:
    """Read all of a picture once; None if its planes are too large for that."""
    if pixels.size_x * pixels.size_y > MAXIMUM_PLANE:
        return None
    least, greatest = [float("inf")] * pixels.size_c, [float("-inf")] * pixels.size_c
    digest = hashlib.sha1(usedforsecurity=False)
    for t in range(pixels.size_t):
        for c in range(pixels.size_c):
            for z in range(pixels.size_z):
                plane = pixels.plane(z, c, t)
                values = np.real(plane)
                least[c] = min(least[c], float(_LEAST.reduce(values, axis=None)))
                greatest[c] = max(greatest[c], float(_GREATEST.reduce(values, axis=None)))
                digest.update(plane.astype(plane.dtype.newbyteorder(">"), copy=False).tobytes())
    extremes = tuple((low, high) if low <= high else (0.0, 0.0) for low, high in zip(least, greatest, strict=True))
    return Statistics(extremes=extremes, sha1=digest.hexdigest())


@functools.cache
def _java_works() -> bool:
    try:
        java.loci()
    except java.NoJava as error:
        log.warning("only TIFF and OME-TIFF can be read: %s", error)
        return False
    return True
