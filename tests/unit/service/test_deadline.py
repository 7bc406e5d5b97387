# SPDX-License-Identifier: GPL-2.0-or-later
"""A script that may live no longer takes nothing more up, begins nothing more, and leaves what is under way, in this order."""

from __future__ import annotations

import pytest

from omero_adi_plugin.pipeline.outcome import LateStart, ShuttingDown, TimeUp
from omero_adi_plugin.service.deadline import Deadline, Lifespan


@pytest.mark.parametrize(
    ("age", "states"),
    [(0, "---"), (1700, "---"), (1900, "o--"), (2900, "of-"), (3300, "off"), (9999, "off")],
)
def test_the_life_of_a_session_is_left_step_by_step(age: float, states: str) -> None:
    lifespan = Lifespan(3600, age_seconds=age)
    found = (lifespan.is_set, lifespan.is_near, lifespan.passed())
    assert found == tuple(state != "-" for state in states)
    assert isinstance(lifespan.reason(), TimeUp)
    assert "60 minutes" in str(lifespan.reason())


def test_the_second_order_of_a_script_does_not_have_all_of_its_life() -> None:
    lifespan = Lifespan(3600, age_seconds=3500)
    first = lifespan.reason()
    lifespan.shared()
    second = lifespan.reason()
    assert isinstance(first, TimeUp)
    assert isinstance(second, TimeUp)
    assert (first.whole, second.whole) == (True, False)


@pytest.mark.parametrize(("age", "late"), [(1700, False), (1900, True), (3500, True)])
def test_an_order_that_a_script_takes_over_late_in_its_life_did_not_have_all_of_it(age: float, *, late: bool) -> None:
    lifespan = Lifespan(3600, age_seconds=age)
    lifespan.first_order()
    reason = lifespan.reason()
    assert isinstance(reason, LateStart if late else TimeUp)
    assert not late or f"took {age} s to begin, more than half of the 60 minutes" in str(reason)


def test_a_session_without_an_end_is_left_only_when_asked() -> None:
    lifespan = Lifespan(None, age_seconds=1e9)
    lifespan.first_order()
    assert (lifespan.is_set, lifespan.is_near, lifespan.passed()) == (False, False, False)
    lifespan.in_seconds(0)
    assert lifespan.is_set
    assert lifespan.is_near
    assert lifespan.passed()
    assert isinstance(lifespan.reason(), ShuttingDown)


def test_who_is_asked_to_end_says_so_even_late_in_life() -> None:
    lifespan = Lifespan(3600, age_seconds=3599)
    lifespan.in_seconds(0)
    assert isinstance(lifespan.reason(), ShuttingDown)


def test_a_worker_that_was_asked_begins_nothing_in_the_second_half_of_its_time() -> None:
    deadline = Deadline()
    before = deadline.is_set  # kept aside: mypy believes of an attribute that it stays as it was found
    assert not before
    deadline.in_seconds(1000)
    deadline.in_seconds(0)
    assert deadline.is_set, "the first one stays"
    assert not deadline.is_near
    deadline = Deadline()
    deadline.in_seconds(0)
    assert deadline.is_near
    assert deadline.passed()
