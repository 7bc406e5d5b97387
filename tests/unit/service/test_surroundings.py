# SPDX-License-Identifier: GPL-2.0-or-later
"""Trouble is said once for all processes of a service, and once when it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from omero_adi_plugin.errors import DatabaseDown, DiskFull, OmeroDown
from omero_adi_plugin.service.reports import Trouble
from omero_adi_plugin.service.surroundings import Surroundings

DARK = Trouble.of(OmeroDown(where="h:4064", why="refused"))
DARKER = Trouble.of(OmeroDown(where="h:4064", why="timed out"))
LOST = Trouble.of(DatabaseDown(where="d", why="gone"))
FULL = Trouble.of(DiskFull(path="/OMERO"))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    package = logging.getLogger("omero_adi_plugin")
    before, package.propagate = package.propagate, True
    with caplog.at_level(logging.INFO, logger="omero_adi_plugin"):
        yield caplog
    package.propagate = before


def test_what_all_of_them_meet_is_said_once(log: pytest.LogCaptureFixture) -> None:
    surroundings = Surroundings()
    surroundings.are({1: DARK})
    surroundings.are({1: DARK, 2: DARKER, 3: DARK})
    surroundings.are({2: DARK})  # one of them got through, the other has not tried again yet
    surroundings.are({1: DARKER, 2: DARK})
    assert (log.messages, surroundings.why) == (["surroundings.down"], DARKER.why)
    surroundings.are({})
    surroundings.are({})
    assert (log.messages, surroundings.why) == (["surroundings.down", "surroundings.up"], None)
    surroundings.are({1: DARK})
    assert log.messages.count("surroundings.down") == 2


def test_something_else_that_is_wrong_as_well_is_said_too(log: pytest.LogCaptureFixture) -> None:
    surroundings = Surroundings()
    for troubles in ({1: DARK}, {1: DARK, 2: LOST}, {1: FULL, 2: LOST}, {1: DARK}):
        surroundings.are(troubles)
    assert log.messages == ["surroundings.down"] * 3
    surroundings.are({})
    assert log.messages == ["surroundings.down"] * 3 + ["surroundings.up"]
