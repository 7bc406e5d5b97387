# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker in trouble keeps calm.

`Trouble` stands for a process's attempts on a machine whose disk is full, or whose database account has just lost a right: no
real disk fills up on demand.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from omero_adi_plugin.errors import AdiError, DiskFull, NotPermitted
from omero_adi_plugin.service.worker import SHORTEST_SECONDS, Worker
from omero_adi_plugin.settings import Settings


class Trouble:
    """Attempts, their queue, and a bell, of which every second claim finds an order."""

    def __init__(self, error: AdiError) -> None:
        self.queue = self
        self.error: AdiError | None = error
        self.claims = 0
        self.waits: list[float] = []

    def knock(self) -> None:
        pass

    def claim(self, *, owner: str) -> object | None:
        self.claims += 1
        return object() if self.claims % 2 else None

    def carry_out(self, claim: object) -> Exception | None:
        return self.error

    def next_due_seconds(self) -> float:
        return 0.0

    def wait(self, seconds: float, *, also: tuple[int, ...]) -> bool:
        self.waits.append(seconds)
        return False


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    package = logging.getLogger("omero_adi_plugin")
    before = package.propagate, package.level
    package.propagate = True
    with caplog.at_level(logging.DEBUG, logger="omero_adi_plugin"):
        yield caplog
    package.propagate, package.level = before


FULL_DISK = DiskFull(path="/OMERO")


def turns(worker: Worker, disk: Any, count: int) -> None:
    os.write(worker._wake, b"!")  # so that no pause is waited for
    for _ in range(count):
        try:
            worker.turn(disk, disk)
        except (DiskFull, NotPermitted) as error:
            worker._pause(error)


@pytest.mark.parametrize("error", [FULL_DISK, NotPermitted("The account may not do that.")])
def test_trouble_that_shows_only_with_an_order_in_hand_is_said_once_and_left_alone_longer_each_time(
    error: AdiError, log: pytest.LogCaptureFixture
) -> None:
    worker, disk = Worker(Settings.load(ingest_tracking_db="postgresql://u@h/d"), once=False), Trouble(error)
    turns(worker, disk, 7)
    assert worker._in_vain == 4, "an order that rests is no sign that the disk has room again"
    assert log.messages.count("worker.paused") == 1
    assert "worker.resumed" not in log.messages
    disk.error = None
    turns(worker, disk, 2)
    assert log.messages.count("worker.resumed") == 1
    assert worker._in_vain == 0


def test_an_order_that_is_due_and_cannot_be_claimed_yet_does_not_keep_the_machine_busy() -> None:
    worker, disk = Worker(Settings.load(ingest_tracking_db="postgresql://u@h/d"), once=False), Trouble(FULL_DISK)
    disk.error = None
    turns(worker, disk, 4)
    assert disk.waits == [SHORTEST_SECONDS] * 2
