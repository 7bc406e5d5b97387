# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of Bio-Formats' test format, whose names say what is in them, and what must come of each.

The values of the pixels are those that the format is made of: along the upper edge, boxes of 10 pixels that hold the numbers of
the series, of the plane in its file, of the section, the channel and the time; everywhere else the smallest value of the type
plus X (0 plus X for floating point). What images are called was recorded on a real server (facts, section 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.formats.expected import Expected, Picture, Plate

FORMAT = "Simulated data"
BOX, WIDTH, HEIGHT = 10, 64, 12
SIZE = f"&sizeX={WIDTH}&sizeY={HEIGHT}"
NUMPY = {"float": "f4", "double": "f8", "bit": "u1"}


def values(kind: str, *, series: int, z: int, c: int, t: int, order: str = "XYZCT", samples: int = 1) -> NDArray[np.generic]:
    """Make the pixels of one series, shape (C, Z, T, Y, X); `samples` channels share a plane of the file."""
    dtype = np.dtype(NUMPY.get(kind, kind))
    lowest = int(np.iinfo(dtype).min) if dtype.kind == "i" else 0
    made = np.empty((c, z, t, HEIGHT, WIDTH), dtype)
    made[...] = (lowest + np.arange(WIDTH)).astype(dtype)
    sizes, steps, step = {"Z": z, "C": c // samples, "T": t}, {}, 1
    for axis in order[2:]:
        steps[axis], step = step, step * sizes[axis]
    for channel, section, time in product(range(c), range(z), range(t)):
        plane = section * steps["Z"] + channel // samples * steps["C"] + time * steps["T"]
        for box, number in enumerate((series, plane, section, channel, time)):
            made[channel, section, time, :BOX, box * BOX : (box + 1) * BOX] = number
    return made


def pictures(
    file: str,
    start: str,
    count: int = 1,
    *,
    kind: str = "uint8",
    z: int = 1,
    c: int = 1,
    t: int = 1,
    order: str = "XYZCT",
    samples: int = 1,
    levels: int = 1,
    lengths: tuple[str | None, str | None, str | None] | None = None,
) -> tuple[Picture, ...]:
    """Say what images a file makes; `start` is how its name begins, and what its reader calls them."""
    inner = [start, *(f"{start} {number}" for number in range(2, count + 1))]
    return tuple(
        Picture(
            name=file if count == 1 else f"{file} [{inner[series]}]",
            kind=kind,
            values=values(kind, series=series, z=z, c=c, t=t, order=order, samples=samples),
            levels=levels,
            lengths=lengths,
        )
        for series in range(count)
    )


def fake(start: str, options: str = "", count: int = 1, **made: object) -> Expected:
    """Say what comes of `start…options.fake`, a file that makes `count` images."""
    file = f"{start}{SIZE}{options}.fake"
    return Expected(ordered=file, files=(file,), format=FORMAT, pictures=pictures(file, start, count, **made))  # type: ignore[arg-type]


def shelf(start: str, options: str, *, plates: int, rows: int, columns: int, fields: int, runs: int, **made: object) -> Expected:
    """Say what comes of a file that makes `plates` plates, all alike; a field is seen in each of the `runs`."""
    options = f"{options}&plateRows={rows}&plateCols={columns}&fields={fields}&plateAcqs={runs}"
    file = f"{start}&{options}{SIZE}.fake"
    count = plates * rows * columns * fields * runs
    return Expected(
        ordered=file,
        files=(file,),
        format=FORMAT,
        pictures=pictures(file, start, count, **made),  # type: ignore[arg-type]
        plates=tuple(
            Plate(name=f"Plate Name {number}", rows=rows, columns=columns, fields=fields, runs=runs) for number in range(plates)
        ),
    )


def set_of_two(start: str) -> Expected:
    """Say what comes of a file whose images are described in another one, which belongs to it."""
    file = f"{start}.fake"
    made = pictures(file, start, 2, z=3)
    return Expected(ordered=file, files=(file, f"{file}.ini"), format=FORMAT, pictures=made)


IMAGES = (
    fake("one"),
    fake("two", "&series=2", 2),
    fake("three", "&series=3", 3),
    fake("twelve", "&series=12", 12),
    fake("z", "&sizeZ=5", z=5),
    fake("c", "&sizeC=3", c=3),
    fake("t", "&sizeT=4", t=4),
    fake("zct", "&sizeZ=2&sizeC=3&sizeT=4", z=2, c=3, t=4),
    fake("all", "&series=2&sizeZ=2&sizeC=2&sizeT=3&pixelType=uint16", 2, kind="uint16", z=2, c=2, t=3),
    *(
        fake(f"order-{order}", f"&dimOrder={order}&sizeZ=2&sizeC=3&sizeT=4", z=2, c=3, t=4, order=order)
        for order in ("XYZCT", "XYZTC", "XYCZT", "XYCTZ", "XYTZC", "XYTCZ")
    ),
    *(
        fake(f"type-{kind}", f"&pixelType={kind}&sizeC=2", kind=kind, c=2)
        for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float", "double", "bit")
    ),
    fake("little", "&little=true&pixelType=uint16", kind="uint16"),
    fake("big", "&little=false&pixelType=uint16", kind="uint16"),
    fake("rgb", "&rgb=3&sizeC=3", c=3, samples=3),
    fake("rgba", "&rgb=4&sizeC=4", c=4, samples=4),
    fake("interleaved", "&rgb=3&sizeC=3&interleaved=true", c=3, samples=3),
    fake("two-rgb", "&rgb=3&sizeC=6&sizeZ=2&dimOrder=XYCZT", c=6, z=2, samples=3, order="XYCZT"),
    fake("rgb-series", "&rgb=3&sizeC=3&series=2", 2, c=3, samples=3),
    fake("levels", "&resolutions=3", levels=3),
    fake("levels-series", "&resolutions=2&series=2", 2, levels=2),
    fake("lengths", "&physicalSizeX=2.5&physicalSizeY=3nm", lengths=("2.5 MICROMETER", "3.0 NANOMETER", None)),
    fake("acquired", "&acquisitionDate=2020-01-02_03-04-05&annLong=2&annMap=1&ellipses=2"),
    fake("ünïcode 'n' spaces (50%) #1 [a]"),
    set_of_two("described"),
)

PLATES = (
    shelf("well", "plates=1", plates=1, rows=1, columns=1, fields=1, runs=1),
    shelf("small", "plates=1", plates=1, rows=2, columns=3, fields=2, runs=2),
    shelf("fields", "plates=1", plates=1, rows=1, columns=2, fields=4, runs=1),
    shelf("runs", "plates=1", plates=1, rows=1, columns=2, fields=1, runs=3),
    shelf("deep", "plates=1&sizeZ=2&sizeC=3&sizeT=2", plates=1, rows=1, columns=1, fields=2, runs=1, z=2, c=3, t=2),
    shelf("colour", "plates=1&rgb=3&sizeC=3", plates=1, rows=1, columns=2, fields=1, runs=1, c=3, samples=3),
    shelf("wide", "plates=1", plates=1, rows=8, columns=12, fields=1, runs=1),
    shelf("pair", "plates=2", plates=2, rows=2, columns=2, fields=1, runs=1),
    shelf("pairs", "plates=3&pixelType=int16", plates=3, rows=1, columns=2, fields=1, runs=2, kind="int16"),
    shelf("screen", "screens=1&plates=2", plates=2, rows=1, columns=2, fields=1, runs=1),
    shelf("screens", "screens=2&plates=2", plates=4, rows=1, columns=1, fields=2, runs=1),
)


def write(folder: Path, rows: Sequence[Expected]) -> None:
    """Write all files of a table; what is in them does not matter, but an empty file may count as one that is not whole."""
    for row in rows:
        for name in row.files:
            text = f"series=2\nsizeZ=3\nsizeX={WIDTH}\nsizeY={HEIGHT}\n" if name.endswith(".ini") else "made by its name\n"
            (folder / name).write_text(text)
