# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot be imported, and what a person is told about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from tests.formats import sets
from tests.formats.real import pixels


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A path that is ordered, which error it is, and words of its sentence; all sentences name the path."""

    path: str
    error: str
    words: str


BadWriter = Callable[[Path], Bad]


def _half(folder: Path) -> Bad:
    path = folder / "half.tif"
    tifffile.imwrite(path, pixels("uint16", 8, 64, 64), photometric="minisblack")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return Bad(path=path.name, error="FileBroken", words="is damaged or was not copied completely")


def _random(folder: Path) -> Bad:
    (folder / "random.tif").write_bytes(np.random.default_rng(7).bytes(5000))
    return Bad(path="random.tif", error="FileBroken", words="is damaged or was not copied completely")


def _empty(folder: Path) -> Bad:
    (folder / "empty.tif").touch()
    return Bad(path="empty.tif", error="FileBroken", words="it is empty")


def _unknown(folder: Path) -> Bad:
    (folder / "notes.xyz").write_text("nothing that any reader knows\n")
    return Bad(path="notes.xyz", error="FormatUnknown", words="no reader")


def _missing(folder: Path) -> Bad:
    return Bad(path="missing.tif", error="FileMissing", words="does not exist")


def _nonsense(folder: Path) -> Bad:
    name = "nonsense&sizeX=abc.fake"
    (folder / name).write_text("made by its name\n")
    return Bad(path=name, error="FileBroken", words="Invalid sizeX")


def _zarr(folder: Path) -> Bad:
    image = folder / "image.zarr"
    (image / "0").mkdir(parents=True)
    (image / ".zgroup").write_text('{"zarr_format": 2}')
    return Bad(path=image.name, error="ZarrUnsupported", words="is an OME-Zarr")


def _type(dtype: str) -> BadWriter:
    """Give a TIFF of a type that Bio-Formats does not read."""

    def write(folder: Path) -> Bad:
        path = folder / f"{dtype}.tif"
        tifffile.imwrite(path, np.ones((6, 8), dtype), photometric="minisblack")
        return Bad(path=path.name, error="FileBroken", words="64-bit")

    return write


def _incomplete(folder: Path) -> Bad:
    """Write a set, and take one of its files away."""
    row = sets.companion("torn", sizes=(2, 1, 1))(folder)
    (folder / row.files[2]).unlink()
    return Bad(path=row.ordered, error="FileBroken", words="torn_z1")


def _plate(folder: Path) -> Bad:
    name = "plate&plates=1&plateRows=1&plateCols=2&sizeX=64&sizeY=12.fake"
    (folder / name).write_text("made by its name\n")
    return Bad(path=name, error="WrongContainer", words="Images go into a Dataset, plates into a Screen")


def _no_images(folder: Path) -> Bad:
    below = folder / "papers"
    below.mkdir()
    (below / "letter.xyz").write_text("no image\n")
    return Bad(path=below.name, error="NothingToImport", words="holds nothing that can be imported")


BAD: dict[str, BadWriter] = {
    "half": _half,
    "random": _random,
    "empty": _empty,
    "unknown": _unknown,
    "missing": _missing,
    "nonsense": _nonsense,
    "zarr": _zarr,
    "uint64": _type("uint64"),
    "complex64": _type("complex64"),
    "incomplete": _incomplete,
    "plate": _plate,
    "no-images": _no_images,
}
