# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that Java runs in: heard to its end, ended when it is not wanted, and gone with us. A script stands in for Java."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.importers.official import process
from omero_adi_plugin.importers.official.process import Stuck, run_java
from omero_adi_plugin.lifeline import tied
from tests.fixtures.services import alive
from tests.fixtures.waiting import wait_until


class Hears:
    def __init__(self, *, enough: str | None = None) -> None:
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.enough = enough

    def out(self, line: str) -> None:
        self.stdout.append(line)

    def err(self, line: str) -> None:
        self.stderr.append(line)

    def wait(self) -> None:
        if self.enough in self.stdout:
            raise InterruptedError


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "java"


def becomes(java: Path, script: str) -> None:
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)


def run(hears: Hears, *, patience_seconds: float = 60) -> int:
    return run_java(["-k", "secret"], listener=hears, patience_seconds=patience_seconds)


def test_all_is_heard_and_the_status_known(java: Path) -> None:
    becomes(java, "echo one; echo two >&2; echo; printf 'no end \\377'; exit 3")
    hears = Hears()
    assert run(hears) == 3
    assert (hears.stdout, hears.stderr) == (["one", "no end \\xff"], ["two"])


def test_much_is_heard_to_its_end(java: Path) -> None:
    becomes(java, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; head -c 300000 /dev/zero | tr '\\0' x")
    hears = Hears()
    assert run(hears) == 0
    assert hears.stdout[19999] == "line 19999"
    assert sum(map(len, hears.stdout[20000:])) == 300_000
    assert max(map(len, hears.stdout)) <= 2 * process.LONGEST_LINE


def test_what_kills_it_is_told(java: Path) -> None:
    becomes(java, "kill -9 $$")
    assert run(Hears()) == -signal.SIGKILL


def test_silence_has_a_limit(java: Path) -> None:
    becomes(java, "echo begun; exec sleep 100")
    hears = Hears()
    with pytest.raises(Stuck):
        run(hears, patience_seconds=1)
    assert hears.stdout in (["begun"], []), "on a busy host it may not have come so far"


def test_speech_has_no_limit(java: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock: SimpleNamespace = SimpleNamespace(now=0.0, sleep=time.sleep, monotonic=lambda: clock.now)
    monkeypatch.setattr(process, "time", clock)
    becomes(java, "for i in 1 2 3 4 5; do echo $i; while [ ! -e heard$i ]; do sleep 0.02; done; done")
    monkeypatch.chdir(java.parent)

    class Slow(Hears):
        def out(self, line: str) -> None:
            super().out(line)
            clock.now += 10
            java.with_name(f"heard{line}").touch()

    slow = Slow()
    assert run(slow, patience_seconds=15) == 0
    assert len(slow.stdout) == 5


def test_it_may_close_its_streams_and_go_on_for_a_while(java: Path) -> None:
    becomes(java, "echo first; exec >&- 2>&-; sleep 0.3; exit 4")
    assert run(Hears()) == 4


def test_a_child_that_it_leaves_behind_holds_nobody_up(java: Path) -> None:
    becomes(java, "sleep 100 & echo $!; exit 0")
    hears = Hears()
    assert run(hears) == 0
    os.kill(int(hears.stdout[0]), signal.SIGKILL)


def test_when_we_stop_its_whole_group_ends(java: Path) -> None:
    becomes(java, "sleep 100 & echo $!; echo enough; wait")
    hears = Hears(enough="enough")
    with pytest.raises(InterruptedError):
        run(hears)
    wait_until(lambda: not alive(int(hears.stdout[0])), what="the end of its child")


def test_it_dies_with_us(java: Path, tmp_path: Path) -> None:
    becomes(java, f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 100")
    program = (
        "from omero_adi_plugin.importers.official.process import run_java\n"
        "class Listener:\n"
        "    out = err = staticmethod(print)\n"
        "    def wait(self): pass\n"
        "run_java([], listener=Listener(), patience_seconds=100)\n"
    )
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", program]) as parent:
        pid = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        assert alive(pid)
        parent.kill()
    wait_until(lambda: not alive(pid), what="its death")


def test_one_that_was_orphaned_before_it_began_does_not_begin(java: Path) -> None:
    becomes(java, "echo begun")
    done = subprocess.run(tied(1, str(java)), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (os.EX_TEMPFAIL, b"")


def test_without_java_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="Install it"):
        run(Hears())
