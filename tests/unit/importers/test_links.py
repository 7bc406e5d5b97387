# SPDX-License-Identifier: GPL-2.0-or-later
"""What OMERO compares files by, and what it means when a link cannot be put in its place."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import AdiError, ConfigurationError, DiskFull, FileMissing, ImportInterrupted, SourceUnreadable
from omero_adi_plugin.importers.links import file_hash, place_link

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOURCE = b"pixels of the source"


class Disk:
    """The server's side of one file, on the disk that this host sees as well: what its two stores write and read.

    broken: is called after the mark is written, to put something wrong.
    """

    def __init__(self, location: Path, *, broken: Callable[[], object] = lambda: None) -> None:
        self.location, self.broken, self.open, self.saved = location, broken, 0, False

    def getUploader(self, index: int, context: dict[str, str] | None = None) -> Disk:  # noqa: N802 (OMERO's name)
        assert index == 0
        assert context in (None, {"omero.fs.mode": "r"})
        self.open += 1
        return self

    def ice_invocationTimeout(self, _: int) -> Disk:  # noqa: N802 (Ice's name)
        return self

    def write(self, data: bytes, position: int, length: int) -> None:
        assert (position, length) == (0, len(data))
        self.location.write_bytes(data)
        self.broken()

    def size(self) -> int:
        return self.location.stat().st_size

    def save(self) -> None:
        self.saved = True

    def close(self) -> None:
        self.open -= 1


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.tif"
    path.write_bytes(SOURCE)
    return path


@pytest.fixture
def location(tmp_path: Path) -> Path:
    (tmp_path / "template").mkdir()
    return tmp_path / "template" / "source.tif"


def test_a_link_takes_the_place_of_the_mark(source: Path, location: Path) -> None:
    disk = Disk(location)
    place_link(disk, 0, source=str(source), location=location)
    assert location.readlink() == source
    assert disk.saved
    assert disk.open == 0
    assert source.read_bytes() == SOURCE


def raising(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EACCES, ConfigurationError),
        (errno.EROFS, ConfigurationError),
        (errno.ENOENT, ConfigurationError),
    ],
)
def test_what_the_disk_refuses_is_told_by_its_number(
    source: Path, location: Path, monkeypatch: pytest.MonkeyPatch, number: int, meaning: type[AdiError]
) -> None:
    monkeypatch.setattr("pathlib.Path.symlink_to", raising(number))
    disk = Disk(location)
    with pytest.raises(meaning):
        place_link(disk, 0, source=str(source), location=location)
    assert disk.open == 0


def test_a_mark_of_somebody_else_means_another_disk(source: Path, location: Path) -> None:
    disk = Disk(location, broken=lambda: location.write_bytes(b"somebody else's"))
    with pytest.raises(ConfigurationError, match="mounted"):
        place_link(disk, 0, source=str(source), location=location)
    assert location.read_bytes() == b"somebody else's"


def test_a_mark_that_does_not_appear_means_another_disk(source: Path, location: Path) -> None:
    disk = Disk(location, broken=location.unlink)
    with pytest.raises(ConfigurationError, match="mounted"):
        place_link(disk, 0, source=str(source), location=location)


def test_a_source_that_went_away_is_missing(source: Path, location: Path) -> None:
    disk = Disk(location, broken=source.unlink)
    with pytest.raises(FileMissing):
        place_link(disk, 0, source=str(source), location=location)


@pytest.mark.parametrize(
    ("refuses", "kind", "words"),
    [("stat", SourceUnreadable, "cannot be read by"), ("symlink", ConfigurationError, "may not write to")],
)
def test_who_may_not_read_the_source_is_told_apart_from_who_may_not_write_the_link(
    source: Path, location: Path, monkeypatch: pytest.MonkeyPatch, refuses: str, kind: type[AdiError], words: str
) -> None:
    def refused(*paths: object, **_: object) -> None:  # tests run as root, whom no disk refuses anything
        raise PermissionError(errno.EACCES, "Permission denied", str(paths[0]), None, *map(str, paths[1:2]))

    disk = Disk(location, broken=lambda: monkeypatch.setattr(os, refuses, refused))
    with pytest.raises(kind, match=words):
        place_link(disk, 0, source=str(source), location=location)
    monkeypatch.undo()


def test_a_source_that_grows_is_tried_again_later(source: Path, location: Path) -> None:
    class Growing(Disk):
        def size(self) -> int:
            return super().size() + 1

    with pytest.raises(ImportInterrupted, match="still being written"):
        place_link(Growing(location), 0, source=str(source), location=location)


def test_hashes_are_those_that_the_server_computes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(33_024))
    assert file_hash(str(path), size_only=True) == "0081000000000000"  # as recorded on a real server
    assert file_hash(str(path), size_only=False) == hashlib.sha1(bytes(33_024), usedforsecurity=False).hexdigest()
    path.unlink()
    with pytest.raises(FileMissing):
        file_hash(str(path), size_only=True)
