# SPDX-License-Identifier: GPL-2.0-or-later
"""How much work is got ready, and what becomes of what it raises."""

import threading

import pytest

from omero_adi_plugin.pipeline.flight import AHEAD, MOST_FILES, Flight

WIDTH = 2


def is_full(flight: Flight[bool]) -> bool:
    """Asked anew each time: of an attribute mypy believes that it stays as it was found."""
    return flight.full


def test_work_is_got_ready_in_bursts() -> None:
    gate = threading.Semaphore(0)
    with Flight[bool](WIDTH, places=WIDTH) as flight:
        started = 0
        while not is_full(flight):
            flight.start(gate.acquire, files=1)
            started += 1
        assert started == WIDTH + AHEAD
        ended = 0
        while is_full(flight):
            gate.release()
            ended += len(flight.landed(timeout_seconds=10))
        assert started - ended == 2 * WIDTH
        while not flight.empty:
            gate.release()
            flight.landed(timeout_seconds=10)


def test_work_with_very_many_files_does_not_pile_up() -> None:
    gate = threading.Event()
    with Flight[bool](1, places=1) as flight:
        for _ in range(3):
            flight.start(gate.wait, files=1)
        assert not is_full(flight)
        flight.start(gate.wait, files=MOST_FILES)
        assert is_full(flight)
        gate.set()


def test_what_it_raises_is_raised_where_it_lands() -> None:
    def fail() -> None:
        raise LookupError("lost")

    with Flight[None](WIDTH, places=WIDTH) as flight:
        flight.start(fail, files=1)
        [future] = flight.landed(timeout_seconds=10)
        with pytest.raises(LookupError, match="lost"):
            future.result()
        assert flight.empty


def test_after_trouble_nothing_more_is_begun_and_what_was_begun_is_waited_for() -> None:
    begun, ended, gate = threading.Event(), threading.Event(), threading.Event()
    later: list[int] = []

    def slow() -> None:
        begun.set()
        gate.wait(10)
        ended.set()

    def troubled() -> None:
        with Flight[None](1, places=1) as flight:
            flight.start(slow, files=1)
            flight.start(lambda: later.append(1), files=1)
            begun.wait(10)
            threading.Timer(0.1, gate.set).start()
            raise LookupError("trouble")

    with pytest.raises(LookupError):
        troubled()
    assert ended.is_set()
    assert not later
