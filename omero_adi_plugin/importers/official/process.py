# SPDX-License-Identifier: GPL-2.0-or-later
"""Process: runs Java with OMERO's importer in it, listens to it, and ends it when it is not wanted any more."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Protocol

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.importers.official.arguments import argument_file
from omero_adi_plugin.lifeline import tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOOK_SECONDS = 0.5
"""How often it is asked whether the work may go on."""

LONGEST_LINE = 1 << 16
"""So many bytes of a line are kept."""

_WITHHELD = frozenset({"OMERO_PASSWORD", "INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL", "LD_LIBRARY_PATH"})
"""What Java does not get of our environment: passwords; and what would make its launcher start itself anew, if some libjvm.so is
found there, with all arguments on its command line (tried with OpenJDK 17; RequiresSetenv in its java_md.c)."""


class Stuck(Exception):
    """Nothing was heard of the process for as long as was allowed; it was killed."""


class Listener(Protocol):
    """Who is told what the process says."""

    def out(self, line: str, /) -> None:
        """Take a line of its stdout."""

    def err(self, line: str, /) -> None:
        """Take a line of its stderr."""

    def wait(self) -> None:
        """Do what is due meanwhile; called about twice a second. An exception from here ends the process."""


def run_java(arguments: Sequence[str], *, listener: Listener, patience_seconds: float) -> int:
    """Run `java` with these arguments and return its exit status, negative for a signal.

    It has a process group of its own, which is killed when we leave early, for whatever reason, and the kernel kills it when our
    own process dies. There is no limit to how long it runs, only to how long it may be silent.

    Raises
    ------
    Stuck
        It was silent for `patience_seconds`.
    ConfigurationError
        There is no `java` on PATH.
    """
    java = shutil.which("java")
    if java is None:
        raise ConfigurationError("OMERO's own importer needs Java, and there is no `java` on the service's PATH. Install it.")
    with argument_file(arguments) as number, _child([java, f"@/proc/self/fd/{number}"], number) as process:
        _listen(process, listener, patience_seconds)
        return process.wait()


@contextlib.contextmanager
def _child(command: Sequence[str], number: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if name not in _WITHHELD}
    environment["LC_ALL"] = "C.UTF-8"  # else Java takes names that are not ASCII for question marks
    with subprocess.Popen(
        tied(os.getpid(), *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        pass_fds=(number,),
        start_new_session=True,
    ) as process:
        try:
            reached(Point.IMPORTER_STARTED)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # the group is there as long as its first process was not waited for
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)


def _listen(process: subprocess.Popen[bytes], listener: Listener, patience_seconds: float) -> None:
    """Pass on what the process says until it has ended, and nothing more is to be read."""
    heard = looked = time.monotonic()
    with _selector(process, listener) as selector:
        while selector.get_map() or process.poll() is None:
            ended = process.poll() is not None  # asked before the last look: what was said until then is read
            ready = selector.select(LOOK_SECONDS)
            if not selector.get_map():
                time.sleep(LOOK_SECONDS / 10)  # it has closed both, and will end in a moment
            for key, _ in ready:
                if not key.data.read(key.fd):
                    selector.unregister(key.fileobj)
            if ready:
                heard = time.monotonic()
            elif ended:  # somebody else has its pipes, which can only be a stray child of it
                return
            elif time.monotonic() - heard > patience_seconds:
                raise Stuck
            if time.monotonic() - looked >= LOOK_SECONDS:  # not for each of the many lines that it may say
                listener.wait()
                looked = time.monotonic()


def _selector(process: subprocess.Popen[bytes], listener: Listener) -> selectors.DefaultSelector:
    """Return what waits for both streams of a process; it knows for each who makes lines of it."""
    selector = selectors.DefaultSelector()
    for stream, take in ((process.stdout, listener.out), (process.stderr, listener.err)):
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, _Lines(take))
    return selector


class _Lines:
    """Makes lines of what is read piece by piece."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take, self._rest = take, b""

    def read(self, number: int) -> bool:
        """Read what there is, and pass on the lines that are complete now; False at the end, which completes the last one."""
        piece = os.read(number, LONGEST_LINE)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if not piece or len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            if line:
                self._take(line.decode("utf-8", errors="backslashreplace").rstrip("\r"))
        return bool(piece)
