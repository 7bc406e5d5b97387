# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes are killed or frozen in the middle of many orders: all orders finish by themselves, and each file is there once."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import pytest

from omero_adi_plugin.sessions import Account
from tests.fixtures.crowd import Crowd, crowd_of
from tests.fixtures.holds import Hold
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, alive, children
from tests.fixtures.waiting import freeze, wait_until

ORDERS = int(os.environ.get("ADI_TEST_KILLED_ORDERS", "24"))
"""50 by hand."""

USERS = 4
LEASE_SECONDS = 5
IDLE_SECONDS = 4.0
"""How long a session may be silent: what a killed worker leaves on a server is gone after that."""


@pytest.fixture
def server(request: pytest.FixtureRequest, server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """A server of the test's own; the parameter is how long a session may be silent, in s."""
    options = {"step_seconds": 0.01, "session_idle_seconds": getattr(request, "param", None)}
    with running_here(tmp_path / "omero", template=server_template, **options) as server:
        yield server


@pytest.fixture
def omero_account(server: ServerHere) -> Account:
    return server.account


@pytest.fixture
def crowd(omero_account: Account) -> Iterator[Crowd]:
    with crowd_of(omero_account, users=USERS) as crowd:
        yield crowd


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the services put what is only for a while."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def open_sessions(server: ServerHere) -> set[str]:
    return {session.uuid for session in server.server.sessions.all() if session.alive()}


def running_by(tracking: Tracking, pids: list[int]) -> list[str]:
    """Orders on which one of these processes has a lease."""
    rows = tracking.sql("SELECT uuid, lease_owner FROM adi_order WHERE state = 'running'")
    return [uuid for uuid, owner in rows if int(owner.rpartition(":")[2]) in pids]


def halfway(tracking: Tracking) -> bool:
    [[done]] = tracking.sql("SELECT count(*) FROM adi_order WHERE state = 'completed'")
    return int(done) >= ORDERS // 5


def thaw(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def frozen_at_work(tracking: Tracking, pids: Callable[[], list[int]]) -> tuple[list[int], list[str]]:
    """Freeze processes at a moment in which they carry orders out; return them and the orders."""

    def caught() -> tuple[list[int], list[str]] | None:
        chosen = pids()
        for pid in chosen:
            freeze(pid)
        orders = running_by(tracking, chosen)
        if orders:
            return chosen, orders
        thaw(chosen)
        return None

    wait_until(lambda: halfway(tracking), what="the first orders' end")
    found: tuple[list[int], list[str]] = wait_until(caught, what="a moment in the middle of an order")
    return found


class Kill(StrEnum):
    """Who is killed."""

    SERVICE = "the service alone"
    ALL = "the service and all its workers at once"
    WORKER = "one worker"

    def chosen(self, service: int, tracking: Tracking) -> list[int]:
        """Whom to freeze for it."""
        if self is not Kill.WORKER:
            return [service, *children(service)]
        rows = tracking.sql("SELECT lease_owner FROM adi_order WHERE state = 'running' ORDER BY uuid LIMIT 1")
        return [int(owner.rpartition(":")[2]) for (owner,) in rows]


@pytest.mark.parametrize("kill", list(Kill))
@pytest.mark.parametrize("server", [IDLE_SECONDS], indirect=True)
def test_killed_in_the_middle_of_many_orders_all_finish_and_each_file_is_there_once(
    crowd: Crowd,
    server: ServerHere,
    tracking: Tracking,
    services: Services,
    samples: Samples,
    temporary: Path,
    kill: Kill,
) -> None:
    before = open_sessions(server)
    orders = crowd.order(tracking, samples, ORDERS)
    service = services.start(lease_seconds=LEASE_SECONDS, heartbeat_seconds=1)
    pids, cut_off = frozen_at_work(tracking, lambda: kill.chosen(service.pid, tracking))
    family = [*pids, *(child for pid in pids for child in children(pid))]  # readers of files, too
    for pid in [service.pid] if kill is Kill.SERVICE else pids:
        os.kill(pid, signal.SIGKILL)
    [[there_since]] = tracking.sql("SELECT clock_timestamp()")
    if kill is Kill.SERVICE:
        wait_until(
            lambda: not alive(service.pid), what="the death of the service"
        )  # by then its workers have the kernel's signal
    thaw(pids)
    wait_until(lambda: not any(alive(pid) for pid in family), what="the death of all that belongs to what was killed")
    assert not tracking.ended(*orders), "it was killed too late to prove anything"
    if kill is not Kill.WORKER:
        service.wait()
        service = services.start(lease_seconds=LEASE_SECONDS, heartbeat_seconds=1)  # as systemd does
        there_since = started_at(tracking, service.pid)  # how long it takes to get there is the host's
    tracking.wait(*orders)
    crowd.check_each_once(tracking)
    crowd.check_nothing_left(server)
    for order in cut_off:
        assert tracking.stages(order).count("Import Started") >= 2, "it was not cut off"
        assert (taken_over(tracking, order) - there_since).total_seconds() < LEASE_SECONDS + 30  # 15 promised, on a quiet host
    if kill is Kill.WORKER:  # its service need not wait for the end of the lease
        ends = "SELECT outcome FROM adi_attempt WHERE uuid = ANY(%s) AND attempt = 1"
        assert tracking.sql(ends, cut_off) == [("worker died",)]
    assert tracking.sql("SELECT uuid FROM adi_order WHERE failures > 0") == []
    assert services.stop(service) == os.EX_OK
    wait_until(lambda: open_sessions(server) <= before, what="the end of all sessions of users and services")
    assert list(temporary.iterdir()) == []


def started_at(tracking: Tracking, service: int) -> datetime:
    """When a service began to work, as it tells; waits for that."""
    shown = "SELECT started_at FROM adi_service WHERE pid = %s"
    [[at]] = wait_until(lambda: tracking.sql(shown, service), what="the service's start")
    assert isinstance(at, datetime)
    return at


def taken_over(tracking: Tracking, order: str) -> datetime:
    [*_, [at]] = tracking.sql("SELECT timestamp FROM imports WHERE uuid = %s AND stage = 'Import Started' ORDER BY id", order)
    assert isinstance(at, datetime)
    return at


AT_ONCE, LATE = "as soon as the worker is frozen", "when another worker has done the order"
FROZEN_AT = [
    ("import.registered", "", AT_ONCE),  # the fileset is there, and nobody has said that its files are
    ("import.step.1.before", "", AT_ONCE),  # the server ends the import alone: it is adopted
    ("import.step.1.before", "", LATE),  # half an import: the other deletes it and imports anew
    ("call.before", "ManagedRepository.importFileset", LATE),  # the fileset is made when all is done
]


def test_a_worker_that_was_frozen_for_longer_than_its_lease_doubles_and_spoils_nothing(
    crowd: Crowd, server: ServerHere, tracking: Tracking, services: Services, samples: Samples
) -> None:
    service = services.start(max_workers=len(FROZEN_AT) + 1, takeover_patience_seconds=3)
    holds, frozen = [], []
    for lab, (moment, operation, release) in zip(crowd.labs, FROZEN_AT, strict=True):
        hold = Hold(server, moment, operation, user=lab.user)  # of the others some have been taken over by now
        [order] = crowd.order(tracking, samples, 1)
        hold.wait()
        [[owner]] = tracking.sql("SELECT lease_owner FROM adi_order WHERE uuid = %s", order)
        frozen.append(int(owner.rpartition(":")[2]))
        freeze(frozen[-1])
        if release == AT_ONCE:
            hold.let_go()
        holds.append(hold)
    assert len(set(frozen)) == len(FROZEN_AT)
    tracking.wait(*crowd.orders)
    for hold in holds:
        hold.let_go()
    before = tracking.sql("SELECT * FROM imports ORDER BY id"), tracking.sql("SELECT * FROM adi_file ORDER BY uuid, key")
    thaw(frozen)
    wait_until(lambda: services.log.read_text().count("event=order.lost") == len(frozen), what="their notice")
    assert before == (
        tracking.sql("SELECT * FROM imports ORDER BY id"),
        tracking.sql("SELECT * FROM adi_file ORDER BY uuid, key"),
    )
    crowd.check_each_once(tracking)
    crowd.check_nothing_left(server)
    assert {len(tracking.stages(order)) for order in crowd.orders} == {4}  # pending, started twice, completed
    assert set(frozen) <= set(children(service.pid)), "a worker ended over it"
