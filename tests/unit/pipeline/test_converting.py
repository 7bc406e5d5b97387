# SPDX-License-Identifier: GPL-2.0-or-later
"""How the entries of an order are converted, when podman goes away, the order is left, or an image is long in coming.

Podman itself is played here: it does not go away, or keep an image back, when a test wants it to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from omero_adi_plugin.containers.converters import Image, Task
from omero_adi_plugin.errors import ConverterFailed, Halted, PodmanDown
from omero_adi_plugin.orders import Entry, Order, Target, TargetKind
from omero_adi_plugin.pipeline.converting import Converting
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay, Stopped
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.settings import Settings
from tests.fixtures.gates import gate_of

DOWN = PodmanDown(host="h", why="it does not answer")


class PlayedPodman:
    """Stands for `Converters`: what a run does is for the test to say."""

    def __init__(self, run: Callable[[Task, threading.Event], str | None]) -> None:
        self.asked: list[str] = []
        self.may_fetch = threading.Event()
        self.may_fetch.set()
        self.heard: Callable[[], None] = lambda: None
        self._run = run

    def image(self, container: str) -> Image:
        self.may_fetch.wait(10)
        return Image(name=container, id="1", digest="sha256:1")

    def run(self, task: Task, *, image: Image, stop: threading.Event, heard: Callable[[], None]) -> str | None:
        del image
        self.heard = heard
        self.asked.append(Path(task.path).name)
        return self._run(task, stop)

    def remove_of(self, order: str) -> int:
        del order
        return 0


@contextmanager
def converting(tmp_path: Path, podman: PlayedPodman, *, on_wait: Callable[[int, int, float], None]) -> Iterator[Converting]:
    data, temp = tmp_path / "data", tmp_path / "temp"
    for folder in (data, temp):
        folder.mkdir()
    for name in "abc":
        (data / name).write_text(name)
    settings = Settings(
        ingest_tracking_db=SecretStr("postgresql://u@h/d"),
        base_dir=data,
        converter_temp=temp,
        max_containers=1,
        shutdown_timeout=0,
    )
    order = Order(
        uuid="u-1",
        user="ada",
        group="lab",
        target=Target(kind=TargetKind.DATASET, id=1),
        entries=tuple(Entry(path=str(data / name)) for name in "abc"),
    )
    made = Converting(
        order,
        Preprocessing(id=1, container="x/y"),
        attempt=1,
        owner="h:1",
        settings=settings,
        converters=podman,  # type: ignore[arg-type]  # played
        gate=gate_of(data),
        on_wait=on_wait,
        check=lambda: None,
    )
    with closing(made):
        yield made
    assert list(temp.iterdir()) == list(data.glob(".processed/*")) == []


def entries(tmp_path: Path) -> list[Entry]:
    return [Entry(path=str(tmp_path / "data" / name)) for name in "abc"]


def nothing(running: int, waiting: int, silent_seconds: float) -> None:
    del running, waiting, silent_seconds


def test_a_podman_that_is_away_is_asked_once(tmp_path: Path) -> None:
    def away(task: Task, stop: threading.Event) -> str | None:
        del task, stop
        raise DOWN

    podman = PlayedPodman(away)
    with converting(tmp_path, podman, on_wait=nothing) as made:
        given = list(made.over(entries(tmp_path)))
        assert sorted(Path(entry.path).name for entry in given) == ["a", "b", "c"]
        for entry in given:
            with pytest.raises(PodmanDown):
                made.made(entry)
    assert podman.asked == ["a"]


def test_who_cannot_be_converted_keeps_nobody_from_it(tmp_path: Path) -> None:
    def fails(task: Task, stop: threading.Event) -> str | None:
        del stop
        raise ConverterFailed(path=task.path, container="x/y", why="it cannot")

    podman = PlayedPodman(fails)
    with converting(tmp_path, podman, on_wait=nothing) as made:
        assert len(list(made.over(entries(tmp_path)))) == 3
    assert sorted(podman.asked) == ["a", "b", "c"]


@pytest.mark.parametrize("why", [Cancelled(by="ada"), GaveWay("others wait")])
def test_what_runs_is_ended_when_the_order_is_left(why: Cancelled | GaveWay, tmp_path: Path) -> None:
    begun = threading.Event()

    def runs(task: Task, stop: threading.Event) -> str | None:
        del task
        begun.set()
        assert stop.wait(10)
        raise Halted

    def leave(running: int, waiting: int, silent_seconds: float) -> None:
        del waiting, silent_seconds
        if running and begun.is_set():
            raise Stopped(why)

    podman = PlayedPodman(runs)
    with converting(tmp_path, podman, on_wait=leave) as made, pytest.raises(Stopped):
        list(made.over(entries(tmp_path)))
    assert podman.asked == ["a"]


def test_an_order_can_be_left_while_its_image_is_fetched(tmp_path: Path) -> None:
    podman = PlayedPodman(lambda task, stop: None)  # noqa: ARG005 (never asked)
    podman.may_fetch.clear()
    waits: list[tuple[int, int]] = []

    def leave(running: int, waiting: int, silent_seconds: float) -> None:
        del silent_seconds
        waits.append((running, waiting))
        raise Stopped(Cancelled(by="ada"))

    with converting(tmp_path, podman, on_wait=leave) as made, pytest.raises(Stopped):
        list(made.over(entries(tmp_path)))
    podman.may_fetch.set()
    assert waits == [(0, 3)]
    assert podman.asked == []


def test_it_is_told_for_how_long_nothing_was_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("omero_adi_plugin.pipeline.converting.time.monotonic", lambda: now[0])
    begun, silent = threading.Event(), list[float]()

    def runs(task: Task, stop: threading.Event) -> str | None:
        del task
        begun.set()
        assert stop.wait(10)
        raise Halted

    def look(running: int, waiting: int, silent_seconds: float) -> None:
        del waiting
        if not (running and begun.is_set()):
            return
        silent.append(silent_seconds)
        now[0] += 90
        if len(silent) == 2:
            podman.heard()
        if len(silent) == 4:
            raise Stopped(Cancelled(by="ada"))

    podman = PlayedPodman(runs)
    with converting(tmp_path, podman, on_wait=look) as made, pytest.raises(Stopped):
        list(made.over(entries(tmp_path)))
    assert silent == [0, 90, 0, 90]
