# SPDX-License-Identifier: GPL-2.0-or-later
"""Hearing: listens to a container while it runs, to stdout and stderr apart, in a thread.

Podman keeps what a container writes in a file, and gives it from there: nothing is lost when we are slow, and after a connection
was lost all can be had again. That file grows with what is heard; so a container that says too much is ended.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.streams import Stream
from omero_adi_plugin.errors import PodmanDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.containers.engine import Engine
    from omero_adi_plugin.containers.task import Task
    from omero_adi_plugin.containers.wire import WiredResponse

TOO_MUCH_BYTES = 256 * 2**20
"""A container that has written so much is ended: it is out of its mind."""

LINE_BYTES = 48
"""What podman adds to each line of its file: time, stream, and whether it is whole."""

TOLD_SECONDS = 1
"""How often it is told that something was heard."""

_HEADER = 8
"""Bytes before each piece: the stream's number, and the length, big-endian, in the last four (source: Podman's API, attach)."""

_STDOUT, _STDERR = 1, 2

_OK = 200


class Listener:
    """Hears all that a container says, from its beginning, even when it has to listen again.

    ended: set when there is nothing more to hear, or the connection was lost.
    """

    def __init__(self, engine: Engine, name: str, *, task: Task, heard: Callable[[], None]) -> None:
        self._engine, self._name, self._heard = engine, name, heard
        self.stdout = Stream("stdout", task=task, level=logging.INFO)
        self.stderr = Stream("stderr", task=task, level=logging.WARNING)
        self.ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._response: WiredResponse | None = None
        self._skip: dict[int, int] = {}
        self._told = 0.0

    @property
    def says_too_much(self) -> bool:
        """Whether the container is to be ended for that."""
        both = (self.stdout, self.stderr)
        return sum(each.received + each.lines * LINE_BYTES for each in both) > TOO_MUCH_BYTES

    def listen(self) -> None:
        """Begin; or begin anew, and leave out what was heard already."""
        self._stop()
        self.ended.clear()
        self._skip = {_STDOUT: self.stdout.received, _STDERR: self.stderr.received}
        self._thread = threading.Thread(target=self._run, name=f"hears {self._name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; the lines that were begun are at their end."""
        self._stop()
        self.stdout.close()
        self.stderr.close()

    def _stop(self) -> None:
        if self._thread is None:
            return
        while self._thread.is_alive():
            if (response := self._response) is not None:
                response.hang_up()  # it waits for as long as the container is silent
            self._thread.join(0.1)
        self._thread = None

    def _run(self) -> None:
        asked = {"follow": True, "stdout": True, "stderr": True}
        try:
            with self._engine.asked("GET", f"/containers/{self._name}/logs", parameters=asked, seconds=None) as response:
                self._response = response
                if response.status == _OK:
                    for number, piece in _frames(response):
                        self._take(number, piece)
        except PodmanDown:  # lost: who waits for the end sees whether the container has ended
            pass
        finally:
            self._response = None
            self.ended.set()

    def _take(self, number: int, piece: bytes) -> None:
        stream = {_STDOUT: self.stdout, _STDERR: self.stderr}.get(number)
        if stream is None:
            return
        known = min(self._skip.get(number, 0), len(piece))
        if known:
            self._skip[number] -= known
        if known < len(piece):
            stream.feed(piece[known:])
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= TOLD_SECONDS:
            self._told = now
            self._heard()


def _frames(response: WiredResponse) -> Iterator[tuple[int, bytes]]:
    """Give the pieces that a response consists of, each with the number of its stream."""
    buffer = bytearray()
    for piece in response.pieces():
        buffer += piece
        start = 0
        while len(buffer) - start >= _HEADER:
            end = start + _HEADER + int.from_bytes(buffer[start + 4 : start + _HEADER], "big")
            if end > len(buffer):
                break
            yield buffer[start], bytes(buffer[start + _HEADER : end])
            start = end
        del buffer[:start]
