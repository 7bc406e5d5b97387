# SPDX-License-Identifier: GPL-2.0-or-later
"""Running another program: what is kept, what is told, what is ended."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from provision.command import CommandFailed, answers, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "what was said.log"


def test_what_a_program_says_goes_to_the_log_and_not_to_the_screen(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(["sh", "-c", "echo out; echo err >&2"], doing="Talking", log=log)
    assert log.read_text(encoding="utf-8") == "out\nerr\n"
    assert capfd.readouterr().out == "Talking: done, 0 s\n"


def test_a_failure_shows_the_end_of_its_own_output_and_where_the_rest_is(log: Path) -> None:
    run(["sh", "-c", "echo something earlier"], doing="Before", log=log)
    with pytest.raises(CommandFailed) as failure:
        run(["sh", "-c", "seq 100; exit 3"], doing="Counting", log=log)
    lines = str(failure.value).splitlines()
    assert lines[0] == "Counting: failed (status 3)."
    assert lines[1:-1] == [str(number) for number in range(89, 101)]
    assert lines[-1] == f"All of it: {log}"
    assert failure.value.status == 3


def test_interrupted_nothing_goes_on_running(log: Path) -> None:
    def interrupt() -> str:
        if log.exists() and log.read_text(encoding="utf-8").strip():
            raise KeyboardInterrupt
        return ""

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "sleep 600 & echo $!; wait"], doing="Sleeping", log=log, state=interrupt)
    grandchild = int(log.read_text(encoding="utf-8"))
    assert gone(grandchild, within_seconds=5)


@pytest.mark.parametrize(("command", "answer"), [(["true"], True), (["false"], False), (["/no/such/program"], False)])
def test_a_program_answers_if_it_starts_and_succeeds(command: list[str], *, answer: bool) -> None:
    assert answers(command) is answer


def gone(pid: int, *, within_seconds: float) -> bool:
    """Wait for the end of a process that is not our child (a zombie that nobody reaps counts as ended)."""
    limit = time.monotonic() + within_seconds
    while time.monotonic() < limit:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123  /proc is no place for Path
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False
