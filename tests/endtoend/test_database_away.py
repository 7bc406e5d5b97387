# SPDX-License-Identifier: GPL-2.0-or-later
"""PostgreSQL goes away in the middle of orders, in all the ways it can: no order is lost, none fails for it, no process ends."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_adi_plugin.sessions import Account
from omero_adi_plugin.tracking.migrate import upgrade
from tests.fixtures.cluster import Cluster
from tests.fixtures.crowd import Crowd, crowd_of
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.postgres import new_database
from tests.fixtures.relay import Relay, relayed
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, children
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

ORDERS, WORKERS = 18, 2
LEASE_SECONDS = 5
TERMINATED_SECONDS = int(os.environ.get("ADI_TEST_TERMINATE_SECONDS", "8"))
"""How long connections are terminated, every second; 60 by hand."""

AWAY = "surroundings.down"
OURS = "datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def database_url(cluster: Cluster) -> Iterator[str]:
    with new_database(cluster.url, "template1") as (_, url):
        upgrade(url)
        yield url


@pytest.fixture
def server(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    with running_here(tmp_path / "omero", template=server_template, step_seconds=0.05) as server:
        yield server


@pytest.fixture
def omero_account(server: ServerHere) -> Account:
    return server.account


@pytest.fixture
def crowd(omero_account: Account) -> Iterator[Crowd]:
    with crowd_of(omero_account) as crowd:
        yield crowd


def in_the_middle(tracking: Tracking) -> bool:
    states: dict[str, int] = dict(tracking.sql("SELECT state, count(*) FROM adi_order GROUP BY state"))
    return states.get("completed", 0) >= ORDERS // 6 and states.get("running", 0) > 0


def workers_of(service: subprocess.Popen[bytes]) -> list[int]:
    """Its workers, when all have been started; not what Python starts beside them."""

    def all_there() -> list[int] | None:
        found = [pid for pid in children(service.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return found if len(found) == WORKERS else None

    there: list[int] = wait_until(all_there, what="the workers")
    return there


def check_nobody_is_to_blame(crowd: Crowd, server: ServerHere, tracking: Tracking) -> None:
    crowd.check_each_once(tracking)
    crowd.check_nothing_left(server)
    assert tracking.sql("SELECT uuid FROM adi_order WHERE failures > 0") == []


@pytest.mark.parametrize("seconds", [2, LEASE_SECONDS + 3], ids=["for a moment", "for longer than a lease"])
def test_postgresql_stops_at_once_and_comes_back_in_the_middle_of_orders(
    cluster: Cluster, crowd: Crowd, server: ServerHere, tracking: Tracking, services: Services, samples: Samples, seconds: float
) -> None:
    orders = crowd.order(tracking, samples, ORDERS)
    service = services.start(poll_seconds=1, surroundings_seconds=1)
    wait_until(lambda: in_the_middle(tracking), what="orders that are done and some that run")
    workers = workers_of(service)
    cluster.stop()
    try:
        wait_until(lambda: services.log.read_text().count(AWAY) > 0, what="the service's notice")
        threading.Event().wait(seconds)  # so long it is away; nothing is decided by it
    finally:
        cluster.start()
    assert not tracking.ended(*orders), "it was stopped too late to prove anything"
    tracking.wait(*orders)
    check_nobody_is_to_blame(crowd, server, tracking)
    assert service.poll() is None
    assert workers_of(service) == workers, "a worker ended"
    assert services.log.read_text().count(AWAY) == 1, "the log repeats itself"


def test_every_connection_is_terminated_every_second(
    crowd: Crowd, server: ServerHere, tracking: Tracking, services: Services, samples: Samples
) -> None:
    service = services.start(poll_seconds=1, surroundings_seconds=1)
    workers = workers_of(service)
    rounds = threading.Event()
    terminated = 0
    for _ in range(TERMINATED_SECONDS):
        crowd.order(tracking, samples, 2)
        [[count]] = tracking.sql(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {OURS}")
        terminated += count
        rounds.wait(1)
    assert terminated > TERMINATED_SECONDS, "there was hardly anything to terminate"
    tracking.wait(*crowd.orders)
    check_nobody_is_to_blame(crowd, server, tracking)
    assert service.poll() is None
    assert workers_of(service) == workers, "a worker ended"


@pytest.fixture
def relay(database_url: str) -> Iterator[Relay]:
    with relayed(database_url) as relay:
        yield relay


def test_listeners_that_are_cut_off_without_a_word_miss_nothing(
    crowd: Crowd, server: ServerHere, tracking: Tracking, services: Services, samples: Samples, relay: Relay
) -> None:
    services.configure(ingest_tracking_db=relay.url)
    service = services.start(poll_seconds=2, reconcile_seconds=3600)
    tracking.wait(*crowd.order(tracking, samples, 1))
    bells = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'omero-adi bell' AND {OURS}"
    wait_until(lambda: len(tracking.sql(bells)) == 1 + WORKERS, what="the listening of the service and its workers")
    before = tracking.sql(bells)
    assert relay.swallow("omero-adi bell") == len(before)
    tracking.wait(*crowd.order(tracking, samples, 3))  # the poll finds them
    assert sorted(tracking.sql(bells)) == sorted(before), "it was noticed: then this proves nothing"
    relay.cut()  # as the kernel does when nobody has answered for `SILENCE_SECONDS`
    listening = f"{bells} AND query LIKE 'LISTEN %%'"
    wait_until(lambda: len(set(tracking.sql(listening)) - set(before)) == len(before), what="the listening anew")
    tracking.wait(*crowd.order(tracking, samples, 3))
    check_nobody_is_to_blame(crowd, server, tracking)
    assert service.poll() is None
