# SPDX-License-Identifier: GPL-2.0-or-later
"""Images in several files: OME-TIFFs that know each other, with and without a companion, and files that a pattern names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import tifffile
from numpy.typing import NDArray

from tests.formats.expected import Expected, Picture, Plate
from tests.formats.real import OME_TIFF, pixels

SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
HEIGHT, WIDTH = 6, 8

SetWriter = Callable[[Path], Expected]


def identity(file: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, file)}"


def document(image: str, *, own: str, planes: Sequence[tuple[str, int, int, int]], sizes: tuple[int, int, int]) -> str:
    """Describe an image of uint16 whose planes lie in files: (file, z, c, t) each; `sizes` along Z, C and T."""
    z, c, t = sizes
    channels = "".join(f'<Channel ID="Channel:0:{number}" Name="c{number}" SamplesPerPixel="1"/>' for number in range(c))
    places = "".join(
        f'<TiffData FirstZ="{place[0]}" FirstC="{place[1]}" FirstT="{place[2]}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{file}">{identity(file)}</UUID></TiffData>'
        for file, *place in planes
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{SCHEMA}" UUID="{identity(own)}"><Image ID="Image:0" Name="{image}">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeZ="{z}" SizeC="{c}" '
        f'SizeT="{t}" BigEndian="false">{channels}{places}</Pixels></Image></OME>'
    )


def plane(path: Path, values: NDArray[Any], *, described: str, own: str | None = None) -> None:
    """Write a file that says nothing but that another one describes it; `own` is what that one calls it."""
    only = f'<BinaryOnly MetadataFile="{described}" UUID="{identity(described.rpartition("/")[2])}"/>'
    text = f'<OME xmlns="{SCHEMA}" UUID="{identity(own or path.name)}">{only}</OME>'
    tifffile.imwrite(path, values, description=text, metadata=None, photometric="minisblack")


def companion(name: str, *, sizes: tuple[int, int, int]) -> SetWriter:
    """Give one file a plane, and `name.companion.ome` that describes them all."""

    def write(folder: Path) -> Expected:
        described = f"{name}.companion.ome"
        files, values, planes = _planes(name, sizes)
        (folder / described).write_text(document(name, own=described, planes=planes, sizes=sizes))
        for file, z, c, t in planes:
            plane(folder / file, values[c, z, t], described=described)
        return _expected((described, *files), values)

    return write


def in_folders(name: str, *, sections: int) -> SetWriter:
    """Give each section a folder, in which its file is called as all others are; the companion lies above."""

    def write(folder: Path) -> Expected:
        described = f"{name}.companion.ome"
        values = pixels("uint16", 1, sections, 1, HEIGHT, WIDTH, seed=9)
        files = tuple(f"{name} z{section}/plane.ome.tif" for section in range(sections))
        planes = [(file, section, 0, 0) for section, file in enumerate(files)]
        (folder / described).write_text(document(name, own=described, planes=planes, sizes=(sections, 1, 1)))
        for section, file in enumerate(files):
            (folder / file).parent.mkdir()
            plane(folder / file, values[0, section, 0], described=f"../{described}", own=file)
        return _expected((described, *files), values)

    return write


def without_companion(name: str, *, sizes: tuple[int, int, int]) -> SetWriter:
    """Give one file a plane, each of which describes them all."""

    def write(folder: Path) -> Expected:
        files, values, planes = _planes(name, sizes)
        for file, z, c, t in planes:
            text = document(name, own=file, planes=planes, sizes=sizes)
            tifffile.imwrite(folder / file, values[c, z, t], description=text, metadata=None, photometric="minisblack")
        return _expected(files, values)

    return write


def pattern(name: str, *, sizes: tuple[int, int]) -> SetWriter:
    """Give each plane a plain file, and a file that says by their names which section and channel each is."""

    def write(folder: Path) -> Expected:
        z, c = sizes
        named, values = f"{name}.pattern", pixels("uint16", c, z, 1, HEIGHT, WIDTH, seed=8)
        files = [(f"{name}_z{section}_c{channel}.tif", section, channel) for channel, section in product(range(c), range(z))]
        (folder / named).write_text(f"{name}_z<0-{z - 1}>_c<0-{c - 1}>.tif")
        for file, section, channel in files:
            tifffile.imwrite(folder / file, values[channel, section, 0], photometric="minisblack")
        image = Picture(name=None, kind="uint16", values=values)
        return Expected(ordered=named, files=(named, *(file for file, *_ in files)), format="File pattern", pictures=(image,))

    return write


def plate(name: str, *, columns: int) -> SetWriter:
    """Give each well of a plate of one row a file, and a companion that makes a plate of them."""

    def write(folder: Path) -> Expected:
        described = f"{name}.companion.ome"
        files = [f"{name}_{column}.ome.tif" for column in range(columns)]
        values = [pixels("uint16", 1, 1, 1, HEIGHT, WIDTH, seed=column) for column in range(columns)]
        images = "".join(
            f'<Image ID="Image:{column}" Name="well {column}"><Pixels ID="Pixels:{column}" DimensionOrder="XYZCT" Type="uint16" '
            f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeZ="1" SizeC="1" SizeT="1" BigEndian="false">'
            f'<Channel ID="Channel:{column}:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1">'
            f'<UUID FileName="{file}">{identity(file)}</UUID></TiffData></Pixels></Image>'
            for column, file in enumerate(files)
        )
        wells = "".join(
            f'<Well ID="Well:{column}" Row="0" Column="{column}"><WellSample ID="WellSample:{column}" Index="{column}">'
            f'<ImageRef ID="Image:{column}"/></WellSample></Well>'
            for column in range(columns)
        )
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{SCHEMA}" UUID="{identity(described)}">'
            f'<Plate ID="Plate:0" Name="{name}" Rows="1" Columns="{columns}">{wells}</Plate>{images}</OME>'
        )
        (folder / described).write_text(text)
        for file, well in zip(files, values, strict=True):
            plane(folder / file, well[0, 0, 0], described=described)
        return Expected(
            ordered=described,
            files=(described, *files),
            format=OME_TIFF,
            pictures=tuple(Picture(name=None, kind="uint16", values=well) for well in values),
            plates=(Plate(name=name, rows=1, columns=columns, fields=1, runs=0),),
        )

    return write


def _planes(name: str, sizes: tuple[int, int, int]) -> tuple[tuple[str, ...], NDArray[Any], list[tuple[str, int, int, int]]]:
    """Make the files of a set: their names, the pixels, and which plane of them, (z, c, t), each holds."""
    z, c, t = sizes
    values = pixels("uint16", c, z, t, HEIGHT, WIDTH, seed=6)
    planes = [
        (f"{name}_z{section}_c{channel}_t{time}.ome.tif", section, channel, time)
        for time, channel, section in product(range(t), range(c), range(z))
    ]
    return tuple(plane[0] for plane in planes), values, planes


def _expected(files: tuple[str, ...], values: NDArray[Any]) -> Expected:
    names = tuple(f"c{channel}" for channel in range(values.shape[0]))
    image = Picture(name=None, kind="uint16", values=values, channels=names)  # it is called as the file that is opened
    return Expected(ordered=files[0], files=files, format=OME_TIFF, pictures=(image,))


SETS: dict[str, SetWriter] = {
    "companion": companion("companion", sizes=(2, 2, 1)),
    "companion-long": companion("long", sizes=(2, 3, 2)),
    "companion-folders": in_folders("floors", sections=3),
    "without-companion": without_companion("alone", sizes=(2, 1, 2)),
    "pattern": pattern("cells", sizes=(3, 2)),
}

PLATES: dict[str, SetWriter] = {"companion-plate": plate("tray", columns=3)}
