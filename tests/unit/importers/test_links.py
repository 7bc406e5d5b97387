# SPDX-License-Identifier: GPL-2.0-or-later
"""What OMERO compares files by, and what it means when a link cannot be put in its place."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

import omero.all
import pytest

from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    DiskFull,
    FileGrowing,
    FileMissing,
    ImportInterrupted,
    SourceUnreadable,
)
from omero_adi_plugin.importers.links import file_hash, look_again, place_link
from tests.fixtures.importing import admitted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from omero_adi_plugin.importers.plans import AdmittedFile

SOURCE = b"pixels of the source"
SIZE = "1400000000000000"
READ_ONLY = {"omero.fs.mode": "r"}


class Disk:
    """The server's side of one file, on the disk that this host sees as well; made to go wrong as a test wants it.

    wrong:   is called after the mark is written.
    late:    the mark appears on this host only when the store is closed, as on some network file systems.
    unsaved: the first closing fails.
    sees:    the size that the server finds; None: it may not read the source.
    """

    def __init__(
        self,
        location: Path,
        *,
        wrong: Callable[[], object] = lambda: None,
        late: bool = False,
        unsaved: bool = False,
        sees: int | None = len(SOURCE),
    ) -> None:
        self.location, self.wrong, self.late, self.unsaved, self.sees = location, wrong, late, unsaved, sees
        self.opened: list[dict[str, str] | None] = []
        self.open, self.mark, self.saved = False, b"", 0

    def getUploader(self, index: int, context: dict[str, str] | None = None) -> Disk:  # noqa: N802 (OMERO's name)
        assert index == 0
        assert not self.open
        self.opened.append(context)
        self.open = True
        return self

    def ice_invocationTimeout(self, _: int) -> Disk:  # noqa: N802 (Ice's name)
        return self

    def write(self, data: bytes, position: int, length: int) -> None:
        assert (position, length) == (0, len(data))
        self.mark = data
        if not self.late:
            self.location.write_bytes(data)
        self.wrong()

    def size(self) -> int:
        if self.sees is None:
            raise omero.ResourceError
        return self.sees

    def save(self) -> None:
        self.saved += 1

    def close(self) -> None:
        self.open = False
        if self.late and self.mark:
            self.location.write_bytes(self.mark)
            self.mark = b""
        if self.unsaved:
            self.unsaved = False
            raise omero.ResourceError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.tif"
    path.write_bytes(SOURCE)
    return path


@pytest.fixture
def file(source: Path) -> AdmittedFile:
    return admitted(source)


@pytest.fixture
def location(tmp_path: Path) -> Path:
    (tmp_path / "template").mkdir()
    return tmp_path / "template" / "source.tif"


def place(disk: Disk, file: AdmittedFile, *, size_only: bool = True) -> str:
    return place_link(disk, 0, file=file, location=disk.location, size_only=size_only)


def test_a_link_takes_the_place_of_the_mark_in_one_opening(source: Path, file: AdmittedFile, location: Path) -> None:
    disk = Disk(location)
    assert place(disk, file) == SIZE
    assert location.readlink() == source
    assert (disk.opened, disk.saved, disk.open) == ([None], 0, False)
    assert source.read_bytes() == SOURCE


def test_the_link_points_to_the_source_and_not_to_the_path_of_the_order(tmp_path: Path, source: Path, location: Path) -> None:
    alias = tmp_path / "alias.tif"
    alias.symlink_to(source)
    place(Disk(location), admitted(alias))
    assert os.readlink(location) == str(source)  # noqa: PTH115 (as text: Path would hide a difference)


@pytest.mark.parametrize("trouble", ["late", "unsaved"])
def test_where_one_opening_is_not_enough_the_server_looks_again(
    source: Path, file: AdmittedFile, location: Path, trouble: str
) -> None:
    disk = Disk(location, late=trouble == "late", unsaved=trouble == "unsaved")
    assert place(disk, file, size_only=False) == hashlib.sha1(SOURCE, usedforsecurity=False).hexdigest()
    assert location.readlink() == source
    assert (disk.opened, disk.saved, disk.open) == ([None, READ_ONLY], 1, False)


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
    file: AdmittedFile, location: Path, monkeypatch: pytest.MonkeyPatch, number: int, meaning: type[AdiError]
) -> None:
    monkeypatch.setattr(os, "symlink", raising(number))
    disk = Disk(location)
    with pytest.raises(meaning):
        place(disk, file)
    assert not disk.open


def test_a_mark_of_somebody_else_means_another_disk(file: AdmittedFile, location: Path) -> None:
    disk = Disk(location, wrong=lambda: location.write_bytes(b"somebody else's"))
    with pytest.raises(ConfigurationError, match="mounted"):
        place(disk, file)
    assert location.read_bytes() == b"somebody else's"
    assert not disk.open


def test_a_mark_that_does_not_appear_means_another_disk(file: AdmittedFile, location: Path) -> None:
    with pytest.raises(ConfigurationError, match="mounted"):
        place(Disk(location, wrong=location.unlink), file)


def test_a_source_that_went_away_is_missing(source: Path, file: AdmittedFile, location: Path) -> None:
    with pytest.raises(FileMissing, match=r"source\.tif"):
        place(Disk(location, wrong=source.unlink), file)


@pytest.mark.parametrize("size_only", [True, False])
@pytest.mark.parametrize("change", ["grows", "is touched"])
def test_a_source_that_is_not_as_it_was_is_tried_again_later(
    source: Path, file: AdmittedFile, location: Path, change: str, *, size_only: bool
) -> None:
    def wrong() -> None:
        if change == "grows":
            source.write_bytes(SOURCE + b"more")
        os.utime(source, ns=(file.mtime_ns, file.mtime_ns + (0 if change == "grows" else 1)))

    with pytest.raises(FileGrowing):
        place(Disk(location, wrong=wrong), file, size_only=size_only)


def test_a_source_that_this_account_may_not_read_is_named(
    file: AdmittedFile, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:  # tests run as root, whom no disk refuses anything
        monkeypatch.setattr(os, "stat", raising(errno.EACCES))

    with pytest.raises(SourceUnreadable, match="uid "):
        place(Disk(location, wrong=refuse), file)
    monkeypatch.undo()


def test_the_second_look_tells_what_the_server_sees(source: Path, file: AdmittedFile, location: Path) -> None:
    def look(*, sees: int | None) -> None:
        look_again(Disk(location, sees=sees), 0, file=file, location=location)

    with pytest.raises(ImportInterrupted, match="deleted"):
        look(sees=len(SOURCE))
    location.symlink_to(source)
    look(sees=len(SOURCE))
    with pytest.raises(ImportInterrupted, match="still being written"):
        look(sees=len(SOURCE) + 1)
    with pytest.raises(SourceUnreadable, match=r"the account that runs OMERO\.server"):
        look(sees=None)
    source.unlink()
    with pytest.raises(FileMissing):
        look(sees=None)


def test_hashes_are_those_that_the_server_computes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(33_024))
    file = admitted(path)
    assert file_hash(file, size_only=True) == "0081000000000000"  # as recorded on a real server
    assert file_hash(file, size_only=False) == hashlib.sha1(bytes(33_024), usedforsecurity=False).hexdigest()
    path.unlink()
    for size_only in (True, False):
        with pytest.raises(FileMissing):
            file_hash(file, size_only=size_only)
