# SPDX-License-Identifier: GPL-2.0-or-later
"""Running: one container from being made to being gone, whatever happens on the way."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.container import Container
from omero_adi_plugin.containers.hearing import TOO_MUCH_BYTES, Listener
from omero_adi_plugin.containers.specification import specification
from omero_adi_plugin.containers.starting import start
from omero_adi_plugin.containers.verdict import failed, judge
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import Halted, PodmanDown
from omero_adi_plugin.logs import event, order_event

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.containers.container import State
    from omero_adi_plugin.containers.engine import Engine
    from omero_adi_plugin.containers.images import Image
    from omero_adi_plugin.containers.task import Task
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""How often it is looked whether the container is still wanted."""

STATE_SECONDS = 5
"""How often podman is asked whether it has ended, though what it says has not."""

SETTLE_SECONDS = 5
"""How long podman may take to note that it has ended, when there is nothing more to hear."""

TERM_SECONDS = 10
"""How long it has to end by itself, when its time is over."""

PATIENCE_SECONDS = 30
"""How long podman may be away while a container runs; afterwards the container is left to its own time-out, and to its labels."""

REMOVE_SECONDS = 15
"""The same while one is removed."""


class Run:
    """One container of a converter.

    Parameters
    ----------
    engine : Engine
        Podman.
    task : Task
        What the converter is run for.
    image : Image
        Which one.
    settings : Settings
        Its limits.
    stop : Event
        Ends it when it is set.
    heard : callable
        Called now and then while it says something; from another thread.
    """

    def __init__(
        self, engine: Engine, task: Task, *, image: Image, settings: Settings, stop: threading.Event, heard: Callable[[], None]
    ) -> None:
        self._engine, self._task, self._image, self._settings, self._stop = engine, task, image, settings, stop
        self._container = Container(engine, task.name)
        self._listener = Listener(engine, task.name, task=task, heard=heard)

    def run(self) -> str | None:
        """Run it; return the last line of its stdout that has anything in it. It is gone afterwards.

        Raises
        ------
        ConverterFailed
            It could not do it, took too long, or said too much.
        ConverterKilled
            Somebody or something else has ended it.
        ConverterNotStarted
            It did not begin.
        NoRoomToConvert
            A disk is full.
        PodmanDown
            Podman went away.
        Halted
            It was not wanted any more.
        """
        asked = specification(self._task, image=self._image, settings=self._settings, facts=self._engine.facts)
        began = time.monotonic()
        with self._removed_afterwards():
            start(self._container, asked, task=self._task, settings=self._settings, stop=self._stop)
            reached(Point.CONTAINER_STARTED)
            with contextlib.closing(self._listener):
                self._listener.listen()
                state = self._until_over()
            reached(Point.CONTAINER_ENDED)
            line = judge(state, self._listener, task=self._task, settings=self._settings, rootless=self._engine.facts.rootless)
        reached(Point.CONTAINER_REMOVED)
        order_event(
            _log, logging.INFO, "converter.done", order=self._task.order, entry=self._task.path, seconds=time.monotonic() - began
        )
        return line

    # --- while it runs

    def _until_over(self) -> State:
        """Wait for its end, and bring it about when it is due."""
        began = asked = time.monotonic()
        lost_since: float | None = None
        while True:
            over = self._listener.ended.wait(LOOK_SECONDS)
            now = time.monotonic()
            self._end_if_due(now - began)
            if not over and now - asked < STATE_SECONDS:
                continue
            asked = now
            try:
                state = self._settled() if over else self._container.state()
            except PodmanDown:
                lost_since = lost_since or now
                if now - lost_since > PATIENCE_SECONDS:
                    raise
                self._stop.wait(LOOK_SECONDS)
                continue
            lost_since = None
            if state is None:
                raise failed(self._task, "its container was removed by somebody else")
            if state.is_over:
                self._hear_the_rest()
                return state
            if over:  # what is heard came to an end, and it goes on
                self._listener.listen()

    def _end_if_due(self, seconds: float) -> None:
        if self._stop.is_set():
            raise Halted
        if self._listener.says_too_much:
            raise failed(self._task, f"it wrote more than {TOO_MUCH_BYTES >> 20} MB to stdout and stderr, and was ended")
        limit = self._settings.converter_timeout_seconds
        if seconds > limit:
            self._terminate()
            raise failed(self._task, f"it took longer than {limit} seconds (`converter_timeout_seconds`)")

    def _terminate(self) -> None:
        """Ask it to end, and wait a little for that; it is killed when it is removed."""
        deadline = time.monotonic() + TERM_SECONDS
        with contextlib.suppress(PodmanDown):
            self._container.signal("TERM")
            while time.monotonic() < deadline and not self._stop.is_set():
                if self._container.wait(seconds=LOOK_SECONDS):
                    return

    def _settled(self) -> State | None:
        """Return its state when there is nothing more to hear; podman notes the end a moment later."""
        self._container.wait(seconds=SETTLE_SECONDS)
        return self._container.state()

    def _hear_the_rest(self) -> None:
        """Hear what it has said last; podman gives that, and ends."""
        if self._listener.ended.wait(SETTLE_SECONDS):
            return
        self._listener.listen()
        self._listener.ended.wait(SETTLE_SECONDS)

    # --- afterwards

    @contextlib.contextmanager
    def _removed_afterwards(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._remove()

    def _remove(self) -> None:
        """Remove it; what fails here is told and no more: by its labels it is found again."""
        deadline = time.monotonic() + REMOVE_SECONDS
        while True:
            why: object = None
            try:
                if self._container.remove():
                    return
            except PodmanDown as error:
                why = error
            if time.monotonic() > deadline:
                event(_log, logging.WARNING, "container.not_removed", container=self._task.name, order=self._task.order, why=why)
                return
            time.sleep(LOOK_SECONDS)
