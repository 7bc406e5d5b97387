# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands: run another program for as long as it takes, tell how it is getting on, keep what it says in a log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 12
LOOK_SECONDS = 0.5
QUIET_SECONDS = 3
REPEAT_SECONDS = 15
PATIENCE_SECONDS = 10


class SetUpFailed(Exception):
    """The set-up cannot go on; the text says why and what to do."""


class CommandFailed(SetUpFailed):
    """A program that the set-up needs ended with an error."""

    def __init__(self, *, doing: str, status: int, log: Path, before: int) -> None:
        with log.open("rb") as file:
            file.seek(before)
            said = file.read().decode("utf-8", "replace").strip().splitlines()
        super().__init__("\n".join([f"{doing}: failed (status {status}).", *said[-TAIL_LINES:], f"All of it: {log}"]))
        self.status, self.log = status, log


class Progress:
    """A line that tells how a long step is getting on: rewritten in place on a terminal, repeated now and then elsewhere."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._started = time.monotonic()
        self._in_place = sys.stdout.isatty()
        self._next = self._started + QUIET_SECONDS
        self._shown = ""

    @property
    def seconds(self) -> float:
        """Time since the step began."""
        return time.monotonic() - self._started

    def show(self, state: str) -> None:
        """Say what is being done and how far it is, if it is time to."""
        if self._in_place:
            text = f"{self._doing}{state} ({self.seconds:.0f} s)"
            print(f"\r\033[K{text}", end="", flush=True)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + REPEAT_SECONDS
            text = f"{self._doing}{state}"
            if text != self._shown:
                print(text, flush=True)
            self._shown = text

    def close(self, words: str) -> None:
        """End the line: "done" or "failed", and the time it took."""
        print("\r\033[K" if self._in_place else "", end="")
        print(f"{self._doing}: {words}, {self.seconds:.0f} s", flush=True)


def run(
    command: Sequence[str | Path],
    *,
    doing: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    state: Callable[[], str] = lambda: "",
) -> None:
    """Run a program to its end.

    Parameters
    ----------
    command : sequence of str or Path
        The program and its arguments.
    doing : str
        What is being done, for people.
    log : Path
        Where all that the program says is appended.
    env : mapping, optional
        Its environment, if not ours.
    state : callable
        Gives what `doing` is to be followed by, such as how much is done.

    Raises
    ------
    CommandFailed
        The program ended with a status other than 0.
    """
    progress = Progress(doing)
    progress.show(state())
    with log.open("ab") as out:
        before = out.tell()
        # The program keeps our inheritable files open: with them the lock of this clone (see environment.py), so that nobody
        # else starts while an installation goes on whose set-up was killed. A process group of its own, to end all of it.
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            close_fds=False,
            start_new_session=True,
        )
        try:
            while (status := _wait_a_little(process)) is None:
                progress.show(state())
        except BaseException:
            _end(process)
            progress.close("interrupted")
            raise
    progress.close("failed" if status else "done")
    if status:
        raise CommandFailed(doing=doing, status=status, log=log, before=before)


def answers(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> bool:
    """Tell whether a program can be started and ends with status 0; what it says is of no interest."""
    try:
        return (
            subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=env,
                check=False,
            ).returncode
            == 0
        )
    except OSError:  # not there, or not executable
        return False


def _wait_a_little(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=PATIENCE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
