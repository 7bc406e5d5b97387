# SPDX-License-Identifier: GPL-2.0-or-later
"""What rows say about the disk, and what is done of it: clients may save a row with any path."""

from __future__ import annotations

from pathlib import Path

import omero.model
import pytest
from omero.rtypes import rstring

from omero_devserver.files.disk import REPOSITORY_UUID, Disk
from omero_devserver.store.repositories import SCRIPTS
from omero_devserver.store.store import Store


@pytest.fixture
def disk(store: Store, tmp_path: Path) -> Disk:
    return Disk(data=tmp_path / "data", store=store)


def test_what_cannot_be_removed_keeps_nothing_else_from_it(disk: Disk, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside.txt", disk.root / "a" / "b.txt"
    inside.parent.mkdir()
    outside.touch()
    inside.touch()
    files = [("../../", "outside.txt"), ("a/", "x\0y"), ("a/", "none.txt"), ("", "a"), ("a/", "b.txt")]
    disk.remove([(REPOSITORY_UUID, path, name) for path, name in files])
    assert outside.exists()
    assert list(disk.root.iterdir()) == []


@pytest.mark.parametrize("repository", [REPOSITORY_UUID, SCRIPTS])
def test_no_file_of_a_repository_lies_outside_of_it(disk: Disk, repository: str) -> None:
    file = omero.model.OriginalFileI()
    file.repo, file.path, file.name = rstring(repository), rstring("/a/"), rstring("b.py")
    place = disk.location(file)
    assert place is not None
    assert place.parts[-2:] == ("a", "b.py")
    file.path = rstring("/../../../")
    with pytest.raises(ValueError, match="above root"):
        disk.location(file)
