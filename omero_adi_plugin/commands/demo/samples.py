# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples: files to import. Cells are drawn and noise is added, from a fixed seed, so that every demo has the same ones.

The arrays are kept, to be compared with what OMERO gives back.
"""

from __future__ import annotations

import io
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tifffile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SEED = 20261124
CHANNELS = ("Nuclei (DAPI)", "Cytoplasm (GFP)", "Vesicles (mCherry)")
SIZE = 512
"""Edge of the stack in pixels."""
SECTIONS = 9
CELLS = 34
PIXEL_MICROMETRES = 0.216
SECTION_MICROMETRES = 0.8
MIDDLE = (SECTIONS - 1) / 2
KEPT_SHARE = 0.6
"""How much of a file is left in its truncated copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One file, and the images that belong to it.

    images: by series, each of shape (z, c, y, x). None: it cannot be imported.
    """

    path: Path
    images: tuple[NDArray[np.uint16], ...] | None


def write_samples(folder: Path) -> tuple[Sample, Sample, Sample]:
    """Write a stack of cells, a file with three images, and a truncated copy of the first.

    Parameters
    ----------
    folder : Path
        Exists already.
    """
    random = np.random.default_rng(SEED)
    stack = draw_cells(random)
    cells = folder / "cells.ome.tif"
    tifffile.imwrite(cells, stack, ome=True, photometric="minisblack", metadata=_metadata("ZCYX", "cells"))
    fields = tuple(_cut(stack, row, column) for row, column in ((0, 0), (128, 128), (256, 256)))
    three = folder / "three-fields.ome.tif"
    with tifffile.TiffWriter(three, ome=True) as writer:
        for number, field in enumerate(fields, 1):
            writer.write(field, photometric="minisblack", metadata=_metadata("ZCYX", f"field {number}"))
    truncated = folder / "copy-broke-off.ome.tif"
    whole = cells.read_bytes()
    truncated.write_bytes(whole[: int(len(whole) * KEPT_SHARE)])
    return Sample(path=cells, images=(stack,)), Sample(path=three, images=fields), Sample(path=truncated, images=None)


def write_archive(folder: Path, cells: Sample) -> Sample:
    """Write an archive with two fields of the cells, as a microscope may pack them: Bio-Formats cannot read it.

    Parameters
    ----------
    folder : Path
        Exists already.
    cells : Sample
        The first of `write_samples`.
    """
    [stack] = cells.images or ()
    fields = tuple(_cut(stack, row, column) for row, column in ((0, 256), (256, 0)))
    path = folder / "two-fields.tar"
    with tarfile.open(path, "w") as archive:
        for number, field in enumerate(fields, 1):
            made = io.BytesIO()
            tifffile.imwrite(made, field, ome=True, photometric="minisblack", metadata=_metadata("ZCYX", f"field {number}"))
            entry = tarfile.TarInfo(f"unpacked field {number}.ome.tif")
            entry.size, entry.mtime = made.getbuffer().nbytes, time.time()
            made.seek(0)
            archive.addfile(entry, made)
    return Sample(path=path, images=fields)


def draw_cells(random: np.random.Generator) -> NDArray[np.uint16]:
    """Draw a confocal stack of cells.

    Returns
    -------
    array of uint16, shape (SECTIONS, channels, SIZE, SIZE)
        Photon counts: light of the cells over a faint background, with Poisson noise.
    """
    light = np.full((SECTIONS, len(CHANNELS), SIZE, SIZE), 60.0, dtype=np.float32)
    for y, x in _places(random):
        _draw_cell(light, y, x, random)
    return random.poisson(light).astype(np.uint16)


def _places(random: np.random.Generator) -> list[tuple[float, float]]:
    """Return where cells lie: anywhere, but not on top of each other."""
    places: list[tuple[float, float]] = []
    nearest = 58.0
    for y, x in random.uniform(0, SIZE, (40 * CELLS, 2)):
        if len(places) < CELLS and all(np.hypot(y - other_y, x - other_x) > nearest for other_y, other_x in places):
            places.append((float(y), float(x)))
    return places


def _draw_cell(light: NDArray[np.float32], y: float, x: float, random: np.random.Generator) -> None:
    """Add one cell: an elliptic nucleus with chromatin, a lobed body with fibres around it, vesicles in the body."""
    reach = 64
    top, left = max(0, int(y) - reach), max(0, int(x) - reach)
    bottom, right = min(SIZE, int(y) + reach), min(SIZE, int(x) + reach)
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    turn = random.uniform(0, np.pi)
    along = (rows - y) * np.cos(turn) + (columns - x) * np.sin(turn)
    across = (columns - x) * np.cos(turn) - (rows - y) * np.sin(turn)
    angle, distance = np.arctan2(across, along), np.hypot(across, along)
    nucleus_radius = random.uniform(13, 17)
    lobes = 1 + 0.16 * np.cos(3 * angle + random.uniform(0, 6)) + 0.09 * np.cos(5 * angle + random.uniform(0, 6))
    body_radius = random.uniform(30, 38) * lobes
    chromatin = 1 + 0.25 * np.sin(along / 2.3 + random.uniform(0, 6)) * np.sin(across / 2.9 + random.uniform(0, 6))
    fibres = 1 + 0.22 * np.sin(along / 1.9 + 2.5 * np.sin(across / 11))
    depth = MIDDLE + random.normal(0, 0.8)
    vesicles = [(random.uniform(0, 2 * np.pi), random.uniform(0.55, 0.95), random.normal(depth, 1.2)) for _ in range(24)]
    brightness = random.uniform(0.7, 1.3)
    for section in range(SECTIONS):
        away = abs(section - depth)
        nucleus = _edge(np.hypot(along, across * 1.25) / nucleus_radius) * np.exp(-((away / 2.2) ** 2))
        body = _edge(distance / body_radius) * np.exp(-((away / 2.9) ** 2))
        window = light[section, :, top:bottom, left:right]
        window[0] += 900 * brightness * nucleus * chromatin
        window[1] += 420 * brightness * body * (1 - 0.75 * nucleus) * fibres
        for where, share, height in vesicles:
            out = share * 32
            spot = np.exp(-((along - out * np.cos(where)) ** 2 + (across - out * np.sin(where)) ** 2) / 4.5)
            window[2] += 1100 * brightness * body * spot * np.exp(-((section - height) ** 2) / 1.3)


def _edge(radius: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 inside (radius below 1) and 0 outside, with an edge as soft as a microscope makes it."""
    return np.asarray(1 / (1 + np.exp(np.clip((radius - 1) * 14, -30, 30))), dtype=np.float32)


def _cut(stack: NDArray[np.uint16], row: int, column: int) -> NDArray[np.uint16]:
    """Return one section of two channels of a quarter of the stack."""
    edge = SIZE // 2
    middle = int(MIDDLE)
    return np.ascontiguousarray(stack[middle : middle + 1, :2, row : row + edge, column : column + edge])


def _metadata(axes: str, name: str) -> dict[str, object]:
    return {
        "axes": axes,
        "Name": name,
        "Channel": {"Name": list(CHANNELS)},
        "PhysicalSizeX": PIXEL_MICROMETRES,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": PIXEL_MICROMETRES,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": SECTION_MICROMETRES,
        "PhysicalSizeZUnit": "µm",
    }
