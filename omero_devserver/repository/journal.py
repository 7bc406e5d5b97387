# SPDX-License-Identifier: GPL-2.0-or-later
"""The import log: a text file beside the template folder, one for each import."""

from __future__ import annotations

import logging
import platform
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import tifffile

if TYPE_CHECKING:
    from pathlib import Path

    from omero_devserver.formats.values import Found

log = logging.getLogger(__name__)


class ImportLog:
    """Lines with time stamps; a log that cannot be written does not stop an import."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def line(self, text: str) -> None:
        """Add a line."""
        stamp = datetime.now().astimezone().isoformat(sep=" ", timespec="milliseconds")
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{stamp} {text}\n")
        except OSError as error:
            log.warning("cannot write %s: %s", self.path, error)

    def surroundings(self) -> None:
        """Say what reads the files."""
        self.line(f"Python {sys.version.split()[0]}, tifffile {tifffile.__version__}, {platform.platform()}")

    def images(self, found: Found) -> None:
        """Say what was found in the files."""
        for number, one in enumerate(found.pictures):
            sizes = f"{one.size_x} x {one.size_y} x {one.size_z}, {one.size_c} channels, {one.size_t} time points"
            self.line(f"image {number}: {one.name}, {sizes}, {one.pixels_type}, {found.format}")
