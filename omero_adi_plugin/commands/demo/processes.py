# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes: start a program that goes on without us, wait until it says that it is ready, and end it for certain.

Each has a session of its own, so that Ctrl-C reaches only the demo, and writes to a log of its own. Which there are stands in a
file from the moment they start: whoever comes later, after a crash too, can end them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import AdiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from omero_adi_plugin.commands.demo.folder import Folder

LOOK_SECONDS = 0.05

END_SECONDS = 20.0
"""How long a process may take to end by itself before it is killed."""

ENDINGS = {"postgres": signal.SIGINT}
"""What asks a process to end, where it is not SIGTERM: that makes PostgreSQL wait for its clients to leave first."""

ENDS_A_DEMO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What makes a demo end everything that it has started."""


class DidNotStart(AdiError):
    """A program of the demo ended, or was silent for too long, before it was ready."""

    def __init__(self, *, name: str, log: Path, why: str) -> None:
        super().__init__(f"{name} {why}. Its log is '{log}'; the last lines of it:\n{tail(log)}")
        self.name, self.log, self.why = name, log, why


class Processes:
    """What a demo has started, as its folder tells."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], *, environment: Mapping[str, str], as_user: str | None = None) -> Path:
        """Start a program in the background.

        Parameters
        ----------
        name : str
            Short; its log is `logs/<name>.log`.
        command : sequence of str
            Must name the demo's folder somewhere, which is how the process is recognised later.
        environment : mapping
            All of it.
        as_user : str, optional
            The account to run it under, for root.

        Returns
        -------
        Path
            Its log.
        """
        log = self._folder.logs / f"{name}.log"
        with _undisturbed():
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=dict(environment),
                    user=as_user,
                    group=as_user,
                    extra_groups=None if as_user is None else [],
                    cwd=self._folder.path,
                )
            self._started[process.pid] = process
            with self._folder.pids.open("a", encoding="ascii") as pids:
                pids.write(f"{name} {process.pid}\n")
        return log

    def wait_for(self, name: str, pattern: str, *, log: Path, limit_seconds: float) -> re.Match[str]:
        """Wait until a process has written a line to a log.

        Parameters
        ----------
        name : str
            Of the process.
        pattern : str
            What the line contains, a regular expression.
        log : Path
            Where it writes it.
        limit_seconds : float
            How long to wait.

        Raises
        ------
        DidNotStart
            It has ended, or the time is over.
        """
        deadline = time.monotonic() + limit_seconds
        pid = dict(self._recorded())[name]
        while True:
            alive = self.is_alive(pid)  # first: what a process wrote before it ended still counts
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            found = re.search(pattern, text, re.MULTILINE)
            if found:
                return found
            own = self._folder.logs / f"{name}.log"
            if not alive:
                raise DidNotStart(name=name, log=own, why="ended at once")
            if time.monotonic() > deadline:
                raise DidNotStart(name=name, log=own, why=f"was not ready after {limit_seconds:g} s")
            time.sleep(LOOK_SECONDS)

    def runs(self, name: str) -> bool:
        """Return whether a process that was started is still there."""
        return any(known == name and self.is_alive(pid) for known, pid in self._recorded())

    def stop(self) -> tuple[str, ...]:
        """End every process of the demo, the newest first, and forget them; return the names of those that still ran.

        A number in the file that meanwhile belongs to another program is left alone.
        """
        ended = []
        for name, pid in reversed(list(self._recorded())):
            if self._is_ours(pid):
                self._end(pid, ENDINGS.get(name, signal.SIGTERM))
                ended.append(name)
        self._folder.pids.unlink(missing_ok=True)
        return tuple(ended)

    def is_alive(self, pid: int) -> bool:
        """Return whether a process is still there, and not only waiting to be collected."""
        if pid in self._started and self._started[pid].poll() is not None:
            return False
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}

    def _recorded(self) -> Iterator[tuple[str, int]]:
        if not self._folder.pids.exists():
            return
        for line in self._folder.pids.read_text(encoding="ascii").splitlines():
            name, _, pid = line.partition(" ")
            if pid.isdigit():  # a line cut off by a full disk names no process
                yield name, int(pid)

    def _is_ours(self, pid: int) -> bool:
        if pid in self._started:  # its argument list may not be there yet
            return self.is_alive(pid)
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return self.is_alive(pid) and os.fsencode(self._folder.path) + b"/" in command

    def _end(self, pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + END_SECONDS
        while self.is_alive(pid) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        with suppress(ProcessLookupError):  # whatever is left of its session, itself included
            os.killpg(pid, signal.SIGKILL)
        while self.is_alive(pid):  # SIGKILL cannot be refused
            time.sleep(LOOK_SECONDS)
        if pid in self._started:
            self._started[pid].wait()  # it may have ended between two looks, and is to be collected


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off the signals that end a demo: between a program's start and its record nothing would know of it."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDS_A_DEMO}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without anything that would lead our programs to servers of somebody's own."""
    ours = ("ADI_", "OMERO", "INGEST_", "SQLALCHEMY_URL", "PG", "USE_REGISTER_ZARR", "PODMAN_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONUNBUFFERED": "1"}


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])
