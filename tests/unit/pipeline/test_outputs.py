# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of a converter's outputs: which are read together, what is said of them, and what of them cannot be imported."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from omero_adi_plugin.containers.outputs import Output
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.errors import NothingConverted
from omero_adi_plugin.importers.reading.tiff import TiffReader
from omero_adi_plugin.orders import Entry
from omero_adi_plugin.pipeline.outputs import DIGEST, Grouped, filesets_of, group, names_of, sets_of
from omero_adi_plugin.pipeline.record import Piece
from omero_adi_plugin.preprocessing import ConvertedFile

PLANE = [[1, 2], [3, 4]]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    for folder in ("temp", "staging"):
        (tmp_path / folder).mkdir()
    return Room(
        source=tmp_path,
        basename="scan.lif",
        processed=tmp_path / ".processed",
        staging=tmp_path / "staging",
        temp=tmp_path / "temp",
    )


def made(room: Room, name: str, **said: str) -> Output:
    assert room.temp is not None
    place = room.temp / name
    place.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(place, PLANE)
    return Output(name=name, place=place, keyvalues=tuple(said.items()))


def grouped(room: Room, *outputs: Output, name: str | None = None) -> Grouped:
    entry = Entry(path=str(room.source / room.basename), name=name)
    return group(
        outputs or None,
        entry=entry,
        room=room,
        container="lab/x",
        reader=TiffReader("for a test"),
        account=None,
        watch=lambda: None,
    )


def test_each_output_has_what_is_said_of_it_and_a_folder_all_that_is_in_it(room: Room) -> None:
    one, two = made(room, "one.tif", lens="10x"), made(room, "plate/two.tif")
    assert room.temp is not None
    plate = Output(name="plate", place=room.temp / "plate", keyvalues=(("lens", "20x"), ("well", "A1")))
    found = grouped(room, one, plate)
    names = [names_of(plan, room=room) for plan in found.plans]
    assert dict(zip(names, found.keyvalues, strict=True)) == {
        ("one.tif",): (("lens", "10x"),),
        ("plate/two.tif",): (("lens", "20x"), ("well", "A1")),
    }
    assert two.place.is_file()


def test_the_name_in_the_order_is_for_a_single_output(room: Room) -> None:
    one = made(room, "one.tif")
    assert [plan.name for plan in grouped(room, one, name="My scan").plans] == ["My scan"]
    assert [plan.name for plan in grouped(room, one, made(room, "two.tif"), name="My scan").plans] == [None, None]


def test_what_cannot_be_read_is_told_by_the_name_that_the_converter_gave_it(room: Room) -> None:
    good, bad = made(room, "good.tif"), made(room, "deep/bad.tif")
    bad.place.write_bytes(bad.place.read_bytes()[:40])
    found = grouped(room, good, bad)
    assert [names_of(plan, room=room) for plan in found.plans] == [("good.tif",)]
    [failure] = found.failures
    assert "'deep/bad.tif'" in str(failure)
    assert str(room.temp) not in str(failure)
    assert "microscope" not in str(failure), "nobody can copy it again"


def test_without_a_list_all_images_count_and_notes_do_not(room: Room) -> None:
    made(room, "a/one.tif")
    assert room.temp is not None
    (room.temp / "note.txt").write_text("made by me")
    found = grouped(room)
    assert [names_of(plan, room=room) for plan in found.plans] == [("a/one.tif",)]
    assert found.failures == ()


def test_without_an_image_nothing_was_converted(room: Room) -> None:
    with pytest.raises(NothingConverted):
        grouped(room)


def test_the_record_of_a_fileset_names_it_by_its_entry_and_its_smallest_name(room: Room) -> None:
    found = grouped(room, made(room, "b/one.tif", container_digest="sha256:forged"))
    kept = {"b/one.tif": ConvertedFile(name="b/one.tif", place="/data/.processed/b/one.tif", bytes=1, mtime_ns=2)}
    entry = Entry(path="/data/scan.lif")
    [fileset] = filesets_of(found, entry=entry, room=room, places=kept, digest="sha256:real")
    assert fileset.key == "/data/scan.lif#b/one.tif"
    assert fileset.keyvalues == ((DIGEST, "sha256:real"),), "the digest is what has run, whatever a converter says"
    assert fileset.places == {f"{room.temp}/b/one.tif": "/data/.processed/b/one.tif"}


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        ([], []),
        ([("a",), ("b",)], [("a",), ("b",)]),
        ([("a", "x"), ("b", "x")], [("a", "x", "b")]),
        ([("a",), ("b", "c"), ("c", "a")], [("a", "b", "c")]),
    ],
)
def test_sets_that_share_a_file_stay_together(names: list[tuple[str, ...]], joined: list[tuple[str, ...]]) -> None:
    assert [set(each) for each in sets_of(names)] == [set(each) for each in joined]


@pytest.mark.timeout(10)
def test_a_hundred_thousand_outputs_are_parted_at_once() -> None:
    alone = [(f"{number}.tif",) for number in range(100_000)]
    assert sets_of(alone) == alone
    [whole] = sets_of(("companion.ome", *each) for each in alone)
    assert len(whole) == len(alone) + 1


def test_each_output_that_cannot_be_imported_has_a_line_of_its_own(room: Room) -> None:
    outputs = [made(room, name) for name in ("one.tif", "two.tif")]
    for output in outputs:
        output.place.write_bytes(output.place.read_bytes()[:40])
    failures = grouped(room, *outputs).failures
    pieces = [Piece.failed("/data/scan.lif", failure) for failure in failures]
    assert [(piece.key, piece.output) for piece in pieces] == [
        ("/data/scan.lif#one.tif", "one.tif"),
        ("/data/scan.lif#two.tif", "two.tif"),
    ]
