# SPDX-License-Identifier: GPL-2.0-or-later
"""What OMERO must hold when a file has been imported, said by whoever made the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """An image.

    name:     as OMERO is to show it; None: there is more than one right answer.
    kind:     type of the pixels, in OMERO's words.
    values:   the pixels, shape (C, Z, T, Y, X).
    channels: their names, where the file gives some.
    lengths:  of a pixel along X, Y and Z, value and unit in OMERO's words, where the file gives some.
    levels:   how many resolutions there are of it.
    """

    name: str | None
    kind: str
    values: NDArray[Any]
    channels: tuple[str | None, ...] | None = None
    lengths: tuple[str | None, str | None, str | None] | None = None
    levels: int = 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """Along X, Y, Z, C and T."""
        c, z, t, y, x = self.values.shape
        return x, y, z, c, t


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A plate: its rows and columns, all with wells, the fields of a well, and how many times (`runs`) each of them was seen."""

    name: str
    rows: int
    columns: int
    fields: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What comes of one entry of an order.

    ordered:  the path that is ordered, below the folder of all.
    files:    all that are read together, below that folder.
    format:   what Bio-Formats calls it.
    pictures: in the order of their series.
    """

    ordered: str
    files: tuple[str, ...]
    format: str
    pictures: tuple[Picture, ...]
    plates: tuple[Plate, ...] = field(default=())
