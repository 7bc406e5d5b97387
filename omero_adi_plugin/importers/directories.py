# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories: the image file directories of a TIFF, walked only to see whether everything they point to is in the file.

OMERO imports a TIFF that ends too early without a word, with fewer planes or with wrong pixels (real server, recorded), so a
file that was not copied completely must be found before. The layout is that of the TIFF 6.0 specification, section 2, and of
BigTIFF. About 10 µs a plane; pixels are not read.

What makers of microscopes bend in the format must not make their files broken: classic TIFF beyond 4 GiB (NDPI, LSM and
ImageJ write it, with offsets that begin at 0 again) is looked at in its first directory only.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _DESCRIPTION = 256, 257, 258, 259, 270
_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS, _SUB_DIRECTORIES = 273, 279, 324, 325, 330
_JPEG_OFFSET, _JPEG_LENGTH = 513, 514
_PLACES = frozenset({_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS, _SUB_DIRECTORIES, _JPEG_OFFSET, _JPEG_LENGTH})
_SHAPE = frozenset({_WIDTH, _LENGTH, _BITS, _COMPRESSION})
_LSM = 34412
"""Tag of Zeiss's LSM files, whose compressed strips have a wrong length in the directory."""

_UNCOMPRESSED = 1

LONGEST_DESCRIPTION = 2**16
"""A longer description is not looked at: each file of a large OME-TIFF set carries that of all of them."""

CLASSIC_END = 2**32
"""Offsets of a classic TIFF have 32 bits; a larger file of that kind has some that cannot be taken as they are."""

LARGEST_ENTRIES = 4096
"""More tags than this in one directory are not a directory: real ones have some dozens."""

LARGEST_COUNT = 2**26
"""More places than this in one tag are nonsense: it would be tiles for an image of 2 million pixels square."""


MOST_DIRECTORIES = 2**20
"""A file with more is not looked at to its end: somebody may have written 200 million into it, which take hours, and GBs."""

MOST_BYTES = 2**28
"""So much of directories and their tables is read of one file, for the same reason: a real slide of a terabyte has as much."""


class Damaged(Exception):
    """Something in the file points to where the file has nothing; the text says what."""


class _Endless(Exception):
    """There is more of it than is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPlane:
    """What the first directory says.

    description: its ImageDescription, empty if there is none, or one of more than `LONGEST_DESCRIPTION` bytes.
    start:       where the pixels begin.
    bytes:       of the pixels of one plane, 0 if they are compressed or it cannot be told.
    """

    description: bytes
    start: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How numbers are written in this file: byte order, and the widths of classic TIFF or of BigTIFF."""

    order: str
    count: str
    entry: str
    offset: str
    inline: int

    @classmethod
    def of(cls, head: bytes) -> tuple[_Layout, int]:
        """Return the layout, and where the first directory is."""
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:  # noqa: PLR2004 (bytes of a classic header)
            raise Damaged("it has no TIFF header")
        (version,) = struct.unpack_from(order + "H", head, 2)
        if version == 42:  # noqa: PLR2004 (TIFF 6.0, section 2)
            return cls(order=order, count="H", entry="HHI4s", offset="I", inline=4), struct.unpack_from(order + "I", head, 4)[0]
        if version == 43 and len(head) == 16:  # noqa: PLR2004 (BigTIFF, whose header has 16 bytes)
            return cls(order=order, count="Q", entry="HHQ8s", offset="Q", inline=8), struct.unpack_from(order + "Q", head, 8)[0]
        raise Damaged("it has no TIFF header")


class DirectoryWalk:
    """One walk through all directories of a file.

    Parameters
    ----------
    handle : int
        Descriptor of the file, opened for reading.

    Raises
    ------
    Damaged
        It does not begin like a TIFF.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._size = os.fstat(handle).st_size
        self._layout, self._first = _Layout.of(os.pread(handle, 16, 0))
        self._planes_seen: set[int] = set()
        self._copies_seen: set[int] = set()
        self._bytes_read = 0
        self.first = FirstPlane(description=b"", start=0, bytes=0)

    def check(self) -> int:
        """Return how many planes the file has: directories of the main chain.

        0 if there is no telling: it is classic and over 4 GiB, or has more directories and tables than are looked at.
        Afterwards `first` says more of the first of them.

        Raises
        ------
        Damaged
            There is none, or one of them, or the pixels of one, or of a smaller copy of one, lie outside the file.
        """
        try:
            return self._wrapped() if self._layout.offset == "I" and self._size > CLASSIC_END else self._all()
        except _Endless:
            return 0

    def _all(self) -> int:
        planes = 0
        for below in self._chain(self._first, plane=True):
            planes += 1
            for start in below:
                for _ in self._chain(start, plane=False):
                    pass  # copies in copies have not been seen
        if not planes:
            raise Damaged("there is no image in it")
        return planes

    def _wrapped(self) -> int:
        what = "plane 1"
        tags, behind = self._tags(self._first, what, first=True)
        self._describe(tags)
        return 0 if behind else 1

    def _chain(self, start: int, *, plane: bool) -> Iterator[list[int]]:
        """Check directories one after the other; yield of each where its smaller copies begin.

        Copies are listed, and some writers, tifffile among them, also chain them: one that has been checked ends the chain.
        """
        position, number = start, 0
        seen = self._planes_seen if plane else self._copies_seen
        while position:
            number += 1
            what = f"plane {number}" if plane else "a reduced copy of a plane"
            if position in seen and not plane:
                return
            if position in seen:
                raise Damaged(f"the directory of {what} has been there before")
            seen.add(position)
            if len(self._planes_seen) + len(self._copies_seen) > MOST_DIRECTORIES:
                raise _Endless
            first = plane and number == 1
            tags, position = self._tags(position, what, first=first)
            if not self._pixels(tags, what) and plane:  # what hangs below a plane may be more metadata
                raise Damaged(f"the directory of {what} names no pixels")
            if first:
                self._describe(tags)
            copies = tags.get(_SUB_DIRECTORIES, _NOTHING)
            if len(copies) > LARGEST_ENTRIES:
                raise _Endless
            yield [int(place) for place in copies]

    def _tags(self, position: int, what: str, *, first: bool) -> tuple[dict[int, np.ndarray], int]:
        """Return the tags of a directory that say where things are, and the place of the next directory, 0 if it is the last."""
        layout = self._layout
        width, step = struct.calcsize(layout.order + layout.count), struct.calcsize(layout.order + layout.entry)
        (entries,) = struct.unpack(layout.order + layout.count, self._read(position, width, what))
        if not 0 < entries <= LARGEST_ENTRIES:
            raise Damaged(f"the directory of {what} makes no sense")
        tail = struct.calcsize(layout.order + layout.offset)
        raw = self._read(position + width, entries * step + tail, what)
        tags: dict[int, np.ndarray] = {}
        for tag, kind, count, value in struct.iter_unpack(layout.order + layout.entry, raw[:-tail]):
            if count > LARGEST_COUNT and tag in _PLACES:  # the description of a large set may be longer
                raise Damaged(f"the directory of {what} makes no sense")
            size = _TYPE_BYTES.get(kind, 0) * count
            if size > layout.inline:
                (place,) = struct.unpack(layout.order + layout.offset, value)
                if place + size > self._size:
                    raise Damaged(f"it ends before the description of {what}")
            if kind in _INTEGERS and (tag in _PLACES or tag == _COMPRESSION or (first and tag in _SHAPE)):
                data = value[:size] if size <= layout.inline else self._read(place, size, what)
                tags[tag] = np.frombuffer(data, dtype=layout.order + _INTEGERS[kind])
            elif tag == _LSM:
                tags[tag] = _NOTHING
            elif first and tag == _DESCRIPTION and size <= LONGEST_DESCRIPTION:
                data = value[:size] if size <= layout.inline else self._read(place, size, what)
                tags[tag] = np.frombuffer(data, dtype="u1")
        return tags, struct.unpack(layout.order + layout.offset, raw[-tail:])[0]

    def _pixels(self, tags: dict[int, np.ndarray], what: str) -> bool:
        """Check that the pixels of a directory are in the file; return whether it has any."""
        found = False
        wrong_lengths = _LSM in tags and _number(tags, _COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED
        for offsets, counts in ((_STRIP_OFFSETS, _STRIP_COUNTS), (_TILE_OFFSETS, _TILE_COUNTS), (_JPEG_OFFSET, _JPEG_LENGTH)):
            if offsets not in tags or not len(tags[offsets]):
                continue
            found = True
            starts = tags[offsets].astype("u8", copy=False)
            lengths = tags.get(counts, np.zeros_like(starts)).astype("u8", copy=False)  # old writers leave the counts out
            if len(starts) != len(lengths):
                raise Damaged(f"the directory of {what} makes no sense")
            if wrong_lengths:
                lengths = np.zeros_like(starts)
            # each by itself first: the sum of two wild 64-bit numbers does not fit into one
            if max(starts.max(), lengths.max()) > self._size or (starts + lengths).max() > self._size:
                raise Damaged(f"it ends before the pixels of {what}")
        return found

    def _describe(self, tags: dict[int, np.ndarray]) -> None:
        plane = 0
        if _number(tags, _COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
            bits = sum(int(each) for each in tags.get(_BITS, _NOTHING))  # of each sample of a pixel
            plane = _number(tags, _WIDTH, 0) * _number(tags, _LENGTH, 0) * bits // 8
        self.first = FirstPlane(
            description=tags.get(_DESCRIPTION, _NOTHING).tobytes(), start=_number(tags, _STRIP_OFFSETS, 0), bytes=plane
        )

    def _read(self, position: int, length: int, what: str) -> bytes:
        if position + length > self._size:
            raise Damaged(f"it ends before the directory of {what}")
        self._bytes_read += length
        if self._bytes_read > MOST_BYTES:
            raise _Endless
        data = os.pread(self._handle, length, position)
        if len(data) != length:
            raise Damaged(f"it ends before the directory of {what}")
        return data


_NOTHING = np.empty(0, "u1")


def _number(tags: dict[int, np.ndarray], tag: int, default: int) -> int:
    """Return the first value of a tag."""
    values = tags.get(tag, _NOTHING)
    return int(values[0]) if len(values) else default
