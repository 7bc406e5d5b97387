# SPDX-License-Identifier: GPL-2.0-or-later
"""Workers that end right after their start are tried less and less often, and that is said once."""

from __future__ import annotations

import time

import pytest

from omero_adi_plugin.service.restarts import Restarts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_pause_doubles_up_to_a_minute_and_ends_when_one_does_its_work(clock: list[float]) -> None:
    found, pauses = Restarts(), []
    assert (found.due_seconds, found.on_trial) == (0.0, False)
    for _ in range(8):
        found.failed("ended with status 1")
        pauses.append(found.due_seconds)
        clock[0] += found.due_seconds
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert found.on_trial
    found.failed("ended with status 1")
    found.went_well()
    assert (found.due_seconds, found.on_trial) == (0.0, False)


def test_workers_that_fail_together_are_one_failure(clock: list[float]) -> None:
    found = Restarts()
    for _ in range(4):
        found.failed("ended with status 1")
    assert found.due_seconds == 1.0


def test_the_same_reason_is_said_once_until_one_has_done_its_work(clock: list[float]) -> None:
    found = Restarts()
    reasons = ["status 1", "status 1", "killed", "killed", "status 1"]
    assert [found.failed(why) for why in reasons] == [True, False, True, False, True]
    found.went_well()
    assert found.failed("status 1")
