# SPDX-License-Identifier: GPL-2.0-or-later
"""TIFF: what images a file holds, and their planes, read by tifffile.

TIFF and OME-TIFF are the only formats so far. A plain TIFF's pages are time points, as Bio-Formats takes them (recorded:
a stack of eight pages became sizeT 8); pages of another shape or type begin another image.
"""

from __future__ import annotations

import itertools
import logging
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_MAGIC = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x2b\x00", b"MM\x00\x2b")
_TYPES = {"float32": "float", "float64": "double", "complex64": "complex", "complex128": "double-complex", "bool": "uint8"}
_SAME_NAME = {"int8", "int16", "int32", "uint8", "uint16", "uint32"}
_AXES = "TCSZYX"


class Unreadable(Exception):
    """The file holds no image that can be read; the text is Bio-Formats' own where it was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """A physical size: `unit` is a symbol as in OME-XML, as "µm"."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of a file.

    name:        as the file has it, or None.
    pixels_type: OMERO's name of the pixel type.
    format:      OMERO's name of the file format.
    channels:    a name or None for each.
    sizes:       physical size of a voxel by axis, X, Y and Z; an axis that the file does not tell is left out.
    """

    name: str | None
    size_x: int
    size_y: int
    size_z: int
    size_c: int
    size_t: int
    pixels_type: str
    significant_bits: int
    format: str
    channels: tuple[str | None, ...]
    sizes: dict[str, Length]


class Stack:
    """The planes of one image, while its file is open; `array` is T, C, samples, Z, Y, X (samples of RGB count as channels)."""

    def __init__(self, array: Any) -> None:
        self._array = array
        shape: Sequence[int] = array.shape
        self.size_t, self.size_z, self.size_y, self.size_x = shape[0], shape[3], shape[4], shape[5]
        self.samples = shape[2]
        self.size_c = shape[1] * shape[2]
        self.dtype = np.dtype("uint8") if array.dtype == bool else array.dtype

    def plane(self, z: int, c: int, t: int) -> NDArray[Any]:
        """Read one plane, shape (Y, X); one whose data are cut off is black, and no error (recorded: facts 1)."""
        try:
            read = np.asarray(self._array[t, c // self.samples, c % self.samples, z])
        except Exception as error:  # noqa: BLE001  tifffile and its codecs raise whatever they stumble over
            log.warning("no data for plane z=%d c=%d t=%d: %s: %s", z, c, t, type(error).__name__, error)
            read = np.zeros((self.size_y, self.size_x), self.dtype)
        return read.astype(self.dtype, copy=False)

    def extremes(self, c: int) -> tuple[float, float]:
        """Find the least and the greatest value of a channel."""
        planes = [self.plane(z, c, t) for z, t in itertools.product(range(self.size_z), range(self.size_t))]
        return min(float(plane.min()) for plane in planes), max(float(plane.max()) for plane in planes)


def pictures(path: Path) -> list[Picture]:
    """Read the headers of a file.

    Raises
    ------
    Unreadable
        It is no TIFF, has no pages, is broken, or has pixels of a type that OMERO does not have.
    """
    try:
        with _opened(path) as file:
            return _pictures(file)
    except Unreadable:
        raise
    except Exception as error:  # a broken header makes tifffile raise anything, from KeyError to MemoryError
        raise Unreadable(f"{type(error).__name__}: {error}") from error


@contextmanager
def stack(path: Path, series: int) -> Iterator[Stack]:
    """Open the planes of one image of a file for a block; raises as `pictures`, and IndexError for a series not there."""
    with _opened(path) as file:
        yield _stacks(file)[series]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    name: str | None
    channels: tuple[str | None, ...]
    sizes: dict[str, Length]


class _Pages:
    """Pages of a plain TIFF as an array T, 1, samples, 1, Y, X; a page is read when it is asked for."""

    def __init__(self, pages: list[Any]) -> None:
        self._pages = pages
        first = pages[0]
        self._samples_last = first.axes.endswith("S")
        samples = first.shape[first.axes.index("S")] if "S" in first.axes else 1
        y, x = first.shape[first.axes.index("Y")], first.shape[first.axes.index("X")]
        self.shape = (len(pages), 1, samples, 1, y, x)
        self.dtype = first.dtype

    def __getitem__(self, at: tuple[int, int, int, int]) -> NDArray[Any]:
        page = self._pages[at[0]]
        read: NDArray[Any] = page.asarray()
        if "S" not in page.axes:
            return read
        return read[..., at[2]] if self._samples_last else read[at[2]]


class _Series:
    """A series of an OME-TIFF or ImageJ file as an array T, C, samples, Z, Y, X; decoded when the first plane is asked for."""

    def __init__(self, series: Any) -> None:
        self._series = series
        self._read: Any = None
        sizes = dict(zip(series.axes, series.shape, strict=True))
        # Axes that OMERO does not have, as lifetime or angle, are folded into time.
        self._extra = [axis for axis in series.axes if axis not in _AXES]
        folded = math.prod(sizes[axis] for axis in self._extra)
        self.shape = (folded * sizes.get("T", 1), *(sizes.get(axis, 1) for axis in _AXES[1:]))
        self.dtype = series.dtype

    def __getitem__(self, at: tuple[int, int, int, int]) -> NDArray[Any]:
        if self._read is None:
            # "memmap" maps the file itself where that is possible, else decodes into a temporary file.
            array, axes = self._series.asarray(out="memmap"), list(self._series.axes)
            for axis in _AXES:
                if axis not in axes:
                    array, axes = array[..., np.newaxis], [*axes, axis]
            ordered = array.transpose([axes.index(axis) for axis in [*self._extra, *_AXES]])
            self._read = ordered.reshape(self.shape)
        plane: NDArray[Any] = self._read[at]
        return plane


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in _MAGIC:
        looks_like_tiff = path.suffix.lower() in (".tif", ".tiff")
        raise Unreadable(f"{'Invalid TIFF file' if looks_like_tiff else 'Unknown file format'}: {path}")
    try:
        opened = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, ValueError, OSError) as error:
        raise Unreadable("No IFDs found") from error
    with opened:
        if not len(opened.pages):
            raise Unreadable("No IFDs found")
        yield opened


def _pictures(file: Any) -> list[Picture]:
    stacks = _stacks(file)
    described: Sequence[_Description] = _describe(file.ome_metadata) if file.is_ome else ()
    if len(described) != len(stacks):
        described = [_Description(name=None, channels=(), sizes={})] * len(stacks)
    kind = "OMETiff" if file.is_ome else "TIFF"
    return [_picture(stack, text, kind) for stack, text in zip(stacks, described, strict=True)]


def _stacks(file: Any) -> list[Stack]:
    if file.is_ome or file.is_imagej:
        return [Stack(_Series(series)) for series in file.series]
    groups = itertools.groupby(file.pages, key=lambda page: (page.shape, page.dtype, page.axes))
    return [Stack(_Pages(list(pages))) for _, pages in groups]


def _picture(stack: Stack, text: _Description, kind: str) -> Picture:
    name = stack.dtype.name
    if name not in _SAME_NAME and name not in _TYPES:
        raise Unreadable(f"Unsupported pixel type: {name}")
    channels = text.channels if len(text.channels) == stack.size_c else (None,) * stack.size_c
    return Picture(
        name=text.name,
        size_x=stack.size_x,
        size_y=stack.size_y,
        size_z=stack.size_z,
        size_c=stack.size_c,
        size_t=stack.size_t,
        pixels_type=_TYPES.get(name, name),
        significant_bits=stack.dtype.itemsize * 8,
        format=kind,
        channels=channels,
        sizes=text.sizes,
    )


def _describe(xml: str) -> list[_Description]:
    # Expat of every supported Python refuses documents that grow without bound.
    root = ET.fromstring(xml)  # noqa: S314
    described = []
    for image in root.iterfind("{*}Image"):
        for pixels in image.iterfind("{*}Pixels"):
            sizes = {
                axis: Length(value=float(value), unit=pixels.get(f"PhysicalSize{axis}Unit", "µm"))
                for axis in "XYZ"
                if (value := pixels.get(f"PhysicalSize{axis}")) is not None
            }
            channels = tuple(channel.get("Name") for channel in pixels.iterfind("{*}Channel"))
            described.append(_Description(name=image.get("Name"), channels=channels, sizes=sizes))
    return described
