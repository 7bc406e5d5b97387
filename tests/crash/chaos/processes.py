# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes: those of a site, found by a mark in their environment; killed, frozen and woken."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MARK = "CHAOS_SITE"
"""The environment variable by which a process is known as one of a site, whoever started it."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, and when it was started: its number may be somebody else's later."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the one with this number, if it lives."""
        fields = _stat(pid)
        return None if fields is None or fields[0] == "Z" else cls(pid, fields[19])

    @property
    def lives(self) -> bool:
        return Process.of(self.pid) == self

    @property
    def command(self) -> str:
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return ""

    def signal(self, number: int) -> None:
        """Send a signal, if it still lives."""
        if self.lives:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)


def children(pids: Iterable[int]) -> list[Process]:
    """Return the living children of some processes."""
    parents, found = {str(pid) for pid in pids}, []
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields is not None and fields[1] in parents and fields[0] != "Z":
            found.append(Process(int(folder.name), fields[19]))
    return sorted(found, key=lambda each: each.pid)


def marked(site: str) -> list[Process]:
    """Return all living processes of a site."""
    mark, found = f"{MARK}={site}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                process = Process.of(int(folder.name))
                found += [] if process is None else [process]
    return found


def _stat(pid: int) -> list[str] | None:
    """Return what proc(5) says of a process from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
