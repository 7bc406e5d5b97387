# SPDX-License-Identifier: GPL-2.0-or-later
"""What stays behind of a session, a login or a start that failed: nothing, and it keeps nobody else from going."""

from __future__ import annotations

import resource
import shutil
import threading
from pathlib import Path

import omero
import omero.grid
import pytest

from omero_devserver.entry.router import FAILURES_KEPT, SECONDS_AFTER_SECOND_FAILURE, Router
from omero_devserver.wire import handles
from omero_devserver.wire.servant import make
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.waiting import wait_until


def test_a_service_that_cannot_be_released_keeps_no_other_from_it(server_here: ServerHere) -> None:
    class Service:
        released = False

        def release(self) -> None:
            self.released = True
            raise OSError("on purpose")

    with server_here.client():
        [session] = server_here.server.sessions.all()
        services = [Service(), Service()]
        for number, service in enumerate(services):
            session.services[str(number)] = make(service, omero.grid.Process, server=server_here.server, session=session)
    wait_until(session.ended.is_set, seconds=20, what="end of the session")
    wait_until(lambda: session.services == {}, seconds=20, what="end of the services")
    assert [service.released for service in services] == [True, True]


def test_a_server_that_cannot_start_leaves_nothing_running(server_template: Path, tmp_path: Path) -> None:
    shutil.copytree(server_template, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "lib")
    (tmp_path / "data" / "lib").touch()
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="lib"), running_here(tmp_path / "data"):
        pass
    assert set(threading.enumerate()) <= before


def test_without_a_handle_to_count_them_with_they_are_scarce() -> None:
    assert not handles.scarce()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert handles.scarce()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_only_the_last_names_that_failed_to_log_in_are_kept(server_here: ServerHere) -> None:
    router = Router(server_here.server)
    assert [router.delay("first"), router.delay("first")] == [0, SECONDS_AFTER_SECOND_FAILURE]
    for number in range(FAILURES_KEPT):
        router.delay(f"name {number}")
    assert router.delay(f"name {FAILURES_KEPT - 1}") == SECONDS_AFTER_SECOND_FAILURE
    assert router.delay("first") == 0


@pytest.mark.parametrize("group", ["9" * 30, "-" + "9" * 30, "1e3", "\u00b2"])
def test_a_group_that_is_no_number_of_64_bits_is_none(server_here: ServerHere, group: str) -> None:
    with server_here.client() as client:
        assert client.sf.getQueryService().findAll("Dataset", None, {"omero.group": group}) == []
    with pytest.raises(omero.WrappedCreateSessionException, match="No such group"), server_here.client(group=group):
        pass
