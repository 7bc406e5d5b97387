# SPDX-License-Identifier: GPL-2.0-or-later
"""What a service shows of itself, and that it shows nothing any more once it has said good-bye."""

from __future__ import annotations

from contextlib import closing
from threading import Thread
from typing import TYPE_CHECKING

import psycopg2
import pytest

from omero_adi_plugin.service.notice import Notice
from omero_adi_plugin.tracking.services import Presence, WorkerState
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
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


def test_what_is_just_being_shown_is_taken_down_too(notice: Notice, tracking: Tracking) -> None:
    notice.show([], trouble=None, ending=False)
    shows = Thread(target=notice.show, args=([WorkerState(pid=1)],), kwargs={"trouble": None, "ending": True})
    leaves = Thread(target=notice.take_down)
    with closing(psycopg2.connect(tracking.url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE adi_service IN EXCLUSIVE MODE")
        shows.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: tracking.sql(waits), what="one who shows something")
        leaves.start()
    shows.join()
    leaves.join()
    assert tracking.sql(SHOWN) == []
