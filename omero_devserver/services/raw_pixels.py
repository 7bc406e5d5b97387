# SPDX-License-Identifier: GPL-2.0-or-later
"""RawPixelsStore: planes of an image, from its imported file or from a buffer that a client writes. Always big-endian."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import omero
import omero.api

from omero_devserver.formats import tiff
from omero_devserver.services.pixels import Pixels
from omero_devserver.services.stateful import Stateful
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import slow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from omero_devserver.formats.tiff import Stack
    from omero_devserver.wire.servant import Call

TILE_PIXELS = 1024
DTYPES = {"float": "float32", "double": "float64", "complex": "complex64", "double-complex": "complex128", "bit": "uint8"}
FIRST_FILE = (
    "SELECT f.id AS id FROM t_Image i JOIN t_FilesetEntry e ON e.r_fileset = i.r_fileset"
    " JOIN t_OriginalFile f ON f.id = e.r_originalFile WHERE i.id = ? ORDER BY e.id LIMIT 1"
)


class RawPixels(Stateful):
    """Operations of ``omero.api.RawPixelsStore``; one resolution only."""

    name = ""

    def __init__(self) -> None:
        self._pixels: Any = None
        self._stack: Stack | None = None
        self._written: Any = None  # the buffer of an image that was not imported
        self._open = ExitStack()

    @slow
    def setPixelsId(self, call: Call, pixels_id: int, bypass: bool) -> None:
        """Choose the pixel set."""
        self.release()
        pixels = Pixels().retrievePixDescription(call, pixels_id)
        if pixels is None:
            raise fault(omero.ValidationException, f"Cannot read pixels id={pixels_id}")
        self._pixels = pixels
        rows = call.server.store.rows(FIRST_FILE, pixels.image.id.val)
        if not rows:
            self._written = self._buffer(call, pixels_id)
            return
        file = call.server.store.get(call.user, "OriginalFile", [rows[0]["id"]])[0]
        path = call.server.disk.location(file)
        series = pixels.image.series.val if pixels.image.series is not None else 0
        if path is None:
            raise fault(omero.ResourceError, f"The file of pixels {pixels_id} lies in no repository of this server.")
        try:
            self._stack = self._open.enter_context(tiff.stack(path, series))
        except (OSError, tiff.Unreadable, IndexError) as error:
            raise fault(omero.ResourceError, f"{path}: {error}") from error

    def getPixelsId(self, call: Call) -> int:
        """Give the id of the pixel set."""
        return int(self._ready().id.val)

    @slow
    def getPlane(self, call: Call, z: int, c: int, t: int) -> bytes:
        """Read a plane, row by row."""
        return self._bytes(self._plane(z, c, t))

    @slow
    def getTile(self, call: Call, z: int, c: int, t: int, x: int, y: int, width: int, height: int) -> bytes:
        """Read a rectangle of a plane."""
        pixels = self._ready()
        if min(x, y, width, height) < 0 or x + width > pixels.sizeX.val or y + height > pixels.sizeY.val:
            raise fault(omero.InternalException, "RuntimeException: tile outside of the plane")
        return self._bytes(self._plane(z, c, t)[y : y + height, x : x + width])

    @slow
    def getRow(self, call: Call, y: int, z: int, c: int, t: int) -> bytes:
        """Read a row of a plane."""
        return self._bytes(self._plane(z, c, t)[y])

    @slow
    def getCol(self, call: Call, x: int, z: int, c: int, t: int) -> bytes:
        """Read a column of a plane."""
        return self._bytes(self._plane(z, c, t)[:, x])

    @slow
    def getStack(self, call: Call, c: int, t: int) -> bytes:
        """Read all z of a channel at one time."""
        return b"".join(self._bytes(self._plane(z, c, t)) for z in range(self._ready().sizeZ.val))

    @slow
    def getHypercube(self, call: Call, offset: Sequence[int], size: Sequence[int], step: Sequence[int]) -> bytes:
        """Read a part in five dimensions; the three arguments are in the order X, Y, Z, C, T."""
        (x, y, z, c, t), (width, height, *_) = offset, size
        parts = []
        for at_t in range(t, t + size[4], step[4]):
            for at_c in range(c, c + size[3], step[3]):
                for at_z in range(z, z + size[2], step[2]):
                    plane = self._plane(at_z, at_c, at_t)
                    parts.append(self._bytes(plane[y : y + height : step[1], x : x + width : step[0]]))
        return b"".join(parts)

    @slow
    def setPlane(self, call: Call, content: Any, z: int, c: int, t: int) -> None:
        """Write a plane of an image that was not imported."""
        self._check(z, c, t)
        if self._written is None:
            raise fault(omero.InternalException, "UnsupportedOperationException: cannot write to an imported image")
        big_endian = np.frombuffer(bytes(content), dtype=self._written.dtype)
        self._written[t, c, z] = big_endian.reshape(self._written.shape[-2:])

    def save(self, call: Call) -> Any:
        """Write what is in memory to disk; returns nothing, as nothing of the row has changed."""
        if self._written is not None:
            self._written.flush()

    def getByteWidth(self, call: Call) -> int:
        """Give the bytes of one pixel."""
        return self._dtype().itemsize

    def isSigned(self, call: Call) -> bool:
        """Tell whether pixels can be negative."""
        return self._dtype().kind in "if"

    def isFloat(self, call: Call) -> bool:
        """Tell whether pixels are floating-point numbers."""
        return self._dtype().kind == "f"

    def getPlaneSize(self, call: Call) -> int:
        """Give the bytes of a plane."""
        return self.getRowSize(call) * int(self._ready().sizeY.val)

    def getRowSize(self, call: Call) -> int:
        """Give the bytes of a row."""
        return int(self._ready().sizeX.val) * self._dtype().itemsize

    def getStackSize(self, call: Call) -> int:
        """Give the bytes of all z of a channel at one time."""
        return self.getPlaneSize(call) * int(self._ready().sizeZ.val)

    def getTileSize(self, call: Call) -> list[int]:
        """Give width and height of the best tile: the plane itself, if it is small (recorded: facts 9)."""
        pixels = self._ready()
        return [min(TILE_PIXELS, pixels.sizeX.val), min(TILE_PIXELS, pixels.sizeY.val)]

    def requiresPixelsPyramid(self, call: Call) -> bool:
        """Say that there are no pyramids."""
        return False

    def hasPixelsPyramid(self, call: Call) -> bool:
        """Say that there are no pyramids."""
        return False

    def getResolutionLevels(self, call: Call) -> int:
        """Say that there is one resolution."""
        return 1

    def getResolutionLevel(self, call: Call) -> int:
        """Say which resolution is read."""
        return 0

    def setResolutionLevel(self, call: Call, level: int) -> None:
        """Choose the one resolution."""
        if level != 0:
            raise fault(omero.ApiUsageException, f"Invalid resolution: {level}")

    def getResolutionDescriptions(self, call: Call) -> list[Any]:
        """Give the size of the one resolution."""
        one = omero.api.ResolutionDescription()
        one.sizeX, one.sizeY = self._ready().sizeX.val, self._ready().sizeY.val
        return [one]

    def close(self, call: Call) -> None:
        """End the service."""
        self.save(call)
        self.release()
        call.session.services.pop(self.name, None)

    def release(self) -> None:
        """Give the open file back; called at the session's end."""
        self._pixels = self._stack = self._written = None
        self._open.close()

    def _ready(self) -> Any:
        if self._pixels is None:
            text = "This RawPixelsStore has not been properly initialized."
            raise fault(omero.ApiUsageException, text + "\nPlease set the pixels id before executing any other methods.")
        return self._pixels

    def _check(self, z: int, c: int, t: int) -> None:
        pixels = self._ready()
        for axis, at, size in (("Z", z, pixels.sizeZ.val), ("C", c, pixels.sizeC.val), ("T", t, pixels.sizeT.val)):
            if not 0 <= at < size:
                raise fault(omero.ApiUsageException, f"{axis} '{at}' greater than size{axis} '{size}'.")

    def _plane(self, z: int, c: int, t: int) -> NDArray[Any]:
        self._check(z, c, t)
        if self._stack is not None:
            return self._stack.plane(z, c, t)
        plane: NDArray[Any] = self._written[t, c, z]
        return plane

    def _bytes(self, part: NDArray[Any]) -> bytes:
        return part.astype(part.dtype.newbyteorder(">")).tobytes()

    def _dtype(self) -> np.dtype[Any]:
        name = self._ready().pixelsType.value.val
        found: np.dtype[Any] = np.dtype(DTYPES.get(name, name))
        return found

    def _buffer(self, call: Call, pixels_id: int) -> Any:
        pixels = self._pixels
        path = call.server.disk.pixel_buffer(pixels_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = tuple(size.val for size in (pixels.sizeT, pixels.sizeC, pixels.sizeZ, pixels.sizeY, pixels.sizeX))
        return np.memmap(path, dtype=self._dtype().newbyteorder(">"), mode="r+" if path.exists() else "w+", shape=shape)
