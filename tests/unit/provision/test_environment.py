# SPDX-License-Identifier: GPL-2.0-or-later
"""When an environment is good as it is, when it is brought up to date, and when it is made anew."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from provision import bioformats, debian
from provision.environment import Environment, Stamp, pip_environment

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT = """[build-system]
requires = ["setuptools"]
[tool.ruff]
line-length = {width}
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "a clone"
    (root / "tools" / "provision").mkdir(parents=True)
    (root / "setup.cfg").write_text("[metadata]\n", encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT.format(width=120), encoding="utf-8")
    (root / "tools" / "bootstrap.py").touch()
    return root


@pytest.fixture
def ready(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("JAVA_HOME", "/usr/lib/jvm/some")
    monkeypatch.setattr(debian, "missing_for_containers", list)
    environment = Environment(clone)
    (environment.venv / bioformats.PLACE).parent.mkdir(parents=True)
    (environment.venv / bioformats.PLACE).touch()
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    Stamp.of(clone).write(environment.stamp)
    assert environment.is_ready()
    return environment


def test_a_half_made_environment_is_not_trusted(ready: Environment) -> None:
    ready.stamp.unlink()
    assert not ready.is_ready()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"python": "3.12"}'])
def test_a_stamp_that_makes_no_sense_is_none(ready: Environment, text: str) -> None:
    ready.stamp.write_text(text, encoding="utf-8")
    assert Stamp.read(ready.stamp) is None
    assert not ready.is_ready()


@pytest.mark.parametrize("name", ["setup.cfg", "tools/bootstrap.py", "tools/provision/ice.py"])
def test_a_changed_description_is_installed_over_it(ready: Environment, name: str) -> None:
    before = Stamp.of(ready.root)
    (ready.root / name).write_text("# something else\n", encoding="utf-8")
    assert not ready.is_ready()
    assert before.can_become(Stamp.of(ready.root))


def test_settings_of_tools_need_no_installation(ready: Environment) -> None:
    (ready.root / "pyproject.toml").write_text(PYPROJECT.format(width=99), encoding="utf-8")
    assert ready.is_ready()


def test_a_moved_clone_gets_a_new_environment(ready: Environment) -> None:
    moved = ready.root.with_name("moved")
    shutil.move(ready.root, moved)
    copy = Environment(moved)
    assert not copy.is_ready()
    present = Stamp.read(copy.stamp)
    assert present is not None
    assert not present.can_become(Stamp.of(moved))


def test_another_python_gets_a_new_environment(ready: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Stamp.of(ready.root)
    monkeypatch.setattr(sys, "base_prefix", "/opt/another")
    assert not ready.is_ready()
    assert not before.can_become(Stamp.of(ready.root))


def test_an_environment_whose_python_was_removed_is_not_ready(ready: Environment) -> None:
    ready.python.unlink()
    ready.python.symlink_to("/usr/bin/python3.2")
    assert not ready.is_ready()


def test_when_all_is_ready_nothing_is_touched(ready: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    ready.set_up()
    assert capsys.readouterr().out == ""
    assert not ready.scratch.exists()


def test_a_jar_that_was_not_to_be_had_is_asked_for_again(
    ready: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(bioformats, "DIGEST", hashlib.sha256(b"the jar").hexdigest())
    kept = bioformats.cached_jar(os.environ)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"the jar")
    placed, stamp = ready.venv / bioformats.PLACE, ready.stamp.read_bytes()
    placed.unlink()
    ready.set_up()
    assert placed.read_bytes() == b"the jar"
    assert ready.stamp.read_bytes() == stamp


def test_without_podman_a_set_up_goes_on_and_says_how_to_get_it(
    ready: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(debian, "missing_for_containers", lambda: ["podman", "runc"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ready.set_up()
    assert ready.is_ready()
    assert "sudo apt-get install -y podman runc\n" in capsys.readouterr().out


def test_what_leads_an_installation_astray_is_kept_from_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/opt/omero/server/OMERO.server/lib/python")
    monkeypatch.setenv("PIP_FIND_LINKS", "/srv/wheels")
    env = pip_environment()
    assert "PYTHONPATH" not in env
    assert env["PIP_FIND_LINKS"] == "/srv/wheels"
    assert env["PATH"] == os.environ["PATH"]
