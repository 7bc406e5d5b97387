# SPDX-License-Identifier: GPL-2.0-or-later
"""A few threads for many things: all done, in order, and an error ends it."""

from __future__ import annotations

import threading

import pytest

from omero_adi_plugin.importers import crews


def test_many_things_are_done_by_few_threads() -> None:
    names = set()

    def double(number: int) -> int:
        names.add(threading.current_thread().name)
        return 2 * number

    assert crews.each(10_000, double, threads=4) == list(range(0, 20_000, 2))
    assert len(names) <= 4
    assert threading.current_thread().name not in names


@pytest.mark.parametrize(("count", "threads"), [(3, 1), (1, 8)])
def test_where_one_is_enough_no_thread_is_made(count: int, threads: int) -> None:
    names = crews.each(count, lambda _: threading.current_thread().name, threads=threads)
    assert set(names) == {threading.current_thread().name}


def test_one_that_is_watched_has_a_thread_of_its_own() -> None:
    names = crews.each(2, lambda _: threading.current_thread().name, threads=0, on_wait=lambda *_: None)
    assert len(set(names) - {threading.current_thread().name}) == 1


def test_they_are_at_work_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)
    assert crews.each(3, lambda number: together.wait() * 0 + number, threads=3) == [0, 1, 2]


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_error_ends_it(threads: int) -> None:
    begun = []

    def fail(number: int) -> None:
        begun.append(number)
        raise KeyError(number)

    with pytest.raises(KeyError):
        crews.each(10_000, fail, threads=threads)
    assert len(begun) <= threads


def test_who_waits_is_told_and_may_call_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "LOOK_SECONDS", 0.01)
    go_on, begun = threading.Event(), []

    def work(number: int) -> None:
        begun.append(number)
        assert go_on.wait(10)

    def call_off(done: int, total: int) -> None:
        assert (done, total) == (0, 1_000_000)
        go_on.set()
        raise InterruptedError

    with pytest.raises(InterruptedError):
        crews.each(1_000_000, work, threads=2, on_wait=call_off)
    assert len(begun) < 1_000_000
