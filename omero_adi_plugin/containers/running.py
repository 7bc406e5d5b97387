# SPDX-License-Identifier: GPL-2.0-or-later
"""Running: one container from being made to being gone, whatever happens on the way."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.container import Container
from omero_adi_plugin.containers.hearing import TOO_MUCH_BYTES, Listener
from omero_adi_plugin.containers.space import no_room
from omero_adi_plugin.containers.specification import specification
from omero_adi_plugin.containers.starting import start
from omero_adi_plugin.containers.trouble import NO_ROOM
from omero_adi_plugin.containers.verdict import failed, judge, killed, too_late
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ConverterTempDown, Halted, PodmanDown
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

FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.05, 1.0
"""How often it is looked whether the container has ended, and is still wanted: often at first, as most take long if not short."""

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
        self._heard = heard
        self._lost_since: float | None = None

    def run(self) -> str | None:
        """Run it; return the last line of its stdout that has anything in it. It is gone afterwards.

        Raises
        ------
        ConverterFailed
            It could not do it, took too long, or said too much.
        ConverterKilled
            Somebody or something else has ended it, or has removed its container.
        ConverterNotStarted
            It did not begin.
        NoRoomToConvert, ConverterTempDown
            A disk is full, or not there.
        PodmanDown
            Podman went away.
        Halted
            It was not wanted any more.
        """
        facts, began = self._engine.facts, time.monotonic()
        with contextlib.closing(self._listener()) as listener:
            try:
                with self._removed_afterwards():
                    asked = specification(self._task, image=self._image, log=listener.path, settings=self._settings, facts=facts)
                    start(self._container, asked, task=self._task, settings=self._settings, stop=self._stop)
                    reached(Point.CONTAINER_STARTED)
                    state = self._until_over(listener)
                    reached(Point.CONTAINER_ENDED)
            finally:
                listener.hear_all()
            reached(Point.CONTAINER_REMOVED)
            self._say_that_it_is_over(state, seconds=time.monotonic() - began)
            return judge(state, listener, task=self._task, settings=self._settings, rootless=facts.rootless)

    def _listener(self) -> Listener:
        try:
            return Listener(self._task, settings=self._settings, heard=self._heard)
        except OSError as error:
            folder = self._settings.converter_temp
            if error.errno in NO_ROOM:
                raise no_room(folder, needed_bytes=0) from error
            raise ConverterTempDown(folder=str(folder), why=error.strerror or str(error)) from error

    def _say_that_it_is_over(self, state: State, *, seconds: float) -> None:
        facts = {"order": self._task.order, "entry": self._task.path, "status": state.status, "seconds": seconds}
        order_event(_log, logging.INFO, "converter.ended", **facts)

    # --- while it runs

    def _until_over(self, listener: Listener) -> State:
        """Wait for its end, and bring it about when it is due."""
        began, pause = time.monotonic(), FIRST_LOOK_SECONDS
        while True:
            if self._stop.is_set():
                raise Halted
            if listener.too_much:
                raise failed(self._task, f"it wrote more than {TOO_MUCH_BYTES >> 20} MB to stdout and stderr, and was ended")
            more = listener.hear()
            state = self._state()
            if state is not None and state.is_over:
                return state
            if time.monotonic() - began > self._settings.converter_timeout_seconds:
                self._terminate()
                raise too_late(self._task, self._settings)
            if not more:
                self._stop.wait(pause)
                pause = min(pause * 1.2, LAST_LOOK_SECONDS)

    def _state(self) -> State | None:
        """Return how it is; None if podman does not say, just now."""
        try:
            state = self._container.state()
        except PodmanDown:
            self._lost_since = self._lost_since or time.monotonic()
            if time.monotonic() - self._lost_since > PATIENCE_SECONDS:
                raise
            return None
        self._lost_since = None
        if state is None:
            raise killed(self._task, self._settings)
        return state

    def _terminate(self) -> None:
        """Ask it to end, and wait a little for that; it is killed when it is removed."""
        deadline = time.monotonic() + TERM_SECONDS
        with contextlib.suppress(PodmanDown):
            self._container.signal("TERM")
            while time.monotonic() < deadline and not self._stop.is_set():
                if self._container.wait(seconds=FIRST_LOOK_SECONDS):
                    return

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
                # asked quickly first: removing may take long, and a podman that hangs would be waited for as long
                if self._container.state() is None or self._container.remove():
                    return
            except PodmanDown as error:
                why = error
            if time.monotonic() > deadline:
                event(_log, logging.WARNING, "container.not_removed", container=self._task.name, order=self._task.order, why=why)
                return
            time.sleep(LAST_LOOK_SECONDS)
