# SPDX-License-Identifier: GPL-2.0-or-later
"""RawPixelsStore: planes of an image as bytes, always big-endian, and in parts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import omero

from omero_devserver.rendering.ranges import SIGNED
from omero_devserver.services.pixel_sets import LARGEST_SIDE, PixelSet, described, extremes
from omero_devserver.services.resolutions import Resolutions
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from omero_devserver.wire.servant import Call

DEFAULT_BINS, MOST_BINS = 256, 65_536


class RawPixels(Resolutions):
    """Operations of ``omero.api.RawPixelsStore``."""

    def __init__(self) -> None:
        super().__init__()
        self._set: PixelSet | None = None
        self._changed = False

    # Which

    def setPixelsId(self, call: Call, pixels_id: int, bypass: bool) -> None:
        """Choose the pixel set."""
        self.release()
        opened = PixelSet(call.server, described(call.server.store, call.user, pixels_id))
        opened.open()
        self._set = opened

    def getPixelsId(self, call: Call) -> int:
        """Give the id of the pixel set."""
        return int(self._open().pixels.id.val)

    def getPixelsPath(self, call: Call) -> str:
        """Give the path of the planes' file on the server."""
        return str(self._open().path)

    def prepare(self, call: Call, pixels_ids: Sequence[int]) -> None:
        """Do nothing: nothing is faster for being announced."""

    # Reading

    def getPlane(self, call: Call, z: int, c: int, t: int) -> bytes:
        """Read a plane, row by row."""
        return _bytes(self._open().plane(z, c, t, self.level))

    def getPlaneRegion(self, call: Call, z: int, c: int, t: int, count: int, offset: int) -> bytes:
        """Read `count` pixels of a plane from pixel `offset` on."""
        plane = self._open().plane(z, c, t, self.level).ravel()
        if min(count, offset) < 0 or offset + count > plane.size:
            raise fault(omero.ApiUsageException, f"A plane of {plane.size} pixels has no {count} from {offset} on.")
        return _bytes(plane[offset : offset + count])

    def getTile(self, call: Call, z: int, c: int, t: int, x: int, y: int, width: int, height: int) -> bytes:
        """Read a rectangle of a plane."""
        planes = self._open()
        planes.check(z, c, t)
        full_width, full_height = planes.levels[self.level]
        if min(x, y) < 0 or min(width, height) < 1 or x + width > full_width or y + height > full_height:
            text = f"loci.formats.FormatException: Invalid tile size: x={x}, y={y}, w={width}, h={height}"
            raise fault(omero.InternalException, f"Wrapped Exception: (java.lang.RuntimeException):\n{text}")
        return _bytes(planes.tile(z, c, t, x, y, width, height, self.level))

    def getRow(self, call: Call, y: int, z: int, c: int, t: int) -> bytes:
        """Read a row of a plane."""
        planes = self._open()
        width, height = planes.levels[self.level]
        _inside("Y", y, height)
        return _bytes(planes.tile(z, c, t, 0, y, width, 1, self.level))

    def getCol(self, call: Call, x: int, z: int, c: int, t: int) -> bytes:
        """Read a column of a plane."""
        planes = self._open()
        width, height = planes.levels[self.level]
        _inside("X", x, width)
        return _bytes(planes.tile(z, c, t, x, 0, 1, height, self.level))

    def getStack(self, call: Call, c: int, t: int) -> bytes:
        """Read all z of a channel at one time."""
        planes = self._open()
        return b"".join(_bytes(planes.plane(z, c, t, self.level)) for z in range(planes.size_z))

    def getTimepoint(self, call: Call, t: int) -> bytes:
        """Read all planes of one time, channel by channel."""
        planes = self._open()
        return b"".join(_bytes(planes.plane(z, c, t, self.level)) for c in range(planes.size_c) for z in range(planes.size_z))

    def getHypercube(self, call: Call, offset: Sequence[int], size: Sequence[int], step: Sequence[int]) -> bytes:
        """Read a part in five dimensions; the three arguments are in the order X, Y, Z, C, T."""
        planes = self._open()
        whole = (*planes.levels[self.level], planes.size_z, planes.size_c, planes.size_t)
        for given in (offset, size, step):
            if len(given) != len(whole):
                raise fault(omero.ApiUsageException, "Offset, size and step have five numbers each: X, Y, Z, C, T.")
        for axis, first, length, every, full in zip("XYZCT", offset, size, step, whole, strict=True):
            if first < 0 or length < 1 or every < 1 or first + length > full:
                raise fault(omero.ApiUsageException, f"{axis} from {first}, {length} long, step {every}: size{axis} is {full}.")
        (x, y, *_), (width, height, *_) = offset, size
        z, c, t = (range(offset[at], offset[at] + size[at], step[at]) for at in (2, 3, 4))
        return b"".join(
            _bytes(planes.tile(at_z, at_c, at_t, x, y, width, height, self.level)[:: step[1], :: step[0]])
            for at_t in t
            for at_c in c
            for at_z in z
        )

    def getRegion(self, call: Call, size: int, offset: int) -> bytes:
        """Read `size` bytes of the buffer from byte `offset` on."""
        planes = self._open()
        if planes.imported:
            raise fault(omero.InternalException, "UnsupportedOperationException: an imported image has no such buffer")
        whole = b"".join(self._everything(planes))
        if min(size, offset) < 0 or offset + size > len(whole):
            raise fault(omero.ApiUsageException, f"{len(whole)} bytes have no {size} from {offset} on.")
        return bytes(whole[offset : offset + size])

    def getHistogram(self, call: Call, channels: Sequence[int], bins: int, whole: bool, plane: Any) -> dict[int, list[int]]:
        """Count the values of a plane or its region by channel, in equal bins between its extremes.

        whole: take the extremes of the whole channel where they are known. Of a large image the greatest resolution is
        counted that is not larger than what is shown whole.
        """
        planes = self._open()
        level = next((at for at, size in enumerate(planes.levels) if max(size) <= LARGEST_SIDE), None)
        if level is None:
            raise fault(omero.ApiUsageException, "All resolution levels larger than max plane size")
        if bins > MOST_BINS:
            raise fault(omero.ApiUsageException, f"{bins} bins are more than {MOST_BINS}.")
        z, t = (max(plane.z, 0), max(plane.t, 0)) if plane is not None else (0, 0)
        counted = {}
        for c in channels:
            if not 0 <= c < planes.size_c:
                continue
            values = np.real(planes.plane(z, c, t, level))
            low, high = extremes(values)
            stats = planes.pixels.getChannel(c).statsInfo
            if whole and stats is not None and stats.globalMax.val != 1.0:
                low, high = stats.globalMin.val, stats.globalMax.val
            part = _region(values, plane.region if plane is not None else None)
            counts, _ = np.histogram(part, bins if bins > 0 else DEFAULT_BINS, (low, high))
            counted[c] = [int(count) for count in counts]
        return counted

    def findMinMax(self, call: Call, channels: Sequence[int]) -> dict[int, list[float]]:
        """Find the extremes of the middle plane of each channel; nothing for planes that are too large."""
        planes = self._open()
        if planes.too_large:
            return {}
        return {c: list(planes.middle_extremes(c)) for c in channels if 0 <= c < planes.size_c}

    def calculateMessageDigest(self, call: Call) -> bytes:
        """Give the SHA-1 of all planes in the order Z, C, T."""
        return bytes(self._digest().digest())

    # Writing

    def setPlane(self, call: Call, content: Any, z: int, c: int, t: int) -> None:
        """Write a plane of an image that was not imported."""
        self._write(content, (t, c, z))

    def setRow(self, call: Call, content: Any, y: int, z: int, c: int, t: int) -> None:
        """Write a row of a plane."""
        _inside("Y", y, self._open().size_y)
        self._write(content, (t, c, z, y))

    def setTile(self, call: Call, content: Any, z: int, c: int, t: int, x: int, y: int, width: int, height: int) -> None:
        """Write a rectangle of a plane."""
        planes = self._open()
        if min(x, y) < 0 or min(width, height) < 1 or x + width > planes.size_x or y + height > planes.size_y:
            raise fault(omero.ApiUsageException, f"Tile x={x}, y={y}, w={width}, h={height} leaves the plane.")
        self._write(content, (t, c, z, slice(y, y + height), slice(x, x + width)))

    def setStack(self, call: Call, content: Any, z: int, c: int, t: int) -> None:
        """Write all z of a channel at one time; `z` is not looked at."""
        self._write(content, (t, c))

    def setTimepoint(self, call: Call, content: Any, t: int) -> None:
        """Write all planes of one time, channel by channel."""
        self._write(content, (t,))

    def save(self, call: Call) -> Any:
        """Bring what was written to disk, and keep its SHA-1; returns the pixel set if anything was written, else null."""
        if self._set is None or not self._changed:
            return None
        self._set.flush()
        pixels_id = int(self._set.pixels.id.val)
        call.server.store.update("Pixels", pixels_id, c_sha1=self._digest().hexdigest())
        self._changed = False
        return call.server.store.get(call.user, "Pixels", [pixels_id])[0]

    # Numbers

    def getByteWidth(self, call: Call) -> int:
        """Give the bytes of one pixel."""
        return self._open().dtype.itemsize

    def isSigned(self, call: Call) -> bool:
        """Tell whether pixels can be negative."""
        return self._open().type in SIGNED

    def isFloat(self, call: Call) -> bool:
        """Tell whether pixels are floating-point numbers."""
        return self._open().dtype.kind == "f"

    def getRowSize(self, call: Call) -> int:
        """Give the bytes of a row."""
        return self._open().levels[self.level][0] * self._open().dtype.itemsize

    def getPlaneSize(self, call: Call) -> int:
        """Give the bytes of a plane."""
        return self.getRowSize(call) * self._open().levels[self.level][1]

    def getStackSize(self, call: Call) -> int:
        """Give the bytes of all z of a channel at one time."""
        return self.getPlaneSize(call) * self._open().size_z

    def getTimepointSize(self, call: Call) -> int:
        """Give the bytes of all planes of one time."""
        return self.getStackSize(call) * self._open().size_c

    def getTotalSize(self, call: Call) -> int:
        """Give the bytes of all planes."""
        return self.getTimepointSize(call) * self._open().size_t

    def getTimepointOffset(self, call: Call, t: int) -> int:
        """Give where the planes of a time begin, in bytes."""
        return t * self.getTimepointSize(call)

    def getStackOffset(self, call: Call, c: int, t: int) -> int:
        """Give where the planes of a channel begin, in bytes."""
        return self.getTimepointOffset(call, t) + c * self.getStackSize(call)

    def getPlaneOffset(self, call: Call, z: int, c: int, t: int) -> int:
        """Give where a plane begins, in bytes."""
        self._open().check(z, c, t)
        return self.getStackOffset(call, c, t) + z * self.getPlaneSize(call)

    def getRowOffset(self, call: Call, y: int, z: int, c: int, t: int) -> int:
        """Give where a row begins, in bytes."""
        return self.getPlaneOffset(call, z, c, t) + y * self.getRowSize(call)

    def close(self, call: Call) -> None:
        """End the service; what was written is on disk then."""
        self.save(call)
        self.release()
        call.session.services.pop(self.name, None)

    def release(self) -> None:
        """Give the open files back; called at the session's end too."""
        if self._set is not None:
            self._set.close()
        self._set, self._changed, self.level = None, False, 0

    def planes(self) -> PixelSet:
        """Give the pixel set that is open; see `Resolutions`."""
        return self._open()

    def _open(self) -> PixelSet:
        if self._set is None:
            text = "This RawPixelsStore has not been properly initialized."
            raise fault(omero.ApiUsageException, text + "\nPlease set the pixels id before executing any other methods.")
        return self._set

    def _write(self, content: Any, at: tuple[Any, ...]) -> None:
        planes = self._open()
        t, c, z = (*at[:3], 0, 0)[:3]
        planes.check(z, c, t)
        planes.write(bytes(content), at)
        self._changed = True

    def _everything(self, planes: PixelSet) -> Iterator[bytes]:
        for t in range(planes.size_t):
            for c in range(planes.size_c):
                for z in range(planes.size_z):
                    yield _bytes(planes.plane(z, c, t))

    def _digest(self) -> Any:
        digest = hashlib.sha1(usedforsecurity=False)
        for plane in self._everything(self._open()):
            digest.update(plane)
        return digest


def _inside(axis: str, at: int, size: int) -> None:
    if not 0 <= at < size:
        raise fault(omero.ApiUsageException, f"{axis} '{at}' greater than size{axis} '{size}'.")


def _region(values: NDArray[Any], region: Any) -> NDArray[Any]:
    if region is None:
        return values
    x, y = max(region.x, 0), max(region.y, 0)
    height, width = values.shape
    return values[y : y + (region.height if region.height > 0 else height), x : x + (region.width if region.width > 0 else width)]


def _bytes(part: NDArray[Any]) -> bytes:
    return part.astype(part.dtype.newbyteorder(">")).tobytes()
