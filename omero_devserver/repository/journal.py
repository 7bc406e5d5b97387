# SPDX-License-Identifier: GPL-2.0-or-later
"""The import log: a text file beside the template folder, one for each import.

Its lines have the look of a real server's: time, level, what speaks, thread. A part that took time ends with a line
`start[milliseconds since 1970] time[milliseconds] tag[NAME]`, with the names that OMERO's own log has.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from omero_devserver.wire.moments import DISK_WRITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from omero_devserver.formats.values import Found
    from omero_devserver.repository.graph import Imported
    from omero_devserver.wire.moments import Moments

log = logging.getLogger(__name__)


class ImportLog:
    """The file at `path`; one that cannot be written does not stop an import, and one that was deleted does not come back."""

    def __init__(self, path: Path, moments: Moments) -> None:
        self.path, self._moments = path, moments
        self._made = False

    def line(self, text: str, *, speaker: str = "import", level: str = "INFO") -> None:
        """Add a line; those of a text that has several are kept."""
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        thread = threading.current_thread().name[-10:]
        try:
            self._moments.reached(DISK_WRITE, path=self.path)
            with open(self.path, "a", encoding="utf-8", errors="backslashreplace", opener=self._open) as file:
                file.write(f"{stamp} {level:<5} [{speaker:>40}] ({thread:>10}) {text}\n")
        except OSError as error:
            log.warning("cannot write %s: %s", self.path, error)

    def _open(self, path: str, flags: int) -> int:
        descriptor = os.open(path, flags & ~os.O_CREAT if self._made else flags, 0o664)
        self._made = True
        return descriptor

    def values(self, title: str, pairs: Mapping[str, object]) -> None:
        """Add a line for each of some named values."""
        for name, value in pairs.items():
            self.line(f"{title}: {name}={value}")

    @contextmanager
    def timed(self, tag: str) -> Iterator[None]:
        """Add a line that says how long a block took, whether it succeeded or not."""
        began, start = time.time(), time.monotonic()
        try:
            yield
        finally:
            took = (time.monotonic() - start) * 1000
            self.line(f"start[{began * 1000:.0f}] time[{took:.0f}] tag[{tag}]", speaker="timing")

    def found(self, found: Found) -> None:
        """Say what was found in the files."""
        self.line(f"format {found.format}, reader {found.reader}, {len(found.pictures)} images, {len(found.plates)} plates")
        for path in found.used:
            self.line(f"used file {path}")
        for number, one in enumerate(found.pictures):
            sizes = f"x={one.size_x} y={one.size_y} z={one.size_z} c={one.size_c} t={one.size_t}"
            self.line(f"image {number} {one.name!r}: {sizes} {one.pixels_type} {one.order}, {one.significant_bits} bits")
            self.values(f"image {number}, physical size", one.sizes)
            self.values(f"image {number}, channel", {str(c): channel for c, channel in enumerate(one.channels)})
        for number, plate in enumerate(found.plates):
            self.line(f"plate {number} {plate.name!r}: {plate.rows} rows, {plate.columns} columns, {len(plate.wells)} wells")

    def imported(self, imported: Imported) -> None:
        """Say which rows were made of it."""
        for kind, ids in (("Plate", imported.plates), ("Image", imported.images), ("Pixels", imported.pixels)):
            for one in ids:
                self.line(f"INSERT {kind}:{one}", speaker="store")

    def size(self) -> int:
        """Give the size of the file, in bytes; 0 if it could not be written."""
        return self.path.stat().st_size if self.path.exists() else 0
