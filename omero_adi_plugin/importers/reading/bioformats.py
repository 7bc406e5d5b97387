# SPDX-License-Identifier: GPL-2.0-or-later
"""Bio-Formats: says what is in files, through a child process that is replaced whenever it is lost."""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import (
    ConfigurationError,
    FileBroken,
    FormatUnknown,
    ImportInterrupted,
    NameImpossible,
    ReaderFailed,
)
from omero_adi_plugin.importers.plans import Reading
from omero_adi_plugin.importers.reading.jars import NoBioformats
from omero_adi_plugin.importers.reading.process import ChildEnded, ChildHangs, ReaderProcess
from omero_adi_plugin.importers.unreadable import unreadable
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.plans import AdmittedFile
    from omero_adi_plugin.importers.reading.jars import Bioformats, Jars

_log = logging.getLogger(__name__)

MOST_FAILURES = 2000
"""After so many files that could not be read a child is replaced: JPype 1.7.1 loses some 3 kB with each exception of Java."""


ANSWER_SECONDS = 30.0
"""So long an answer counts that was given before it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the child has told of a file ahead, and until when that counts (`time.monotonic`)."""

    file: AdmittedFile
    told: dict[str, Any]
    until: float

    def counts_for(self, file: AdmittedFile) -> bool:
        """Whether it is about the same file, unchanged, and not too old."""
        return file == self.file and time.monotonic() < self.until


class BioformatsReader:
    """Opens files with Bio-Formats; implements `plans.FileReader`. Several threads may ask, and get their turn.

    Its child starts at the first file and lives as long as this object, and as this process. A child that ends in the middle
    of a file is not the file's fault before a new one has ended over it too.

    Parameters
    ----------
    jars : Jars
        Says where Bio-Formats is; when that changes, the child is replaced.
    heap_mb : int
        Largest heap of the child's Java, in MB.
    patience_seconds : float
        How long one file may take, in s.
    """

    def __init__(self, jars: Jars, *, heap_mb: int, patience_seconds: float) -> None:
        self._jars, self._heap_mb, self._patience_seconds = jars, heap_mb, patience_seconds
        self._lock = threading.Lock()
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._child: ReaderProcess | None = None
        self._started_from: Bioformats | None = None
        self._version: str | None = None
        self._ahead: dict[str, _Answer] = {}
        self._closed = False

    @property
    def version(self) -> str:
        """The version of Bio-Formats; starts the child if none has been started yet."""
        if self._version is None:
            with self._lock:
                return self._living_child("").version
        return self._version

    def read(self, file: AdmittedFile) -> Reading:
        """Open a file, and say what it and those that belong to it hold.

        Raises
        ------
        FormatUnknown, FileBroken, ReaderFailed
            As `plans.FileReader` says.
        NameImpossible
            The name is no UTF-8: Java cannot open such files, here as on the server.
        FileMissing
            It has just vanished.
        ConfigurationError
            Bio-Formats does not start, or is not there any more.
        ImportInterrupted
            This reader has been closed meanwhile, or the file system has gone away.
        """
        if not _is_utf8(file.path):
            raise NameImpossible(path=file.path, why="it is no UTF-8, and OMERO opens no other names")
        with self._lock:
            known = self._ahead.pop(file.path, None)
            answer = known.told if known is not None and known.counts_for(file) else self._answer(file.path)
            try:
                return Reading(
                    used=tuple(answer["used"]),
                    reader=answer["reader"],
                    format=answer["format"],
                    images=answer["images"],
                    plates=answer["plates"],
                )
            except KeyError:
                raise self._failure(file.path, answer) from None

    def read_ahead(self, files: Sequence[AdmittedFile]) -> None:
        """Open several files, as many as take a moment, so that `read` knows the answers.

        When the child is lost over one of them, nobody knows over which: nothing is concluded from that. What is broken is opened
        again when it is asked for: a file of its set may have come by then.
        """
        known = [file for file in files if _is_utf8(file.path)]
        if not known:
            return
        with self._lock, suppress(ConfigurationError, ImportInterrupted):  # `read` meets the same
            child = self._living_child("")
            try:
                answers = child.ask_ahead([file.path for file in known], patience_seconds=self._patience_seconds)
            except (ChildHangs, ChildEnded) as error:
                if not self._closed:
                    why, more = str(error) or "it has hung", len(known) - 1
                    event(_log, logging.WARNING, "reader.ended", path=known[0].path, more=more, why=why, output=child.written)
                return
            until = time.monotonic() + ANSWER_SECONDS
            self._ahead = {path: answer for path, answer in self._ahead.items() if time.monotonic() < answer.until}
            for file, told in zip(known, answers, strict=False):
                if "used" in told or told.get("failure") == "unknown":
                    self._ahead[file.path] = _Answer(file=file, told=told, until=until)

    def close(self) -> None:
        """End the child; a file that is being opened is given up."""
        self._closed = True
        if child := self._child:
            child.kill()
        with self._lock:
            self._drop_child()
        self._spawner.shutdown()

    def _answer(self, path: str) -> dict[str, Any]:
        """Ask a child, and another one if the first has ended over it."""
        ended = 0
        while True:
            child = self._living_child(path)
            fresh = child.answered == 0
            try:
                return child.ask(path, patience_seconds=self._patience_seconds)
            except ChildHangs:
                raise self._blame(path, f"opening it took longer than {self._patience_seconds:g} s") from None
            except ChildEnded as error:
                ended += 1
                if self._closed:
                    continue
                if error.out_of_memory and fresh:
                    why = f"opening it takes more than {self._heap_mb} MB of memory (setting `reader_heap_mb`)"
                    raise self._blame(path, why) from error
                if ended > 1:
                    raise self._blame(path, f"Bio-Formats crashed over it, twice ({error})") from error
                event(_log, logging.WARNING, "reader.ended", path=path, why=str(error), output=child.written)

    def _living_child(self, path: str) -> ReaderProcess:
        self._stop_if_closed(path)
        found = self._jars.look()
        if isinstance(found, NoBioformats):
            raise ConfigurationError(
                f"Bio-Formats was there and cannot be used any more: {found.why}. Put it back; the orders go on by themselves."
            )
        if self._child is not None and (why := self._outlived(self._child, found)):
            event(_log, logging.INFO, "reader.replaced", why=why)
            self._drop_child()
        if self._child is None:
            self._child = ReaderProcess(found, heap_mb=self._heap_mb, spawner=self._spawner)
            self._started_from, self._version = found, self._child.version
        self._stop_if_closed(path)  # again: whoever closes says so first, and then looks for a child
        return self._child

    def _outlived(self, child: ReaderProcess, found: Bioformats) -> str | None:
        if not child.is_alive:
            return "it has ended"
        if found != self._started_from:
            return "there are other jars"
        return "it has failed often" if child.failures >= MOST_FAILURES else None

    def _stop_if_closed(self, path: str) -> None:
        if self._closed:
            raise ImportInterrupted(path=path, words="the reader was stopped")

    def _drop_child(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None
        self._ahead.clear()

    def _failure(self, path: str, answer: dict[str, Any]) -> AdiError:
        words = str(answer.get("words"))
        match answer.get("failure"):
            case "unknown":
                return FormatUnknown(path=path, why=words)
            case "broken":
                return _away(path) or FileBroken(path=path, why=words, members=tuple(answer.get("members", ())))
            case _:
                return self._blame(path, f"Bio-Formats failed over it ({words})")

    def _blame(self, path: str, why: str) -> ReaderFailed:
        output = self._child.written if self._child else None
        self._drop_child()
        event(_log, logging.WARNING, "reader.failed", path=path, why=why, output=output)
        return ReaderFailed(path=path, why=why)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _away(path: str) -> AdiError | None:
    """Return what is wrong with a file that nobody can open any more: Java says the same of it as of one that is damaged."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return unreadable(path, error)
    return None
