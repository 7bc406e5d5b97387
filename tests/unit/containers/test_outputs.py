# SPDX-License-Identifier: GPL-2.0-or-later
"""Outputs: what converters say is looked at on the disk, and nothing that they say leads out of their folders."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from omero_adi_plugin.containers.outputs import Output, others
from omero_adi_plugin.errors import ConverterLied, ImportInterrupted, NothingConverted
from tests.fixtures.rooms import Bench, dig, put


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def said(*items: dict[str, object]) -> str:
    return json.dumps(items)


def test_outputs_in_both_folders_are_imported_from_temp_each_with_its_own_words(bench: Bench) -> None:
    room = bench.room()
    for folder in room.folders:
        put(folder, "a.tif", "A")
        put(folder, "deep/b.tif", "BB")
    line = said(
        {"name": "B", "full_path": "/data/.processed/deep/b.tif", "alt_path": "/out/deep/b.tif", "keyvalues": {"k": 2}},
        {"full_path": "/data/.processed/a.tif", "alt_path": "/out//x/../a.tif", "keyvalues": {"k": 1}},
    )
    assert room.temp is not None
    assert bench.outputs(room, line) == (
        Output(name="deep/b.tif", place=room.temp / "deep/b.tif", title="B", keyvalues=(("k", "2"),)),
        Output(name="a.tif", place=room.temp / "a.tif", keyvalues=(("k", "1"),)),
    )


@pytest.mark.parametrize("paths", [("/out/a.tif", None), ("/out/a.tif", "/data/.processed/a.tif"), (None, "/out/a.tif")])
def test_one_that_is_only_in_temp_lies_there(bench: Bench, paths: tuple[str | None, str | None]) -> None:
    room = bench.room()
    place = put(room.temp, "a.tif")
    assert bench.outputs(room, said({"alt_path": paths[0], "full_path": paths[1]})) == (Output(name="a.tif", place=place),)


@pytest.mark.parametrize("alt", ["/out/a.tif", None])
def test_one_that_is_only_beside_the_source_lies_there(bench: Bench, alt: str | None) -> None:
    room = bench.room()
    place = put(room.staging, "a.tif")
    line = said({"alt_path": alt, "full_path": "/data/.processed/a.tif"})
    assert bench.outputs(room, line) == (Output(name="a.tif", place=place),)


def test_without_another_folder_all_lies_beside_the_source(bench: Bench) -> None:
    room = bench.room(alt=False)
    place = put(room.staging, "a.tif")
    assert bench.outputs(room, said({"full_path": "/data/.processed/a.tif"})) == (Output(name="a.tif", place=place),)
    assert bench.outputs(room, "done") == (Output(name="a.tif", place=place),)
    with pytest.raises(ConverterLied, match=r"'/out/a\.tif' does not lie in /data/\.processed"):
        bench.outputs(room, said({"alt_path": "/out/a.tif"}))


@pytest.mark.parametrize("full_path", ["/data/a.lif", "/data/b.lif", "/data/sub/../a.lif"])
def test_a_converter_may_name_its_source_beside_an_output(bench: Bench, full_path: str) -> None:
    room = bench.room()
    place = put(room.temp, "a.tif")
    assert bench.outputs(room, said({"alt_path": "/out/a.tif", "full_path": full_path})) == (Output(name="a.tif", place=place),)


def test_the_source_alone_is_no_output(bench: Bench) -> None:
    with pytest.raises(ConverterLied, match=r"'/data/a\.lif' does not lie in /data/\.processed or /out"):
        bench.outputs(bench.room(), said({"full_path": "/data/a.lif"}))


DEEP = f"{'d' * 50}/" * 100 + "a.tif"

HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "a.tif",
    "./a.tif",
    "out/a.tif",
    "/out/../etc/passwd",
    "/out/../../../etc/passwd",
    "/data/.processed/../../etc/passwd",
    "/data/.processed/../a.lif",
    "/data/.processed/..",
    "/data/.processed",
    "/data/.processed/",
    "/out",
    "/out/",
    "/out/.",
    "/outside/a.tif",
    "/data/.processedx/a.tif",
    "//etc/passwd",
    "/",
    "file:///out/a.tif",
    "/out/a.tif\0",
    "/out/half\ud800",
    "/out/" + "x" * 5000,
    "/out/" + "x/" * 5000,
    "/out/missing.tif",
    "/out/a.tif/b.tif",
    "/out/.adi-other-1-1/out/a.tif",
    "/out/deep/.adi-x",
]


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("as_what", ["alt_path", "full_path"])
def test_a_path_that_is_not_one_of_an_output_is_refused_and_named(bench: Bench, path: str, as_what: str) -> None:
    room = bench.room()
    put(room.temp, "a.tif")
    put(room.temp, ".adi-other-1-1/out/a.tif")
    put(room.temp, "deep/.adi-x")
    with pytest.raises(ConverterLied) as lie:
        bench.outputs(room, said({as_what: path}))
    shown = path.encode("unicode_escape", "surrogatepass").decode()
    assert (shown[:40] if len(shown) > 150 else f"'{shown}'") in str(lie.value)
    assert str(bench.file) in str(lie.value)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "/out/../x"])
def test_nonsense_beside_a_good_path_is_refused(bench: Bench, path: str) -> None:
    room = bench.room()
    put(room.temp, "a.tif")
    with pytest.raises(ConverterLied, match="does not lie in"):
        bench.outputs(room, said({"alt_path": "/out/a.tif", "full_path": path}))


@pytest.mark.parametrize("target", ["/etc/passwd", "b.tif", "nowhere", "a.tif"])
def test_a_link_is_no_output(bench: Bench, target: str) -> None:
    room = bench.room()
    put(room.temp, "b.tif")
    (room.folders[0] / "a.tif").symlink_to(target)
    with pytest.raises(ConverterLied, match=r"'a\.tif' is a link"):
        bench.outputs(room, said({"alt_path": "/out/a.tif"}))
    with pytest.raises(ConverterLied, match=r"'a\.tif' is a link"):
        bench.outputs(room, None)


def test_no_output_lies_behind_a_link(bench: Bench) -> None:
    room = bench.room()
    put(bench.folder, "elsewhere/deep/a.tif")
    (room.folders[0] / "link").symlink_to(bench.folder / "elsewhere")
    with pytest.raises(ConverterLied, match=r"folder of 'link/deep/a\.tif' is a link"):
        bench.outputs(room, said({"alt_path": "/out/link/deep/a.tif"}))
    with pytest.raises(ConverterLied, match="'link' is a link"):
        bench.outputs(room, None)


def test_a_twin_that_is_a_link_is_refused(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", bench.file.read_bytes())
    (room.staging / "a.tif").symlink_to(bench.file)
    with pytest.raises(ConverterLied, match="is a link"):
        bench.outputs(room, said({"alt_path": "/out/a.tif", "full_path": "/data/.processed/a.tif"}))


@pytest.mark.parametrize("line", [None, said({"alt_path": "/out/a.tif"})])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_neither_file_nor_folder_is_no_output(
    bench: Bench, line: str | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = bench.room()
    monkeypatch.chdir(room.folders[0])  # a socket's path must be short
    if kind == "pipe":
        os.mkfifo("a.tif")
    else:
        with socket.socket(socket.AF_UNIX) as plug:
            plug.bind("a.tif")
    with pytest.raises(ConverterLied, match="neither a file nor a folder"):
        bench.outputs(room, line)


def test_a_folder_is_an_output(bench: Bench) -> None:
    room = bench.room()
    for folder in room.folders:
        put(folder, "plate/r1.tif")
        put(folder, "plate/deep/r2.tif")
    line = said({"alt_path": "/out/plate", "full_path": "/data/.processed/plate", "keyvalues": {"k": 1}})
    assert [(each.name, each.keyvalues) for each in bench.outputs(room, line)] == [("plate", (("k", "1"),))]


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_folder_with_a_link_or_pipe_in_it_is_refused(bench: Bench, what: str) -> None:
    room = bench.room()
    put(room.temp, "plate/deep/r2.tif")
    bad = room.folders[0] / "plate/deep/bad"
    os.mkfifo(bad) if what == "pipe" else bad.symlink_to("/etc/passwd")
    with pytest.raises(ConverterLied, match=r"'plate/deep/bad' is"):
        bench.outputs(room, said({"alt_path": "/out/plate"}))


@pytest.mark.parametrize("line", [None, said({"alt_path": "/out/top"})])
@pytest.mark.parametrize("depth", [150, 5000])
def test_folders_without_end_are_refused(bench: Bench, line: str | None, depth: int) -> None:
    room = bench.room()
    put(room.temp, "top.zarr/x" if line is None else "top/x")
    handle = os.open(room.folders[0] / ("top.zarr" if line is None else "top"), os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    with pytest.raises(ConverterLied, match=r"'top(\.zarr)?' has more than 100 folders"):
        bench.outputs(room, line)
    assert room.remove()


@pytest.mark.parametrize("line", [None, said({"alt_path": f"/out/{DEEP}"}), said({"alt_path": "/out/" + "d" * 50})])
@pytest.mark.parametrize("depth", [100, 120])
def test_what_lies_deeper_than_a_path_can_say_is_refused(bench: Bench, line: str | None, depth: int) -> None:
    room = bench.room()
    dig(room.folders[0], depth, "a.tif")
    with pytest.raises(ConverterLied, match=r"too deep|more than 100 folders|is not there"):
        bench.outputs(room, line)
    assert room.remove()


def test_what_else_lies_too_deep_is_left_out_and_its_neighbours_are_kept(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    room = bench.open_room()
    put(room.temp, "a.tif")
    for name in ("report.txt", f"{'x/' * 101}deep", f"{'x/' * 100}less"):
        put(room.staging, name)
    dig(room.staging, 120, "a.tif")
    room.close()
    caplog.set_level("WARNING")
    assert others(room, used=["a.tif"]) == ("report.txt", f"{'x/' * 100}less")
    left_out = [record for record in caplog.records if record.message == "output.left_out"]
    assert len(left_out) == 2
    assert others(room, used=["d" * 50, "x"]) == ("report.txt",)
    assert len([record for record in caplog.records if record.message == "output.left_out"]) == 2


def test_nothing_is_looked_at_that_somebody_has_put_in_the_place_of_what_was_made(bench: Bench) -> None:
    for number, line in enumerate([None, said({"alt_path": "/out/a.tif", "full_path": "/data/.processed/b.tif"})]):
        for folder in (0, 1):
            room = bench.room(2 * number + folder)
            for leaf in room.folders:
                put(leaf, "a.tif")
                put(leaf, "b.tif")
            theirs = put(bench.folder, f"theirs-{number}-{folder}/b.tif").parent
            put(theirs, "a.tif")
            room.folders[folder].rename(room.folders[folder].with_name("moved"))
            theirs.rename(room.folders[folder])
            with pytest.raises(ImportInterrupted, match="somebody has put another one in its place"):
                bench.outputs(room, line)
            assert (room.folders[folder] / "b.tif").exists()
            if folder == 1:
                with pytest.raises(ImportInterrupted, match="somebody has put another one in its place"):
                    others(room, used=[])


def test_two_items_for_one_file_are_refused(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "deep/a.tif")
    for other in ("/out/deep/a.tif", "/out/x/../deep//a.tif"):
        with pytest.raises(ConverterLied, match=r"two items are for 'deep/a\.tif'"):
            bench.outputs(room, said({"alt_path": "/out/deep/a.tif"}, {"alt_path": other}))
    with pytest.raises(ConverterLied, match=r"two items are for 'deep/a\.tif', one of them for the folder 'deep'"):
        bench.outputs(room, said({"alt_path": "/out/deep/a.tif"}, {"alt_path": "/out/deep"}))
    put(room.staging, "deep/a.tif")
    with pytest.raises(ConverterLied, match=r"two items are for 'deep/a\.tif'"):
        bench.outputs(room, said({"alt_path": "/out/deep/a.tif"}, {"full_path": "/data/.processed/deep/a.tif"}))


def test_one_item_for_two_files_of_one_folder_is_refused(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif")
    put(room.temp, "b.tif")
    with pytest.raises(ConverterLied, match=r"one item is for both '/out/a\.tif' and '/out/b\.tif'"):
        bench.outputs(room, said({"alt_path": "/out/a.tif", "full_path": "/out/b.tif"}))


def test_twins_of_different_size_are_refused(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "12345")
    put(room.staging, "a.tif", "123")
    line = said({"alt_path": "/out/a.tif", "full_path": "/data/.processed/a.tif"})
    with pytest.raises(ConverterLied, match=r"not alike \(5 and 3 bytes\)"):
        bench.outputs(room, line)
    with pytest.raises(ConverterLied, match=r"'a\.tif' and its twin"):
        bench.outputs(room, "no list")


def test_folders_that_are_not_alike_are_refused(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "plate/a.tif", "12345")
    put(room.staging, "plate/b.tif", "12345")
    with pytest.raises(ConverterLied, match="not alike"):
        bench.outputs(room, said({"alt_path": "/out/plate", "full_path": "/data/.processed/plate"}))


def test_twins_of_different_names_get_that_which_is_imported(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "new.tif")
    put(room.staging, "deep/old.tif")
    line = said({"alt_path": "/out/new.tif", "full_path": "/data/.processed/deep/old.tif"})
    assert [each.name for each in bench.outputs(room, line)] == ["new.tif"]
    assert (room.staging / "new.tif").is_file()
    assert [each.name for each in bench.outputs(room, line)] == ["new.tif"]
    assert others(room, used=["new.tif"]) == ()


def test_without_a_list_each_new_file_is_one(bench: Bench) -> None:
    room = bench.room()
    for name in ("b.tif", "a.tif", "B.tif", "deep/a.tif", "ä.tif", "data.zarr/0/0", "data.zarr/.zattrs"):
        put(room.temp, name)
    for name in (".hidden", ".hidden-folder/a.tif", "metadata.csv", "deep/metadata.csv"):
        put(room.temp, name)
    put(room.staging, "report.txt")
    assert [each.name for each in bench.outputs(room, "100 %")] == [
        "B.tif",
        "a.tif",
        "b.tif",
        "data.zarr",
        "deep/a.tif",
        "ä.tif",
    ]


def test_nothing_is_named(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "metadata.csv")
    put(room.temp, ".part")
    put(room.staging, "a.tif")
    for line in (None, "done", "[]"):
        with pytest.raises(NothingConverted, match=r"made nothing of '.*a\.lif'"):
            bench.outputs(room, line)


def test_a_room_that_somebody_has_removed_is_named(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif")
    shutil.rmtree(bench.temp)
    room.close()
    with pytest.raises(ImportInterrupted, match=r"a\.lif' was interrupted"):
        bench.outputs(room, None)
    shutil.rmtree(bench.processed)
    with pytest.raises(ImportInterrupted, match=r"a\.lif' was interrupted"):
        others(room, used=[])


def test_what_else_a_converter_has_written_to_be_kept_is_known(bench: Bench) -> None:
    room = bench.room()
    for name in ("a.tif", "plate/b.tif", "plate/report.txt", "metadata.csv", "ä", ".log", "whole/x", "whole/y/z", "platex"):
        put(room.staging, name)
    put(room.staging, ".adi-other-1-1/out/a.tif")
    put(room.temp, "only-temp.txt")
    (room.staging / "link").symlink_to("/etc/passwd")
    os.mkfifo(room.staging / "pipe")
    assert others(room, used=["a.tif", "plate/b.tif", "whole"]) == (".log", "metadata.csv", "plate/report.txt", "platex", "ä")
