# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel sets: the planes of an image while they are open, from its imported files or from a buffer that clients write."""

from __future__ import annotations

import math
import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import omero
import omero.sys

from omero_devserver.formats import readers
from omero_devserver.formats.values import Unreadable
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from omero_devserver.formats.values import Opened, Planes
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.store import Store
    from omero_devserver.wire.server import Server

DTYPES = {"float": "float32", "double": "float64", "complex": "complex64", "double-complex": "complex128", "bit": "uint8"}
#: Planes with more pixels are too large to be shown whole (``omero.pixeldata.max_plane_width`` and ``…height``).
LARGEST_SIDE = 3192
#: Typed so because the types of numpy 2.5 do not know how they reduce.
_LEAST: Any = np.fmin
_GREATEST: Any = np.fmax
DESCRIPTION = (
    "select p from Pixels p left outer join fetch p.pixelsType left outer join fetch p.image"
    " left outer join fetch p.channels c left outer join fetch c.statsInfo left outer join fetch c.logicalChannel lc"
    " left outer join fetch lc.mode left outer join fetch lc.photometricInterpretation where p.id = :id"
)
FIRST_FILE = (
    "SELECT f.c_repo, f.c_path, f.c_name FROM t_Image i JOIN t_FilesetEntry e ON e.r_fileset = i.r_fileset"
    " JOIN t_OriginalFile f ON f.id = e.r_originalFile WHERE i.id = ? ORDER BY e.id LIMIT 1"
)


def dtype_of(pixels_type: str) -> np.dtype[Any]:
    """Give numpy's type of OMERO's, in the byte order of this machine."""
    found: np.dtype[Any] = np.dtype(DTYPES.get(pixels_type, pixels_type))
    return found


def describe(store: Store, who: Caller, pixels_id: int) -> Any | None:
    """Load a Pixels with its type, image and channels; None where there is none or `who` may not read it."""
    found = store.objects(who, DESCRIPTION, omero.sys.ParametersI().addId(pixels_id))
    return found[0] if found else None


def described(store: Store, who: Caller, pixels_id: int) -> Any:
    """Load a Pixels as `describe`; raises ValidationException where there is none (recorded: facts 9)."""
    pixels = describe(store, who, pixels_id)
    if pixels is None:
        raise fault(omero.ValidationException, f"Cannot read pixels id={pixels_id}")
    return pixels


def extremes(values: NDArray[Any]) -> tuple[float, float]:
    """Find the least and the greatest value; what is not a number does not count, and 0 stands for nothing else."""
    low, high = float(_LEAST.reduce(values, axis=None)), float(_GREATEST.reduce(values, axis=None))
    return (low, high) if low <= high else (0.0, 0.0)


class PixelSet:
    """The planes of one pixel set; all methods may be called from any thread.

    pixels:   as `describe` loads it.
    dtype:    of one pixel, in the byte order of this machine.
    imported: whether the planes come from files of a fileset; those cannot be written.
    path:     the file of the planes, which need not exist.

    Files are opened when something of them is asked for: planes, or `levels`.
    """

    def __init__(self, server: Server, pixels: Any, files: Opened | None = None) -> None:
        self.pixels = pixels
        self.size_x, self.size_y = int(pixels.sizeX.val), int(pixels.sizeY.val)
        self.size_z, self.size_c, self.size_t = int(pixels.sizeZ.val), int(pixels.sizeC.val), int(pixels.sizeT.val)
        self.type: str = pixels.pixelsType.value.val
        self.dtype = dtype_of(self.type)
        self._lock = threading.RLock()
        self._held = ExitStack()
        self._closed = False
        self._files = files  # of the fileset, opened by somebody who closes them
        self._planes: Planes | None = None
        self._buffer: Any = None
        place = _imported_file(server, pixels)
        self.imported = place is not None
        self.path = place or server.disk.pixel_buffer(pixels.id.val)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each resolution, the full one first; raises ResourceError as `plane` does."""
        with self._lock:
            return self._source().levels if self.imported else ((self.size_x, self.size_y),)

    @property
    def too_large(self) -> bool:
        """Whether a plane is too large to be shown whole."""
        return self.size_x * self.size_y > LARGEST_SIDE**2

    def open(self) -> None:
        """Open the files now; raises ResourceError if they cannot be read."""
        with self._lock:
            if self.imported:
                self._source()

    def plane(self, z: int, c: int, t: int, level: int = 0) -> NDArray[Any]:
        """Read one plane, shape (Y, X); black where nobody has written it.

        Raises
        ------
        omero.ApiUsageException
            There is no such plane.
        omero.ResourceError
            Its file cannot be read.
        """
        width, height = self.levels[level]
        return self.tile(z, c, t, 0, 0, width, height, level)

    def tile(self, z: int, c: int, t: int, x: int, y: int, width: int, height: int, level: int = 0) -> NDArray[Any]:
        """Read a rectangle inside of a plane, shape (height, width); raises as `plane`."""
        self.check(z, c, t)
        with self._lock:
            self._not_closed()
            if self.imported:
                return self._read(self._source(), (z, c, t), (x, y, width, height), level)
            if self._written() is None:
                return np.zeros((height, width), self.dtype)
            return np.asarray(self._buffer[t, c, z, y : y + height, x : x + width]).astype(self.dtype)

    def middle_extremes(self, c: int) -> tuple[float, float]:
        """Find the least and the greatest value of the plane in the middle of a channel."""
        return extremes(np.real(self.plane((self.size_z - 1) // 2, c, (self.size_t - 1) // 2)))

    def write(self, content: bytes, at: tuple[int | slice, ...]) -> None:
        """Write big-endian values into a part of the buffer, whose axes are T, C, Z, Y and X.

        Raises
        ------
        omero.InternalException
            The planes were imported.
        omero.ResourceError
            The part has another size.
        omero.SecurityViolation
            The caller who opened the pixel set may not change it.
        """
        if self.imported:
            raise fault(
                omero.InternalException,
                "Wrapped Exception: (java.lang.UnsupportedOperationException):\nCannot write to repository",
            )
        if not self.pixels.details.permissions.canEdit():
            raise fault(omero.SecurityViolation, f"Updating ome.model.core.Pixels:Id_{self.pixels.id.val} not allowed.")
        with self._lock:
            self._not_closed()
            if self._written() is None:
                self._buffer = self._mapped()
            part = self._buffer[at]
            if len(content) != part.nbytes:
                raise fault(omero.ResourceError, f"{len(content)} bytes were sent where {part.nbytes} are wanted.")
            part[...] = np.frombuffer(content, part.dtype).reshape(part.shape)

    def flush(self) -> None:
        """Bring what was written to disk."""
        with self._lock:
            if self._buffer is not None:
                self._buffer.flush()

    def check(self, z: int, c: int, t: int) -> None:
        """Raise ApiUsageException if there is no such plane."""
        for axis, at, size in (("Z", z, self.size_z), ("C", c, self.size_c), ("T", t, self.size_t)):
            if at >= size:
                raise fault(omero.ApiUsageException, f"{axis} '{at}' greater than size{axis} '{size}'.")
            if at < 0:
                raise fault(omero.ApiUsageException, f"{axis} '{at}' less than 0.")

    def close(self) -> None:
        """Give the files back; a closed set is not used again."""
        with self._lock:
            self.flush()
            self._closed = True
            self._planes = self._buffer = None
            self._held.close()

    def _not_closed(self) -> None:
        # Another call of the same client may have closed the service while this one was reading.
        if self._closed:
            raise fault(omero.ResourceError, f"The planes of pixels {self.pixels.id.val} have been closed.")

    def _source(self) -> Planes:
        self._not_closed()
        if self._planes is None:
            series = self.pixels.image.series.val if self.pixels.image.series is not None else 0
            try:
                opened = self._files or self._held.enter_context(readers.opened(self.path))
                self._planes = opened.planes(series)
            except (OSError, Unreadable, IndexError) as error:
                raise fault(omero.ResourceError, f"{self.path}: {error}") from error
        return self._planes

    def _read(self, planes: Planes, at: tuple[int, int, int], part: tuple[int, int, int, int], level: int) -> NDArray[Any]:
        try:
            whole = part == (0, 0, *planes.levels[level])
            return planes.plane(*at, level) if whole else planes.tile(*at, *part, level)
        except (OSError, Unreadable) as error:
            raise fault(omero.ResourceError, f"{self.path}: {error}") from error

    def _written(self) -> Any | None:
        if self._buffer is None and self.path.exists():
            self._buffer = self._mapped()
        return self._buffer

    def _mapped(self) -> Any:
        """Map the buffer, made where it is not there.

        All its room on the disk is taken first, and it is never cut (somebody else may have made it in this moment): a map whose
        part of the file is not there, or finds no room any more, ends the process.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        shape = (self.size_t, self.size_c, self.size_z, self.size_y, self.size_x)
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664), "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, math.prod(shape) * self.dtype.itemsize)
            return np.memmap(file, dtype=self.dtype.newbyteorder(">"), mode="r+", shape=shape)


def _imported_file(server: Server, pixels: Any) -> Path | None:
    rows = server.store.rows(FIRST_FILE, pixels.image.id.val)
    if not rows:
        return None
    row = rows[0]
    if row["c_repo"] is None:
        raise fault(omero.ResourceError, f"The file of pixels {pixels.id.val} lies in no repository of this server.")
    return server.disk.below_root(row["c_path"] + row["c_name"])
