# SPDX-License-Identifier: GPL-2.0-or-later
"""What the machine lacks, and getting it as root or saying how."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from provision import debian
from provision.command import CommandFailed

if TYPE_CHECKING:
    from pathlib import Path

APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >> "$0.calls"
exit {status}
"""


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def apt_get(folder: Path, *, status: int = 0) -> Path:
    program = folder / "apt-get"
    program.write_text(APT.format(status=status), encoding="utf-8")
    program.chmod(0o755)
    return program


def test_a_machine_without_a_compiler_lacks_one(bin_: Path) -> None:
    assert not list(bin_.iterdir())
    assert "g++" in debian.missing_for_compiling()


def test_a_foreign_python_without_headers_is_not_sent_to_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(debian.PythonWithoutHeaders, match="came without its headers"):
        debian.missing_for_compiling()


def test_a_machine_without_podman_lacks_all_that_it_needs(bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "SYSTEM_FOLDERS", ())
    missing = debian.missing_for_containers()
    assert {"podman", "runc", "uidmap", "busybox-static", "netavark"} <= set(missing)
    for program in debian.PODMAN:
        if program != "busybox":
            (bin_ / program).touch(mode=0o755)
    assert debian.missing_for_containers() == ["busybox-static"]


@pytest.mark.parametrize(
    ("user", "command"), [(1000, "sudo apt-get install -y g\\+\\+ libssl-dev"), (0, "    apt-get install -y g")]
)
def test_who_may_not_install_is_told_the_command(
    bin_: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, command: str
) -> None:
    if user:
        apt_get(bin_)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(debian.SystemPackagesMissing, match=command):
        debian.provide(["g++", "libssl-dev"], log=tmp_path / "log")
    assert not list(bin_.glob("*.calls"))


def test_root_gets_them_without_being_asked_anything(bin_: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = apt_get(bin_)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    debian.provide(["g++", "libbz2-dev"], log=tmp_path / "log")
    assert (bin_ / f"{program.name}.calls").read_text(encoding="utf-8").splitlines() == [
        "noninteractive update",
        "noninteractive install -y --no-install-recommends g++ libbz2-dev",
    ]


def test_a_failure_of_apt_ends_the_set_up(bin_: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt_get(bin_, status=100)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CommandFailed, match="status 100"):
        debian.provide(["g++"], log=tmp_path / "log")


def test_nothing_missing_nothing_done(bin_: Path, tmp_path: Path) -> None:
    debian.provide([], log=tmp_path / "log")
    assert not list(bin_.iterdir())
