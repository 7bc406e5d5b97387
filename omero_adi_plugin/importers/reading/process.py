# SPDX-License-Identifier: GPL-2.0-or-later
"""Process: one child in which Bio-Formats opens files (`child`), and the talk with it, each word within a limit of time.

A file can hang the virtual machine of Java, or crash it, or take all its memory; then only the child is lost.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.lifeline import tied
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ThreadPoolExecutor

    from omero_adi_plugin.importers.reading.jars import Bioformats

_log = logging.getLogger(__name__)

_PROGRAM = Path(__file__).with_name("child.py")

START_SECONDS = 120
"""How long the start may take. It takes half a second; a busy host needs more."""

ENDED_SECONDS = 5
"""How long the end of a child may take that was killed; one that waits for a dead file system ends when that answers."""

LONGEST_QUESTION = 2**15
"""So many bytes of paths a question may have: half of what a pipe takes (pipe(7))."""

LARGEST_ANSWER = 2**28
"""So many bytes an answer may have: twice what a plate of a million files needs."""

TAIL = 4000
"""So many bytes of what a child has written to stderr are kept for the log."""

LONGEST_WHY = 300
"""So many characters of why a child does not start go into an error; the log has more."""

OUT_OF_MEMORY = 3
"""Status of a Java that -XX:+ExitOnOutOfMemoryError has ended (`debug.cpp` of HotSpot: `os::_exit(3)`)."""

_PASSED = ("PATH", "HOME", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
"""Of our environment a child gets these, and what is Python's: the passwords in it are nothing for code that reads files."""


class ChildEnded(Exception):
    """The child is gone; the text is the end of a sentence."""

    def __init__(self, why: str, *, out_of_memory: bool = False) -> None:
        super().__init__(why)
        self.out_of_memory = out_of_memory


class ChildHangs(Exception):
    """The child has not answered in time, and was killed."""


class ReaderProcess:
    """A child, from its start until it is closed. Not for several threads at the same time, but for `kill`.

    Parameters
    ----------
    bioformats : Bioformats
        What to start it from.
    heap_mb : int
        Largest heap of its Java, in MB.
    spawner : ThreadPoolExecutor
        Its one thread starts the child and has to live as long: the kernel kills a child (PR_SET_PDEATHSIG) at the end of
        the thread that has started it, not only at that of the process.

    Attributes
    ----------
    version : str
        The version of Bio-Formats.
    answered : int
        For how many files it has answered.
    failures : int
        How many of these it could not read.

    Raises
    ------
    ConfigurationError
        It does not start.
    """

    def __init__(self, bioformats: Bioformats, *, heap_mb: int, spawner: ThreadPoolExecutor) -> None:
        self.answered = self.failures = 0
        self._stderr_tail = bytearray()
        since = time.monotonic()
        try:
            self._process = spawner.submit(_spawned, bioformats, heap_mb).result()
        except OSError as error:
            raise _no_start(error.strerror or str(error)) from error
        self._input, self._output, self._errors = _pipes(self._process)
        self._selector = selectors.DefaultSelector()
        for pipe in (self._output, self._errors):
            os.set_blocking(pipe, False)
            self._selector.register(pipe, selectors.EVENT_READ)
        self.version = self._hello()
        took = time.monotonic() - since
        event(_log, logging.DEBUG, "reader.started", child=self._process.pid, bioformats=self.version, seconds=took)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def written(self) -> str | None:
        """What it has written to stderr lately, None if nothing."""
        return bytes(self._stderr_tail).decode(errors="replace").strip() or None

    def ask(self, path: str, *, patience_seconds: float) -> dict[str, Any]:
        """Have it open a file, and return its answer, see `child`.

        Raises
        ------
        ChildHangs
            It has taken longer than `patience_seconds`.
        ChildEnded
            It has crashed, was killed, ran out of memory, or gave an answer that makes no sense.
        """
        answer = self._asked({"read": path}, patience_seconds)
        self._count(answer)
        return answer

    def ask_ahead(self, paths: Sequence[str], *, patience_seconds: float) -> list[dict[str, Any]]:
        """Have it open several files, and return its answers, empty ones for those that it has not opened; raises as `ask`.

        There may be fewer answers than files.
        """
        answers: list[dict[str, Any]] = self._asked({"ahead": _fitting(paths)}, patience_seconds)["answers"]
        for answer in filter(None, answers):
            self._count(answer)
        return answers

    def kill(self) -> None:
        """End it at once, with whatever it has started; any thread may do so."""
        with suppress(ProcessLookupError):
            if self.is_alive:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and give back what belongs to it."""
        self.kill()
        try:
            self._process.wait(ENDED_SECONDS)
        except subprocess.TimeoutExpired:  # in the kernel's hands; reaped at the end of another child, or of this process
            event(_log, logging.WARNING, "reader.does_not_end", child=self._process.pid)
        if self._selector.get_map() is not None:
            self._drain()
            self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _asked(self, question: dict[str, Any], patience_seconds: float) -> dict[str, Any]:
        try:
            with suppress(BrokenPipeError):  # it has ended: what comes instead of an answer says how
                os.write(self._input, json.dumps(question).encode("ascii") + b"\n")
            return self._received(patience_seconds)
        except BaseException:  # an answer that nobody waits for any more must not be taken for that to the next question
            self.close()
            raise

    def _count(self, answer: dict[str, Any]) -> None:
        if answer.get("failure") == "memory":
            self.close()
            raise ChildEnded("it ran out of memory", out_of_memory=True)
        self.answered += 1
        self.failures += "failure" in answer

    def _hello(self) -> str:
        try:
            told = self._received(START_SECONDS)
            if "version" in told:
                return str(told["version"])
            why = str(told.get("cannot"))
        except ChildHangs:
            why = f"it did not start within {START_SECONDS} s"
        except ChildEnded as error:
            why = str(error)
        except BaseException:
            self.close()
            raise
        self.close()
        raise _no_start(" ".join(f"{why}; {self.written or ''}".split())[:LONGEST_WHY].rstrip("; ."))

    def _received(self, seconds: float) -> dict[str, Any]:
        """Wait for one answer, which is one line."""
        deadline = time.monotonic() + seconds
        answer = bytearray()
        while not answer.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready = [key.fd for key, _ in self._selector.select(max(left, 0))]
            if self._output not in ready and left <= 0:  # who only ever writes to stderr does not answer either
                self.close()
                raise ChildHangs
            if self._errors in ready:
                self._keep_errors()
            if self._output in ready:
                chunk = os.read(self._output, 2**16)
                answer += chunk
                if not chunk or len(answer) > LARGEST_ANSWER:
                    raise self._ended(nonsense=bool(chunk))
        try:
            told = json.loads(answer)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise self._ended(nonsense=True)
        return told

    def _ended(self, *, nonsense: bool) -> ChildEnded:
        if nonsense:
            self.close()
            return ChildEnded("its answer makes no sense")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDED_SECONDS)  # it is ending by itself, and its status tells why
        self.close()
        status = self._process.returncode
        if status == OUT_OF_MEMORY:
            return ChildEnded("it ran out of memory", out_of_memory=True)
        if status is not None and status < 0:
            return ChildEnded(f"it was ended by {signal.Signals(-status).name}")
        return ChildEnded(f"it ended with status {status}")

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while self._keep_errors():
                pass

    def _keep_errors(self) -> bool:
        chunk = os.read(self._errors, 2**16)
        self._stderr_tail += chunk
        del self._stderr_tail[:-TAIL]
        if not chunk and self._errors in self._selector.get_map():
            self._selector.unregister(self._errors)
        return bool(chunk)


def _fitting(paths: Sequence[str]) -> Sequence[str]:
    """Return as many of the first of some paths as a question may have, so that to write it never waits for the child."""
    room = LONGEST_QUESTION
    for number, path in enumerate(paths):
        room -= len(json.dumps(path)) + len(", ")
        if room < 0:
            return paths[:number]
    return paths


def _spawned(bioformats: Bioformats, heap_mb: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith("PYTHON")}
    # Java takes the encoding of files' names from the locale.
    environment |= {"LC_ALL": "C.UTF-8"}
    # By its path, not by its name: the same code as ours, whatever folder the search for modules begins with.
    program = [sys.executable, "-P", str(_PROGRAM), bioformats.library, str(heap_mb), *bioformats.class_path]
    return subprocess.Popen(
        tied(os.getpid(), *program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",  # no file system is kept from being unmounted
        env=environment,
        start_new_session=True,
    )


def _pipes(process: subprocess.Popen[bytes]) -> tuple[int, int, int]:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError
    return process.stdin.fileno(), process.stdout.fileno(), process.stderr.fileno()


def _no_start(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"Bio-Formats cannot be started: {why}. Check this host's Java, and the settings `bioformats_jar` and `reader_heap_mb`."
    )
