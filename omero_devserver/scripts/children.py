# SPDX-License-Identifier: GPL-2.0-or-later
"""Children: the processors that the server starts itself, each a process of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omero_devserver.wire.access import SYSTEM_GROUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

log = logging.getLogger(__name__)

PROGRAM = "omero_devserver.scripts.processor"
ROOT = 0
SECONDS_TO_END = 3
ANY_ADDRESS = {"", "*", "0.0.0.0", "::"}  # noqa: S104  compared with, not listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One process, and the session of root that it works in."""

    name: str
    process: subprocess.Popen[str]
    session: Session
    log: Path

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None


def start(server: Server, name: str) -> Child:
    """Start a processor; it is there when it has attached itself.

    It gets its session through its stdin, not on the command line, where others could read it. When that pipe breaks, because
    the server has ended in whatever way, it ends as well.
    """
    data = server.disk.root.parent
    logs = data / "log"
    logs.mkdir(exist_ok=True)
    host = "127.0.0.1" if server.options.host in ANY_ADDRESS else server.options.host
    command = [sys.executable, "-m", PROGRAM, "--host", host, "--port", str(server.ssl_port), "--name", name]
    command += ["--folder", str(data / "processors" / name), "--session-on-stdin"]
    output = logs / f"{name}.log"
    with output.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            text=True,
            env={**os.environ, "OMERODIR": str(data)},
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends its processors
        )
    assert process.stdin is not None  # noqa: S101  because of PIPE
    session = server.sessions.create(
        user=ROOT, group=SYSTEM_GROUP, event_type="Internal", agent="OMERO.processor", references=1, of_server=True
    )
    try:
        process.stdin.write(session.uuid + "\n")
        process.stdin.flush()
    except OSError:
        log.warning("processor %s ended at once, see %s", name, output)
    return Child(name=name, process=process, session=session, log=output)


def forget(server: Server, child: Child) -> None:
    """Clean up after a processor that has ended by itself."""
    _close_pipe(child)
    server.sessions.end(child.session)


def end(server: Server, children: Sequence[Child]) -> None:
    """End processors and the scripts that they run; those that do not end in time are killed."""
    for child in children:
        _close_pipe(child)
    deadline = time.monotonic() + SECONDS_TO_END
    for child in children:
        try:
            child.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("the processor %d does not end, and is killed", child.process.pid)
            child.process.kill()
            _kill_scripts(child)
            child.process.wait()
        server.sessions.end(child.session)


def _kill_scripts(child: Child) -> None:
    """Kill what a processor has started and cannot end itself: those in its session of processes, where /proc tells them."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if os.getsid(int(entry.name)) == child.process.pid:
                os.kill(int(entry.name), signal.SIGKILL)


def _close_pipe(child: Child) -> None:
    assert child.process.stdin is not None  # noqa: S101  as above
    with contextlib.suppress(OSError):
        child.process.stdin.close()
