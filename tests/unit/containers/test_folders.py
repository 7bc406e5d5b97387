# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders: whatever a converter has left is removed, and nothing but that."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from omero_adi_plugin.containers.folders import clear, make, opened, opened_in
from tests.fixtures.gates import open_folder
from tests.fixtures.rights import not_root
from tests.fixtures.rooms import dig, put


def test_a_folder_goes_however_deep_it_is(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    dig(top, 3000, "file")
    assert clear(top)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_anything_goes_and_what_links_lead_to_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = put(tmp_path, "kept/a.tif")
    top = tmp_path / "top"
    put(top, "x/y/a.tif")
    put(top, "x/closed/b.tif").parent.chmod(0)
    (top / "link").symlink_to(kept.parent)
    (top / "x" / "link").symlink_to(kept)
    (top / "x" / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    monkeypatch.chdir(top)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("plug")
    (top / os.fsdecode(b"\xff\n")).mkdir()
    assert clear(top)
    assert clear(top)
    assert list(tmp_path.iterdir()) == [kept.parent]
    assert kept.exists()


def test_without_the_rights_of_root_all_that_is_ours_goes() -> None:
    with open_folder() as parent:
        parent.chmod(0o777)
        with not_root():
            for name in ("a", "a/b", "a/b/c", "a/b/c/d"):
                put(parent / "top", f"{name}/file")
            for name in ("a/b/c/d", "a/b/c", "a/b", "a", "."):
                (parent / "top" / name).chmod(0)
            assert clear(parent / "top")
        assert list(parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_has_the_place_of_a_folder_goes_alone(tmp_path: Path, kind: str) -> None:
    kept = put(tmp_path, "kept/a.tif")
    top = tmp_path / "top"
    if kind == "link":
        top.symlink_to(kept.parent)
    else:
        top.write_text("x")
    assert clear(top)
    assert kept.exists()
    assert not os.path.lexists(top)


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    kept = put(tmp_path, "kept/top/a.tif")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    assert not clear(tmp_path / "link" / "top")
    assert kept.exists()
    with pytest.raises(NotADirectoryError), opened(tmp_path / "link" / "top"):
        pass
    with pytest.raises(NotADirectoryError), opened(tmp_path / "link"):
        pass


def test_a_folder_that_is_there_is_left_as_it_is_but_no_link_is_one(tmp_path: Path) -> None:
    with opened(tmp_path) as handle:
        assert make(handle, "new", mode=0o777)
        assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o777
        assert not make(handle, "new", mode=0o700)
        assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o777
        with pytest.raises(FileExistsError):
            make(handle, "new", mode=0o700, anew=True)
        (tmp_path / "link").symlink_to("new")
        with pytest.raises(NotADirectoryError):
            make(handle, "link", mode=0o700)
        with pytest.raises(NotADirectoryError), opened_in(handle, "link"):
            pass
