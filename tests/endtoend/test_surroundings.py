# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO, PostgreSQL or the files are away for a while: nothing fails for it, it is said once, and all goes on by itself."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omero_adi_plugin.sessions import Account
from omero_adi_plugin.tracking.migrate import upgrade
from tests.fixtures.cluster import Cluster
from tests.fixtures.crowd import Crowd, crowd_of
from tests.fixtures.holds import Hold
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.postgres import new_database
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

WORKERS = 2
ORDERS = 20
QUICKLY = {"poll_seconds": 1, "surroundings_seconds": 1}


@contextmanager
def knocked_at(port: int) -> Iterator[Callable[[], int]]:
    """Be a server that lets nobody in, as one that is just starting; give how often somebody came."""
    knocks: list[object] = []

    def answer() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            knocks.append(client.getpeername())
            client.close()

    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield lambda: len(knocks)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def said(services: Services, words: str) -> int:
    """How many lines of the log tell that something of this kind is away."""
    lines = services.log.read_text().splitlines() if services.log.exists() else []
    return sum("event=surroundings.down" in line and words in line for line in lines)


def cpu_seconds(pid: int) -> float:
    """How long the processors have worked for a process (proc(5): `utime` and `stime`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_the_middle(tracking: Tracking) -> bool:
    states: dict[str, int] = dict(tracking.sql("SELECT state, count(*) FROM adi_order GROUP BY state"))
    return states.get("completed", 0) >= ORDERS // 5 and states.get("running", 0) > 0


def check_nobody_is_to_blame(crowd: Crowd, server: ServerHere, tracking: Tracking) -> None:
    crowd.check_each_once(tracking)
    crowd.check_nothing_left(server)
    assert tracking.sql("SELECT uuid FROM adi_order WHERE failures > 0") == []


@pytest.fixture
def omero_account() -> Account:
    """Where no server is: each test starts and stops its own."""
    return Account(host="127.0.0.1", port=1, user="root", password="omero")


@pytest.fixture
def stoppable(cluster: Cluster, services: Services) -> Iterator[Tracking]:
    """A database in a PostgreSQL that may be stopped, for the services, too."""
    with new_database(cluster.url, "template1") as (_, url):
        upgrade(url)
        services.configure(ingest_tracking_db=url)
        yield Tracking(url)


def test_a_service_that_starts_while_postgresql_and_omero_are_down_begins_when_both_are_there(
    server_template: Path, tmp_path: Path, cluster: Cluster, stoppable: Tracking, services: Services, samples: Samples
) -> None:
    data = tmp_path / "omero"
    with running_here(data, template=server_template, step_seconds=0) as first, crowd_of(first.account) as crowd:
        crowd.order(stoppable, samples, 5)
    services.configure(omero_port=first.ssl_port)
    cluster.stop()
    try:
        service = services.start(**QUICKLY)
        wait_until(lambda: said(services, "tracking database"), what="the notice that PostgreSQL is down")
    finally:
        cluster.start()
    with knocked_at(first.ssl_port) as knocks:
        waiting = "SELECT uuid FROM adi_order WHERE state = 'waiting'"
        wait_until(lambda: len(stoppable.sql(waiting)) == len(crowd.orders), what="the orders in the queue")
        wait_until(lambda: knocks() >= 3 * WORKERS, what="several more tries of each worker")
        assert stoppable.sql("SELECT 1 FROM imports WHERE stage <> 'Import Pending'") == []
    with running_here(data, ssl_port=first.ssl_port, step_seconds=0) as second:
        stoppable.wait(*crowd.orders)
        check_nobody_is_to_blame(crowd, second, stoppable)
    assert {tuple(stoppable.stages(order)) for order in crowd.orders} == {
        ("Import Pending", "Import Started", "Import Completed")
    }
    assert (said(services, "tracking database"), said(services, "OMERO at")) == (1, 1), "the log repeats itself"
    assert services.stop(service) == os.EX_OK


def test_a_service_that_waits_for_postgresql_from_its_start_rests_meanwhile(services: Services) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with knocked_at(port) as knocks:
        services.configure(ingest_tracking_db=f"postgresql://user:word@127.0.0.1:{port}/tracking")
        service = services.start(**QUICKLY)
        wait_until(lambda: said(services, "tracking database"), what="the notice that PostgreSQL is down")
        began, used, before = time.monotonic(), cpu_seconds(service.pid), knocks()
        wait_until(lambda: knocks() >= before + 4, what="several more tries")
        assert cpu_seconds(service.pid) - used < 0.2 * (time.monotonic() - began), "it looks again and again for what to do"
        assert services.stop(service) == os.EX_OK


def test_omero_stops_in_the_middle_of_orders_is_read_only_for_a_while_and_comes_back(
    server_template: Path, tmp_path: Path, tracking: Tracking, services: Services, samples: Samples
) -> None:
    data = tmp_path / "omero"
    with running_here(data, template=server_template, step_seconds=0.05) as first, crowd_of(first.account) as crowd:
        services.configure(omero_port=first.ssl_port)
        crowd.order(tracking, samples, ORDERS)
        service = services.start(**QUICKLY)
        wait_until(lambda: in_the_middle(tracking), what="orders that are done and some that run")
    assert not tracking.ended(*crowd.orders), "it was stopped too late to prove anything"
    wait_until(lambda: said(services, "OMERO at"), what="the notice that OMERO is down")
    with running_here(data, ssl_port=first.ssl_port, read_only=True):
        wait_until(lambda: said(services, "read-only"), what="the notice that it is read-only")
        begun = tracking.sql("SELECT count(*) FROM imports WHERE stage = 'Import Started'")
    with knocked_at(first.ssl_port) as knocks:
        wait_until(lambda: knocks() >= 2 * WORKERS, what="several more tries of each worker")
        assert tracking.sql("SELECT count(*) FROM imports WHERE stage = 'Import Started'") == begun
    with running_here(data, ssl_port=first.ssl_port, step_seconds=0) as last:
        tracking.wait(*crowd.orders)
        check_nobody_is_to_blame(crowd, last, tracking)
        assert services.stop(service) == os.EX_OK
    assert (said(services, "cannot be reached"), said(services, "read-only")) == (1, 1), "the log repeats itself"


def test_what_is_mounted_at_base_dir_is_away_for_a_while(
    server_template: Path, tmp_path: Path, tracking: Tracking, services: Services, samples: Samples, data_folder: Path
) -> None:
    with (
        running_here(tmp_path / "omero", template=server_template, step_seconds=0.05) as server,
        crowd_of(server.account) as crowd,
    ):
        services.configure(omero_port=server.ssl_port)
        crowd.order(tracking, samples, ORDERS)
        service = services.start(**QUICKLY)
        wait_until(lambda: in_the_middle(tracking), what="orders that are done and some that run")
        holds = [Hold(server, "call.before", "ManagedRepository.importFileset"), Hold(server, "import.step.0.before")]
        for hold in holds:  # one fileset whose links are not made, and one that the server is about to read
            hold.wait()
        away = data_folder.rename(tmp_path / "away")
        for hold in holds:
            hold.let_go()
        assert not tracking.ended(*crowd.orders), "it went away too late to prove anything"
        wait_until(lambda: said(services, "base_dir"), what="the notice")
        data_folder.mkdir()  # the mount point without what is mounted there
        starts = "SELECT count(*) FROM imports WHERE stage = 'Import Started'"
        [[begun]] = tracking.sql(starts)
        wait_until(lambda: tracking.sql(starts)[0][0] > begun, what="another try")
        data_folder.rmdir()
        away.rename(data_folder)
        tracking.wait(*crowd.orders)
        check_nobody_is_to_blame(crowd, server, tracking)
        assert services.stop(service) == os.EX_OK
    assert said(services, "base_dir") == 1, "the log repeats itself"
