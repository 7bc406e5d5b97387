# SPDX-License-Identifier: GPL-2.0-or-later
"""What a service shows of itself, and that it shows nothing any more once it has said good-bye."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.service.notice import Notice
from omero_adi_plugin.tracking.services import Presence, WorkerState
from tests.fixtures.waiting import WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.tracking.database import Database
    from tests.fixtures.services import Tracking

SHOWN = "SELECT ending FROM adi_service"


@pytest.fixture
def notice(database: Database) -> Notice:
    return Notice(Presence(database))


def test_what_changes_is_shown_after_the_farewell_nothing(notice: Notice, tracking: Tracking) -> None:
    """A service that is asked to end at once says good-bye in a thread of its own, while its main thread looks after workers."""
    notice.show([WorkerState(pid=1)], trouble=None, ending=False)
    notice.show([WorkerState(pid=1)], trouble=None, ending=True)
    assert tracking.sql(SHOWN) == [(True,)]
    notice.take_down()
    notice.show([], trouble=None, ending=True)
    assert tracking.sql(SHOWN) == []


class SlowPresence(Presence):
    """One that waits, before it tells anything, until it may go on: a fake of a thread that has no turn just then."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.begins, self.may = Event(), Event()

    def tell(self, workers: Sequence[WorkerState], *, trouble: str | None = None, ending: bool = False) -> None:
        self.begins.set()
        assert self.may.wait(WAIT_SECONDS)
        super().tell(workers, trouble=trouble, ending=ending)


def test_what_is_just_being_shown_is_taken_down_too(database: Database, tracking: Tracking) -> None:
    presence = SlowPresence(database)
    notice = Notice(presence)
    shows = Thread(target=notice.show, args=([],), kwargs={"trouble": None, "ending": True})
    shows.start()
    assert presence.begins.wait(WAIT_SECONDS)
    leaves = Thread(target=notice.take_down)
    leaves.start()
    leaves.join(0.5)  # as far as it gets; a shorter time would only prove less
    presence.may.set()
    shows.join()
    leaves.join()
    assert tracking.sql(SHOWN) == []
