# SPDX-License-Identifier: GPL-2.0-or-later
"""Which TIFFs end too early; and that those of makers who bend the format are not taken for broken."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import FileBroken
from omero_adi_plugin.importers.directories import CLASSIC_END, LONGEST_DESCRIPTION, MOST_BYTES
from omero_adi_plugin.importers.truncation import check_tiff

STACK = np.arange(5 * 16 * 16, dtype="u2").reshape(5, 16, 16)


def check(path: Path) -> int:
    handle = os.open(path, os.O_RDONLY)
    try:
        return check_tiff(str(path), handle)
    finally:
        os.close(handle)


def described(path: Path, description: str, data: np.ndarray = STACK) -> Path:
    tifffile.imwrite(path, data, description=description, metadata=None)
    return path


def ome(inside: str, *, attributes: str = "") -> str:
    return f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {attributes}>{inside}</OME>'


@pytest.mark.parametrize(
    ("options", "planes"),
    [
        ({}, 5),
        ({"bigtiff": True}, 5),
        ({"byteorder": ">"}, 5),
        ({"imagej": True}, 5),
        ({"ome": True}, 5),
        ({"photometric": "rgb", "planarconfig": "contig"}, 1),
        ({"compression": "zlib", "tile": (16, 16)}, 5),
    ],
)
def test_planes_of_a_whole_file_are_counted(tmp_path: Path, options: dict[str, object], planes: int) -> None:
    data = np.zeros((16, 16, 3), "u1") if planes == 1 else STACK
    tifffile.imwrite(tmp_path / "whole.tif", data, **options)
    assert check(tmp_path / "whole.tif") == planes


@pytest.mark.parametrize("copies", [1, 2, 3])  # tifffile lists them, and chains them as well
def test_reduced_copies_are_part_of_a_whole_file(tmp_path: Path, copies: int) -> None:
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((128, 128), "u1"), subifds=copies, tile=(16, 16))
        for level in range(1, copies + 1):
            writer.write(np.zeros((128 >> level, 128 >> level), "u1"), subfiletype=1, tile=(16, 16))
    assert check(path) == 1
    with tifffile.TiffFile(path) as tiff:
        smallest = tiff.series[0].levels[copies].pages[0]
        assert smallest is not None
        os.truncate(path, smallest.dataoffsets[0] + 10)
    with pytest.raises(FileBroken, match="reduced copy"):
        check(path)


def test_copies_that_lead_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    # the one plane at 8 has a copy at 50, whose next directory is that copy again
    plane = struct.pack("<HHII", 273, 4, 1, 8) + struct.pack("<HHII", 279, 4, 1, 4) + struct.pack("<HHII", 330, 4, 1, 50)
    copy = struct.pack("<HHII", 273, 4, 1, 8) + struct.pack("<HHII", 279, 4, 1, 4)
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 3) + plane + struct.pack("<I", 0)
    (tmp_path / "circle.tif").write_bytes(head + struct.pack("<H", 2) + copy + struct.pack("<I", 50))
    assert check(tmp_path / "circle.tif") == 1


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_an_imagej_stack_with_one_directory_must_be_there_to_its_last_plane(tmp_path: Path, shape: tuple[int, ...]) -> None:
    plane = np.zeros(shape, "u2")
    path = described(tmp_path / "stack.tif", "ImageJ=1.54f\nimages=3\nslices=3\n", plane)
    with tifffile.TiffFile(path) as tiff:
        end = tiff.pages[0].dataoffsets[0] + 3 * plane.nbytes
    os.truncate(path, end)
    assert check(path) == 1
    os.truncate(path, end - 1)
    with pytest.raises(FileBroken, match="the last of its 3 planes"):
        check(path)


def test_an_imagej_stack_beyond_4_gib_is_checked_by_its_first_directory(tmp_path: Path) -> None:
    plane = np.zeros((4096, 4096), "u2")
    path = described(tmp_path / "stack.tif", "ImageJ=1.54f\nimages=200\nslices=200\n", plane)
    with tifffile.TiffFile(path) as tiff:
        end = tiff.pages[0].dataoffsets[0] + 200 * plane.nbytes
    os.truncate(path, end)  # a sparse file
    assert check(path) == 1
    os.truncate(path, end - 1)
    with pytest.raises(FileBroken, match="the last of its 200 planes"):
        check(path)


def test_offsets_that_begin_at_0_again_are_not_taken_for_damage(tmp_path: Path) -> None:
    path = tmp_path / "slide.ndpi"
    # one directory with a strip and a next directory, both of which mean places beyond 4 GiB, and so seem to lie in nothing
    entries = struct.pack("<HHII", 273, 4, 1, 0xFFFFFF00) + struct.pack("<HHII", 279, 4, 1, 0xFFFF)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2) + entries + struct.pack("<I", 5000))
    with pytest.raises(FileBroken):
        check(path)
    os.truncate(path, CLASSIC_END + 2**20)
    assert check(path) == 0


def test_lengths_that_zeiss_writes_wrongly_are_not_taken_for_damage(tmp_path: Path) -> None:
    for compression, tag in ((5, 34412), (5, 34413), (1, 34412)):
        path = tmp_path / f"{compression}-{tag}.lsm"
        fields = [(259, 3, 1, compression), (273, 4, 1, 100), (279, 4, 1, 2000), (tag, 1, 1, 0)]
        entries = b"".join(struct.pack("<HHII", *each) for each in fields)
        path.write_bytes((b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)).ljust(1000, b"\0"))
        if (compression, tag) == (5, 34412):
            assert check(path) == 1
        else:
            with pytest.raises(FileBroken, match="pixels"):
                check(path)


def test_pixels_may_be_one_jpeg(tmp_path: Path) -> None:
    """As in the raw files of cameras."""
    path = tmp_path / "camera.nef"
    for length, whole in ((900, True), (901, False)):
        entries = struct.pack("<HHII", 513, 4, 1, 100) + struct.pack("<HHII", 514, 4, 1, length)
        path.write_bytes((b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)).ljust(1000, b"\0"))
        if whole:
            assert check(path) == 1
        else:
            with pytest.raises(FileBroken, match="pixels"):
                check(path)


def test_what_hangs_below_a_plane_need_not_have_pixels(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    fields = [(273, 4, 1, 100), (279, 4, 1, 50), (330, 4, 1, 60)]
    content = b"II*\0" + struct.pack("<IH", 8, 3) + b"".join(struct.pack("<HHII", *each) for each in fields) + bytes(4)
    content = content.ljust(60, b"\0") + struct.pack("<HHHII", 1, 305, 2, 4, 0x61616161) + bytes(4)
    path.write_bytes(content.ljust(150, b"\0"))
    assert check(path) == 1


def test_ome_xml_that_speaks_of_more_planes_than_there_are(tmp_path: Path) -> None:
    data = '<Image><Pixels><TiffData IFD="{}" PlaneCount="{}"/></Pixels></Image>'
    path = tmp_path / "x.ome.tif"
    assert check(described(path, ome(data.format(0, 5)))) == 5
    for first, count in ((0, 6), (5, 1)):
        with pytest.raises(FileBroken, match="speaks of 6 planes, and there are 5"):
            check(described(path, ome(data.format(first, count))))


def test_planes_of_other_files_of_the_set_do_not_count(tmp_path: Path) -> None:
    mine = '<TiffData IFD="{}"><UUID FileName="z0.ome.tif">urn:uuid:1</UUID></TiffData>'
    other = '<TiffData IFD="99"><UUID FileName="z1.ome.tif">urn:uuid:2</UUID></TiffData>'
    path = tmp_path / "z0.ome.tif"
    for attributes in ('UUID="urn:uuid:1"', ""):
        assert check(described(path, ome(mine.format(4) + other, attributes=attributes))) == 5
        with pytest.raises(FileBroken, match="speaks of 6 planes"):
            check(described(path, ome(mine.format(5) + other, attributes=attributes)))


@pytest.mark.parametrize("text", ["<OME><broken", "<OME>" + "x" * LONGEST_DESCRIPTION + '<TiffData IFD="7"/></OME>'])
def test_ome_xml_that_cannot_be_read_or_is_long_is_left_to_the_reader(tmp_path: Path, text: str) -> None:
    assert check(described(tmp_path / "x.ome.tif", text)) == 5


def directory(*tags: tuple[int, int, int], behind: int = 0) -> bytes:
    """Directory of a BigTIFF: tags of 64-bit numbers, each with its count and its value, or their place."""
    return (
        struct.pack("<Q", len(tags))
        + b"".join(struct.pack("<HHQQ", tag, 16, *rest) for tag, *rest in tags)
        + struct.pack("<Q", behind)
    )


def test_a_file_made_to_take_all_memory_or_days_is_left_to_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16)
    table, path = 2**23, tmp_path / "tables.tif"  # of nothing, in a hole of a file that takes no room
    path.write_bytes(head + directory(*[(273, table, 2**17)] * 64))
    os.truncate(path, 2**17 + 8 * table)
    tracemalloc.start()
    try:
        assert check(path) == 0
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
    finally:
        tracemalloc.stop()

    monkeypatch.setattr("omero_adi_plugin.importers.directories.MOST_DIRECTORIES", 100)
    chain, length = b"", len(directory((273, 1, 8)))
    for number in range(1, 201):
        chain += directory((273, 1, 8), behind=16 + number * length)
    (tmp_path / "chain.tif").write_bytes(head + chain)  # which ends in nothing
    assert check(tmp_path / "chain.tif") == 0


def test_a_long_description_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "described.tif"
    end, long = 2**17, 2**26 + 1
    plane = struct.pack("<HHII", 270, 2, long, end) + struct.pack("<HHII", 273, 4, 1, 8) + struct.pack("<HHII", 279, 4, 1, 8)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 3) + plane + struct.pack("<I", 0))
    os.truncate(path, end + long)
    assert check(path) == 1
