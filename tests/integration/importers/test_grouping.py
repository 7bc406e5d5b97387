# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders of real files: what Bio-Formats, the gate and the grouping make of them together."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import FileBroken, FileMissing, NothingToImport
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.importers.plans import EntryPlan, FilesetPlan
from omero_adi_plugin.importers.reading.bioformats import BioformatsReader
from omero_adi_plugin.orders import Entry
from tests.fixtures.gates import gate_of
from tests.fixtures.reading import bioformats_reader

OME = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
PLANE = np.arange(16 * 16, dtype="u1").reshape(16, 16)
COMPANION_SET = ["set.companion.ome", "z0.ome.tif", "z1.ome.tif", "z2.ome.tif"]
PLAIN_SET = ["z0.ome.tif", "z1.ome.tif", "z2.ome.tif"]


@pytest.fixture(scope="module")
def reader() -> Iterator[BioformatsReader]:
    with bioformats_reader() as reader:
        yield reader


@pytest.fixture
def grouping(tmp_path: Path, reader: BioformatsReader) -> Grouping:
    return Grouping(gate=gate_of(tmp_path), reader=reader)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def plan(grouping: Grouping, path: Path) -> EntryPlan:
    return grouping.plan(Entry(path=str(path)))


def names(fileset: FilesetPlan) -> list[str]:
    return sorted(Path(file.path).name for file in fileset.files)


def sets(plan: EntryPlan) -> list[list[str]]:
    return sorted(names(fileset) for fileset in plan.filesets)


def ome_set(folder: Path, *, companion: bool) -> None:
    """One image of three planes in a file each; what belongs together says a file of its own, or each of them."""
    ids = {name: f"urn:uuid:00000000-0000-0000-0000-00000000000{number}" for number, name in enumerate(PLAIN_SET, 1)}
    whole = "urn:uuid:00000000-0000-0000-0000-000000000009"
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{ids[name]}</UUID></TiffData>'
        for z, name in enumerate(PLAIN_SET)
    )
    image = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="16" SizeY="16" SizeZ="3" '
        f'SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image>'
    )
    if companion:
        (folder / COMPANION_SET[0]).write_text(f'<OME {OME} UUID="{whole}">{image}</OME>', encoding="utf-8")
        image = f'<BinaryOnly MetadataFile="{COMPANION_SET[0]}" UUID="{whole}"/>'
    for name in PLAIN_SET:
        text = f'<OME {OME} UUID="{ids[name]}">{image}</OME>'
        tifffile.imwrite(folder / name, PLANE, description=text, metadata=None)


@pytest.mark.parametrize("members", [COMPANION_SET, PLAIN_SET])
def test_a_set_is_the_same_whichever_file_is_opened_first(
    tmp_path: Path, folder: Path, reader: BioformatsReader, members: list[str]
) -> None:
    ome_set(folder, companion=members == COMPANION_SET)
    for member in members:
        grouping = Grouping(gate=gate_of(tmp_path), reader=reader)
        (found,) = plan(grouping, folder / member).filesets
        assert (names(found), found.key, found.images) == (members, str(folder / members[0]), 1)
        assert all(plan(grouping, folder / other).filesets == () for other in members)
    whole = plan(Grouping(gate=gate_of(tmp_path), reader=reader), folder)
    assert sets(whole) == [members]
    assert (whole.failures, whole.left_out) == ((), ())


def test_a_set_with_a_missing_file_fails_and_names_it(folder: Path, grouping: Grouping) -> None:
    ome_set(folder, companion=True)
    (folder / "z1.ome.tif").unlink()
    with pytest.raises((FileBroken, FileMissing), match=r"z1\.ome\.tif"):
        plan(grouping, folder / "set.companion.ome")


@pytest.mark.parametrize("companion", [True, False])
def test_a_set_with_a_missing_file_fails_once_however_many_it_has(folder: Path, grouping: Grouping, *, companion: bool) -> None:
    ome_set(folder, companion=companion)
    (folder / "z1.ome.tif").unlink()
    found = plan(grouping, folder)
    assert not found.filesets
    (failure,) = found.failures
    assert "z1.ome.tif" in str(failure)
    assert f"none of the {3 if companion else 2} files of its set" in str(failure)


def test_a_set_with_a_file_that_ends_too_early_fails_once_and_names_it(folder: Path, grouping: Grouping) -> None:
    ome_set(folder, companion=True)
    with tifffile.TiffFile(folder / "z1.ome.tif") as tiff:
        os.truncate(folder / "z1.ome.tif", tiff.pages[0].dataoffsets[0] + 100)
    found = plan(grouping, folder)
    assert not found.filesets
    (failure,) = found.failures
    assert isinstance(failure, FileBroken)
    assert failure.path == str(folder / "z1.ome.tif")


def test_a_folder_of_many_kinds(folder: Path, grouping: Grouping) -> None:
    (folder / "three&sizeX=20&sizeY=10&series=3.fake").touch()
    (folder / "screen&plates=2&plateRows=2&plateCols=3&fields=2&plateAcqs=1.fake").touch()
    tifffile.imwrite(folder / "rgb.tif", np.zeros((16, 16, 3), "u1"), photometric="rgb")
    tifffile.imwrite(folder / "stack.tif", np.zeros((4, 16, 16), "u2"), imagej=True)
    with tifffile.TiffWriter(folder / "pyramid.ome.tif") as writer:
        writer.write(np.zeros((64, 64), "u1"), subifds=1, tile=(32, 32))
        writer.write(np.zeros((32, 32), "u1"), subfiletype=1, tile=(32, 32))
    with tifffile.TiffWriter(folder / "two.ome.tif") as writer:
        for number in range(2):
            writer.write(np.zeros((3, 16, 16), "u1"), photometric="minisblack", metadata={"axes": "CYX", "Name": str(number)})
    (folder / "sub").mkdir()
    ome_set(folder / "sub", companion=False)
    (folder / "letter.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "odd.xyz").write_bytes(bytes(range(256)))
    (folder / "metadata.csv").write_text("key,value\n", encoding="utf-8")
    found = plan(grouping, folder)
    assert found.failures == ()
    counted = {names(each)[0].partition("&")[0]: (each.images, each.plates, len(each.files)) for each in found.filesets}
    assert counted == {
        "three": (3, 0, 1),
        "screen": (24, 2, 1),
        "rgb.tif": (1, 0, 1),
        "stack.tif": (1, 0, 1),
        "pyramid.ome.tif": (1, 0, 1),
        "two.ome.tif": (2, 0, 1),
        "z0.ome.tif": (1, 0, 3),
    }
    assert [Path(each.path).name for each in found.left_out] == ["letter.pdf", "odd.xyz"]


@pytest.mark.parametrize("name", ["0.pattern", "zz.pattern"])
def test_pictures_that_a_pattern_names_are_no_images_of_their_own(folder: Path, grouping: Grouping, name: str) -> None:
    pictures = [f"t{number}.tif" for number in range(3)]
    for picture in pictures:
        tifffile.imwrite(folder / picture, PLANE)
    (folder / name).write_text("t<0-2>.tif", encoding="utf-8")
    assert sets(plan(grouping, folder)) == [sorted([*pictures, name])]


def test_a_set_of_links_is_read_by_its_links(tmp_path: Path, folder: Path, grouping: Grouping) -> None:
    """As git-annex and the like keep data: the files themselves have other names and lie elsewhere."""
    ome_set(folder, companion=True)
    store = tmp_path / "store"
    store.mkdir()
    for number, member in enumerate(COMPANION_SET):
        (folder / member).rename(store / f"{number}.dat")
        (folder / member).symlink_to(store / f"{number}.dat")
    (found,) = plan(grouping, folder).filesets
    assert names(found) == COMPANION_SET
    assert sorted(file.source for file in found.files) == [str(store / f"{number}.dat") for number in range(4)]


def test_nothing_in_a_folder_is_an_image(folder: Path, grouping: Grouping) -> None:
    (folder / "odd.xyz").write_bytes(bytes(range(256)))
    with pytest.raises(NothingToImport, match=r"one file was looked at; .*odd\.xyz.*no reader"):
        plan(grouping, folder)


def test_an_image_whose_copy_left_nothing_but_zeros_is_no_junk(folder: Path, grouping: Grouping) -> None:
    tifffile.imwrite(folder / "good.tif", PLANE)
    for name in ("run.nd2", "run.czi", "run.tif", "run.dat"):
        (folder / name).write_bytes(bytes(4096))
    found = plan(grouping, folder)
    assert sets(found) == [["good.tif"]]
    assert {Path(failure.path).name for failure in found.failures} == {"run.nd2", "run.czi", "run.tif"}  # type: ignore[attr-defined]
    assert [Path(each.path).name for each in found.left_out] == ["run.dat"]


def test_a_folder_of_many_small_files(folder: Path, grouping: Grouping) -> None:
    for number in range(200):
        tifffile.imwrite(folder / f"{number:03}.tif", PLANE)
    found = plan(grouping, folder)
    assert Counter(itertools.chain.from_iterable(sets(found))) == Counter(f"{number:03}.tif" for number in range(200))
    assert (found.failures, found.left_out) == ((), ())
