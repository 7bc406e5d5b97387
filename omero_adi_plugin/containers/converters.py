# SPDX-License-Identifier: GPL-2.0-or-later
"""Converters: what one process needs to run them. The front door of this package; nothing is started before it is needed."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.engine import Engine
from omero_adi_plugin.containers.images import Image, choose, have
from omero_adi_plugin.containers.leftovers import remove_through
from omero_adi_plugin.containers.running import Run
from omero_adi_plugin.containers.slots import slot
from omero_adi_plugin.containers.specification import limits_ignored, userns_is_ignored
from omero_adi_plugin.containers.task import Task
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.settings import Settings

__all__ = ["Converters", "Image", "Task"]

_log = logging.getLogger(__name__)


class Converters:
    """Runs converters, for all threads of one process.

    Parameters
    ----------
    settings : Settings
        Which may run, and within which limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._engine = settings, Engine(settings)
        self._lock, self._warned = threading.Lock(), False

    def image(self, container: str) -> Image:
        """Return the image that an order's converter is, fetched from its registry where the settings want that.

        Raises
        ------
        OrderMalformed
            The order gives no name of an image.
        ConverterNotAllowed
            The site does not let it run.
        ConverterMissing
            There is none of that name.
        PodmanDown
            Podman or a registry does not answer.
        """
        name = choose(container, settings=self._settings)
        return have(self._engine, name, container=container, settings=self._settings)

    def run(self, task: Task, *, image: Image, stop: threading.Event, heard: Callable[[], None]) -> str | None:
        """Run a converter, and wait until its container is gone.

        Parameters
        ----------
        task : Task
            What for.
        image : Image
            As `image` has returned it.
        stop : Event
            Ends the container at once when it is set.
        heard : callable
            Called now and then while the converter says something; from another thread.

        Returns
        -------
        str or None
            The last line of its stdout that has anything in it.

        Raises
        ------
        ConverterFailed, ConverterKilled, ConverterNotStarted
            It has not done it.
        NoRoomToConvert, ConverterTempDown, PodmanDown
            This host cannot do it at the moment.
        Halted
            `stop` was set.
        """
        with slot(self._settings.max_containers, stop=stop):
            self._warn()
            return Run(self._engine, task, image=image, settings=self._settings, stop=stop, heard=heard).run()

    def remove_of(self, order: str) -> int:
        """Remove the containers of an order that are left on this host; return how many. See `leftovers`."""
        return remove_through(self._engine, order=order)

    def close(self) -> None:
        """End what was started. Nothing must run any more."""
        self._engine.close()

    def _warn(self) -> None:
        """Say once what of the settings podman cannot do here."""
        with self._lock:
            if self._warned:
                return
            self._warned = True
            facts = self._engine.facts
        if userns_is_ignored(self._settings, facts):
            event(_log, logging.INFO, "podman.userns_ignored", mode=self._settings.podman_userns_mode, why="podman runs as root")
        if ignored := limits_ignored(facts):
            event(
                _log,
                logging.WARNING,
                "podman.limits_ignored",
                limits=",".join(ignored),
                why="its control groups are not ours to set",
            )
