# SPDX-License-Identifier: GPL-2.0-or-later
"""Places: what was imported earlier keeps its place, and files that are read together stay together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from omero_adi_plugin.containers.delivery import OutputLost, deliver, places
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.errors import ProcessedNotWritable
from omero_adi_plugin.preprocessing import ConvertedFile
from tests.fixtures.rooms import ORDER, Bench, put

TAG = ORDER[:8]


class Ended(Exception):
    """What whoever asks for places raises when it is not wanted any more."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def given(
    bench: Bench, room: Room, *sets: Sequence[str], ours: Mapping[str, str] | None = None, order: str = ORDER
) -> dict[str, str]:
    """Return places below the folder for them."""
    found = places(room, sets, order=order, ours=ours)
    assert all(name == file.name for name, file in found.items())
    return {name: os.path.relpath(file.place, bench.processed) for name, file in found.items()}


def test_what_is_free_keeps_its_name(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "AAA", mtime_ns=5)
    put(room.staging, "deep/b.tif", "BB", mtime_ns=7)
    put(room.staging, "report.csv", "k,v\n", mtime_ns=9)
    assert places(room, [["a.tif"], ["deep/b.tif"], ["report.csv"]], order=ORDER) == {
        "a.tif": ConvertedFile(name="a.tif", place=f"{bench.processed}/a.tif", bytes=3, mtime_ns=5),
        "deep/b.tif": ConvertedFile(name="deep/b.tif", place=f"{bench.processed}/deep/b.tif", bytes=2, mtime_ns=7),
        "report.csv": ConvertedFile(name="report.csv", place=f"{bench.processed}/report.csv", bytes=4, mtime_ns=9),
    }


def test_key_values_of_one_source_do_not_get_the_name_of_those_for_all(bench: Bench) -> None:
    first, second, third = (bench.room(number) for number in (1, 2, 3))
    for room, text in ((first, "who,first\n"), (second, "who,other\n"), (third, "who,first\n")):
        put(room.staging, "metadata.csv", text)
        put(room.staging, "deep/metadata.csv", text)
    names = ["metadata.csv", f"metadata.{TAG}.csv", f"metadata.{TAG}-2.csv"]
    for room, own in ((first, names[1]), (second, names[2]), (third, names[1])):
        found = given(bench, room, ["metadata.csv"])
        assert found == {"metadata.csv": own}
        deliver(room, list(places(room, [["metadata.csv"]], order=ORDER).values()))
    assert sorted(path.name for path in bench.processed.glob("*.csv")) == sorted(names[1:])
    assert given(bench, first, ["deep/metadata.csv"]) == {"deep/metadata.csv": "deep/metadata.csv"}


def test_a_folder_of_another_name_is_where_it_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, processed_folder="converted")
    room = bench.room()
    put(room.temp, "a.tif")
    (file,) = places(room, [["a.tif"]], order=ORDER).values()
    assert file.place == str(bench.source / "converted" / "a.tif")
    room.remove()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tif", f"a.{TAG}.tif"),
        ("a.b.tif", f"a.b.{TAG}.tif"),
        ("a.ome.tif", f"a.{TAG}.ome.tif"),
        ("a.OME.TIFF", f"a.{TAG}.OME.TIFF"),
        ("a.companion.ome", f"a.{TAG}.companion.ome"),
        ("a.tar.gz", f"a.{TAG}.tar.gz"),
        ("a", f"a.{TAG}"),
        (".hidden", f".hidden.{TAG}"),
        (".ome.tif", f".ome.{TAG}.tif"),
        ("deep/a.tif", f"deep/a.{TAG}.tif"),
        ("deep.x/a", f"deep.x/a.{TAG}"),
        ("a b:ü\n.tif", f"a b:ü\n.{TAG}.tif"),
        ("metadata.csv", f"metadata.{TAG}.csv"),
        ("x" * 251 + ".tif", "x" * 242 + f".{TAG}.tif"),
        ("ü" * 125 + ".tif", "ü" * 121 + f".{TAG}.tif"),
        ("a." + "x" * 253, "a." + "x" * 244 + f".{TAG}"),
    ],
)
def test_where_something_else_is_the_order_gets_into_the_name(bench: Bench, name: str, expected: str) -> None:
    room = bench.room()
    put(room.temp, name, "new")
    put(bench.processed, name, "old")
    (place,) = given(bench, room, [name]).values()
    assert place == expected
    assert not os.path.lexists(bench.processed / place)


def test_where_that_is_taken_too_it_gets_a_number(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "new")
    for name in ("a.tif", f"a.{TAG}.tif", f"a.{TAG}-2.tif"):
        put(bench.processed, name, "old")
    assert given(bench, room, ["a.tif"]) == {"a.tif": f"a.{TAG}-3.tif"}
    for number in range(3, 10):
        put(bench.processed, f"a.{TAG}-{number}.tif", "old")
    assert given(bench, room, ["a.tif"]) == {"a.tif": f"a.{TAG}-1-1.tif"}
    put(bench.processed, f"a.{TAG}-1-1.tif", "old")
    assert given(bench, room, ["a.tif"]) == {"a.tif": f"a.{TAG}-1-1-2.tif"}


def test_what_is_the_same_is_taken_as_it_is(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "same", mtime_ns=5)
    put(bench.processed, "a.tif", "same", mtime_ns=7)
    (file,) = places(room, [["a.tif"]], order=ORDER).values()
    assert (file.place, file.mtime_ns) == (f"{bench.processed}/a.tif", 7)
    put(bench.processed, "a.tif", "else")
    put(bench.processed, f"a.{TAG}.tif", "same")
    assert given(bench, room, ["a.tif"]) == {"a.tif": f"a.{TAG}.tif"}


def test_a_large_file_that_differs_in_its_last_byte_is_something_else(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", b"x" * 9_000_000 + b"1")
    put(bench.processed, "a.tif", b"x" * 9_000_000 + b"2")
    assert given(bench, room, ["a.tif"]) == {"a.tif": f"a.{TAG}.tif"}


def test_comparing_can_be_ended(bench: Bench) -> None:
    def ended() -> None:
        raise Ended

    room = bench.room()
    put(room.temp, "a.tif")
    put(bench.processed, "a.tif")
    with pytest.raises(Ended):
        places(room, [["a.tif"]], order=ORDER, check=ended)


@pytest.mark.parametrize("what", ["link", "dangling", "pipe", "folder", "link to the same"])
def test_what_is_no_file_is_something_else(bench: Bench, what: str) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "lif")
    place = bench.processed / "a.tif"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        put(bench.processed, "same", "lif")
        targets: dict[str, str | Path] = {"link": bench.file, "dangling": "nowhere", "link to the same": "same"}
        place.symlink_to(targets[what])
    assert given(bench, room, ["a.tif"]) == {"a.tif": f"a.{TAG}.tif"}


def test_files_that_are_read_together_stay_together(bench: Bench) -> None:
    room = bench.room()
    names = ["a.companion.ome", "z0.ome.tif", "deep/z1.ome.tif"]
    for name in names:
        put(room.temp, name, f"new {name}")
    assert given(bench, room, names) == {name: name for name in names}
    put(bench.processed, "deep/z1.ome.tif", "old")
    assert given(bench, room, names) == {name: f"{TAG}/{name}" for name in names}
    put(bench.processed, f"{TAG}/z0.ome.tif", "old")
    assert given(bench, room, names) == {name: f"{TAG}-2/{name}" for name in names}
    put(bench.processed, f"{TAG}-2", "a file")
    assert given(bench, room, names) == {name: f"{TAG}-3/{name}" for name in names}


def test_files_that_are_the_same_are_together_already(bench: Bench) -> None:
    room = bench.room()
    for name in ("a.companion.ome", "z0.ome.tif"):
        put(room.temp, name, name)
    put(bench.processed, "a.companion.ome", "a.companion.ome")
    assert given(bench, room, ["a.companion.ome", "z0.ome.tif"]) == {name: name for name in ("a.companion.ome", "z0.ome.tif")}


def test_no_two_get_the_same_place(bench: Bench) -> None:
    room = bench.room()
    for name in ("a.tif", f"a.{TAG}.tif", "b.tif", f"{TAG}/b.tif", "c.tif"):
        put(room.temp, name, name)
    for name in ("a.tif", "b.tif"):
        put(bench.processed, name, "old")
    found = given(bench, room, [f"a.{TAG}.tif"], ["a.tif"], [f"{TAG}/b.tif"], ["b.tif", "c.tif"])
    assert found == {
        f"a.{TAG}.tif": f"a.{TAG}.tif",
        "a.tif": f"a.{TAG}-2.tif",
        f"{TAG}/b.tif": f"{TAG}/b.tif",
        "b.tif": f"{TAG}-2/b.tif",
        "c.tif": f"{TAG}-2/c.tif",
    }


def test_what_lies_below_the_name_of_another_goes_elsewhere(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a", "file")
    put(room.staging, "a/report.txt", "report")
    put(room.temp, "b/report.txt", "report")
    put(bench.processed, "b", "file")
    assert given(bench, room, ["a"], ["a/report.txt"], ["b/report.txt"]) == {
        "a": "a",
        "a/report.txt": f"{TAG}/a/report.txt",
        "b/report.txt": f"{TAG}/b/report.txt",
    }


def test_an_earlier_run_keeps_its_places(bench: Bench) -> None:
    room = bench.room(attempt=2)
    for name in ("a.tif", "x", "y"):
        put(room.temp, name, f"new {name}")
    ours = {"a.tif": f"{bench.processed}/a.first.tif", "x": f"{bench.processed}/first/x", "y": f"{bench.processed}/first/y"}
    assert given(bench, room, ["a.tif"], ["x", "y"], ours=ours) == {"a.tif": "a.first.tif", "x": "first/x", "y": "first/y"}
    put(bench.processed, "a.first.tif", "new a.tif")
    put(bench.processed, "first/x", "somebody else's")
    assert given(bench, room, ["a.tif"], ["x", "y"], ours=ours) == {"a.tif": "a.first.tif", "x": "x", "y": "y"}


def test_an_earlier_run_has_no_places_elsewhere(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "A")
    assert given(bench, room, ["a.tif"], ours={"a.tif": "/etc/a.tif"}) == {"a.tif": "a.tif"}
    assert given(bench, room, ["a.tif"], ours={"a.tif": f"{bench.processed}/../a.lif"}) == {"a.tif": "a.tif"}


def test_what_was_brought_there_need_not_be_in_the_room_any_more(bench: Bench) -> None:
    room = bench.room(alt=False)
    put(bench.processed, "a.tif", "A", mtime_ns=5)
    ours = {"a.tif": f"{bench.processed}/a.tif"}
    assert places(room, [["a.tif"]], order=ORDER, ours=ours)["a.tif"].bytes == 1
    with pytest.raises(OutputLost):
        places(room, [["a.tif"]], order=ORDER)
    (bench.processed / "a.tif").unlink()
    with pytest.raises(OutputLost):
        places(room, [["a.tif"]], order=ORDER, ours=ours)


@pytest.mark.parametrize("sets", [[["deep/a.tif"]], [["deep/a.tif", "b.tif"]], [["b.tif", "deep/er/a.tif"]]])
def test_a_link_in_the_way_is_refused(bench: Bench, sets: list[list[str]]) -> None:
    room = bench.room()
    for name in sets[0]:
        put(room.temp, name)
    (bench.processed / "deep").symlink_to("/etc")
    with pytest.raises(ProcessedNotWritable, match=r"/deep'.*it is a link"):
        places(room, sets, order=ORDER)


def test_a_folder_has_its_place_as_a_whole(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.ome.zarr/0/0", "00", mtime_ns=5)
    put(room.temp, "a.ome.zarr/.zattrs", "{}", mtime_ns=9)
    (file,) = places(room, [["a.ome.zarr"]], order=ORDER).values()
    assert file == ConvertedFile(name="a.ome.zarr", place=f"{bench.processed}/a.ome.zarr", bytes=4, mtime_ns=9)
    put(bench.processed, "a.ome.zarr/0/0", "00")
    put(bench.processed, "a.ome.zarr/.zattrs", "{}")
    assert given(bench, room, ["a.ome.zarr"]) == {"a.ome.zarr": "a.ome.zarr"}
    put(bench.processed, "a.ome.zarr/.zattrs", "[]")
    assert given(bench, room, ["a.ome.zarr"]) == {"a.ome.zarr": f"a.{TAG}.ome.zarr"}


def test_a_folder_may_come_where_an_empty_one_is(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.zarr/0", "00", mtime_ns=5)
    (bench.processed / "a.zarr").mkdir()
    (file,) = places(room, [["a.zarr"]], order=ORDER).values()
    assert file == ConvertedFile(name="a.zarr", place=f"{bench.processed}/a.zarr", bytes=2, mtime_ns=5)


def test_ten_thousand_outputs_of_one_name_get_their_places_in_time(bench: Bench) -> None:
    for number in range(200):
        room = bench.room(number)
        put(room.temp, "out.tif", str(number))
        (place,) = given(bench, room, ["out.tif"]).values()
        put(bench.processed, place, str(number))
    assert place == f"out.{TAG}-1-199.tif"
