# SPDX-License-Identifier: GPL-2.0-or-later
"""What Bio-Formats, in its child, says of files, and in which words files that cannot be read are refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import FileBroken, FileMissing, FormatUnknown, ImportInterrupted, NameImpossible
from omero_adi_plugin.importers.plans import Reading
from omero_adi_plugin.importers.reading.bioformats import BioformatsReader
from tests.fixtures.companions import companion_set
from tests.fixtures.reading import admitted, bioformats_reader


@pytest.fixture(scope="module")
def reader() -> Iterator[BioformatsReader]:
    with bioformats_reader() as reader:
        yield reader


def made(path: Path, content: bytes = b"") -> Path:
    path.write_bytes(content)
    return path


def test_a_file_of_several_images_is_counted_by_images(reader: BioformatsReader, tmp_path: Path) -> None:
    path = made(tmp_path / "test&sizeX=20&sizeY=10&series=3.fake")
    assert reader.read(admitted(path)) == Reading(
        used=(str(path),), reader="loci.formats.in.FakeReader", format="Simulated data", images=3, plates=0
    )
    assert reader.version == "7.3.1"


@pytest.mark.parametrize(
    ("name", "plates", "images"),
    [
        ("p&screens=1&plates=2&plateRows=2&plateCols=3&fields=2&plateAcqs=1.fake", 2, 24),
        ("p&plates=1&plateRows=8&plateCols=12&fields=1&plateAcqs=1.fake", 1, 96),
        ("p&screens=2&plates=3&plateRows=1&plateCols=1&fields=1&plateAcqs=2.fake", 6, 12),
    ],
)
def test_plates_are_counted(reader: BioformatsReader, tmp_path: Path, name: str, plates: int, images: int) -> None:
    read = reader.read(admitted(made(tmp_path / name)))
    assert (read.plates, read.images) == (plates, images)
    assert reader.read(admitted(made(tmp_path / "image.fake"))).plates == 0


def test_a_pyramid_is_one_image(reader: BioformatsReader, tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(np.zeros((64, 64), "u1"), subifds=2, tile=(16, 16), photometric="minisblack")
        for size in (32, 16):
            writer.write(np.zeros((size, size), "u1"), subfiletype=1, tile=(16, 16), photometric="minisblack")
    assert reader.read(admitted(path)).images == 1


@pytest.mark.parametrize("first", range(4))
def test_files_of_a_set_are_named_together_whichever_is_opened(reader: BioformatsReader, tmp_path: Path, first: int) -> None:
    files = companion_set(tmp_path)
    read = reader.read(admitted(files[first]))
    assert sorted(read.used) == sorted(map(str, files))
    assert read.used[0] == str(files[0])  # the companion, which OMERO opens then
    assert (read.reader, read.images, read.plates) == ("loci.formats.in.OMETiffReader", 1, 0)


def test_the_file_to_open_is_the_first_of_those_that_all_describe_the_set(reader: BioformatsReader, tmp_path: Path) -> None:
    companion, *files = companion_set(tmp_path)
    for file in files:
        tifffile.imwrite(file, np.zeros((16, 16), "u1"), description=companion.read_text(), metadata=None)
    companion.unlink()
    read = reader.read(admitted(files[1]))
    assert read.used == (str(files[1]), str(files[0]), str(files[2]))


def test_a_file_of_a_set_that_is_missing_is_named(reader: BioformatsReader, tmp_path: Path) -> None:
    files = companion_set(tmp_path)
    files[2].unlink()
    with pytest.raises(FileBroken, match=r"Missing file z1\.ome\.tif associated with UUID urn:uuid:") as broken:
        reader.read(admitted(files[0]))
    assert broken.value.path == str(files[0])


def test_a_file_whose_file_system_went_away_while_it_was_read_is_not_broken(
    reader: BioformatsReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    path = made(tmp_path / "x.tif", b"II*\0\0\0\0\0")
    monkeypatch.setattr("omero_adi_plugin.importers.reading.bioformats.os.open", refuse)  # no such mount can be made in a test
    with pytest.raises(ImportInterrupted, match="does not answer"):
        reader.read(admitted(path))


def test_a_file_that_joins_the_others_of_its_folder_is_seen_at_once(reader: BioformatsReader, tmp_path: Path) -> None:
    planes = [tmp_path / f"a{number}.tif" for number in range(3)]
    for plane in planes[:2]:
        tifffile.imwrite(plane, np.zeros((8, 8), "u1"), metadata=None)
    pattern = made(tmp_path / "set.pattern", b"a.*.tif")
    os.utime(tmp_path, (1e9, 1e9))  # at rest for long, so that its listing may be kept
    for _ in range(2):
        assert reader.read(admitted(pattern)).used == tuple(map(str, (pattern, *planes[:2])))
    planes[1].rename(planes[2])
    assert reader.read(admitted(pattern)).used == tuple(map(str, (pattern, planes[0], planes[2])))


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.txt", b"hello"), ("x.xyz", bytes(range(256))), ("empty.xyz", b""), ("x.nd2", b"no nd2 at all" * 10)],
)
def test_what_no_reader_knows_is_an_unknown_format(reader: BioformatsReader, tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(FormatUnknown, match="no reader knows this format"):
        reader.read(admitted(made(tmp_path / name, content)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.tif", b"II*\0\0\0\0\0", "No IFDs found"),
        ("x.tif", bytes(range(1, 200)), "Invalid TIFF file: x.tif"),
        ("x.tif", b"", "Invalid TIFF file: x.tif"),
        ("x&sizeX=abc.fake", b"", "Invalid sizeX: -1"),
        ("x.png", b"x" * 500, "Invalid PNG signature"),
        ("x.companion.ome", b"x" * 500, "Could not get OME-XML version"),
        ("x.ome", b"<?xml version='1.0'?><OME/>", "its reader stumbles over it (IllegalArgumentException: "),
    ],
)
def test_what_its_reader_cannot_read_is_broken_in_its_words(
    reader: BioformatsReader, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = made(folder / name, content)
    with pytest.raises(FileBroken) as broken:
        reader.read(admitted(path))
    assert broken.value.why.startswith(words)
    assert broken.value.why.isprintable()


def test_a_failure_leaves_nothing_for_the_next_file(reader: BioformatsReader, tmp_path: Path) -> None:
    good = made(tmp_path / "good&series=2.fake")
    for content in (b"", b"II*\0\0\0\0\0", b"MM"):
        with pytest.raises(FileBroken):
            reader.read(admitted(made(tmp_path / "bad.tif", content)))
        assert reader.read(admitted(good)).images == 2


@pytest.mark.parametrize(
    "name",
    [
        "two\nlines.fake",
        "tab\tand\\backslash.fake",
        "😀 emoji.fake",
        "\u00e9.fake",  # one letter
        "e\u0301.fake",  # two
        "100%25 'quoted' \"twice\".fake",
        "a:b;c,d.fake",
        " space at both ends .fake",
        "x" * 250 + ".fake",
    ],
)
def test_names_come_back_as_they_are(reader: BioformatsReader, tmp_path: Path, name: str) -> None:
    path = made(tmp_path / name)
    assert reader.read(admitted(path)).used == (str(path),)
    stack = tmp_path / name.replace(".fake", ".tif")[-250:]
    tifffile.imwrite(stack, np.zeros((8, 8), "u1"))
    assert reader.read(admitted(stack)).used == (str(stack),)


@pytest.mark.parametrize("name", [b"\xff.fake", b"folder\xe9/a.fake"])
def test_a_name_that_is_no_text_is_refused(reader: BioformatsReader, tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.parent.mkdir(exist_ok=True)
    with pytest.raises(NameImpossible, match="UTF-8"):
        reader.read(admitted(made(path)))


def test_a_file_that_vanishes_is_missing_and_not_broken(reader: BioformatsReader, tmp_path: Path) -> None:
    path = made(tmp_path / "x.tif")
    file = admitted(path)
    path.unlink()
    with pytest.raises(FileMissing):
        reader.read(file)
