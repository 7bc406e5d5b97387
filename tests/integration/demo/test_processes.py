# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo's folder and processes: what is ours is ended for certain, and what is not is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.commands.demo.folder import Folder, owned
from omero_adi_plugin.commands.demo.processes import DidNotStart, Processes, clean_environment
from omero_adi_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TALKS = "print('ready: 7', flush=True); import time; time.sleep(60)"
IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready: 7', flush=True); time.sleep(60)"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with owned(tmp_path / ".demo") as folder:
        folder.logs.mkdir()
        yield folder
        Processes(folder).stop()


def started(folder: Folder, processes: Processes, program: str) -> int:
    command = [sys.executable, "-c", program, f"{folder.path}/x"]
    log = processes.start("talker", command, environment=clean_environment())
    assert processes.wait_for("talker", r"ready: (\d)", log=log, limit_seconds=20)[1] == "7"
    return int(folder.pids.read_text().split()[-1])


def test_another_process_can_end_what_was_started(folder: Folder) -> None:
    processes = Processes(folder)
    pid = started(folder, processes, TALKS)
    assert Processes(folder).stop() == ("talker",)
    assert not processes.is_alive(pid)
    assert not folder.pids.exists()
    assert Processes(folder).stop() == ()


def test_one_that_will_not_end_is_killed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omero_adi_plugin.commands.demo.processes.END_SECONDS", 0.2)
    processes = Processes(folder)
    pid = started(folder, processes, IGNORES)
    processes.stop()
    assert not processes.is_alive(pid)


def test_a_number_that_belongs_to_another_program_is_left_alone(folder: Folder) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        folder.pids.write_text(f"serve {other.pid}\n")
        assert Processes(folder).stop() == ()
        assert other.poll() is None
        other.kill()


def test_one_that_ends_at_once_is_said_with_its_last_words(folder: Folder) -> None:
    processes = Processes(folder)
    log = processes.start("short", [sys.executable, "-c", "raise SystemExit('no luck')"], environment=clean_environment())
    with pytest.raises(DidNotStart, match="ended at once") as error:
        processes.wait_for("short", "ready", log=log, limit_seconds=20)
    assert "no luck" in str(error.value)


def test_one_that_is_silent_is_not_waited_for_for_ever(folder: Folder) -> None:
    processes = Processes(folder)
    command = [sys.executable, "-c", "import time; time.sleep(60)", f"{folder.path}/x"]
    log = processes.start("silent", command, environment=clean_environment())
    with pytest.raises(DidNotStart, match=r"not ready after 0\.1 s"):
        processes.wait_for("silent", "ready", log=log, limit_seconds=0.1)
    assert processes.stop() == ("silent",)


def test_our_programs_do_not_hear_of_other_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMERO_HOST", "INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL", "ADI_CONFIG", "PGHOST", "OMERODIR"):
        monkeypatch.setenv(name, "production")
    assert "production" not in clean_environment().values()


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "thesis.doc").touch()
    with pytest.raises(UsageError, match="not made by a demo"), owned(tmp_path / ".demo"):
        pass
    assert (tmp_path / ".demo" / "thesis.doc").exists()


def test_what_an_earlier_demo_left_is_cleared_away(tmp_path: Path) -> None:
    with owned(tmp_path / ".demo") as folder:
        folder.data.mkdir()
        folder.write_private("env", "secret")
        assert folder.env.stat().st_mode & 0o777 == 0o600
    with owned(tmp_path / ".demo") as folder:
        folder.clear()
        assert not folder.data.exists()
        assert not folder.env.exists()
        assert folder.exists()


def test_a_second_demo_asks_the_first_to_end_and_waits(tmp_path: Path) -> None:
    program = f"""
import pathlib, signal, sys, time
from omero_adi_plugin.commands.demo.folder import owned
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
with owned(pathlib.Path({str(tmp_path / ".demo")!r})):
    print("mine", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "mine\n"
        with owned(tmp_path / ".demo") as folder:
            assert first.wait(timeout=20) == 7
            assert (folder.path / "made-by-omero-adi-demo").read_text() == f"{os.getpid()}\n"


def test_a_signal_at_the_worst_moment_waits_until_the_start_is_recorded(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def interrupted(*args: object, **options: object) -> object:
        process = real(*args, **options)  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    processes = Processes(folder)
    with pytest.raises(KeyboardInterrupt):
        processes.start("talker", [sys.executable, "-c", TALKS, f"{folder.path}/x"], environment=clean_environment())
    assert processes.stop() == ("talker",)
