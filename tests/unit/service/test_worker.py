# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker in trouble keeps calm, and tells its service once.

`Attempts` stands for a process's attempts on a machine whose disk is full, or whose database account has just lost a right: no
real disk fills up on demand.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest

from omero_adi_plugin.errors import AdiError, DiskFull, NotPermitted, OmeroDown
from omero_adi_plugin.service.reports import Trouble, Voice
from omero_adi_plugin.service.worker import GIVE_WAY_SECONDS, POLLS_PER_SWEEP, SHORTEST_SECONDS, Worker
from omero_adi_plugin.settings import Settings


class Attempts:
    """Attempts, their queue, a sweeper with nothing to do, and a bell, of which every second claim finds an order."""

    def __init__(self, error: AdiError) -> None:
        self.queue = self
        self.error: AdiError | None = error
        self.away: AdiError | None = None
        self.claims = 0
        self.waits: list[float] = []

    def service(self) -> None:
        if self.away is not None:
            raise self.away

    def claim(self, *, owner: str) -> object | None:
        self.claims += 1
        return object() if self.claims % 2 else None

    def carry_out(self, claim: object) -> Exception | None:
        return self.error

    def sweep_one(self) -> bool:
        return False

    def next_due_seconds(self) -> float:
        return 0.0

    def wait(self, seconds: float, *, also: tuple[int, ...]) -> bool:
        self.waits.append(seconds)
        return False


class Told:
    """A worker, and what its service hears of it."""

    def __init__(self, ear: Any, worker: Worker) -> None:
        self._ear, self.worker = ear, worker

    def heard(self) -> list[Trouble | None]:
        found = []
        while self._ear.poll():
            found.append(self._ear.recv())
        return found

    def turns(self, attempts: Any, count: int) -> None:
        for _ in range(count):
            self.worker._waker.wake()  # so that no pause is waited for
            try:
                self.worker.turn(attempts, attempts, attempts, attempts)
            except (DiskFull, NotPermitted, OmeroDown) as error:
                self.worker.pause(error)


@pytest.fixture
def told() -> Iterator[Told]:
    ear, mouth = multiprocessing.Pipe(duplex=False)
    with ear, mouth:
        settings = Settings.load(ingest_tracking_db="postgresql://u@h/d")
        yield Told(ear, Worker(settings, once=False, first=False, voice=Voice(mouth)))


FULL_DISK = DiskFull(path="/OMERO")


@pytest.mark.parametrize("error", [FULL_DISK, NotPermitted("The account may not do that.")])
def test_trouble_that_shows_only_with_an_order_in_hand_is_told_once_and_left_alone_longer_each_time(
    error: AdiError, told: Told
) -> None:
    attempts = Attempts(error)
    told.turns(attempts, 7)
    assert told.worker._in_vain == 4, "an order that rests is no sign that the disk has room again"
    assert told.heard() == [Trouble(kind=type(error), why=str(error))]
    attempts.error = None
    told.turns(attempts, 2)
    assert told.heard() == [None]
    assert told.worker._in_vain == 0


def test_a_fresh_worker_claims_nothing_before_omero_has_answered(told: Told) -> None:
    attempts = Attempts(FULL_DISK)
    attempts.error, attempts.away = None, OmeroDown(where="h:4064", why="nobody answers")
    told.turns(attempts, 3)
    assert attempts.claims == 0
    assert [trouble and trouble.kind for trouble in told.heard()] == [OmeroDown]
    attempts.away = None
    told.turns(attempts, 2)
    assert attempts.claims == 2
    assert told.heard() == [None]


class Busy(Attempts):
    """Attempts to which orders never cease to come, so many sweeps that are due, and in which order all of that is done."""

    def __init__(self, *, orders: int, sweeps: int) -> None:
        super().__init__(FULL_DISK)
        self.error = None
        self.left = {"order": orders, "sweep": sweeps}
        self.done: list[str] = []

    def claim(self, *, owner: str) -> object | None:
        return object() if self._next("order") else None

    def sweep_one(self) -> bool:
        return self._next("sweep")

    def _next(self, kind: str) -> bool:
        if self.left[kind] == 0:
            return False
        self.left[kind] -= 1
        self.done.append(kind)
        return True

    def wait(self, seconds: float, *, also: tuple[int, ...]) -> bool:
        self.done.append("rest")
        return False


def test_sweeps_are_done_when_no_order_is_due(told: Told) -> None:
    attempts = Busy(orders=2, sweeps=2)
    told.turns(attempts, 5)
    assert attempts.done == ["order", "order", "sweep", "sweep", "rest"]


def test_when_orders_never_cease_a_sweep_gets_its_turn_now_and_then(told: Told) -> None:
    attempts = Busy(orders=99, sweeps=99)
    told.turns(attempts, 1)
    told.worker._swept -= POLLS_PER_SWEEP * 5  # poll_seconds
    told.turns(attempts, 2)
    assert attempts.done == ["order", "sweep", "order", "order"]


def test_a_worker_that_is_to_end_begins_no_sweep(told: Told) -> None:
    attempts = Busy(orders=0, sweeps=1)
    told.worker.ask_to_end()
    told.turns(attempts, 1)
    assert attempts.done == ["rest"]


def test_a_sweep_that_goes_well_is_no_sign_that_the_disk_has_room_again(told: Told) -> None:
    attempts = Busy(orders=1, sweeps=1)
    attempts.error = FULL_DISK
    told.turns(attempts, 2)
    assert attempts.done == ["order", "sweep"]
    assert [trouble and trouble.kind for trouble in told.heard()] == [DiskFull]


def test_an_order_that_is_due_and_cannot_be_claimed_yet_does_not_keep_the_machine_busy(told: Told) -> None:
    attempts = Attempts(FULL_DISK)
    attempts.error = None
    told.turns(attempts, 4)
    assert attempts.waits == [SHORTEST_SECONDS] * 2


class Waits:
    """A waker that says how long it was waited for, and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def fileno(self) -> int:
        return -1

    def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize(("dispatch", "waits"), [("local", []), ("grid", [GIVE_WAY_SECONDS])])
def test_who_launches_scripts_leaves_what_has_just_become_due_to_those_that_run(
    dispatch: str, waits: list[float], told: Told
) -> None:
    worker, waker, attempts = told.worker, Waits(), Busy(orders=1, sweeps=0)
    worker._settings = Settings.load(ingest_tracking_db="postgresql://u@h/d", dispatch=dispatch)
    worker._waker = waker  # type: ignore[assignment]  # it stands for one
    for _ in range(2):
        worker.turn(attempts, attempts, attempts, attempts)  # type: ignore[arg-type]  # it stands for each of them
    assert attempts.done == ["order", "rest"]
    assert waker.seconds == waits
