# SPDX-License-Identifier: GPL-2.0-or-later
"""Real files, written by tifffile and Pillow, and what must come of each: what was put in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.formats.expected import Expected, Picture

TIFF, OME_TIFF = "Tagged Image File Format", "OME-TIFF"
KINDS = {"float16": "float", "float32": "float", "float64": "double", "bool": "uint8"}
"""What types are called in OMERO, where that is not their name in numpy."""

Writer = Callable[[Path], Expected]


def pixels(dtype: str, *shape: int, seed: int = 0) -> NDArray[Any]:
    """Make values that use the whole range of a type."""
    random = np.random.default_rng(seed)
    if dtype == "bool":
        return random.random(shape) > 0.5
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (random.standard_normal(shape) * 100).astype(kind)
    span = np.iinfo(kind)
    return random.integers(span.min, span.max, shape, kind, endpoint=True)


def flat(values: NDArray[Any]) -> NDArray[Any]:
    """Give a single plane, (Y, X), the shape (C, Z, T, Y, X)."""
    return values[None, None, None]


def expected(path: Path, *pictures: Picture, kind: str = TIFF) -> Expected:
    """Say what comes of a file of its own."""
    return Expected(ordered=path.name, files=(path.name,), format=kind, pictures=pictures)


def one(path: Path, dtype: str, values: NDArray[Any], *, file_format: str = TIFF, **more: Any) -> Expected:
    """Say what comes of a file of one image; it is called as the file."""
    return expected(path, Picture(name=path.name, kind=KINDS.get(dtype, dtype), values=values, **more), kind=file_format)


def typed(dtype: str, order: str) -> Writer:
    """Give a plain file of a type, in one of the orders of bytes."""

    def write(folder: Path) -> Expected:
        path, values = folder / f"{dtype}-{'big' if order == '>' else 'little'}.tif", pixels(dtype, 6, 8)
        tifffile.imwrite(path, values, byteorder=order, photometric="minisblack")
        return one(path, dtype, flat(values))

    return write


def typed_ome(dtype: str) -> Writer:
    """Give an OME-TIFF of a type: two channels of three sections."""

    def write(folder: Path) -> Expected:
        path, values = folder / f"{dtype}.ome.tif", pixels(dtype, 2, 3, 6, 8, seed=1)
        names = ("DAPI", "GFP")
        metadata = {"axes": "CZYX", "Channel": {"Name": list(names)}, "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "nm"}
        tifffile.imwrite(path, values, photometric="minisblack", metadata=metadata)
        lengths = ("0.5 NANOMETER", None, None)
        return one(path, dtype, values[:, :, None], file_format=OME_TIFF, channels=names, lengths=lengths)

    return write


def hyperstack(dtype: str) -> Writer:
    """Give a stack as ImageJ writes it."""

    def write(folder: Path) -> Expected:
        path, values = folder / f"imagej-{dtype}.tif", pixels(dtype, 4, 3, 2, 6, 8, seed=2)
        metadata = {"axes": "TZCYX", "spacing": 2.0, "unit": "um"}
        tifffile.imwrite(path, values, imagej=True, resolution=(4.0, 2.0), metadata=metadata)
        lengths = ("0.25 MICROMETER", "0.5 MICROMETER", "2.0 MICROMETER")
        return one(path, dtype, values.transpose(2, 1, 0, 3, 4), lengths=lengths)

    return write


def imagej_colours(folder: Path) -> Expected:
    path, values = folder / "imagej-rgb.tif", pixels("uint8", 2, 6, 8, 3)
    tifffile.imwrite(path, values, imagej=True, metadata={"axes": "TYXS"})
    return one(path, "uint8", values.transpose(3, 0, 1, 2)[:, None])


def tiled(name: str, dtype: str, size: tuple[int, int], **options: Any) -> Writer:
    """Give a plain file of a size, (Y, X), written with options of tifffile."""

    def write(folder: Path) -> Expected:
        path, values = folder / name, pixels(dtype, *size, seed=3)
        tifffile.imwrite(path, values, photometric="minisblack", **options)
        return one(path, dtype, flat(values))

    return write


def colours(name: str, dtype: str, samples: int, *, planar: bool, **options: Any) -> Writer:
    """Give a file of red, green, blue and perhaps alpha, pixel by pixel or plane by plane."""

    def write(folder: Path) -> Expected:
        path, values = folder / name, pixels(dtype, samples, 6, 8, seed=4)
        extra = {"extrasamples": ["unassalpha"]} if samples == 4 else {}
        written = values if planar else values.transpose(1, 2, 0)
        layout = "separate" if planar else "contig"
        tifffile.imwrite(path, written, photometric="rgb", planarconfig=layout, **extra, **options)
        return one(path, dtype, values[:, None, None], file_format=OME_TIFF if ".ome." in name else TIFF)

    return write


def white_is_zero(folder: Path) -> Expected:
    """Write values of which the least is white; as everywhere else in OMERO, the greatest is then to be."""
    path, values = folder / "white.tif", pixels("uint8", 6, 8)
    tifffile.imwrite(path, values, photometric="miniswhite")
    return one(path, "uint8", flat(255 - values))


def palette(folder: Path) -> Expected:
    path, values = folder / "palette.tif", pixels("uint8", 6, 8)
    tifffile.imwrite(path, values, photometric="palette", colormap=pixels("uint16", 3, 256))
    return one(path, "uint8", flat(values))


def stack(folder: Path) -> Expected:
    """Write planes of which nothing tells what they are: they are taken for times."""
    path, values = folder / "stack.tif", pixels("uint16", 5, 6, 8)
    tifffile.imwrite(path, values, photometric="minisblack")
    return one(path, "uint16", values[None, None])


def two_sizes(folder: Path) -> Expected:
    path, large, small = folder / "sizes.tif", pixels("uint8", 6, 8), pixels("uint8", 4, 5, seed=1)
    with tifffile.TiffWriter(path) as writer:
        writer.write(large, photometric="minisblack")
        writer.write(small, photometric="minisblack")
    return expected(
        path,
        *(
            Picture(name=f"{path.name} [{path.name} #{number}]", kind="uint8", values=flat(values))
            for number, values in ((1, large), (2, small))
        ),
    )


def three_images(folder: Path) -> Expected:
    path = folder / "three.ome.tif"
    made = [(name, pixels("uint16", 2, 6, 8 + number, seed=number)) for number, name in enumerate(("left", "right", "both"))]
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, values in made:
            writer.write(values, photometric="minisblack", metadata={"axes": "TYX", "Name": name})
    pictures = (Picture(name=f"{path.name} [{name}]", kind="uint16", values=values[None, None]) for name, values in made)
    return expected(path, *pictures, kind=OME_TIFF)


def pyramid(name: str, dtype: str, **options: Any) -> Writer:
    """Give an OME-TIFF that holds smaller copies of its image."""

    def write(folder: Path) -> Expected:
        path, values = folder / name, pixels(dtype, 96, 128)
        with tifffile.TiffWriter(path, ome=True, **options) as writer:
            writer.write(values, subifds=2, tile=(32, 32), photometric="minisblack")
            for step in (2, 4):
                writer.write(values[::step, ::step], subfiletype=1, tile=(16, 16), photometric="minisblack")
        return one(path, dtype, flat(values), file_format=OME_TIFF, levels=3)

    return write


def pyramids(folder: Path) -> Expected:
    path = folder / "pyramids.ome.tif"
    made = [pixels("uint8", 64, 96, seed=number) for number in range(2)]
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, values in enumerate(made):
            writer.write(values, subifds=1, tile=(32, 32), photometric="minisblack", metadata={"Name": f"slide {number}"})
            writer.write(values[::2, ::2], subfiletype=1, tile=(32, 32), photometric="minisblack")
    pictures = (
        Picture(name=f"{path.name} [slide {number}]", kind="uint8", values=flat(values), levels=2)
        for number, values in enumerate(made)
    )
    return expected(path, *pictures, kind=OME_TIFF)


def by_pillow(name: str, mode: str, file_format: str, **options: Any) -> Writer:
    """Give a picture as Pillow writes it, without loss."""

    def write(folder: Path) -> Expected:
        path = folder / name
        shape = (6, 8, len(mode)) if mode != "L" else (6, 8)
        values = pixels("uint8", *shape, seed=5)
        Image.fromarray(values).save(path, **options)
        return one(
            path, "uint8", values.transpose(2, 0, 1)[:, None, None] if mode != "L" else flat(values), file_format=file_format
        )

    return write


FILES: dict[str, Writer] = {
    **{
        f"{dtype}-{word}": typed(dtype, order)
        for dtype in (
            "bool",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "uint32",
            "int32",
            "float16",
            "float32",
            "float64",
        )
        for word, order in (("little", "<"), ("big", ">"))
    },
    **{
        f"ome-{dtype}": typed_ome(dtype)
        for dtype in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
    },
    **{f"imagej-{dtype}": hyperstack(dtype) for dtype in ("uint8", "uint16", "float32")},
    "imagej-rgb": imagej_colours,
    "tiled": tiled("tiled.tif", "uint16", (50, 70), tile=(16, 32)),
    "strips": tiled("strips.tif", "uint8", (50, 70), rowsperstrip=7),
    "bigtiff": tiled("bigtiff.tif", "uint16", (6, 8), bigtiff=True),
    "bigtiff-big": tiled("bigtiff-big.tf8", "int32", (6, 8), bigtiff=True, byteorder=">"),
    "deflate": tiled("deflate.tif", "uint16", (50, 70), compression="zlib"),
    "deflate-tiled-big": tiled("deflate-big.tiff", "float32", (50, 70), compression="zlib", tile=(16, 16), byteorder=">"),
    "lzw": by_pillow("lzw.tif", "L", TIFF, compression="tiff_lzw"),
    "packbits": by_pillow("packbits.tif", "L", TIFF, compression="packbits"),
    "rgb": colours("rgb.tif", "uint8", 3, planar=False),
    "rgb-planar": colours("rgb-planar.tif", "uint8", 3, planar=True),
    "rgb-16": colours("rgb-16.tif", "uint16", 3, planar=False, byteorder=">"),
    "rgba": colours("rgba.tif", "uint8", 4, planar=False),
    "rgb-deflate": colours("rgb-deflate.tif", "uint8", 3, planar=False, compression="zlib"),
    "rgb-ome": colours("rgb.ome.tif", "uint8", 3, planar=False),
    "white": white_is_zero,
    "palette": palette,
    "stack": stack,
    "sizes": two_sizes,
    "three": three_images,
    "pyramid": pyramid("pyramid.ome.tif", "uint16"),
    "pyramid-big": pyramid("pyramid-big.ome.tf8", "uint8", bigtiff=True, byteorder=">"),
    "pyramids": pyramids,
    "png": by_pillow("colours.png", "RGB", "Animated PNG"),
    "bmp": by_pillow("colours.bmp", "RGB", "Windows Bitmap"),
}
