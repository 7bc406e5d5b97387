# SPDX-License-Identifier: GPL-2.0-or-later
"""Bio-Formats: what files of any format hold, and their planes, through Java.

A reader is made as OMERO.server makes it (ome.formats.importer.OMEROWrapper): indexed colours are resolved, samples
of RGB are channels of their own, and resolutions of an image are not images of their own. A reader holds memory and file
handles, so that only so many are open at a time: the one that was idle longest is closed, and opened again when it is needed.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from omero.rtypes import rbool, rdouble, rlong, rstring

from omero_devserver.formats import java, omexml
from omero_devserver.formats.values import Found, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

OPEN_READERS = 16
_HALVES = re.compile(r"&#(5[56]\d{3});&#(5[67]\d{3});")  # 0xD800 to 0xDBFF, 0xDC00 to 0xDFFF
_DTYPES = {"float": "float32", "double": "float64", "bit": "uint8"}


class Files:
    """The files of a fileset, found by the first of them; implements `values.Opened`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._reader: Any = None
        self._closed = False

    def found(self) -> Found:
        """Tell what they hold."""
        with self._lock, _translated():
            self._drop()
            service = java.loci().common.services.ServiceFactory().getInstance(java.loci().formats.services.OMEXMLService.class_)
            metadata = service.createOMEXMLMetadata()
            with self.reader(metadata) as reader:
                described = omexml.document(_with_whole_letters(str(metadata.dumpXML())))
                # The metadata of a large plate take more memory than its reader.
                metadata.createRoot()
                base = _base(reader)
                kind = str(base.getClass().getName())
                return Found(
                    pictures=described.pictures,
                    plates=described.plates,
                    notes=described.notes,
                    reader=kind,
                    format=kind.rpartition(".")[2].removesuffix("Reader"),
                    graphics="Graphics" in [str(domain) for domain in base.getDomains()],
                    main=str(reader.getCurrentFile()).rpartition("/")[2],
                    used=tuple(str(used) for used in reader.getUsedFiles()),
                )

    def planes(self, series: int) -> Stack:
        """Give the pixels of one picture."""
        with self.reader() as reader:
            if not 0 <= series < reader.getSeriesCount():
                raise IndexError(series)
            return Stack(self, series, reader)

    def original_metadata(self, series: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give what the files say of themselves, as RTypes by Bio-Formats' names: of all, and of one picture."""
        with self.reader() as reader:
            reader.setSeries(series)
            return _pairs(reader.getGlobalMetadata()), _pairs(reader.getSeriesMetadata())

    def close(self) -> None:
        """Give the files back."""
        with self._lock:
            self._closed = True
            self._drop()

    @contextmanager
    def reader(self, metadata: Any = None) -> Iterator[Any]:
        """Have the reader for a block, with nobody else at it; it is opened if it is not."""
        with self._lock, _translated():
            if self._closed:
                raise Unreadable(f"{self.path} has been closed")
            if self._reader is None:
                self._reader = self._open(metadata)
            _idle_ones_closed(self)
            yield self._reader

    def closed_if_idle(self) -> bool:
        """Close the reader unless somebody is at it; tells whether it is closed now."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._drop()
        finally:
            self._lock.release()
        return True

    def _open(self, metadata: Any) -> Any:
        formats = java.loci().formats
        base = formats.ImageReader()
        base.setFlattenedResolutions(False)
        reader = formats.ChannelSeparator(formats.ChannelFiller(base))
        reader.setMetadataFiltered(True)
        if metadata is not None:
            reader.setMetadataStore(metadata)
        try:
            reader.setId(str(self.path))
        except BaseException:
            self._close(reader)
            raise
        return reader

    def _drop(self) -> None:
        _forget(self)
        reader, self._reader = self._reader, None
        if reader is not None:
            self._close(reader)

    def _close(self, reader: Any) -> None:
        try:
            with _translated():
                reader.close()
        except Unreadable as error:  # what was read is right, and it may be somebody else who needs the place
            log.warning("the reader of %s does not close: %s", self.path, error)


def _with_whole_letters(xml: str) -> str:
    """Mend the one fault of Java's writer: a letter beyond 16 bits comes as references to its two halves, which is no XML."""
    return _HALVES.sub(lambda halves: chr(0x10000 + (int(halves[1]) - 0xD800) * 0x400 + int(halves[2]) - 0xDC00), xml)


class Stack:
    """The pixels of one picture; implements `values.Planes`."""

    def __init__(self, files: Files, series: int, reader: Any) -> None:
        self._files, self._series = files, series
        reader.setSeries(series)
        self.size_x, self.size_y = int(reader.getSizeX()), int(reader.getSizeY())
        self.size_z, self.size_c, self.size_t = int(reader.getSizeZ()), int(reader.getSizeC()), int(reader.getSizeT())
        name = str(java.loci().formats.FormatTools.getPixelTypeString(reader.getPixelType()))
        self.dtype = np.dtype(_DTYPES.get(name, name))
        self._stored = self.dtype.newbyteorder("<" if reader.isLittleEndian() else ">")
        self.levels = tuple(_levels(reader))

    def plane(self, z: int, c: int, t: int, level: int = 0) -> NDArray[Any]:
        """Read one plane, shape (Y, X)."""
        width, height = self.levels[level]
        return self.tile(z, c, t, 0, 0, width, height, level)

    def tile(self, z: int, c: int, t: int, x: int, y: int, width: int, height: int, level: int = 0) -> NDArray[Any]:
        """Read a rectangle of a plane, shape (height, width)."""
        with self._files.reader() as reader:
            reader.setSeries(self._series)
            reader.setResolution(level)
            content = memoryview(reader.openBytes(reader.getIndex(z, c, t), x, y, width, height))
        return np.frombuffer(content, self._stored).reshape(height, width).astype(self.dtype, copy=False)


def _base(reader: Any) -> Any:
    """Unwrap the reader that knows the format."""
    while hasattr(reader, "getReader"):
        reader = reader.getReader()
    return reader


def _levels(reader: Any) -> Iterator[tuple[int, int]]:
    for level in range(int(reader.getResolutionCount())):
        reader.setResolution(level)
        yield int(reader.getSizeX()), int(reader.getSizeY())
    reader.setResolution(0)


@contextmanager
def _translated() -> Iterator[None]:
    """Make an exception of Java one of ours, with its text."""
    java.loci()
    import jpype  # noqa: PLC0415  (may be missing)

    try:
        yield
    except jpype.JException as error:
        raise Unreadable(str(error.getMessage() or error.getClass().getName())) from error
    except UnicodeError as error:  # a name of a file that is no text
        raise Unreadable(str(error)) from error


#: Those whose reader is open, the one that was idle longest first.
_open: OrderedDict[Files, None] = OrderedDict()
_open_lock = threading.Lock()


def _idle_ones_closed(files: Files) -> None:
    """Note that somebody is at the reader of these files, and close others if they are too many."""
    with _open_lock:
        _open[files] = None
        _open.move_to_end(files)
        candidates = list(_open)[:-1]
    for candidate in candidates:
        if len(_open) <= OPEN_READERS:
            break
        candidate.closed_if_idle()


def _forget(files: Files) -> None:
    with _open_lock:
        _open.pop(files, None)


def _pairs(table: Any) -> dict[str, Any]:
    """Turn a Java table into RTypes; numbers stay numbers, anything else is its text."""
    pairs: dict[str, Any] = {}
    for entry in table.entrySet() if table is not None else ():
        value = entry.getValue()
        match value:
            case bool():
                pairs[str(entry.getKey())] = rbool(value)
            case int():
                pairs[str(entry.getKey())] = rlong(int(value))
            case float():
                pairs[str(entry.getKey())] = rdouble(float(value))
            case _:
                pairs[str(entry.getKey())] = rstring(str(value))
    return pairs
