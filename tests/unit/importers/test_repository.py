# SPDX-License-Identifier: GPL-2.0-or-later
"""What is removed from the managed repository after a fileset is deleted, and above all what is not."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.importers.repository import ManagedRepository

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = "alice_2/2026-11/24/12-00-00.000/"


@pytest.fixture
def repository(tmp_path: Path) -> ManagedRepository:
    root = tmp_path / "ManagedRepository"
    (root / TEMPLATE).mkdir(parents=True)
    return ManagedRepository(service=None, root=root)


def test_links_and_emptied_folders_go_and_sources_stay(repository: ManagedRepository, tmp_path: Path) -> None:
    source = tmp_path / "source.tif"
    source.write_text("pixels")
    link = repository.location(TEMPLATE + "plate/well", "a.tif")
    link.parent.mkdir(parents=True)
    link.symlink_to(source)
    repository.remove(template=TEMPLATE, files=[link, link.with_name("gone already.tif")])
    assert source.read_text() == "pixels"
    assert not (repository.root / TEMPLATE).exists()
    assert (repository.root / TEMPLATE).parent.is_dir()  # others' imports go there


def test_a_folder_with_something_else_in_it_stays(repository: ManagedRepository) -> None:
    other = repository.location(TEMPLATE, "somebody else's.tif")
    other.write_text("pixels")
    repository.remove(template=TEMPLATE, files=[repository.location(TEMPLATE, "a.tif")])
    assert other.read_text() == "pixels"


@pytest.mark.parametrize(
    ("blocks", "files", "free_files", "full"),
    [(1000, 100, 50, False), (10, 100, 50, True), (1000, 100, 0, True), (1000, 0, 0, False)],
)
def test_a_disk_is_full_without_room_or_without_names(
    repository: ManagedRepository, monkeypatch: pytest.MonkeyPatch, blocks: int, files: int, free_files: int, *, full: bool
) -> None:
    def statvfs(path: Path) -> SimpleNamespace:
        assert path == repository.root
        return SimpleNamespace(f_frsize=4096, f_bavail=blocks, f_files=files, f_favail=free_files)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert repository.full() is full
    monkeypatch.undo()
    assert not ManagedRepository(service=None, root=repository.root / "gone").full()


@pytest.mark.parametrize("template", ["", "/", "../", "alice_2/../../"])
def test_nothing_outside_a_template_folder_is_touched(repository: ManagedRepository, tmp_path: Path, template: str) -> None:
    outside = tmp_path / "precious.tif"
    outside.write_text("pixels")
    repository.remove(template=template, files=[outside, repository.root / ".." / "precious.tif"])
    repository.remove(template=TEMPLATE, files=[outside])
    assert outside.read_text() == "pixels"
