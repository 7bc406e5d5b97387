# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: limits of time, references, who holds on to one; as recorded on a real server."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import Ice
import omero
import pytest
from omero.rtypes import rstring

from tests.fixtures.acting import joined, sudo
from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, User
from tests.fixtures.waiting import wait_until


def test_a_session_dies_of_its_absolute_life_although_it_is_used(devserver: OmeroServer, user: User) -> None:
    client = joined(devserver, sudo(devserver, user, user.group, live=1500, idle=0))
    query = client.sf.getQueryService()

    def died() -> Any:
        try:
            query.projection("select 1 from Node n", None)
        except omero.SessionTimeoutException as error:
            return error
        return None

    assert died() is None
    text = wait_until(died, seconds=10).message
    assert "exceeded timeToLive (1500) by" in text
    with pytest.raises(omero.SessionTimeoutException):
        client.sf.keepAlive(None)
    client.closeSession()


def test_a_session_dies_of_silence_and_not_while_it_is_kept_alive(devserver: OmeroServer, user: User) -> None:
    made = sudo(devserver, user, user.group, idle=1500)
    client = joined(devserver, made)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        client.sf.keepAlive(None)
        time.sleep(0.2)
    time.sleep(1.8)  # the silence itself
    with pytest.raises(omero.SessionTimeoutException) as ended:
        client.sf.getQueryService().projection("select 1 from Node n", None)
    assert "exceeded timeToIdle (1500) by" in ended.value.message
    client.closeSession()
    with devserver.client() as root:
        assert root.sf.getSessionService().closeSession(made) == -1


def test_a_session_made_for_somebody_outlives_its_clients(devserver: OmeroServer, user: User) -> None:
    made = sudo(devserver, user, user.group)
    client = joined(devserver, made)
    with devserver.client() as root:
        service = root.sf.getSessionService()
        assert service.getReferenceCount(made.uuid.val) == 2
        client.closeSession()
        assert service.getReferenceCount(made.uuid.val) == 1
        assert service.closeSession(made) == -2
        assert service.closeSession(made) == -1
        with pytest.raises(omero.RemovedSessionException) as gone:
            service.getSession(made.uuid.val)
        assert gone.value.message == f"No context for {made.uuid.val}"


def test_a_killed_session_is_gone_for_all_its_clients(devserver: OmeroServer, client: Any) -> None:
    second = omero.client(devserver.host, devserver.ssl_port)
    second.joinSession(client.getSessionId())
    assert client.killSession() == 2
    with pytest.raises(Ice.ObjectNotExistException):
        second.sf.getQueryService()
    second.closeSession()


def test_a_detached_session_can_be_joined_again(devserver: OmeroServer, user: User) -> None:
    first = omero.client(devserver.host, devserver.ssl_port)
    first.createSession(user.name, PASSWORD).detachOnDestroy()
    key = first.getSessionId()
    first.closeSession()
    again = omero.client(devserver.host, devserver.ssl_port)
    assert again.joinSession(key).getAdminService().getEventContext().userName == user.name
    again.killSession()


def test_a_detached_session_outlives_the_request_that_its_client_left_running(devserver: OmeroServer, user: User) -> None:
    client = omero.client(devserver.host, devserver.ssl_port)
    client.createSession(user.name, PASSWORD).detachOnDestroy()
    key = client.getSessionId()
    with devserver.client() as root:
        service = root.sf.getSessionService()
        client.sf.submit(omero.cmd.Timing(50, 4))
        wait_until(lambda: service.getReferenceCount(key) == 2)
        client.closeSession()
        wait_until(lambda: service.getReferenceCount(key) == 0)
    again = omero.client(devserver.host, devserver.ssl_port)
    assert again.joinSession(key).getAdminService().getEventContext().userName == user.name
    again.killSession()


def test_the_session_of_a_killed_client_is_gone_within_seconds(devserver: OmeroServer, user: User) -> None:
    program = (
        "import sys, time, omero.clients; c = omero.client(sys.argv[1], int(sys.argv[2])); c.createSession(*sys.argv[3:5]);"
        "print(c.getSessionId(), flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, devserver.host, str(devserver.ssl_port), user.name, PASSWORD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, devserver.client() as root:
        assert process.stdout is not None
        key = process.stdout.readline().strip()
        service = root.sf.getSessionService()
        assert service.getReferenceCount(key) == 1
        process.kill()

        def gone() -> bool:
            try:
                service.getReferenceCount(key)
            except omero.RemovedSessionException:
                return True
            return False

        wait_until(gone, seconds=10)


def test_values_travel_with_a_session(client: Any) -> None:
    service, key = client.sf.getSessionService(), client.getSessionId()
    service.setInput(key, "a", rstring("b"))
    assert service.getInput(key, "a").val == "b"
    assert service.getInputKeys(key) == ["a"]
    assert service.getOutput(key, "a") is None


def test_a_user_makes_more_sessions_of_his_own(devserver: OmeroServer, client: Any, user: User) -> None:
    service = client.sf.getSessionService()
    made = service.createUserSession(1234, 5678, user.group)
    said = (made.timeToLive.val, made.timeToIdle.val, made.userAgent.val, made.message.val, made.defaultEventType.val)
    assert said == (1234, 5678, "createSession", "Initial message.", "User")
    by_password = service.createSession(omero.sys.Principal(user.name, user.group, "User", None), PASSWORD)
    assert by_password.owner.id.val == user.id
    joining = service.createSession(omero.sys.Principal(user.name, user.group, "User", None), by_password.uuid.val)
    assert (joining.uuid.val, service.getReferenceCount(by_password.uuid.val)) == (by_password.uuid.val, 2)
    with pytest.raises(omero.AuthenticationException):
        service.createSession(omero.sys.Principal(user.name, user.group, "User", None), "wrong")
    mine = [one.uuid.val for one in service.getMyOpenSessions()]
    assert mine[-1] == client.getSessionId()  # newest first
    assert set(mine) >= {client.getSessionId(), by_password.uuid.val}
    assert service.closeSession(by_password) == 1
    assert service.closeSession(by_password) == -2
    assert by_password.uuid.val not in [one.uuid.val for one in service.getMyOpenSessions()]


def test_sessions_are_found_by_the_name_of_their_client(devserver: OmeroServer, user: User) -> None:
    client = omero.client(devserver.host, devserver.ssl_port)
    client.setAgent("OMERO.web")
    service = client.createSession(user.name, PASSWORD).getSessionService()
    key = client.getSessionId()
    assert [one.uuid.val for one in service.getMyOpenAgentSessions("OMERO.web")] == [key]
    assert service.getMyOpenAgentSessions("OMERO.insight") == []
    assert [one.uuid.val for one in service.getMyOpenClientSessions()] == [key]
    client.closeSession()


def test_many_clients_join_and_leave_one_session_at_once(devserver: OmeroServer, client: Any) -> None:
    key = client.getSessionId()

    def visit(_: int) -> str:
        visitor = omero.client(devserver.host, devserver.ssl_port)
        try:
            return str(visitor.joinSession(key).getAdminService().getEventContext().sessionUuid)
        finally:
            visitor.closeSession()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(visit, range(24))) == {key}
    assert client.sf.getSessionService().getReferenceCount(key) == 1


def test_a_closed_session_leaves_nothing_of_its_services(devserver: OmeroServer, user: User) -> None:
    with devserver.client() as root:
        first = omero.client(devserver.host, devserver.ssl_port)
        sf = first.createSession(user.name, PASSWORD)
        query, store, key = sf.getQueryService(), sf.createRawFileStore(), first.getSessionId()
        assert root.sf.getSessionService().closeSession(sf.getSessionService().getSession(key)) == -2
        for call in (lambda: query.get("ExperimenterGroup", 0), store.size, lambda: sf.keepAlive(None), sf.getQueryService):
            with pytest.raises(Ice.ObjectNotExistException):
                call()
        first.closeSession()
