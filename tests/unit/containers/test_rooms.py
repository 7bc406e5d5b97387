# SPDX-License-Identifier: GPL-2.0-or-later
"""Rooms: a converter gets folders of its own, nobody else gets into them, and nothing stays of them."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from omero_adi_plugin.containers import folders, rooms
from omero_adi_plugin.containers.folders import clear
from omero_adi_plugin.containers.rooms import remove_rooms, temp_of
from omero_adi_plugin.errors import (
    ConverterTempDown,
    FileMissing,
    ImportInterrupted,
    NoRoomToConvert,
    ProcessedNotWritable,
    SourceUnreadable,
)
from tests.fixtures.gates import open_folder
from tests.fixtures.rights import not_root
from tests.fixtures.rooms import ORDER, Bench, put


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def open_bench() -> Iterator[Bench]:
    """The same, in a folder that everybody may write to."""
    with open_folder() as folder:
        folder.chmod(0o777)
        with not_root():
            bench = Bench(folder)
        yield bench
        for path in (folder, bench.source, bench.temp):
            path.chmod(0o777)


def mode(path: Path | None) -> int:
    assert path is not None
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_room_lies_where_the_containers_mounts_expect_it(bench: Bench) -> None:
    room = bench.open_room(3, attempt=2)
    assert (room.source, room.basename, room.processed) == (bench.source, "a.lif", bench.source / ".processed")
    assert room.staging == bench.source / ".processed" / f".adi-{ORDER}-2-3" / "out"
    assert room.temp == bench.temp / ORDER / "2-3" / "out"
    assert room.folders == (room.temp, room.staging)
    assert bench.open_room(4, alt=False).temp is None
    assert bench.open_room(5, alt=False).folders == (bench.source / ".processed" / f".adi-{ORDER}-1-5" / "out",)


def test_anybody_may_write_in_the_container_and_nobody_else_on_the_host(bench: Bench) -> None:
    old = os.umask(0o077)
    try:
        room = bench.open_room()
    finally:
        os.umask(old)
    assert room.temp is not None
    assert (mode(room.staging), mode(room.temp)) == (0o777, 0o777)
    assert (mode(room.staging.parent), mode(room.temp.parent)) == (0o700, 0o700)
    assert (mode(bench.processed), mode(room.temp.parent.parent)) == (0o755, 0o755)  # other rooms are looked into meanwhile


def test_afterwards_omero_can_read_all_of_it_and_only_we_can_write(bench: Bench) -> None:
    room = bench.open_room()
    assert room.temp is not None
    for folder in room.folders:
        put(folder, "deep/a.tif").chmod(0o6777)
        put(folder, "deep/b.tif").chmod(0)
        (folder / "deep").chmod(0o1733)
        (folder / "link").symlink_to(bench.file)
        os.mkfifo(folder / "pipe", 0o600)
        if os.geteuid() == 0:  # as another user of a container has it
            os.chown(folder / "deep", 1000, 1000)
            os.chown(folder / "deep/a.tif", 1000, 1000)
    before = mode(bench.file)
    room.close()
    for folder in room.folders:
        assert [mode(folder / each) for each in (".", "deep", "deep/a.tif", "deep/b.tif")] == [0o755, 0o755, 0o644, 0o644]
        assert {(folder / each).stat().st_uid for each in ("deep", "deep/a.tif")} == {os.geteuid()}
    assert mode(room.temp.parent) == 0o755
    assert mode(bench.file) == before  # a link changes nothing elsewhere


@pytest.mark.parametrize("how", ["leaf", "room", "processed", "temp", "another folder"])
def test_nothing_changes_that_somebody_has_put_in_the_place_of_what_was_made(bench: Bench, how: str) -> None:
    theirs = put(bench.folder, "theirs/secret").parent
    (theirs / "secret").chmod(0o600)
    theirs.chmod(0o700)
    room = bench.open_room()
    assert room.temp is not None
    leaf = room.temp if how == "temp" else room.staging
    if how == "another folder":
        leaf.rename(bench.folder / "moved")
        theirs = theirs.rename(leaf)
    elif how in {"leaf", "temp"}:
        leaf.rename(leaf.with_name("moved"))
        leaf.symlink_to(theirs)
    else:
        replaced = leaf.parent if how == "room" else bench.processed
        replaced.rename(bench.folder / "moved")
        fake = bench.folder / "fake"
        (fake / leaf.relative_to(replaced)).parent.mkdir(parents=True)
        (fake / leaf.relative_to(replaced)).symlink_to(theirs)
        replaced.symlink_to(fake)
    room.close()
    assert (mode(theirs), mode(theirs / "secret")) == (0o700, 0o600)


def test_nothing_changes_that_somebody_puts_in_the_place_of_a_file_or_folder_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = put(bench.folder, "theirs/secret").parent
    (theirs / "secret").chmod(0o600)
    theirs.chmod(0o700)
    real = folders.listed

    def replaced(folder: int) -> list[os.DirEntry[str]]:
        """List a folder, and have links in the place of all that is in it afterwards."""
        found = real(folder)
        for entry in found:
            target = theirs if entry.is_dir(follow_symlinks=False) else theirs / "secret"
            os.rename(entry.name, f"was-{entry.name}", src_dir_fd=folder, dst_dir_fd=folder)
            os.symlink(target, entry.name, dir_fd=folder)
        return found

    room = bench.open_room()
    put(room.staging, "deep/a.tif")
    put(room.staging, "b.tif")
    monkeypatch.setattr(folders, "listed", replaced)
    room.close()
    with suppress(OSError):
        clear(room.staging.parent)
    assert (mode(theirs), mode(theirs / "secret")) == (0o700, 0o600)
    assert [path.name for path in theirs.iterdir()] == ["secret"]


def test_a_room_does_not_lie_in_a_folder_that_somebody_has_put_in_its_place(
    open_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs two accounts")
    real = folders.make

    def swapped(parent: int, name: str, *, mode: int, anew: bool = False) -> bool:
        made = real(parent, name, mode=mode, anew=anew)
        if name.startswith(".adi-"):
            os.rename(name, "moved", src_dir_fd=parent, dst_dir_fd=parent)
            os.mkdir(name, dir_fd=parent)
            os.chown(name, 65534, 65534, dir_fd=parent)
        return made

    monkeypatch.setattr(rooms, "make", swapped)
    with pytest.raises(ProcessedNotWritable):
        open_bench.open_room()


def test_nothing_stays_of_a_room(bench: Bench) -> None:
    room = bench.open_room()
    for folder in room.folders:
        put(folder, "deep/deeper/a.tif")
        (folder / "deep").chmod(0)
        (folder / "link").symlink_to(bench.source)
    assert room.remove()
    assert bench.left() == []
    assert bench.file.exists()
    assert room.remove()  # again


def test_what_is_kept_stays_and_so_do_other_rooms(bench: Bench) -> None:
    first, second = bench.room(1), bench.room(2)
    put(bench.processed, "kept.tif")
    assert first.remove()
    assert second.staging.is_dir()
    assert second.temp is not None
    assert second.temp.is_dir()
    assert second.remove()
    assert bench.left() == ["data/.processed", "data/.processed/kept.tif"]


@pytest.mark.parametrize("name", [".processed", "converted"])
def test_the_mount_point_is_there_as_long_as_a_room_is(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, processed_folder=name)
    first, second = bench.room(1), bench.room(2)
    first.remove()
    assert (bench.source / ".processed").is_dir()
    second.remove()
    assert bench.left() == []


def test_rooms_come_and_go_at_the_same_time(bench: Bench) -> None:
    def one(number: int) -> bool:
        for attempt in range(1, 40):
            room = bench.room(number, attempt=attempt)
            put(room.staging, "a.tif")
            if not room.remove():
                return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(one, range(4)))
    assert bench.left() == []


def test_what_a_dead_process_left_under_the_same_number_goes(bench: Bench) -> None:
    old = bench.open_room()
    put(old.staging, "deep/old.tif")
    put(old.temp, "old.tif")
    room = bench.open_room()
    assert [list(folder.iterdir()) for folder in room.folders] == [[], []]
    assert [mode(folder.parent) for folder in room.folders] == [0o700, 0o700]


@pytest.mark.parametrize("target", ["/etc", "nowhere", "elsewhere"])
def test_a_link_in_the_place_of_the_folder_for_outputs_is_refused(bench: Bench, target: str) -> None:
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    bench.processed.symlink_to(elsewhere if target == "elsewhere" else target)
    with pytest.raises(ProcessedNotWritable, match="a link or no folder"):
        bench.open_room()
    assert list(elsewhere.iterdir()) == []
    assert list(bench.temp.iterdir()) == []


def test_a_link_in_the_place_of_a_folder_of_another_name_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, processed_folder="converted")
    bench.processed.symlink_to("/etc")
    with pytest.raises(ProcessedNotWritable, match="a link or no folder"):
        bench.open_room()
    assert bench.left() == ["data/converted"]


def test_a_file_in_the_place_of_the_folder_for_outputs_is_named(bench: Bench) -> None:
    bench.processed.write_text("x")
    with pytest.raises(ProcessedNotWritable, match=r"\.processed'.* a link or no folder"):
        bench.open_room()
    assert bench.processed.read_text() == "x"


def test_a_link_in_the_place_of_a_room_is_removed_and_not_followed(bench: Bench) -> None:
    elsewhere = put(bench.folder, "elsewhere/out/a.tif").parent.parent
    bench.processed.mkdir()
    (bench.processed / f".adi-{ORDER}-1-1").symlink_to(elsewhere)
    (bench.temp / ORDER).mkdir()
    (bench.temp / ORDER / "1-1").symlink_to(elsewhere)
    room = bench.open_room()
    assert [folder.resolve() for folder in room.folders] == list(room.folders)
    assert (elsewhere / "out/a.tif").exists()


def test_a_link_in_the_place_of_the_orders_folder_is_refused(bench: Bench) -> None:
    (bench.temp / ORDER).symlink_to("/etc")
    with pytest.raises(ConverterTempDown, match="converter_temp"):
        bench.open_room()
    assert bench.left() == [f"inplace/{ORDER}"]


def test_a_source_folder_that_has_become_a_link_is_not_followed(bench: Bench) -> None:
    elsewhere = bench.source.rename(bench.folder / "elsewhere")
    bench.source.symlink_to(elsewhere)
    with pytest.raises(ProcessedNotWritable):
        bench.open_room()
    assert not (elsewhere / ".processed").exists()


def test_temp_may_be_named_by_a_link(bench: Bench) -> None:
    link = bench.folder / "omero"
    link.symlink_to(bench.temp)
    settings = bench.settings.model_copy(update={"converter_temp": link})
    assert temp_of(ORDER, settings=settings) == bench.temp / ORDER


@pytest.mark.parametrize("what", ["missing", "a file"])
def test_a_temp_that_is_not_there_is_trouble_of_this_host(tmp_path: Path, what: str) -> None:
    bench = Bench(tmp_path)
    bench.temp.rmdir()
    if what == "a file":
        bench.temp.write_text("x")
    with pytest.raises(ConverterTempDown, match=r"`converter_temp`.* Mount or make that folder"):
        bench.open_room()
    assert not bench.processed.exists()


def test_a_temp_that_may_not_be_written_to_is_trouble_of_this_host(open_bench: Bench) -> None:
    open_bench.temp.chmod(0o555)
    with not_root(), pytest.raises(ConverterTempDown, match=r"Permission denied"):
        open_bench.open_room()
    assert open_bench.left() == []


def test_a_source_beside_which_nothing_may_be_written_fails_the_entry(open_bench: Bench) -> None:
    open_bench.source.chmod(0o555)
    with not_root(), pytest.raises(ProcessedNotWritable, match=r"\.processed.*Permission denied"):
        open_bench.open_room()
    assert open_bench.left() == []


def test_a_folder_for_outputs_that_may_not_be_written_to_fails_before_anything_runs(open_bench: Bench) -> None:
    bench = Bench(open_bench.folder / "data", processed_folder="converted") if os.geteuid() == 0 else open_bench
    bench.source.chmod(0o777)
    bench.temp.chmod(0o777)
    bench.processed.mkdir(exist_ok=True)
    bench.processed.chmod(0o555)
    with not_root(), pytest.raises(ProcessedNotWritable, match=bench.processed.name):
        bench.open_room()
    assert bench.left() == [f"data/{bench.processed.name}"]


def test_a_source_folder_that_may_not_be_looked_into_is_named(open_bench: Bench) -> None:
    open_bench.source.chmod(0)
    with not_root(), pytest.raises(SourceUnreadable):
        open_bench.open_room()


def test_a_source_that_has_gone_is_named(bench: Bench) -> None:
    shutil.rmtree(bench.source)
    with pytest.raises(FileMissing):
        bench.open_room()


@pytest.mark.parametrize(
    ("below", "number", "expected"),
    [
        ("data", errno.ENOSPC, NoRoomToConvert),
        ("data", errno.EDQUOT, NoRoomToConvert),
        ("data", errno.ESTALE, ImportInterrupted),
        ("inplace", errno.ENOSPC, NoRoomToConvert),
        ("inplace", errno.EDQUOT, NoRoomToConvert),
        ("inplace", errno.ESTALE, ConverterTempDown),
        ("inplace", errno.EROFS, ConverterTempDown),
    ],
)
def test_trouble_of_a_disk_is_told_apart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, below: str, number: int, expected: type[Exception]
) -> None:
    real = folders.make

    def failing(parent: int, name: str, *, mode: int, anew: bool = False) -> bool:
        if Path(f"/proc/self/fd/{parent}").readlink().is_relative_to(bench.folder / below):
            raise OSError(number, os.strerror(number))
        return real(parent, name, mode=mode, anew=anew)

    monkeypatch.setattr(rooms, "make", failing)
    with pytest.raises(expected):
        bench.open_room()
    assert bench.left() == []


def test_an_order_that_must_not_be_in_a_path_is_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="must not be part of a path"):
        bench.open_room(order="../../etc")
    assert bench.left() == []
    assert remove_rooms("../data", settings=bench.settings, sources=[bench.source])
    assert bench.file.exists()


def test_all_rooms_of_an_order_go_and_none_of_another(bench: Bench) -> None:
    for order in ("x", "x-1", "x-1-1"):
        for number in range(3):
            put(bench.room(number, order=order).staging, "a.tif")
    assert remove_rooms("x-1", settings=bench.settings, sources=[bench.source, bench.source, bench.folder / "gone"])
    assert {path.name for path in bench.processed.iterdir()} == {
        f".adi-{order}-1-{number}" for order in ("x", "x-1-1") for number in range(3)
    }
    assert {path.name for path in bench.temp.iterdir()} == {"x", "x-1-1"}
    assert remove_rooms("x", settings=bench.settings, sources=[bench.source])
    assert remove_rooms("x-1-1", settings=bench.settings, sources=[bench.source])
    assert bench.left() == []


def test_removing_follows_no_link(bench: Bench) -> None:
    room = bench.room()
    put(room.staging, "a.tif")
    moved = bench.processed.rename(bench.folder / "moved")
    bench.processed.symlink_to(moved)
    assert remove_rooms(ORDER, settings=bench.settings, sources=[bench.source])  # nothing of ours is there
    assert not clear(bench.processed / room.staging.parent.name)
    assert (moved / room.staging.parent.name / "out" / "a.tif").exists()


def test_a_folder_of_somebody_else_is_left_even_when_it_is_empty(open_bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs two accounts")
    with not_root():
        open_bench.processed.mkdir()
    room = open_bench.room()
    assert room.remove()
    assert open_bench.left() == ["data/.processed"]


def test_what_cannot_be_removed_is_said(open_bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with not_root():
        room = open_bench.room()
    open_bench.processed.chmod(0o555)
    with not_root():
        assert not room.remove()
    assert "folder.not_removed" in caplog.text
    open_bench.processed.chmod(0o755)
    with not_root():
        assert room.remove()
    assert open_bench.left() == []
