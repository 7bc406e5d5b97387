# SPDX-License-Identifier: GPL-2.0-or-later
"""Storage that goes away in the middle of an order: nothing is said against the files that lie on it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omero_adi_plugin.errors import FileMissing, ImportInterrupted, StorageDown
from tests.fixtures.gates import gate_of


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "data"
    for name in ("lab", "others"):
        (base / name / "run").mkdir(parents=True)
        (base / name / "run" / "a.dat").write_bytes(b"x")
    return base


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A file system of its own on a folder."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_mount_that_goes_away_says_nothing_against_its_files(tmp_path: Path) -> None:
    base = tmp_path / "mount"
    base.mkdir()
    with mounted(base):
        (base / "a.dat").write_bytes(b"x")
        gate = gate_of(base)
        gate.admit(f"{base}/a.dat")
        with pytest.raises(FileMissing):
            gate.admit(f"{base}/b.dat")
        gate.check_storage(f"{base}/b.dat")
    for path in (f"{base}/a.dat", f"{base}/folder/a.dat"):
        with pytest.raises(StorageDown, match="is empty"):
            gate.admit(path)
        with pytest.raises(StorageDown, match="is empty"):
            gate.check_storage(path)


@pytest.mark.parametrize("what", ["empty", "gone"])
def test_the_root_of_a_group_can_go_away_alone(base: Path, what: str) -> None:
    mine = gate_of(base, group_roots={"lab": [str(base / "lab")]})
    theirs = gate_of(base, group="others", group_roots={"others": [str(base / "others")]})
    (base / "lab").rename(base.parent / "away")
    if what == "empty":
        (base / "lab").mkdir()
    with pytest.raises(StorageDown, match="lab") as caught:
        mine.admit(f"{base}/lab/run/a.dat")
    assert caught.value.folder == str(base / "lab")
    with pytest.raises(StorageDown):
        mine.admit_folder(f"{base}/lab/run")
    theirs.admit(f"{base}/others/run/a.dat")
    with pytest.raises(FileMissing):
        theirs.admit(f"{base}/others/run/b.dat")


def test_a_folder_that_is_gone_is_missing_while_its_root_is_there(base: Path) -> None:
    gate = gate_of(base)
    (base / "lab").rename(base.parent / "away")
    with pytest.raises(FileMissing):
        gate.admit(f"{base}/lab/run/a.dat")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EHOSTDOWN])
def test_a_folder_whose_file_system_does_not_answer_is_no_file_in_trouble(
    base: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """No such mount can be made in a test, so what the operating system says of it is put in its place."""
    away: list[str] = []
    real = {name: getattr(os, name) for name in ("stat", "open")}

    def stat(path: str, *rest: object, **named: object) -> os.stat_result:
        refuse(path)
        return real["stat"](path, *rest, **named)  # type: ignore[no-any-return]

    def open_(path: str, *rest: object, **named: object) -> int:
        refuse(path)
        return real["open"](path, *rest, **named)  # type: ignore[no-any-return]

    def refuse(path: object) -> None:
        if str(path) in away:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "open", open_)
    gate = gate_of(base)
    file, folder = f"{base}/lab/run/a.dat", f"{base}/lab"
    away[:] = [file]
    with pytest.raises(ImportInterrupted):
        gate.admit(file)
    away[:] = [file, folder]
    with pytest.raises(StorageDown, match="does not answer") as caught:
        gate.admit(file)
    assert caught.value.folder == folder


def test_a_root_that_nobody_may_list_is_there(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    gate = gate_of(base)
    monkeypatch.setattr("omero_adi_plugin.pipeline.storage.os.scandir", refuse)  # root may list everything
    gate.check_storage(f"{base}/lab/b.dat")
