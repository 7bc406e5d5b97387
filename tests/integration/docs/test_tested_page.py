# SPDX-License-Identifier: GPL-2.0-or-later
"""The page that says what passed on which server is written by the run itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.omero import OmeroServer
from tests.fixtures.pages import DOCS
from tests.fixtures.tested import BEGIN, END, written

ROOT = DOCS.parent
LOGIN = "tests/omero/test_login.py"


def run(page: Path, *tests: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMERO_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, "--tested", str(page)]
    return subprocess.run(command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=False, timeout=100)


def test_a_run_writes_server_day_and_outcome_of_each_file_between_the_marks(devserver: OmeroServer, tmp_path: Path) -> None:
    page = tmp_path / "tested.md"
    before = written((DOCS / "tested.md").read_text(encoding="utf-8"), "former\n")
    page.write_text(before, encoding="utf-8")
    odd = tmp_path / "test_odd.py"
    odd.write_text("def test_that_fails() -> None:\n    raise AssertionError\n", encoding="utf-8")
    done = run(
        page,
        f"{LOGIN}::test_a_gateway_logs_in_over_ssl_and_stays_there_or_leaves_it",
        str(odd),
        OMERO_HOST=devserver.host,
        OMERO_PORT=str(devserver.ssl_port),
        OMERO_USER=devserver.root,
        OMERO_PASSWORD=devserver.root_password,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    head, part = page.read_text(encoding="utf-8").split(BEGIN)
    part, tail = part.split(END)
    assert ", development server " in part
    assert "former" not in part
    assert f"| {LOGIN} | 1 | 0 | 0 |\n" in part
    assert "test_odd.py | 0 | 1 | 0 |\n" in part
    assert "test_odd.py::test_that_fails`" in part
    assert head + BEGIN + "former\n" + END + tail == before


def test_without_a_server_in_the_environment_nothing_is_written(tmp_path: Path) -> None:
    page = tmp_path / "tested.md"
    done = run(page, LOGIN, OMERO_HOST="somewhere")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "not set: OMERO_PORT, OMERO_USER, OMERO_PASSWORD" in done.stderr + done.stdout
    assert not page.exists()


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks a mark"):
        written("no marks here\n", "text\n")
