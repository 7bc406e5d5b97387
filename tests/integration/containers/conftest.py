# SPDX-License-Identifier: GPL-2.0-or-later
"""A place where converters run: their source, their settings, and what they are run for."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from omero_adi_plugin.containers.converters import Converters, Image, Task
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.logs import order_logs
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.settings import Settings
from tests.fixtures.podman import Podman

NUMBERS = itertools.count()


class Place:
    """One source, converted again and again, each time in a room of its own.

    order: of all that is converted here.
    log:   what was written to the order's log by the last run.
    """

    def __init__(self, podman: Podman, folder: Path, ended: ExitStack, source: str = "source") -> None:
        self.podman, self.folder, self._ended = podman, folder, ended
        self.order = str(uuid4())
        self.source, self.temp = folder / source, folder / "temp"
        self.source.mkdir()
        self.temp.mkdir(exist_ok=True)
        (self.source / "scan.lif").write_bytes(b"as it came from the microscope")
        self.rooms: list[Room] = []
        self.stop = threading.Event()
        self.heard = 0

    def settings(self, **changed: object) -> Settings:
        given: dict[str, Any] = {
            "ingest_tracking_db": "postgresql://u@h/d",
            "base_dir": self.folder,
            "log_file_path": self.folder / "log" / "adi.log",
            "containers": {"allow": ["localhost/adi-test/*"]},
            "converter_temp": self.temp,
            "converter_memory_mb": 64,
            "podman_bind_retry_delay_seconds": 0,
        }
        return Settings(**(given | changed))

    def converters(self, **settings: object) -> Converters:
        made = Converters(self.settings(**settings))
        self._ended.callback(made.close)
        return made

    def task(self, container: str, *, owner: str = "here:1", **preprocessing: object) -> Task:
        wanted = Preprocessing(id=1, container=container, **preprocessing)  # type: ignore[arg-type]
        number = next(NUMBERS)
        room = Room.make(
            self.source / "scan.lif",
            preprocessing=wanted,
            settings=self.settings(),
            order=self.order,
            attempt=1,
            number=number,
        )
        self.rooms.append(room)
        return Task(
            order=self.order,
            attempt=1,
            number=number,
            owner=owner,
            path=str(self.source / "scan.lif"),
            room=room,
            preprocessing=wanted,
        )

    def run(self, script: str, *, changes: tuple[str, ...] = (), task: Task | None = None, **settings: object) -> str | None:
        """Run a converter that is a shell script, and look that its container is gone, however it went."""
        converters = self.converters(**settings)
        image = converters.image(self.podman.converter(script, changes=changes))
        task = task or self.task(image.name)
        try:
            return self.carry_out(converters, task, image)
        finally:
            assert task.name not in self.podman.containers()

    def carry_out(self, converters: Converters, task: Task, image: Image) -> str | None:
        with order_logs(self.settings(), uuid=self.order):
            return converters.run(task, image=image, stop=self.stop, heard=self._hear)

    @property
    def log(self) -> str:
        """All that the order's log has."""
        return (self.folder / "log" / f"cli.{self.order}.logs").read_text()

    @property
    def errors(self) -> str:
        """What the order's log of warnings and errors has."""
        return (self.folder / "log" / f"cli.{self.order}.errs").read_text()

    def made(self, name: str) -> Path:
        """A file that the last converter was to write to the alternative folder."""
        room = self.rooms[-1]
        assert room.temp is not None
        return room.temp / name

    def _hear(self) -> None:
        self.heard += 1


@pytest.fixture
def new_place(podman: Podman, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Place]]:
    """Makes a place; what was made there is removed."""
    caplog.set_level(logging.INFO, "omero_adi_plugin")
    with ExitStack() as ended:
        (tmp_path / "log").mkdir()

        def make(source: str = "source") -> Place:
            place = Place(podman, tmp_path, ended, source)
            ended.callback(lambda: [room.remove() for room in place.rooms])
            return place

        yield make


@pytest.fixture
def place(new_place: Callable[..., Place]) -> Place:
    """A place with an ordinary folder."""
    return new_place()
