# SPDX-License-Identifier: GPL-2.0-or-later
"""Space: a conversion does not begin where there is no room for what it makes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_adi_plugin.containers.space import check_space, is_full, needed, no_room, size_of
from omero_adi_plugin.errors import NoRoomToConvert
from tests.fixtures.gates import open_folder
from tests.fixtures.rights import not_root
from tests.fixtures.rooms import put

HUGE = 2**80


def test_where_there_is_room_nothing_is_said(tmp_path: Path) -> None:
    check_space([tmp_path, tmp_path / "not" / "there"], needed_bytes=1)
    check_space([tmp_path], needed_bytes=0)
    assert not is_full(tmp_path)
    assert not is_full(tmp_path / "not" / "there")


@pytest.mark.parametrize("name", ["", "not/there"])
def test_a_folder_with_too_little_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoRoomToConvert) as error:
        check_space([tmp_path / name], needed_bytes=HUGE)
    assert error.value.folder == os.fspath(tmp_path / name)
    assert 0 < error.value.free_bytes < HUGE == error.value.needed_bytes


def test_each_file_system_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    real = os.statvfs

    def noted(path: Path) -> os.statvfs_result:
        asked.append(path)
        return real(path)

    monkeypatch.setattr(os, "statvfs", noted)
    check_space([tmp_path, tmp_path / "a", tmp_path / "b"], needed_bytes=1)
    assert asked == [tmp_path]


def test_file_systems_are_asked_each(tmp_path: Path) -> None:
    check_space([tmp_path], needed_bytes=1)
    with pytest.raises(NoRoomToConvert) as error:  # nothing can be written in /proc
        check_space([tmp_path, Path("/proc")], needed_bytes=1)
    assert error.value.folder == "/proc"
    assert is_full(Path("/proc"))


def test_a_folder_that_may_not_be_looked_into_is_for_others_to_complain_of() -> None:
    with open_folder() as parent:
        (parent / "closed" / "deep").mkdir(parents=True)
        (parent / "closed").chmod(0)
        with not_root():
            check_space([parent / "closed" / "deep" / "er"], needed_bytes=1)
            assert size_of(parent / "closed" / "deep") == 0
            assert not is_full(parent / "closed" / "deep" / "er")
        (parent / "closed").chmod(0o755)


def test_what_is_needed_is_so_many_times_the_source(tmp_path: Path) -> None:
    file = put(tmp_path, "a.lif", b"x" * 1000)
    assert needed(file, factor=2.5) == 2500
    put(tmp_path, "deep/b", b"x" * 500)
    (tmp_path / "deep" / "link").symlink_to(file)
    assert 1500 <= size_of(tmp_path) < 100_000  # folders have sizes of their own
    assert size_of(tmp_path / "missing") == 0


def test_a_disk_that_has_turned_out_too_small_is_named(tmp_path: Path) -> None:
    assert no_room(tmp_path / "gone", needed_bytes=5).needed_bytes == 5
