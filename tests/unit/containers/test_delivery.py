# SPDX-License-Identifier: GPL-2.0-or-later
"""Delivery: outputs come to their places whatever happens on the way, and nothing of anybody is ever replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from omero_adi_plugin.containers import delivery
from omero_adi_plugin.containers.delivery import OutputLost, PlaceTaken, check_room, deliver, places
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.containers.taking import Place
from omero_adi_plugin.crashpoints import Point
from omero_adi_plugin.errors import FileMissing, ImportInterrupted, NoRoomToConvert, ProcessedNotWritable
from omero_adi_plugin.preprocessing import ConvertedFile
from tests.fixtures.rooms import ORDER, Bench, put

TAG = ORDER[:8]

TIME = 1_700_000_000_123_456_789


class Ended(Exception):
    """What whoever has something delivered raises when it is not wanted any more."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(params=["hard links", "no hard links"])
def linking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system with hard links, and one without."""
    if request.param == "no hard links":
        monkeypatch.setattr(os, "link", without_hard_links)
    return str(request.param)


def without_hard_links(source: str, target: str, **_: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)


def ask(room: Room, *names: str, order: str = ORDER) -> list[ConvertedFile]:
    """Ask for the places of one set."""
    found = places(room, [names], order=order)
    return [found[name] for name in names]


def kept(bench: Bench) -> dict[str, str]:
    """Return what is kept, by name; rooms do not count."""
    files = {path.relative_to(bench.processed): path for path in bench.processed.rglob("*") if path.is_file()}
    return {str(name): path.read_text() for name, path in files.items() if not name.parts[0].startswith(".adi-")}


def staged(room: Room) -> list[str]:
    return sorted(str(path.relative_to(room.staging.parent)) for path in room.staging.parent.rglob("*") if path.is_file())


@pytest.mark.usefixtures("linking")
def test_what_lies_in_temp_is_copied_and_stays_there(bench: Bench) -> None:
    room = bench.room()
    place = put(room.temp, "deep/a.tif", "A" * 9_000_000, mtime_ns=TIME)
    read: list[int] = []
    checked: list[None] = []
    (file,) = deliver(room, ask(room, "deep/a.tif"), on_bytes=read.append, check=lambda: checked.append(None))
    assert file == ConvertedFile(name="deep/a.tif", place=f"{bench.processed}/deep/a.tif", bytes=9_000_000, mtime_ns=TIME)
    assert (sum(read), len(read)) == (9_000_000, 3)
    assert len(checked) >= 3
    status = Path(file.place).lstat()
    assert (status.st_size, status.st_mtime_ns, status.st_mode, status.st_nlink) == (9_000_000, TIME, 0o100644, 1)
    assert place.stat().st_ino != status.st_ino
    assert staged(room) == []


@pytest.mark.usefixtures("linking")
def test_what_lies_beside_the_source_is_moved(bench: Bench) -> None:
    room = bench.room()
    inode = put(room.staging, "a.tif", "A", mtime_ns=TIME).stat().st_ino
    read: list[int] = []
    (file,) = deliver(room, ask(room, "a.tif"), on_bytes=read.append)
    assert (file.bytes, file.mtime_ns, read, staged(room)) == (1, TIME, [], [])
    assert Path(file.place).stat().st_ino == inode


def test_what_lies_in_both_is_not_copied(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "A")
    put(room.staging, "a.tif", "A", mtime_ns=TIME)
    (file,) = deliver(room, ask(room, "a.tif"))
    assert file.mtime_ns == TIME


def test_what_is_imported_is_what_is_kept(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "imported")
    put(room.staging, "a.tif", "x")
    put(room.temp, "b.tif", "imported")
    put(room.staging, "b.tif/c", "x")
    deliver(room, ask(room, "a.tif"))
    deliver(room, ask(room, "b.tif"))
    assert kept(bench) == {"a.tif": "imported", "b.tif": "imported"}
    assert staged(room) == []


@pytest.mark.usefixtures("linking")
def test_doing_it_again_changes_nothing(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "A", mtime_ns=TIME)
    put(room.staging, "b.tif", "B", mtime_ns=TIME)
    files = ask(room, "a.tif", "b.tif")
    done = deliver(room, files)
    before = [Path(file.place).stat().st_ino for file in done]
    assert deliver(room, files) == deliver(room, done) == done
    assert [Path(file.place).stat().st_ino for file in done] == before
    assert kept(bench) == {"a.tif": "A", "b.tif": "B"}
    room.remove()
    assert kept(bench) == {"a.tif": "A", "b.tif": "B"}


@pytest.mark.usefixtures("linking")
def test_a_file_that_has_come_meanwhile_is_never_replaced(bench: Bench) -> None:
    room = bench.room()
    put(room.staging, "a.tif", "mine!")
    files = ask(room, "a.tif")
    put(bench.processed, "a.tif", "their")
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    deliver(room, ask(room, "a.tif"))
    assert kept(bench) == {"a.tif": "their", f"a.{TAG}.tif": "mine!"}


@pytest.mark.parametrize("what", ["link", "dangling", "pipe", "folder"])
@pytest.mark.usefixtures("linking")
def test_nothing_else_is_ever_replaced_or_followed(bench: Bench, what: str) -> None:
    room = bench.room()
    put(room.staging, "a.tif", "mine")
    files = ask(room, "a.tif")
    place = bench.processed / "a.tif"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        place.symlink_to(bench.file if what == "link" else bench.folder / "new")
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    assert staged(room) == ["out/a.tif"]
    assert bench.file.read_bytes() == b"lif" * 100
    assert not (bench.folder / "new").exists()


def test_the_same_that_has_come_meanwhile_is_taken_as_it_is(bench: Bench) -> None:
    room = bench.room()
    put(room.staging, "a.tif", "same", mtime_ns=TIME)
    files = ask(room, "a.tif")
    inode = put(bench.processed, "a.tif", "same", mtime_ns=TIME + 7).stat().st_ino
    (file,) = deliver(room, files)
    assert (Path(file.place).stat().st_ino, file.mtime_ns, staged(room)) == (inode, TIME + 7, [])


def test_other_pixels_of_the_same_size_and_time_are_not_the_same(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "mine!", mtime_ns=TIME)
    files = ask(room, "a.tif")
    put(bench.processed, "a.tif", "their", mtime_ns=TIME)
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    assert kept(bench) == {"a.tif": "their"}


@pytest.mark.usefixtures("linking")
def test_of_a_set_nothing_stays_where_one_of_it_cannot_be(bench: Bench) -> None:
    room = bench.room()
    for name in ("x", "deep/y", "z"):
        put(room.staging if name != "deep/y" else room.temp, name, f"mine {name}")
    files = ask(room, "x", "deep/y", "z")
    put(bench.processed, "z", "theirs")
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    assert kept(bench) == {"z": "theirs"}
    deliver(room, ask(room, "x", "deep/y", "z"))
    assert kept(bench) == {"z": "theirs"} | {f"{TAG}/{name}": f"mine {name}" for name in ("x", "deep/y", "z")}
    assert staged(room) == []


def test_what_was_there_before_stays_where_another_of_its_set_cannot_be(bench: Bench) -> None:
    room = bench.room()
    put(room.staging, "x", "same")
    put(room.staging, "z", "mine")
    put(bench.processed, "x", "same")
    files = ask(room, "x", "z")
    put(bench.processed, "z", "theirs")
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    assert kept(bench) == {"x": "same", "z": "theirs"}
    assert staged(room) == ["out/x", "out/z"]


def test_what_is_nowhere_is_lost(bench: Bench) -> None:
    room = bench.room()
    place = put(room.temp, "a.tif")
    files = ask(room, "a.tif")
    place.unlink()
    with pytest.raises(OutputLost):
        deliver(room, files)
    put(bench.processed, "a.tif", "something else")
    with pytest.raises(OutputLost):
        deliver(room, files)
    room.remove()
    with pytest.raises(OutputLost):
        deliver(room, files)
    assert kept(bench) == {"a.tif": "something else"}


@pytest.mark.parametrize("where", ["temp", "staging"])
def test_what_has_become_a_link_is_lost(bench: Bench, where: str) -> None:
    room = bench.room()
    folder = room.temp if where == "temp" else room.staging
    place = put(folder, "a.tif")
    files = ask(room, "a.tif")
    place.unlink()
    place.symlink_to(bench.file)
    with pytest.raises(OutputLost):
        deliver(room, files)
    assert kept(bench) == {}


def test_it_is_there_though_the_room_is_gone(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif", "A", mtime_ns=TIME)
    files = ask(room, "a.tif")
    done = deliver(room, files)
    room.remove()
    assert deliver(room, files) == done


@pytest.mark.usefixtures("linking")
@pytest.mark.parametrize("where", ["temp", "staging"])
def test_a_folder_comes_as_a_whole(bench: Bench, where: str) -> None:
    room = bench.room()
    folder = room.temp if where == "temp" else room.staging
    put(folder, "a.zarr/0/0", "00", mtime_ns=TIME)
    put(folder, "a.zarr/.zattrs", "{}", mtime_ns=TIME)
    files = ask(room, "a.zarr")
    (bench.processed / "a.zarr").mkdir()  # as good as nothing
    (file,) = deliver(room, files)
    assert file == ConvertedFile(name="a.zarr", place=f"{bench.processed}/a.zarr", bytes=4, mtime_ns=TIME)
    assert kept(bench) == {"a.zarr/0/0": "00", "a.zarr/.zattrs": "{}"}
    assert deliver(room, files) == (file,)
    assert staged(room) == []


def test_a_folder_never_comes_over_another(bench: Bench) -> None:
    room = bench.room()
    put(room.staging, "a.zarr/0", "mine")
    files = ask(room, "a.zarr")
    put(bench.processed, "a.zarr/0", "their")
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    deliver(room, ask(room, "a.zarr"))
    assert kept(bench) == {"a.zarr/0": "their", f"a.{TAG}.zarr/0": "mine"}


@pytest.mark.usefixtures("linking")
@pytest.mark.parametrize("name", ["a.tif", "a.zarr/0"])
def test_nothing_is_replaced_that_comes_between_the_look_and_the_move(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Place, "is_free", lambda *_, **__: True)
    room = bench.room()
    put(room.staging, name, "mine")
    files = ask(room, name.partition("/")[0])
    put(bench.processed, name, "their")
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    assert kept(bench) == {name: "their"}
    assert staged(room) == [f"out/{name}"]


def test_a_link_in_the_way_is_not_followed(bench: Bench) -> None:
    room = bench.room()
    put(room.staging, "deep/a.tif")
    files = ask(room, "deep/a.tif")
    elsewhere = put(bench.folder, "elsewhere/x").parent
    (bench.processed / "deep").symlink_to(elsewhere)
    with pytest.raises(PlaceTaken):
        deliver(room, files)
    with pytest.raises(ProcessedNotWritable):
        ask(room, "deep/a.tif")
    assert [path.name for path in elsewhere.iterdir()] == ["x"]


def test_a_folder_for_outputs_that_has_become_a_link_is_not_followed(bench: Bench) -> None:
    room = bench.room()
    put(room.staging, "a.tif")
    files = ask(room, "a.tif")
    moved = bench.processed.rename(bench.folder / "moved")
    bench.processed.symlink_to(moved)
    with pytest.raises(ProcessedNotWritable):
        deliver(room, files)
    assert [path.name for path in moved.iterdir()] == [room.staging.parent.name]


@pytest.mark.parametrize("place", ["/etc/a.tif", "{processed}/../a.lif", "{processed}", "{processed}/deep//a.tif"])
def test_nothing_comes_to_a_place_elsewhere(bench: Bench, place: str) -> None:
    room = bench.room()
    put(room.staging, "a.tif")
    file = ConvertedFile(name="a.tif", place=place.format(processed=bench.processed), bytes=6, mtime_ns=1)
    with pytest.raises(ValueError, match="does not lie in"):
        deliver(room, [file])


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, NoRoomToConvert),
        (errno.EDQUOT, NoRoomToConvert),
        (errno.EACCES, ProcessedNotWritable),
        (errno.EROFS, ProcessedNotWritable),
        (errno.ESTALE, ImportInterrupted),
    ],
)
@pytest.mark.parametrize("call", ["write", "link", "rename", "fsync"])
def test_trouble_of_the_disk_is_told_apart_and_leaves_nothing_half(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception], call: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    room = bench.room()
    put(room.temp, "a.tif", "A")
    files = ask(room, "a.tif")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(expected):
            deliver(room, files)
    assert kept(bench) in ({}, {"a.tif": "A"})
    assert [name for name in staged(room) if not name.startswith("out/")] == []
    deliver(room, files)
    assert kept(bench) == {"a.tif": "A"}
    assert staged(room) == []


def test_copying_can_be_ended_and_leaves_nothing_half(bench: Bench) -> None:
    def ended() -> None:
        if checks.pop():
            raise Ended

    room = bench.room()
    put(room.temp, "a.tif", b"x" * 9_000_000)
    files = ask(room, "a.tif")
    checks = [True, False, False]
    with pytest.raises(Ended):
        deliver(room, files, check=ended)
    assert (kept(bench), staged(room)) == ({}, [])


def test_a_source_folder_that_has_gone_is_named(bench: Bench) -> None:
    room = bench.room()
    put(room.temp, "a.tif")
    files = ask(room, "a.tif")
    bench.source.rename(bench.folder / "moved")
    with pytest.raises(FileMissing):
        deliver(room, files)


@pytest.mark.parametrize("where", ["temp", "staging"])
def test_a_room_that_goes_takes_no_folder_away_that_another_delivers_to(tmp_path: Path, where: str) -> None:
    bench = Bench(tmp_path, processed_folder="converted")
    room, other = bench.room(1), bench.room(2)
    put(room.temp if where == "temp" else room.staging, "a.tif", "A")

    def meanwhile() -> None:
        other.remove()

    (file,) = deliver(room, ask(room, "a.tif"), check=meanwhile)
    assert kept(bench) == {"a.tif": "A"}
    room.remove()
    assert bench.left() == ["data/converted", "data/converted/a.tif"]
    Path(file.place).unlink()
    room.remove()
    assert bench.left() == []


@pytest.mark.usefixtures("linking")
@pytest.mark.parametrize("name", ["a.tif", "deep/a.tif", "a.zarr/0"])
def test_a_folder_for_outputs_that_somebody_removes_meanwhile_is_made_again(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, processed_folder="converted")
    room = bench.room()
    put(room.temp, name, "A")
    removals = [3]

    def remove() -> None:
        if removals[0]:
            removals[0] -= 1
            with suppress(FileNotFoundError):
                bench.processed.rmdir()

    deliver(room, ask(room, name if name != "a.zarr/0" else "a.zarr"), check=remove)
    assert (kept(bench), removals) == ({name: "A"}, [0])


def test_a_folder_for_outputs_that_is_gone_again_and_again_says_nothing_against_the_source(tmp_path: Path) -> None:
    bench = Bench(tmp_path, processed_folder="converted")
    room = bench.room()
    put(room.staging, "a.tif", "A")
    with pytest.raises(ImportInterrupted, match="cannot be written to at the moment"):
        deliver(room, ask(room, "a.tif"), check=bench.processed.rmdir)
    deliver(room, ask(room, "a.tif"))
    assert kept(bench) == {"a.tif": "A"}


# --- room on the disk


def sparse(place: Path, *, share: float) -> int:
    """Make a file look as large as a share of what is free, and more if that is more than 1; returns its size."""
    place.parent.mkdir(parents=True, exist_ok=True)
    status = os.statvfs(place.parent)
    size = int(status.f_bavail * status.f_frsize * share)
    place.touch()
    os.truncate(place, size)
    return size


def never(_: int) -> None:
    raise Ended  # else it would take the whole disk


@pytest.mark.parametrize(("names", "share"), [(["a.tif"], 1.5), (["a.tif", "b.tif"], 0.75), (["a.zarr/0"], 2)])
def test_nothing_is_copied_of_a_set_that_there_is_no_room_for(bench: Bench, names: list[str], share: float) -> None:
    room = bench.room()
    assert room.temp is not None
    size = sum(sparse(room.temp / name, share=share) for name in names)
    files = ask(room, *(name.partition("/")[0] for name in names))
    with pytest.raises(NoRoomToConvert) as error:
        deliver(room, files, on_bytes=never)
    assert (error.value.folder, error.value.needed_bytes) == (str(bench.processed), size)
    assert 0 < error.value.free_bytes < size
    assert (kept(bench), staged(room)) == ({}, [])


def test_all_sets_can_be_asked_for_at_once(bench: Bench) -> None:
    room = bench.room()
    assert room.temp is not None
    for name in ("a.tif", "b.tif"):
        sparse(room.temp / name, share=0.75)
    files = [file for name in ("a.tif", "b.tif") for file in ask(room, name)]
    check_room(room, files[:1])
    with pytest.raises(NoRoomToConvert):
        check_room(room, files)
    bench.source.rename(bench.folder / "moved")
    with pytest.raises(FileMissing):
        check_room(room, files)


def test_what_need_not_be_copied_needs_no_room(bench: Bench) -> None:
    room = bench.room()
    assert room.temp is not None
    size = sparse(room.staging / "a.tif", share=1.5)
    (file,) = deliver(room, ask(room, "a.tif"))
    assert file.bytes == size
    (room.temp / "a.tif").touch()
    os.truncate(room.temp / "a.tif", size)
    check_room(room, [file])  # it is there


# --- dying on the way


@pytest.mark.usefixtures("linking")
@pytest.mark.parametrize("where", ["temp", "staging"])
@pytest.mark.parametrize("point", [Point.OUTPUT_COPIED, Point.OUTPUT_DELIVERED])
@pytest.mark.parametrize("passing", [1, 2])
def test_a_process_that_dies_is_taken_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str, point: Point, passing: int
) -> None:
    room = bench.room()
    folder = room.temp if where == "temp" else room.staging
    for name in ("deep/a.tif", "b.tif"):
        put(folder, name, f"of {name}", mtime_ns=TIME)
    files = ask(room, "deep/a.tif", "b.tif")
    die_at(point, passing, lambda: deliver(room, files), monkeypatch)
    done = deliver(room, files)
    assert kept(bench) == {name: f"of {name}" for name in ("deep/a.tif", "b.tif")}
    assert [file.mtime_ns for file in done] == [TIME, TIME]
    assert [name for name in staged(room) if name.startswith("out/")] == []
    room.remove()
    assert kept(bench) == {name: f"of {name}" for name in ("deep/a.tif", "b.tif")}


def test_one_that_dies_between_reserving_and_moving_is_taken_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    room = bench.room()
    put(room.staging, "a.tif", "A")
    files = ask(room, "a.tif")
    real = os.rename
    monkeypatch.setattr(os, "link", without_hard_links)
    monkeypatch.setattr(os, "rename", lambda *_, **__: os._exit(9))
    in_child(lambda: deliver(room, files))
    monkeypatch.setattr(os, "rename", real)
    assert kept(bench)["a.tif"].startswith("omero-adi: this place is for a.tif of .adi-")
    other = bench.room(2)
    put(other.staging, "a.tif", "B")
    deliver(other, ask(other, "a.tif"))
    deliver(room, files)
    assert kept(bench) == {"a.tif": "A", f"a.{TAG}.tif": "B"}


def die_at(point: Point, passing: int, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do it in a child that dies there."""
    passed = iter(range(1, 100))

    def reached(here: Point) -> None:
        if here is point and next(passed) == passing:
            os._exit(9)

    with monkeypatch.context() as patch:
        patch.setattr(delivery, "reached", reached)
        in_child(work)


def in_child(work: Callable[[], object]) -> None:
    """Do something in a child, which must die of it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9


# --- two at once


@pytest.mark.usefixtures("linking")
def test_two_that_deliver_the_same_names_at_once_both_keep_their_pixels(bench: Bench) -> None:
    names = [f"{number}.tif" for number in range(60)]
    sets = [[name] for name in names] + [["s/x", "s/y"], ["t/x", "t/y"]]
    orders = ("aaaaaaaa-1", "bbbbbbbb-1", "cccccccc-1")
    rooms = [bench.room(order=order) for order in orders]
    for room, order in zip(rooms, orders, strict=True):
        for name in (name for some in sets for name in some):
            put(room.staging if name.endswith("y") else room.temp, name, f"{order} {name}", mtime_ns=TIME)
    begin, go = os.pipe()
    children = []
    for room, order in zip(rooms, orders, strict=True):
        child = os.fork()
        if child == 0:
            try:
                os.close(go)
                os.read(begin, 1)  # until the parent lets go
                deliver_all(room, sets, order)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    os.close(begin)
    os.close(go)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    there = kept(bench)
    expected = sorted(f"{order} {name}" for order in orders for some in sets for name in some)
    assert sorted(there.values()) == expected
    for order in orders:  # of a set all files are in one folder
        for top in ("s", "t"):
            folders = {
                name.rpartition("/")[0] for name, text in there.items() if text in {f"{order} {top}/x", f"{order} {top}/y"}
            }
            assert len(folders) == 1


def deliver_all(room: Room, sets: list[list[str]], order: str) -> None:
    for some in sets:
        while True:
            try:
                deliver(room, ask(room, *some, order=order))
            except PlaceTaken:
                continue
            break
