# SPDX-License-Identifier: GPL-2.0-or-later
"""The package as it is handed out: wheel, source release and editable, each in a clean environment.

Only our own package is installed there. What it depends on is lent by the environment that runs the tests, through a path in a
`.pth` file: .pth files of the lent folder do not count, so our own editable installation stays out of sight.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
MADE_HERE = (".venv", ".git", ".setup", ".demo", ".*_cache", "__pycache__", "build", "dist", "*.egg-info", "tests")
OMERO = "import sys; from omero.cli import argv; sys.exit(argv(['omero', *sys.argv[1:]]))"  # the script `omero` refuses root


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A virtual environment, its own packages, and a folder to work in that is not the clone."""

    python: Path
    packages: Path
    folder: Path

    def run(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a few lines of Python, as somebody whose home is empty."""
        home = str(self.folder)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OMERO"))}
        return subprocess.run(
            [self.python, "-c", code, *arguments],
            cwd=self.folder,
            env={**env, "HOME": home, "OMERO_USERDIR": home},
            capture_output=True,
            text=True,
            check=False,
        )

    def facts(self, code: str) -> Any:
        """Run a few lines that print JSON last."""
        done = self.run(f"import json; {code}")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def omero(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `omero` command."""
        return self.run(OMERO, *arguments)


def clean_environment(folder: Path) -> Installation:
    venv.create(folder / "venv", symlinks=True)
    base = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", base))
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (folder / "elsewhere").mkdir()
    return Installation(python=folder / "venv" / "bin" / "python", packages=packages, folder=folder / "elsewhere")


def pip_install(installation: Installation, *what: str | Path) -> None:
    # the lent environment has our package too: it is to be left alone
    only_this = ["--no-index", "--no-deps", "--ignore-installed", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "--python", installation.python, "install", *only_this, *what]
    subprocess.run(command, check=True, capture_output=True)


def build(source: Path, out: Path, *kinds: str) -> None:
    command: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", out, source]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the clone: building writes beside the sources."""
    copy = tmp_path_factory.mktemp("packaging") / "the source"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*MADE_HERE))
    return copy


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source release, as an installer without wheels would do."""
    out = tmp_path_factory.mktemp("dist")
    build(source, out)
    assert len(list(out.glob("*.tar.gz"))) == 1
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def direct_wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the clone."""
    out = tmp_path_factory.mktemp("dist")
    build(source, out, "--wheel")
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    installation = clean_environment(tmp_path_factory.mktemp("from wheel"))
    pip_install(installation, wheel)
    return installation


@pytest.fixture(scope="session")
def editable(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    installation = clean_environment(tmp_path_factory.mktemp("editable"))
    pip_install(installation, "--editable", source)
    return installation


@pytest.fixture(scope="session")
def without_us(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """OMERO and all the rest, but not this package."""
    return clean_environment(tmp_path_factory.mktemp("without us"))


@pytest.fixture(params=["from_wheel", "editable"])
def installation(request: pytest.FixtureRequest) -> Installation:
    installed: Installation = request.getfixturevalue(request.param)
    return installed
