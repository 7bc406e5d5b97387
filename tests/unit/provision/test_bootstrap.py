# SPDX-License-Identifier: GPL-2.0-or-later
"""Which Python the set-up runs on, and what it says when there is none that fits."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import bootstrap
import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

BOOTSTRAP = Path(bootstrap.__file__)


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def bootstrap_on(version: Sequence[int], path: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.version_info = {(*version, 1, 'final', 0)}; sys.path.insert(0, sys.argv[1]); import bootstrap; "
    return subprocess.run(
        [sys.executable, "-c", code + "sys.exit(bootstrap.main())", str(BOOTSTRAP.parent)],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bootstrap_can_be_read_by_the_pythons_it_turns_away() -> None:
    ast.parse(BOOTSTRAP.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize(("version", "fits"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_the_versions_are_those_of_the_package(version: tuple[int, int], *, fits: bool) -> None:
    assert bootstrap.fits(version) is fits


def test_an_old_python_is_told_what_is_needed(tmp_path: Path) -> None:
    done = bootstrap_on((3, 9), tmp_path)
    assert done.returncode == 1
    assert "This is Python 3.9, and OMERO ADI needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_python_hands_over_to_the_newest_that_fits_and_starts(tmp_path: Path) -> None:
    program(tmp_path / "python3.13", "exit 127")  # as pyenv's do for a Python that is not switched on
    for name in ("python3.12", "python3.11"):
        program(tmp_path / name, f'[ "$1" = -c ] || echo "{name} $1"')
    done = bootstrap_on((3, 10), tmp_path)
    assert (done.returncode, done.stdout) == (0, f"python3.12 {BOOTSTRAP}\n")
