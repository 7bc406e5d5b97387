# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a service: its workers die and are replaced, it is asked to end once, twice, in vain, and it shows how it fares."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from omero_adi_plugin.sessions import Account
from omero_devserver.wire.moments import CALL_BEFORE, Passing
from tests.fixtures.laboratory import Lab
from tests.fixtures.omero import ServerHere
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking, alive, children
from tests.fixtures.waiting import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("without_java")

AGES = {"lease_seconds": 3600, "poll_seconds": 3600, "reconcile_seconds": 3600}
"""Nothing comes by itself in the time of a test: what happens, happens at once."""

ATTEMPTS = "SELECT outcome FROM adi_attempt WHERE uuid = %s ORDER BY attempt"
NOTES = "SELECT description FROM imports WHERE uuid = %s AND stage = 'Import Started' ORDER BY timestamp"


class Hold:
    """Holds up whoever asks OMERO for rows, as every order does before it imports anything; until it is let go."""

    def __init__(self, server: ServerHere) -> None:
        self._held: list[object] = []
        self.let_go = server.server.moments.at(CALL_BEFORE, self._pass)

    @property
    def count(self) -> int:
        return len(self._held)

    def _pass(self, passing: Passing) -> None:
        if passing.operation == "IQuery.projection":
            self._held.append(passing.session)
            passing.wait()


@pytest.fixture
def omero_account(server_here: ServerHere) -> Account:
    return server_here.account


@pytest.fixture
def hold(lab: Lab, server_here: ServerHere) -> Iterator[Hold]:
    hold = Hold(server_here)
    yield hold
    hold.let_go()


def holder(tracking: Tracking, order: str) -> int:
    """The worker that carries an order out."""
    [[owner]] = tracking.sql("SELECT lease_owner FROM adi_order WHERE uuid = %s", order)
    return int(owner.rpartition(":")[2])


def lines(services: Services, event: str) -> list[str]:
    log = services.log.read_text() if services.log.exists() else ""
    return [line for line in log.splitlines() if f"event={event} " in f"{line} "]


def workers(service: Any) -> list[int]:
    """Its worker processes: multiprocessing has one of its own beside them."""
    return [pid for pid in children(service.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def to_another_thread(pid: int, number: int) -> None:
    """Send a signal to one of the threads of a process that is not its main thread."""
    other = max(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
    assert other != pid, "it has no other thread, so this proves nothing"
    SYS_TGKILL = {"x86_64": 234, "aarch64": 131}[os.uname().machine]  # noqa: N806 (its name in C)
    assert ctypes.CDLL(None, use_errno=True).syscall(SYS_TGKILL, pid, other, number) == 0, os.strerror(ctypes.get_errno())


# --- deaths of workers


def test_the_order_of_a_worker_that_is_killed_goes_on_at_once_and_not_when_its_lease_is_over(
    lab: Lab, hold: Hold, tracking: Tracking, services: Services, samples: Samples
) -> None:
    services.start(max_workers=1, **AGES)
    order = tracking.order(lab, file := samples.image())
    wait_until(lambda: hold.count, what="an order in the middle")
    killed = holder(tracking, order)
    hold.let_go()
    os.kill(killed, signal.SIGKILL)
    tracking.wait(order)
    assert tracking.sql(ATTEMPTS, order) == [("worker died",), ("completed",)]
    assert "killed by SIGKILL, perhaps for want of memory" in tracking.sql(NOTES, order)[1][0]
    [said] = lines(services, "worker.died")
    assert f"worker={killed} " in said
    assert lab.markers() == Counter({(order, file): 1})
    assert tracking.sql("SELECT failures, deaths FROM adi_order") == [(0, 0)]


def test_an_order_over_which_three_workers_die_fails_with_that_reason_and_the_next_one_is_done(
    lab: Lab, hold: Hold, tracking: Tracking, services: Services, samples: Samples
) -> None:
    services.start(max_workers=1, **AGES)
    order = tracking.order(lab, samples.image("first.ome.tif"))
    for death in (1, 2, 3):
        wait_until(lambda: hold.count == death, what="an order in the middle")  # noqa: B023 (called at once)
        os.kill(holder(tracking, order), signal.SIGKILL)
        wait_until(lambda: len(tracking.sql(ATTEMPTS, order)) > death or tracking.sql(ATTEMPTS, order)[-1][0], what="its note")  # noqa: B023
        tracking.sql("UPDATE adi_order SET run_after = now() WHERE state = 'waiting'")  # the pauses between are long
        tracking.sql("SELECT pg_notify('adi_order', '')")
    tracking.wait(order)
    assert tracking.sql(ATTEMPTS, order) == [("worker died",)] * 3
    assert tracking.stages(order)[-1] == "Import Failed"
    assert "has cost 3 worker processes their lives" in tracking.description(order)
    assert "killed by SIGKILL" in tracking.description(order)
    hold.let_go()
    tracking.wait(other := tracking.order(lab, samples.image("second.ome.tif")))
    assert tracking.stages(other)[-1] == "Import Completed"


BROKEN = """
import os, sys, time
if "--multiprocessing-fork" in sys.orig_argv and os.path.exists({flag!r}):
    with open({tries!r}, "a") as tries:
        print(time.monotonic(), file=tries)
    os._exit(13)
"""


def test_a_broken_installation_is_said_once_and_tried_less_and_less_often_until_it_is_repaired(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, tries, site = tmp_path / "broken", tmp_path / "tries", tmp_path / "site"
    flag.touch()
    site.mkdir()
    (site / "sitecustomize.py").write_text(BROKEN.format(flag=str(flag), tries=str(tries)))
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{site}:{path}" if path else str(site))
    services.start(max_workers=3, poll_seconds=1)
    wait_until(lambda: tries.exists() and len(tries.read_text().split()) > 4, what="two more tries after that of all workers")
    times = sorted(map(float, tries.read_text().split()))
    shown = "SELECT 1 FROM adi_service WHERE trouble LIKE '%%ended with status 13%%'"
    wait_until(lambda: tracking.sql(shown), what="what keeps it, for whoever asks")
    flag.unlink()
    assert times[3] - times[0] > 1
    assert times[4] - times[3] > 2, "one is enough to try it, after a longer pause"
    assert len(times) == 5
    tracking.wait(tracking.order(lab, samples.image()))
    [said] = lines(services, "worker.died")
    assert "ended with status 13" in said
    wait_until(lambda: tracking.sql("SELECT 1 FROM adi_service WHERE trouble IS NULL"), what="that nothing keeps it")


# --- its end


def test_a_signal_is_noticed_at_once_whichever_thread_it_hits(tracking: Tracking, services: Services, lab: Lab) -> None:
    service = services.start(max_workers=1, **AGES)
    shown = "SELECT workers FROM adi_service"
    wait_until(lambda: tracking.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN \"adi_order%%'"), what="rest")
    [worker] = workers(service)
    to_another_thread(worker, signal.SIGTERM)
    wait_until(lambda: not alive(worker), what="the end of the worker")
    wait_until(lambda: lines(services, "worker.ended"), what="its service's notice")
    wait_until(lambda: [each["pid"] for each in tracking.sql(shown)[0][0]] == workers(service) != [worker], what="the next one")
    to_another_thread(service.pid, signal.SIGTERM)
    assert service.wait(WAIT_SECONDS) == os.EX_OK
    assert tracking.sql(shown) == []
    assert lines(services, "worker.died") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_a_second_time_a_service_ends_at_once_and_its_orders_are_given_back(
    lab: Lab, hold: Hold, tracking: Tracking, services: Services, samples: Samples, number: signal.Signals
) -> None:
    service = services.start(max_workers=1, shutdown_timeout=3600, **AGES)
    order = tracking.order(lab, file := samples.image())
    wait_until(lambda: hold.count, what="an order in the middle")
    processes = workers(service)
    service.send_signal(number)
    wait_until(lambda: lines(services, "service.ending"), what="the first request's notice")
    assert [alive(pid) for pid in processes] == [True]
    service.send_signal(number)
    service.send_signal(number)
    assert service.wait(WAIT_SECONDS) == os.EX_OK
    assert not any(alive(pid) for pid in processes)
    columns = "state, failures, deaths, lease_owner"
    assert tracking.sql(f"SELECT {columns} FROM adi_order WHERE uuid = %s", order) == [("waiting", 0, 0, None)]
    assert tracking.sql("SELECT pid FROM adi_service") == []
    hold.let_go()
    services.start(max_workers=1)
    tracking.wait(order)
    assert tracking.sql(ATTEMPTS, order) == [("worker died",), ("completed",)]
    assert lab.markers() == Counter({(order, file): 1})


def test_a_postgresql_that_hangs_does_not_keep_a_service_from_ending_at_once(
    lab: Lab, hold: Hold, tracking: Tracking, services: Services, samples: Samples
) -> None:
    service = services.start(max_workers=1, poll_seconds=1)
    order = tracking.order(lab, samples.image())
    wait_until(lambda: hold.count, what="an order in the middle")
    processes = workers(service)
    with contextlib.closing(psycopg2.connect(tracking.url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE adi_inbox, adi_order, adi_service IN ACCESS EXCLUSIVE MODE")
        hangs = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'adi service' AND wait_event_type = 'Lock'"
        wait_until(lambda: tracking.sql(hangs), what="the service's hanging")
        service.send_signal(signal.SIGTERM)
        wait_until(lambda: lines(services, "service.ending"), what="the first request's notice")
        service.send_signal(signal.SIGTERM)
        assert service.wait(WAIT_SECONDS) == os.EX_OK
    assert not any(alive(pid) for pid in processes)
    assert lines(services, "service.farewell_unheard")
    hold.let_go()
    services.start(max_workers=1)
    tracking.wait(order)
    assert tracking.sql(ATTEMPTS, order) == [("lease lapsed",), ("completed",)]


# --- what it shows


class Manager:
    """What systemd is to a service: a socket that it sends datagrams to."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._told: list[str] = []
        self._new = threading.Condition()
        threading.Thread(target=self._hear, daemon=True).start()

    def heard(self, message: str, *, from_now: bool = False) -> int:
        """How many lines of this kind came."""
        with self._new:
            if from_now:
                self._told.clear()
            return sum(line.startswith(message) for line in self._told)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _hear(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                with self._new:
                    self._told += data.decode().splitlines()


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Manager]:
    """Who starts a service and counts it as hung when it was silent for 0.6 s."""
    manager = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    yield manager
    manager.close()


def test_systemd_is_told_that_it_is_ready_what_it_waits_for_and_that_it_ends(manager: Manager, services: Services) -> None:
    services.configure(ingest_tracking_db="postgresql://nobody@127.0.0.1:1/none")
    service = services.start(max_workers=1, poll_seconds=1)
    wait_until(lambda: manager.heard("READY=1"), what="its being ready while the database is away")
    wait_until(lambda: manager.heard("STATUS=The tracking database at 127.0.0.1:1/none cannot be reached"), what="its status")
    wait_until(lambda: manager.heard("WATCHDOG=1") > 2, what="signs of life")
    assert services.stop(service) == os.EX_OK
    wait_until(lambda: manager.heard("STOPPING=1"), what="its good-bye")
    assert manager.heard("STATUS=The tracking database") == 1, "it repeats itself"
    assert len(lines(services, "surroundings.down")) == 1


def test_a_service_whose_loop_hangs_gives_no_sign_of_life(manager: Manager, tracking: Tracking, services: Services) -> None:
    services.start(max_workers=1, poll_seconds=1)
    wait_until(lambda: manager.heard("STATUS=1 workers"), what="its work")
    with contextlib.closing(psycopg2.connect(tracking.url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE adi_inbox IN ACCESS EXCLUSIVE MODE")
        hangs = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'adi service' AND wait_event_type = 'Lock'"
        wait_until(lambda: tracking.sql(hangs), what="the loop's hanging")
        manager.heard("", from_now=True)
        threading.Event().wait(1.0)  # five times as long as it takes to the next one; shorter, the test would only prove less
        assert manager.heard("WATCHDOG=1") == 0
    wait_until(lambda: manager.heard("WATCHDOG=1"), what="a sign of life")


def test_a_service_shows_itself_and_its_workers_while_it_runs(
    lab: Lab, server_here: ServerHere, tracking: Tracking, services: Services
) -> None:
    service = services.start(max_workers=2, surroundings_seconds=1, **AGES)
    shown = "SELECT host, pid, ending, workers, trouble FROM adi_service"

    def workers_shown() -> bool:
        found = tracking.sql(shown)
        return bool(found) and sorted(each["pid"] for each in found[0][3]) == sorted(workers(service))

    wait_until(workers_shown, what="its workers")
    assert tracking.sql(shown)[0][:3] == (socket.gethostname(), service.pid, False)
    wait_until(lambda: tracking.sql(shown)[0][4] is None and len(workers(service)) == 2, what="work without trouble")
    assert services.stop(service) == os.EX_OK
    assert tracking.sql(shown) == []


# --- its exit status with --once

CLOSED = 1
"""A port where nobody listens."""


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"omero_port": CLOSED}, os.EX_UNAVAILABLE, "cannot be reached"),
        ({"omero_password": "wrong"}, os.EX_CONFIG, "does not let 'root' in"),
        ({"ingest_tracking_db": f"postgresql://u@127.0.0.1:{CLOSED}/d"}, os.EX_UNAVAILABLE, "cannot be reached"),
    ],
)
def test_once_it_does_not_wait_for_what_is_away_and_says_what_it_is(
    lab: Lab,
    tracking: Tracking,
    services: Services,
    samples: Samples,
    settings: dict[str, object],
    status: int,
    words: str,
) -> None:
    order = tracking.order(lab, samples.image())
    services.configure(**settings)
    ended = services.run(*ONCE)
    assert ended.returncode == status
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert tracking.stages(order) == ["Import Pending"], "a row for people to read was written although nothing could be done"


def test_once_it_ends_with_try_again_later_when_imports_are_paused_and_well_after_an_order_failed(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    samples.image()  # a folder without any file counts as one that is not mounted
    order = tracking.order(lab, f"{samples.folder}/none.tif")
    services.run("pause")
    paused = services.run(*ONCE)
    assert (paused.returncode, "All imports are paused" in paused.stderr) == (os.EX_TEMPFAIL, True)
    services.run("resume")
    assert services.run(*ONCE).returncode == os.EX_OK
    assert tracking.stages(order)[-1] == "Import Failed"
