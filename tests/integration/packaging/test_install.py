# SPDX-License-Identifier: GPL-2.0-or-later
"""However the package is installed, `omero adi` is there with all its files, and other `omero` commands hardly notice."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.packaging.conftest import Installation

PACKAGES = ("omero", "omero_adi_plugin", "omero_devserver")


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_omero_adi_is_there(installation: Installation) -> None:
    done = installation.omero("adi", "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: omero adi" in done.stdout
    assert "Error loading" not in done.stderr


def test_it_is_not_there_without_the_package(without_us: Installation) -> None:
    assert without_us.omero("adi", "--help").returncode != 0


def test_the_wheel_runs_from_its_own_files(from_wheel: Installation) -> None:
    where = from_wheel.facts("import omero_adi_plugin as us; print(json.dumps(us.__file__))")
    assert Path(where).is_relative_to(from_wheel.packages)


@pytest.mark.parametrize(
    "name",
    [
        "tracking/queue.sql",
        "migrations/alembic.ini",
        "migrations/script.py.mako",
        "scripts/omero/import_scripts/Run_Import_Orders.py",
    ],
)
def test_what_is_not_python_is_found(installation: Installation, name: str) -> None:
    code = f"from importlib.resources import files; print(json.dumps((files('omero_adi_plugin') / {name!r}).is_file()))"
    assert installation.facts(code) is True


def test_the_scripts_for_omero_are_those_of_the_clone(installation: Installation, source: Path) -> None:
    code = "from omero_adi_plugin.grid.shipped import shipped; print(json.dumps({each.path: each.text for each in shipped()}))"
    folder = source / "scripts"
    assert installation.facts(code) == {f"/{file.relative_to(folder)}": file.read_text() for file in folder.rglob("*.py")}


def test_every_file_of_the_packages_is_in_the_wheel_and_no_other(source: Path, wheel: Path) -> None:
    linked = [found for found in (source / "omero_adi_plugin").iterdir() if found.is_symlink()]
    assert {link.name for link in linked} == {"migrations", "scripts"}
    ours = {
        str(found.relative_to(source))
        for folder in (*(source / package for package in PACKAGES), *linked)
        for found in folder.rglob("*")
        if found.is_file() and "__pycache__" not in found.parts
    }
    described = {name for name in files_of(wheel) if ".dist-info/" in name}
    assert files_of(wheel) - described == ours
    assert any(name.endswith("LICENSE") for name in described)


def test_the_clone_and_the_source_release_give_the_same_wheel(wheel: Path, direct_wheel: Path) -> None:
    assert files_of(wheel) == files_of(direct_wheel)


def test_other_omero_commands_load_nothing_heavy_because_of_us(from_wheel: Installation, without_us: Installation) -> None:
    code = "import sys; from omero.cli import argv; argv(['omero', 'version']); print(json.dumps(sorted(sys.modules)))"
    added = set(from_wheel.facts(code)) - set(without_us.facts(code))
    assert "omero_adi_plugin.commands.parser" in added
    foreign = {name for name in added if name.partition(".")[0] not in {"omero_adi_plugin", *sys.stdlib_module_names}}
    assert foreign == set()


def test_the_script_of_ci_is_found_from_anywhere(tmp_path: Path, source: Path) -> None:
    script = source / ".ci" / "run"
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "$PWD $*"; cat; exit 7\n', encoding="utf-8")
    make.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CI": "true"}
    done = subprocess.run(["bash", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, f"{source} test\n")
