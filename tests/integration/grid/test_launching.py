# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of an order for which no script could be launched: it fails only for reasons of its own, and is never lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from omero_adi_plugin.errors import (
    AdiError,
    LaunchBroken,
    NoProcessor,
    NotLaunched,
    OrderMalformed,
    ScriptsMissing,
    ServerTrouble,
    UserUnknown,
)
from omero_adi_plugin.grid.installing import install, remove
from omero_adi_plugin.orders import Claim
from omero_adi_plugin.pipeline.outcome import Cancelled
from omero_adi_plugin.service.deadline import Deadline
from omero_adi_plugin.service.launching import Launches
from omero_adi_plugin.service.reports import NOBODYS_FAULT
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.losses import Loss, free_lapsed
from omero_adi_plugin.tracking.operating import cancel
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.omero_client import PASSWORD
from tests.fixtures.producer import Producer

LEASE_SECONDS = 5


@pytest.fixture
def server(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """One without Processors."""
    with running_here(tmp_path / "omero", template=server_template, processors=0) as server:
        server.add_group("Demo")
        server.add_user("ann", PASSWORD, ["Demo"])
        yield server


@pytest.fixture
def logins(server: ServerHere) -> Iterator[Logins]:
    with Logins(server.account) as logins:
        for each in install(logins.service()):
            assert each
        yield logins


def uninstall(server: ServerHere) -> None:
    with Logins(server.account) as root:
        for each in remove(root.service()):
            assert each


class Launcher:
    """A worker that launches scripts, and one order at a time."""

    def __init__(self, launches: Launches, producer: Producer, intake: Intake) -> None:
        self.launches, self.producer, self.intake = launches, producer, intake

    def claimed(self, *, user: str = "ann", files: str = '["/data/a.tif"]') -> Claim:
        self.producer.many(1, user=user, files=files)
        assert self.intake.take_in() == 1
        claim = self.launches.queue.claim(owner="desk:1")
        assert claim is not None
        return claim

    def order(self) -> tuple[str, int, int]:
        [row] = self.producer.sql("SELECT state, failures, held_up FROM adi_order")
        return row[0], row[1], row[2]


@pytest.fixture
def launcher(logins: Logins, database_url: str, server: ServerHere, producer: Producer, intake: Intake) -> Iterator[Launcher]:
    settings = Settings.load(
        ingest_tracking_db=database_url, omero_port=server.ssl_port, lease_seconds=LEASE_SECONDS, heartbeat_seconds=1
    )
    with closing(Launches(settings, logins=logins, deadline=Deadline())) as launches:
        yield Launcher(launches, producer, intake)


def test_no_processor_is_nobodys_fault(launcher: Launcher) -> None:
    error = launcher.launches.carry_out(launcher.claimed())
    assert isinstance(error, NoProcessor)
    assert isinstance(error, NOBODYS_FAULT), "so that nothing more is claimed for a while"
    assert launcher.order() == ("waiting", 0, 0)


@pytest.mark.parametrize(
    ("happens", "error", "order"),
    [
        (lambda server: server.disturb.lose_connection("IScript.runScript"), NotLaunched, ("waiting", 0, 0)),
        (
            lambda server: server.disturb.fail("IScript.runScript", exception="omero.SecurityViolation"),
            ServerTrouble,
            ("waiting", 1, 0),
        ),
        (
            lambda server: server.disturb.fail("IScript.runScript", exception="omero.InternalException"),
            LaunchBroken,
            ("waiting", 0, 1),
        ),
        (uninstall, ScriptsMissing, ("waiting", 0, 0)),
    ],
    ids=["connection", "refused", "broken off", "not installed"],
)
def test_what_goes_wrong_at_a_launch_counts_only_when_omero_refuses_it(
    happens: Callable[[ServerHere], object],
    error: type[AdiError],
    order: tuple[str, int, int],
    launcher: Launcher,
    server: ServerHere,
) -> None:
    claim = launcher.claimed()
    happens(server)
    found = launcher.launches.carry_out(claim)
    assert type(found) is error
    assert isinstance(found, NOBODYS_FAULT) is (order[1:] == (0, 0))
    assert launcher.order() == order


@pytest.mark.parametrize(
    ("changed", "error"), [({"user": "nobody"}, UserUnknown), ({"files": "{"}, OrderMalformed)], ids=["user", "malformed"]
)
def test_an_order_that_nobody_could_carry_out_fails_without_a_script(
    changed: dict[str, str], error: type[AdiError], launcher: Launcher
) -> None:
    assert type(launcher.launches.carry_out(launcher.claimed(**changed))) is error
    assert launcher.order()[0] == "failed"


def test_one_that_was_called_off_is_not_launched_nor_waited_with_until_scripts_run_again(
    launcher: Launcher, database: Database, server: ServerHere
) -> None:
    launcher.launches.carry_out(launcher.claimed())  # no Processor: given back
    launcher.producer.sql("UPDATE adi_order SET run_after = now()")
    claim = launcher.launches.queue.claim(owner="desk:1")
    assert claim is not None
    assert not cancel(database, claim.lease.order, who="ada@desk").ended, "whoever carries it out is to end it"
    server.disturb.delay("IScript.runScript", seconds=2.5)  # so long that the lease is extended, which tells of it
    assert isinstance(launcher.launches.carry_out(claim), Cancelled)
    assert launcher.order()[0] == "cancelled"


def test_the_lease_is_kept_while_omero_takes_its_time(launcher: Launcher, server: ServerHere, database_url: str) -> None:
    claim, done, losses = launcher.claimed(), threading.Event(), list[Loss]()

    def look() -> None:
        with closing(Database(database_url, name="others")) as others:
            while not done.wait(0.2):
                losses.extend(free_lapsed(others))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        server.disturb.delay("ISession.createSessionWithTimeouts", seconds=LEASE_SECONDS + 1)
        assert isinstance(launcher.launches.carry_out(claim), NoProcessor)
    finally:
        done.set()
        looking.join()
    assert losses == []
