# SPDX-License-Identifier: GPL-2.0-or-later
"""Converting: has a converter run for the entries of one order, several at the same time, and plans what it has made.

What came to its end is on record (`tracking.conversions`) before anything of it is imported, and no converter is run again for
what is there and unchanged. Containers run in threads; files are read, and brought to where they are kept, by whoever asks.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.converters import Task
from omero_adi_plugin.containers.items import BadItems, parse_items
from omero_adi_plugin.containers.outputs import outputs_of
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.containers.space import check_space, needed
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ConverterLied, EntryFailed, EntryNotReady, Halted, ImportInterrupted, PodmanDown
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay, ShuttingDown, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from omero_adi_plugin.containers.converters import Converters, Image
    from omero_adi_plugin.containers.outputs import Output
    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.plans import AdmittedFile
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.pipeline.gate import FileGate
    from omero_adi_plugin.preprocessing import Preprocessing
    from omero_adi_plugin.settings import Settings

_LOOK_SECONDS = 0.5
"""How often who waits for a converter looks whether something else is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a converter has left in its room, and says that it is; None: it says nothing."""

    room: Room
    outputs: tuple[Output, ...] | None


def convert(
    entry: Entry,
    task: Task,
    *,
    image: Image,
    converters: Converters,
    stop: threading.Event,
    heard: Callable[[], None],
) -> Made:
    """Run a converter in a room that was made for it, and see what it says; when it fails, nothing of the room stays.

    Raises
    ------
    ConverterFailed, ConverterLied, NothingConverted
        It could not do it, or not well.
    ConverterKilled, ConverterNotStarted
        It may work at the next attempt.
    NotOnThisHost
        Not here, at the moment.
    Halted
        `stop` was set.
    """
    room = task.room
    try:
        reached(Point.CONVERSION_DUE)
        line = converters.run(task, image=image, stop=stop, heard=heard)
        room.close()
        try:
            items = parse_items(line)
        except BadItems as bad:
            raise ConverterLied(path=entry.path, container=task.preprocessing.container, why=str(bad)) from bad
        outputs = outputs_of(
            items, room, preprocessing=task.preprocessing, path=entry.path, container=task.preprocessing.container
        )
    except BaseException:
        room.remove()
        raise
    return Made(room=room, outputs=None if items is None else outputs)


class Converting:
    """Converts the entries of one order.

    Parameters
    ----------
    order : Order
        With a preprocessing.
    attempt, owner : int, str
        Of the lease on it.
    settings : Settings
        All of them.
    converters : Converters
        What runs converters.
    gate : FileGate
        Which files may be converted: the order's, but OMERO.server need not be able to read them.
    on_wait : callable
        Called about twice a second with how many converters run, how many entries wait for one, and for how long none of those
        that run has said anything, in s; may raise `Stopped`, or what ends the attempt at once.
    check : callable
        The same when nothing more is to be begun: raises what ends the attempt at once.
    """

    def __init__(
        self,
        order: Order,
        preprocessing: Preprocessing,
        *,
        attempt: int,
        owner: str,
        settings: Settings,
        converters: Converters,
        gate: FileGate,
        on_wait: Callable[[int, int, float], None],
        check: Callable[[], None],
    ) -> None:
        self._order, self._preprocessing, self._attempt, self._owner = order, preprocessing, attempt, owner
        self._settings, self._converters, self._gate = settings, converters, gate
        self._on_wait, self._check = on_wait, check
        self._stop, self._heard_at = threading.Event(), time.monotonic()
        self._threads = ThreadPoolExecutor(settings.max_containers, thread_name_prefix="converter")
        self._running: dict[Future[Made], Entry] = {}
        self._ended: dict[str, Future[Made]] = {}
        self._numbers = {entry.path: number for number, entry in enumerate(order.entries)}
        self._image: Image | None = None
        self.stops = False
        """Whether nothing more is to be begun: what is given then is only to be kept."""

    @property
    def image(self) -> Image:
        """The image that runs."""
        if self._image is None:
            raise RuntimeError("nothing was converted")
        return self._image

    def over(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Have entries converted, and give each one when its converter has come to its end, however that was; see `made`.

        Raises
        ------
        Stopped
            Nothing more is to be begun. Unless the order was called off, converters that ran had `shutdown_timeout` to come to
            their ends, as far as the attempt had it, and were given then, see `stops`.
        ConverterNotAllowed, ConverterMissing
            The image may not run, or is not there.
        NotOnThisHost
            This host runs no converters at the moment.
        """
        waiting, stopped, until = deque(entries), None, 0.0
        if waiting:
            self._converters.remove_of(self._order.uuid)  # those of workers that died here: nobody waits for them any more
            self._await_image(len(waiting))
        while (waiting and stopped is None) or self._running:
            while waiting and stopped is None and len(self._running) < self._settings.max_containers:
                self._begin(waiting.popleft())
            done, _ = wait(self._running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            ended = [self._running.pop(future) for future in done]
            self._ended |= {entry.path: future for entry, future in zip(ended, done, strict=True)}
            down = next((error for each in done if isinstance(error := each.exception(), PodmanDown)), None)
            while down is not None and waiting:  # a podman that hangs costs a minute each time that it is asked
                self._running[_failed(down)] = waiting.popleft()
            try:
                self._on_wait(len(self._running), len(waiting), time.monotonic() - self._heard_at)
            except Stopped as error:
                if isinstance(error.why, Cancelled):
                    raise
                if stopped is None:
                    stopped, until, self.stops = error, time.monotonic() + self._settings.shutdown_timeout, True
            yield from ended
            if stopped is not None and (time.monotonic() > until or self._is_late()):
                break
        if stopped is not None:
            raise stopped

    def made(self, entry: Entry) -> Made:
        """Return what was made of an entry that was given.

        Raises
        ------
        EntryFailed, EntryNotReady, ImportInterrupted
            Why nothing was.
        NotOnThisHost
            This host runs no converters at the moment.
        """
        return self._ended.pop(entry.path).result()

    def close(self) -> None:
        """End all converters that still run, and remove what they have made."""
        self._stop.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for future in (*self._running, *self._ended.values()):
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().room.remove()
        self._running.clear()
        self._ended.clear()

    def _is_late(self) -> bool:
        """Say whether there is no time any more for what runs."""
        try:
            self._check()
        except (GaveWay, ShuttingDown):
            return True
        return False

    def _await_image(self, waiting: int) -> None:
        """Have the image here before the first entry is looked at; fetching may take an hour, in which the order may be left."""
        fetched: Future[Image] = Future()

        def fetch() -> None:
            try:
                fetched.set_result(self._converters.image(self._preprocessing.container))
            except BaseException as error:  # noqa: BLE001 (raised by whoever waits)
                fetched.set_exception(error)

        # nobody waits for its end when the order is left meanwhile: what was fetched by then is there for the next attempt
        threading.Thread(target=fetch, name="image", daemon=True).start()
        while not wait([fetched], timeout=_LOOK_SECONDS).done:
            self._on_wait(0, waiting, 0)
        self._image = fetched.result()

    def _begin(self, entry: Entry) -> None:
        self._check()
        try:
            place, files = self._admitted(entry.path)
        except (EntryFailed, EntryNotReady, ImportInterrupted) as error:
            self._running[_failed(error)] = entry
        else:
            self._running[self._threads.submit(self._convert, entry, place, files)] = entry

    def _admitted(self, path: str) -> tuple[Path, list[AdmittedFile]]:
        """Return where what is to be converted lies, links resolved, and what must not change any more."""
        place = Path(self._gate.locate(path))
        self._gate.locate(os.fspath(place.parent))  # all of it is shown to the converter: of a root, that would be all around it
        if place.is_dir():
            self._gate.admit_folder(path)
            return place, []
        return place, [self._gate.admit(path)]

    # --- in a thread of its own

    def _convert(self, entry: Entry, place: Path, files: list[AdmittedFile]) -> Made:
        self._gate.settle(files, check=self._check_stop)
        folders = (self._settings.converter_temp, place.parent)
        check_space(folders, needed_bytes=needed(place, factor=self._settings.converter_space_factor))
        number = self._numbers[entry.path]
        room = Room.make(
            place,
            preprocessing=self._preprocessing,
            settings=self._settings,
            order=self._order.uuid,
            attempt=self._attempt,
            number=number,
        )
        self._hear()
        task = Task(
            order=self._order.uuid,
            attempt=self._attempt,
            number=number,
            owner=self._owner,
            path=entry.path,
            room=room,
            preprocessing=self._preprocessing,
        )
        return convert(entry, task, image=self.image, converters=self._converters, stop=self._stop, heard=self._hear)

    def _hear(self) -> None:
        self._heard_at = time.monotonic()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Halted


def _failed(error: AdiError) -> Future[Made]:
    failed: Future[Made] = Future()
    failed.set_exception(error)
    return failed
