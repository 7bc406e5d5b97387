# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of the orders of workers that have ended, by how they ended."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import DatabaseDown
from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.service.crew import Departure
from omero_adi_plugin.service.deaths import Deaths
from omero_adi_plugin.service.reports import Trouble
from omero_adi_plugin.service.service import Service
from omero_adi_plugin.service.signature import owner
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.relay import relayed

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Claim
    from tests.fixtures.services import Tracking

PID = 2**22 + 7
"""Of a worker that is gone: Linux gives no such number."""


@pytest.fixture
def claim(database: Database) -> Claim:
    target = Target(kind=TargetKind.DATASET, id=1)
    queue = Queue(database, lease_seconds=3600)
    return submit_claimed(database, queue, user="u", group="g", target=target, files=["/data/a.tif"], owner=owner(PID))


@pytest.mark.parametrize(
    ("status", "state", "deaths"),
    [
        (os.EX_OK, "running", 0),  # nothing to do: such a worker has given its order back
        (os.EX_TEMPFAIL, "waiting", 0),
        (-signal.SIGSEGV, "waiting", 1),
        (1, "waiting", 1),
    ],
)
def test_how_a_worker_ended_says_whether_its_order_may_be_to_blame(
    claim: Claim, database: Database, database_url: str, tracking: Tracking, status: int, state: str, deaths: int
) -> None:
    service = Service(Settings.load(ingest_tracking_db=database_url), once=False)
    service._see_off(Departure(pid=PID, status=status, trouble=None))
    service._deaths.report(database)
    assert tracking.sql("SELECT state, deaths FROM adi_order") == [(state, deaths)]
    service._database.close()


def test_while_the_database_is_away_deaths_are_remembered(claim: Claim, database_url: str, tracking: Tracking) -> None:
    deaths = Deaths()
    deaths.add(PID, why="killed", counts=True)
    with relayed(database_url) as relay:
        database = Database(relay.url, name="test")
        relay.cut(refuses=10)
        with pytest.raises(DatabaseDown):
            deaths.report(database)
        assert deaths
        relay.cut(refuses=0)
        deaths.report(database)
        database.close()
    assert not deaths
    assert tracking.sql("SELECT state, deaths FROM adi_order") == [("waiting", 1)]


def test_people_are_told_what_a_worker_died_of() -> None:
    trouble = Trouble(kind=DatabaseDown, why="It is away.")
    for status, died, words in (
        (-signal.SIGKILL, None, "killed by SIGKILL, perhaps for want of memory"),
        (-signal.SIGSEGV, None, "killed by SIGSEGV"),
        (-(signal.SIGRTMAX - 1), None, f"killed by signal {signal.SIGRTMAX - 1}"),
        (13, None, "ended with status 13"),
        (69, trouble, "ended with status 69 (It is away.)"),
    ):
        assert Departure(pid=PID, status=status, trouble=died).why == words
