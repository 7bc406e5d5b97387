# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that outlast their OMERO sessions: each goes on in a new one, as the same attempt, and nothing comes in twice.

All on development servers of the test's own: a real one is not to lose its sessions for us.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import omero.all
import pytest

from omero_adi_plugin.errors import OrderFailed
from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.sessions import Account, Logins
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.submit import submit_claimed
from omero_devserver.wire.moments import Passing
from tests.fixtures.attempts import attempts_of
from tests.fixtures.laboratory import Lab, furnished
from tests.fixtures.omero import ServerHere, running_here, started
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("without_java")

DONE = ["Import Pending", "Import Started", "Import Completed"]
SHORT_SECONDS = 4.0


@pytest.fixture
def server(request: pytest.FixtureRequest, server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """A server of the test's own; a parameter is options for it."""
    options: dict[str, Any] = {"step_seconds": 0} | getattr(request, "param", {})
    with running_here(tmp_path / "omero", template=server_template, **options) as server:
        yield server


@pytest.fixture
def omero_account(server: ServerHere) -> Account:
    return server.account


@contextmanager
def logged_in_anew(lab: Lab) -> Iterator[Lab]:
    """The lab with a session of now: the one it was made in may have ended."""
    with Logins(lab.account) as logins, logins.act_for(lab.user, lab.group) as session:
        yield replace(lab, session=session)


def check_imported_once(lab: Lab, tracking: Tracking, order: str, files: list[str]) -> None:
    assert tracking.stages(order) == DONE
    assert tracking.sql("SELECT attempt, failures FROM adi_order WHERE uuid = %s", order) == [(1, 0)]
    with logged_in_anew(lab) as now:
        assert now.markers() == Counter(dict.fromkeys([(order, file) for file in files], 1))
        assert len(now.images()) == len(files)
        assert [len(now.key_values(image)) for image in now.images()] == [1] * len(files)


def sessions_of(server: ServerHere, user: str) -> list[Any]:
    """The open sessions of a user, newest first."""
    number = server.server.store.people.user_id(user)
    return sorted((one for one in server.server.sessions.all() if one.user == number), key=lambda one: -one.started)


def ever_made_for(server: ServerHere, user: str) -> int:
    number = server.server.store.people.user_id(user)
    return int(server.server.store.rows("SELECT count(*) FROM t_Session WHERE r_owner = ?", number)[0][0])


def lost(services: Services) -> int:
    return services.log.read_text().count("event=session.lost")


@contextmanager
def second_import_held(server: ServerHere, moment: str) -> Iterator[threading.Event]:
    """Hold up, for a block, the second import that comes to a moment; the event is set then."""
    reached, passed = threading.Event(), itertools.count(1)

    def hold(passing: Passing) -> None:
        if next(passed) == 2:
            reached.set()
            passing.wait()

    remove = server.server.moments.at(moment, hold)
    try:
        yield reached
    finally:
        remove()


SHORT_LIVES = {"session_idle_seconds": SHORT_SECONDS, "session_live_seconds": SHORT_SECONDS, "step_seconds": 0.1}


@pytest.mark.parametrize("server", [SHORT_LIVES], indirect=True)
def test_an_order_that_runs_longer_than_every_session_may_live_finishes(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    before = ever_made_for(server, lab.user)
    service = services.start(max_workers=1, parallel_filesets_per_worker=1)
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(10)]
    order = tracking.order(lab, *files)
    tracking.wait(order)
    check_imported_once(lab, tracking, order, files)
    [[seconds]] = tracking.sql("SELECT extract(epoch FROM max(timestamp) - min(timestamp)) FROM imports WHERE uuid = %s", order)
    assert seconds > SHORT_SECONDS, "a session could have lived so long"
    made = ever_made_for(server, lab.user) - before - 1  # one to look at the result
    assert made == 1 + lost(services) >= 2
    services.stop(service)
    assert all(session.agent != "omero-adi-plugin" for session in sessions_of(server, "root") if session.alive())


@pytest.mark.parametrize("server", [{"session_idle_seconds": SHORT_SECONDS, "step_seconds": 0}], indirect=True)
def test_a_worker_without_orders_keeps_its_log_in(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    others = set(sessions_of(server, "root"))
    services.start(max_workers=1)
    tracking.wait(tracking.order(lab, samples.image("first.ome.tif")))
    (its,) = set(sessions_of(server, "root")) - others
    since = time.time()
    wait_until(lambda: time.time() > since + SHORT_SECONDS + 1, what="a silence that the server does not allow")
    assert set(sessions_of(server, "root")) - others == {its}
    tracking.wait(tracking.order(lab, samples.image("second.ome.tif")))
    assert set(sessions_of(server, "root")) - others == {its}
    assert len(sessions_of(server, lab.user)) == 1, "a session of an order was left"


@pytest.mark.parametrize("moment", ["import.step.0.before", "import.step.1.before", "import.step.4.after"])
def test_a_session_that_an_administrator_kills_is_replaced(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples, moment: str
) -> None:
    mine = set(sessions_of(server, lab.user))
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(3)]
    with second_import_held(server, moment) as reached:
        services.start(max_workers=1, parallel_filesets_per_worker=1)
        order = tracking.order(lab, *files)
        assert reached.wait(WAIT_SECONDS), f"{moment} was not reached"
        (its,) = set(sessions_of(server, lab.user)) - mine
        with server.client() as root:
            session = omero.model.SessionI()
            session.uuid = omero.rtypes.rstring(its.uuid)
            while root.sf.getSessionService().closeSession(session) >= 0:  # as `omero sessions` and OMERO.web do it
                pass
    tracking.wait(order)
    check_imported_once(lab, tracking, order, files)
    assert lost(services) == 1
    wait_until(lambda: set(sessions_of(server, lab.user)) == mine, what="the end of the order's sessions")


def test_dropped_connections_are_no_failure(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(3)]
    with second_import_held(server, "import.step.1.before") as reached:
        services.start(max_workers=1)
        order = tracking.order(lab, *files)
        assert reached.wait(WAIT_SECONDS), "there was no second import"
        server.disturb.drop_connections()
    tracking.wait(order)
    check_imported_once(lab, tracking, order, files)


def test_a_server_that_dies_in_the_middle_of_an_order_and_comes_back_costs_no_attempt_that_counts(
    tmp_path: Path, tracking: Tracking, services: Services, samples: Samples
) -> None:
    data = tmp_path / "process"
    with (
        started(data, "--step-seconds", "0.5") as first,
        Logins(first.account) as logins,
        furnished(logins, first.account) as lab,
    ):
        services.configure(omero_port=first.ssl_port)
        services.start(max_workers=1, surroundings_seconds=1)
        files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(2)]
        order = tracking.order(lab, *files)
        wait_until(lambda: tracking.sql("SELECT 1 FROM adi_file WHERE step = 'verifying'"), what="an import in the server")
        first.stop(signal.SIGKILL)
        wait_until(lambda: "event=surroundings.down" in services.log.read_text(), what="the notice")
    with started(data, "--ssl-port", str(first.ssl_port)):
        tracking.wait(order)
        assert tracking.sql("SELECT failures FROM adi_order WHERE uuid = %s", order) == [(0,)]
        assert tracking.stages(order)[-1] == "Import Completed"
        with logged_in_anew(lab) as now:
            assert now.markers() == Counter(dict.fromkeys([(order, file) for file in files], 1))
            assert len(now.images()) == len(files)


def test_two_hundred_orders_in_one_process_leave_no_session_no_thread_and_no_socket(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    def ours() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (only to be counted)

    mine = set(sessions_of(server, lab.user))
    with attempts_of(Settings.load(services.config)) as attempts:
        for number in range(200):
            file = samples.image(f"{number}.ome.tif", seed=number) if number % 20 == 0 else str(samples.folder / "missing.tif")
            target = Target(kind=TargetKind.DATASET, id=lab.dataset)
            claim = submit_claimed(
                attempts.database, attempts.queue, user=lab.user, group=lab.group, target=target, files=[file], owner="me:1"
            )
            assert isinstance(attempts.carry_out(claim), type(None) if number % 20 == 0 else OrderFailed)
            assert set(sessions_of(server, lab.user)) == mine
            if number == 40:  # by then the server in this process has started all threads that it wants
                before = ours()
        wait_until(lambda: all(now <= then + 5 for now, then in zip(ours(), before, strict=True)), what="no more than before")
        assert len(lab.images()) == 10
    assert sum(thread.name.startswith("keep-alive") for thread in threading.enumerate()) == 2  # those of the lab's two
