#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An example of a converter: makes two OME-TIFFs of an array that NumPy has saved (`.npy`), the stack and its projection.

A copy of this file is a good start for a converter of your own: replace `read` and `convert`, and keep what is around them. What
a converter must do, and may, is described in docs/converters.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile


@dataclass
class Made:
    """An image that is to be imported: the name of its file, what it is called in OMERO, and what its key-values are."""

    file: str
    name: str
    pixels: np.ndarray
    axes: str
    keyvalues: dict[str, object]


def main() -> None:
    """Convert one file, and say on the last line of stdout what has become of it. An exception is shown, and means failure."""
    asked = arguments()
    # What is below the alternative folder is imported, what is below the other one is kept beside the source. It is enough to
    # write one of the two: the importer sees to the other.
    folder, key = (asked.altoutputfolder, "alt_path") if asked.altoutputfolder else (asked.outputfolder, "full_path")
    items = []
    for made in convert(read(asked.inputfile), asked.inputfile.stem):
        path = folder / made.file
        # stderr, and all lines of stdout but the last one, are for people: they are in the order's log.
        print(f"writing {path}: {made.pixels.dtype} of shape {made.pixels.shape}", file=sys.stderr)
        tifffile.imwrite(path, made.pixels, ome=True, photometric="minisblack", metadata=metadata(made, asked.pixel_size))
        items.append({"name": made.name, key: str(path), "keyvalues": [made.keyvalues]})
    print(json.dumps(items))


def arguments() -> argparse.Namespace:
    """Return what this converter is told: three options that are always the same, and those of its own (`--param`)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputfile", type=Path, required=True)
    parser.add_argument("--outputfolder", type=Path, required=True)
    parser.add_argument("--altoutputfolder", type=Path)
    parser.add_argument("--pixel-size", type=float, metavar="MICROMETRES", help="edge of a pixel")
    return parser.parse_args()


def read(path: Path) -> np.ndarray:
    """Return the planes in a file. What cannot be converted ends the converter with status 1 and a sentence for people."""
    try:
        stack = np.load(path, allow_pickle=False)  # a pickle can hold a program
    except ValueError:
        sys.exit(f"{path.name} is no array that NumPy has saved")
    if not isinstance(stack, np.ndarray) or stack.ndim not in {2, 3} or stack.dtype.kind not in "uif" or not stack.size:
        sys.exit(f"{path.name} does not hold the numbers of a plane, or of a stack of planes")
    if stack.dtype.kind in "ui" and stack.dtype.itemsize == np.dtype(np.int64).itemsize:
        stack = stack.astype(np.float64)  # OME-TIFF has no whole numbers of this size
    return np.reshape(stack, (-1, *stack.shape[-2:]))


def convert(stack: np.ndarray, stem: str) -> list[Made]:
    """Return the stack as it is, and its brightest pixels as seen from above."""
    projection = stack.max(axis=0)
    return [
        Made(f"{stem}.ome.tiff", stem, stack, "ZYX", {"Planes": len(stack), "Pixel type": str(stack.dtype)}),
        Made(
            f"{stem}-projection.ome.tiff",
            f"{stem}, projection",
            projection,
            "YX",
            {"Projection": "maximum", "Brightest": float(projection.max()), "Made with": ["NumPy", "tifffile"]},
        ),
    ]


def metadata(made: Made, pixel_size: float | None) -> dict[str, object]:
    """Return what tifffile writes into the description of an OME-TIFF."""
    scale = {f"PhysicalSize{axis}": pixel_size for axis in "XY"} | {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    return {"axes": made.axes, "Name": made.name, **(scale if pixel_size is not None else {})}


if __name__ == "__main__":
    main()
