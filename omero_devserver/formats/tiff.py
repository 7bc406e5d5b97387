# SPDX-License-Identifier: GPL-2.0-or-later
"""TIFF: what images a file holds, and their planes, read by tifffile, where there is no Bio-Formats.

TIFF and OME-TIFF are the only formats. A plain TIFF's pages are time points, as Bio-Formats takes them (recorded:
a stack of eight pages became sizeT 8); pages of another shape or type begin another image.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from omero_devserver.formats import omexml
from omero_devserver.formats.values import Channel, Found, Picture, Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_MAGIC = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x2b\x00", b"MM\x00\x2b")
_TYPES = {"float32": "float", "float64": "double", "complex64": "complex", "complex128": "double-complex", "bool": "uint8"}
_SAME_NAME = {"int8", "int16", "int32", "uint8", "uint16", "uint32"}
_AXES = "TCSZYX"


class Files:
    """A TIFF and what it names; implements `values.Opened`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._described: tuple[Picture, ...] | None = None
        self._lock = threading.Lock()

    def found(self) -> Found:
        """Tell what it holds; a type of pixels that OMERO does not have is unreadable."""
        try:
            file = self._opened()
            described = self._described
            kind = "TiffDelegate" if described is None else "OMETiff"
            return Found(
                pictures=_pictures(file, described),
                plates=(),
                notes=(),
                reader=f"loci.formats.in.{kind}Reader",
                format=kind,
                graphics=False,
                main=self._path.name,
                used=(str(self._path),),
            )
        except Unreadable:
            raise
        except OSError as error:
            raise Unreadable(f"{self._path} ({error.strerror})") from error
        except Exception as error:  # a broken header makes tifffile raise anything, from KeyError to MemoryError
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    def planes(self, series: int) -> Stack:
        """Give the pixels of one image."""
        file = self._opened()
        return _stacks(file, self._lock, ome=self._described is not None)[series]

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> Any:
        if self._file is None:
            self._file = _open(self._path)
            self._described = _described(self._file)
        return self._file


class Stack:
    """The pixels of one image; `array` is T, C, samples, Z, Y, X (samples of RGB count as channels); see `values.Planes`."""

    def __init__(self, array: Any, lock: threading.Lock) -> None:
        self._array, self._lock = array, lock
        shape: Sequence[int] = array.shape
        self.size_t, self.size_z, self.size_y, self.size_x = shape[0], shape[3], shape[4], shape[5]
        self.samples = shape[2]
        self.size_c = shape[1] * shape[2]
        self.dtype = np.dtype("uint8") if array.dtype == bool else array.dtype
        self.levels: tuple[tuple[int, int], ...] = ((self.size_x, self.size_y),)

    def plane(self, z: int, c: int, t: int, level: int = 0) -> NDArray[Any]:
        """Read one plane, shape (Y, X); one whose data are cut off is black, and no error (recorded: facts 1)."""
        try:
            with self._lock:
                read = np.asarray(self._array[t, c // self.samples, c % self.samples, z])
        except Exception as error:  # noqa: BLE001  tifffile and its codecs raise whatever they stumble over
            log.warning("no data for plane z=%d c=%d t=%d: %s: %s", z, c, t, type(error).__name__, error)
            read = np.zeros((self.size_y, self.size_x), self.dtype)
        return read.astype(self.dtype, copy=False)

    def tile(self, z: int, c: int, t: int, x: int, y: int, width: int, height: int, level: int = 0) -> NDArray[Any]:
        """Read a rectangle of a plane, shape (height, width)."""
        return self.plane(z, c, t, level)[y : y + height, x : x + width]


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
    """A series of an OME-TIFF or ImageJ file as an array T, C, samples, Z, Y, X.

    One that lies in the file as it is is read plane by plane; any other is decoded when the first plane is asked for.
    """

    def __init__(self, series: Any) -> None:
        self._series = series
        self._read: Any = None
        sizes = dict(zip(series.axes, series.shape, strict=True))
        # Axes that OMERO does not have, as lifetime or angle, are folded into time.
        self._extra = [axis for axis in series.axes if axis not in _AXES]
        self._folded = [*(sizes[axis] for axis in self._extra), sizes.get("T", 1)]
        self.shape = (math.prod(self._folded), *(sizes.get(axis, 1) for axis in _AXES[1:]))
        self.dtype = series.dtype

    def __getitem__(self, at: tuple[int, int, int, int]) -> NDArray[Any]:
        if self._series.dataoffset is not None:
            return self._plane(at)
        if self._read is None:
            # "memmap" decodes into a temporary file.
            array, axes = self._series.asarray(out="memmap"), list(self._series.axes)
            for axis in _AXES:
                if axis not in axes:
                    array, axes = array[..., np.newaxis], [*axes, axis]
            ordered = array.transpose([axes.index(axis) for axis in [*self._extra, *_AXES]])
            self._read = ordered.reshape(self.shape)
        plane: NDArray[Any] = self._read[at]
        return plane

    def _plane(self, at: tuple[int, int, int, int]) -> NDArray[Any]:
        """Read a plane from where it lies; not mapped, since a file that becomes shorter would end the process then."""
        axes, shape = self._series.axes, self._series.shape
        file = self._series.keyframe.parent  # one of several, maybe, which tifffile has closed again
        dtype = np.dtype(file.byteorder + self.dtype.char)
        steps = {axis: math.prod(shape[place + 1 :]) * dtype.itemsize for place, axis in enumerate(axes)}
        numbers: list[Any] = [*np.unravel_index(at[0], self._folded), *at[1:]]
        start = sum(int(number) * steps.get(axis, 0) for axis, number in zip([*self._extra, *"TCSZ"], numbers, strict=True))
        height, width = self.shape[-2:]
        length = (height - 1) * steps["Y"] + (width - 1) * steps["X"] + dtype.itemsize
        file.filehandle.open()
        file.filehandle.seek(self._series.dataoffset + start)
        content = file.filehandle.read(length)
        if len(content) < length:
            raise EOFError(f"{len(content)} bytes of {length}")
        return np.ndarray((height, width), dtype, content, strides=(steps["Y"], steps["X"]))


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in _MAGIC:
        looks_like_tiff = path.suffix.lower() in (".tif", ".tiff")
        raise Unreadable(f"{'Invalid TIFF file' if looks_like_tiff else 'Unknown file format'}: {path}")
    try:
        opened = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, ValueError, OSError) as error:
        raise Unreadable("No IFDs found") from error
    if not len(opened.pages):
        opened.close()
        raise Unreadable("No IFDs found")
    return opened


def _described(file: Any) -> tuple[Picture, ...] | None:
    """Read what an OME-TIFF says of its images; one whose text makes no sense is a plain TIFF, as it is for Bio-Formats."""
    try:
        return omexml.document(file.ome_metadata).pictures if file.is_ome else None
    except Unreadable as error:
        log.warning("%s is read as a plain TIFF: %s", file.filename, error)
        return None


def _pictures(file: Any, described: tuple[Picture, ...] | None) -> tuple[Picture, ...]:
    stacks = _stacks(file, threading.Lock(), ome=described is not None)
    texts: Sequence[Picture | None] = described or ()
    if len(texts) != len(stacks):
        texts = [None] * len(stacks)
    return tuple(_picture(stack, text) for stack, text in zip(stacks, texts, strict=True))


def _stacks(file: Any, lock: threading.Lock, *, ome: bool) -> list[Stack]:
    if ome or (file.is_imagej and not file.is_ome):
        return [Stack(_Series(series), lock) for series in file.series]
    groups = itertools.groupby(file.pages, key=lambda page: (page.shape, page.dtype, page.axes))
    return [Stack(_Pages(list(pages)), lock) for _, pages in groups]


def _picture(stack: Stack, text: Picture | None) -> Picture:
    name = stack.dtype.name
    if name not in _SAME_NAME and name not in _TYPES:
        raise Unreadable(f"Unsupported pixel type: {name}")
    told = text is not None and len(text.channels) == stack.size_c
    return Picture(
        name=text.name if text is not None else None,
        size_x=stack.size_x,
        size_y=stack.size_y,
        size_z=stack.size_z,
        size_c=stack.size_c,
        size_t=stack.size_t,
        pixels_type=_TYPES.get(name, name),
        significant_bits=stack.dtype.itemsize * 8,
        order=text.order if text is not None else "XYCZT",
        channels=text.channels if text is not None and told else (Channel(),) * stack.size_c,
        sizes=text.sizes if text is not None else {},
    )
