# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo's podman: where it cannot run, a clause says why, and nothing of it is left either way."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_adi_plugin.commands.demo.folder import Folder, owned
from omero_adi_plugin.commands.demo.podman import IMAGE, CannotRun, remove_podman, start_podman
from omero_adi_plugin.commands.demo.processes import Processes
from tests.fixtures.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with owned(tmp_path / ".demo") as folder:
        folder.logs.mkdir()
        yield folder
        Processes(folder).stop()
        remove_podman(folder)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    made = tmp_path / "bin"
    made.mkdir()
    monkeypatch.setenv("PATH", str(made))
    return made


def test_without_podman_or_busybox_it_says_so(folder: Folder, programs: Path) -> None:
    with pytest.raises(CannotRun, match="podman is not installed"):
        start_podman(folder, Processes(folder))
    (programs / "podman").touch(mode=0o755)
    with pytest.raises(CannotRun, match="there is no busybox"):
        start_podman(folder, Processes(folder))
    assert not (folder.path / "podman").exists()


def test_a_podman_that_runs_nothing_here_says_why(folder: Folder, programs: Path) -> None:
    (programs / "podman").write_text("#!/bin/sh\necho first >&2\necho 'Error: no, not here' >&2\nexit 125\n")
    for name in ("podman", "busybox"):
        (programs / name).touch(mode=0o755)
        (programs / name).chmod(0o755)
    with pytest.raises(CannotRun, match="podman says 'Error: no, not here'"):
        start_podman(folder, Processes(folder))
    remove_podman(folder)
    assert {path.name for path in folder.path.iterdir()} == {"logs", "made-by-omero-adi-demo"}


SECONDS = "1000.0471"
"""How long a container sleeps that nobody else starts: other tests have some that sleep, too."""


def test_what_still_runs_is_ended_and_everything_removed(folder: Folder) -> None:
    assert shutil.which("podman"), "podman is not installed: apt-get install -y podman"
    processes = Processes(folder)
    podman = start_podman(folder, processes)
    command = [*podman.command, "run", "--detach", "--network=none", "--entrypoint", "/bin/busybox", IMAGE]
    subprocess.run([*command, "sleep", SECONDS], env=podman.environment, check=True, capture_output=True)
    [sleeps] = wait_until(_sleepers, what="the container's start: its program is begun after podman has said so")
    assert processes.stop() == ("podman",)
    assert sleeps.exists()  # a container outlives the service
    short = podman.socket.parent
    assert short.is_dir()
    remove_podman(folder)
    assert not sleeps.exists()
    assert not short.exists()
    assert {path.name for path in folder.path.iterdir()} == {"logs", "made-by-omero-adi-demo"}


def _sleepers() -> list[Path]:
    return [process for process in Path("/proc").iterdir() if _is(process, b"sleep\000" + SECONDS.encode() + b"\0")]


def _is(process: Path, command: bytes) -> bool:
    try:
        return process.name.isdigit() and (process / "cmdline").read_bytes().endswith(command)
    except OSError:
        return False
