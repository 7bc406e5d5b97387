# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read without Bio-Formats, and that whatever is wrong with a file comes out as an error of ours."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import EntryFailed, FileBroken, FileMissing, FormatUnknown, SourceUnreadable
from omero_adi_plugin.importers.plans import AdmittedFile, Reading
from omero_adi_plugin.importers.reading.tiff import OME_TIFF, TIFF, TiffReader
from omero_adi_plugin.importers.truncation import TIFF_MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = np.arange(5 * 16 * 16, dtype="u2").reshape(5, 16, 16)


WHY = "no Java is installed"


def read(path: Path) -> Reading:
    return TiffReader(WHY).read(AdmittedFile(path=str(path), source=str(path), bytes=0, mtime_ns=0))


def ome_tiff(path: Path, *, images: int = 1, description: str | None = None) -> Path:
    if description is not None:
        tifffile.imwrite(path, STACK, description=description, metadata=None)
        return path
    with tifffile.TiffWriter(path) as writer:
        for number in range(images):
            writer.write(STACK, metadata={"axes": "CYX", "Name": f"image {number}"})
    return path


def ome_xml(inside: str, *, attributes: str = "") -> str:
    return f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {attributes}>{inside}</OME>'


def image(data: str) -> str:
    pixels = 'DimensionOrder="XYCZT" Type="uint16" SizeX="16" SizeY="16" SizeZ="1" SizeC="5" SizeT="1"'
    return f'<Image ID="Image:0"><Pixels ID="Pixels:0" {pixels}>{data}</Pixels></Image>'


def test_a_plain_tiff_is_one_image(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, STACK)
    expected = Reading(used=(str(path),), reader=TIFF, format="Tagged Image File Format", images=1, plates=0)
    assert read(path) == expected
    assert TiffReader(WHY).version is None


@pytest.mark.parametrize(
    "options", [{"bigtiff": True}, {"byteorder": ">"}, {"imagej": True}, {"compression": "zlib", "tile": (16, 16)}]
)
def test_every_way_of_writing_a_tiff_is_read(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, STACK, **options)
    assert read(path).images == 1


def test_an_ome_tiff_says_how_many_images_it_holds(tmp_path: Path) -> None:
    found = read(ome_tiff(tmp_path / "three.ome.tif", images=3))
    assert (found.images, found.reader, found.format) == (3, OME_TIFF, "OME-TIFF")


def test_a_plate_in_an_ome_tiff_is_seen(tmp_path: Path) -> None:
    text = ome_xml('<Plate ID="Plate:0"/>' + image("<TiffData/>"))
    assert read(ome_tiff(tmp_path / "p.ome.tif", description=text)).plates == 1


def test_pyramids_are_walked_too(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((64, 64), "u1"), subifds=1, tile=(32, 32))
        writer.write(np.zeros((32, 32), "u1"), subfiletype=1, tile=(32, 32))
    assert read(path).images == 1
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        smaller = tiff.series[0].levels[1].pages[0]
        assert smaller is not None
        first_tile = smaller.dataoffsets[0]
    path.write_bytes(whole[: first_tile + 10])
    with pytest.raises(FileBroken):
        read(path)


@pytest.mark.parametrize("name", ["missing.tif", "a.tif/below-a-file.tif", "x" * 300 + ".tif", "loop.tif"])
def test_what_is_not_there_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    with pytest.raises(FileMissing):
        read(tmp_path / name)


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Stop being root, who may read everything, for the time of a test."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def test_what_may_not_be_read_is_unreadable(tmp_path: Path, ordinary_user: None) -> None:
    path = tmp_path / "secret.tif"
    with contextlib.suppress(PermissionError):  # who was root before may not even look into the folder
        path.write_bytes(b"II*\0")
        path.chmod(0)
    with pytest.raises(SourceUnreadable):
        read(path)


def test_a_folder_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "image.zarr").mkdir()
    os.mkfifo(tmp_path / "pipe.tif")
    for name in ("image.zarr", "pipe.tif"):
        with pytest.raises(FormatUnknown):
            read(tmp_path / name)


def test_no_file_stays_open(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "good.ome.tif", STACK, ome=True)
    (tmp_path / "bad.tif").write_bytes(b"II*\0" + bytes(100))
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert read(tmp_path / "good.ome.tif").images == 1
    with pytest.raises(FileBroken):
        read(tmp_path / "bad.tif")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"II", b"hello, world", b"II*\1" + bytes(100)])
def test_what_is_no_tiff_is_unknown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(FormatUnknown, match="without Bio-Formats only TIFF and OME-TIFF can be read, and no Java is installed"):
        read(tmp_path / "x.tif")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"II*\0", "header"),
        (b"II*\0" + bytes(4), "no image"),
        (b"II*\0" + bytes(1000), "no image"),
        (b"II*\0" + struct.pack("<I", 4_000_000_000), "ends before"),
        (b"II+\0" + struct.pack("<HHQ", 8, 0, 2**63), "ends before"),
        (b"II*\0" + struct.pack("<IHHHIII", 8, 1, 273, 4, 2**31, 8, 0), "makes no sense"),
        (b"II*\0" + struct.pack("<IHHHIII", 8, 1, 273, 4, 1, 8, 8), "been there before"),
        (b"II*\0" + struct.pack("<IHHHIII", 8, 1, 256, 4, 1, 8, 0), "no pixels"),
    ],
)
def test_what_is_a_tiff_only_at_its_beginning_is_broken(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(FileBroken, match=why) as caught:
        read(tmp_path / "x.tif")
    assert caught.value.path == str(tmp_path / "x.tif")


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"imagej": True}, {"compression": "zlib"}])
def test_a_tiff_is_broken_wherever_it_was_cut(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, STACK, **options)
    whole = path.read_bytes()
    assert read(path)
    last = len(whole) - 17  # tifffile leaves up to 16 unused bytes behind the last directory
    for length in [*range(4, last, 64), last]:
        path.write_bytes(whole[:length])
        with pytest.raises(FileBroken):
            read(path)


def test_an_imagej_stack_with_one_directory_must_be_there_to_its_last_plane(tmp_path: Path) -> None:
    path = tmp_path / "big.tif"
    tifffile.imwrite(path, STACK[0], description="ImageJ=1.54\nimages=3\nslices=3\n", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    content = path.read_bytes()
    path.write_bytes(content.ljust(start + 3 * STACK[0].nbytes, b"\0"))
    assert read(path).images == 1
    path.write_bytes(content.ljust(start + 3 * STACK[0].nbytes - 1, b"\0"))
    with pytest.raises(FileBroken, match="3 planes"):
        read(path)


def test_a_file_of_several_is_refused_with_the_name_of_another(tmp_path: Path) -> None:
    data = '<TiffData IFD="0"><UUID FileName="z0.ome.tif">urn:uuid:1</UUID></TiffData>'
    data += '<TiffData IFD="0"><UUID FileName="z1.ome.tif">urn:uuid:2</UUID></TiffData>'
    path = ome_tiff(tmp_path / "z0.ome.tif", description=ome_xml(image(data), attributes='UUID="urn:uuid:1"'))
    with pytest.raises(FormatUnknown, match=r"z1\.ome\.tif"):
        read(path)


def test_a_file_whose_metadata_lie_in_a_companion_is_refused(tmp_path: Path) -> None:
    text = ome_xml('<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:1"/>')
    with pytest.raises(FormatUnknown, match=r"set\.companion\.ome"):
        read(ome_tiff(tmp_path / "z0.ome.tif", description=text))


def test_a_renamed_ome_tiff_is_still_one_file(tmp_path: Path) -> None:
    data = '<TiffData IFD="0" PlaneCount="5"><UUID FileName="old-name.ome.tif">urn:uuid:1</UUID></TiffData>'
    text = ome_xml(image(data), attributes='UUID="urn:uuid:1"')
    assert read(ome_tiff(tmp_path / "new-name.ome.tif", description=text)).images == 1


def test_an_ome_tiff_that_speaks_of_more_planes_than_it_has_is_broken(tmp_path: Path) -> None:
    text = ome_xml(image('<TiffData IFD="0" PlaneCount="6"/>'))
    with pytest.raises(FileBroken, match="6 planes"):
        read(ome_tiff(tmp_path / "short.ome.tif", description=text))


@pytest.mark.parametrize("inside", [image('<TiffData IFD="many"/>'), "", image("<TiffData")])
def test_broken_ome_xml_is_a_broken_file(tmp_path: Path, inside: str) -> None:
    with pytest.raises(FileBroken, match="OME-XML"):
        read(ome_tiff(tmp_path / "x.ome.tif", description=ome_xml(inside)))


def test_ome_xml_with_entities_is_refused_before_they_unfold(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE OME [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + ome_xml("&b;")
    with pytest.raises(FileBroken, match="document type"):
        read(ome_tiff(tmp_path / "bomb.ome.tif", description=bomb))


def test_a_makers_own_kind_of_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    tifffile.imwrite(path, STACK[0], tile=(16, 16), description="Aperio Image Library v1", metadata=None)  # always tiled
    with pytest.raises(FormatUnknown, match="svs"):
        read(path)


def test_nothing_but_our_own_errors_comes_out_of_nonsense(tmp_path: Path) -> None:
    rolls = random.Random(20261124)  # noqa: S311 (repeatable nonsense)
    path = tmp_path / "nonsense.tif"
    sources = []
    for options in ({}, {"bigtiff": True}, {"metadata": {"axes": "CYX"}, "ome": True}):
        tifffile.imwrite(path, STACK, **options)
        sources.append(path.read_bytes())
    for _ in range(600):
        content = bytearray(rolls.choice(sources))
        for _ in range(rolls.randint(1, 12)):
            content[rolls.randrange(4, min(len(content), 1500))] = rolls.choice((0, 1, 127, 128, 255, rolls.randrange(256)))
        path.write_bytes(content)
        with contextlib.suppress(EntryFailed):  # some of it is still readable
            read(path)
    for size in (4, 8, 16, 100, 5000):
        path.write_bytes(rolls.choice(sorted(TIFF_MAGIC)) + rolls.randbytes(size))
        with pytest.raises(EntryFailed):
            read(path)
