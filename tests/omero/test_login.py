# SPDX-License-Identifier: GPL-2.0-or-later
"""Logging in: names, passwords, groups, texts as recorded on a real server."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import Glacier2
import Ice
import omero
import pytest
from omero.gateway import BlitzGateway
from omero.model import ExperimenterGroupI
from omero.rtypes import rstring

from tests.fixtures.administrators import new_person
from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, User


def test_a_gateway_logs_in_over_ssl_and_stays_there_or_leaves_it(devserver: OmeroServer, user: User) -> None:
    for secure in (True, False):
        gateway = BlitzGateway(user.name, PASSWORD, host=devserver.host, port=devserver.ssl_port, secure=secure)
        assert gateway.connect()
        assert gateway.getUser().getName() == user.name
        assert gateway.getGroupFromContext().getName() == user.group
        gateway.close()


def test_a_wrong_password_and_an_unknown_user_are_refused_in_the_recorded_words(devserver: OmeroServer, user: User) -> None:
    client = omero.client(devserver.host, devserver.ssl_port)
    with pytest.raises(Glacier2.PermissionDeniedException) as refused:
        client.createSession(user.name, "wrong")
    assert refused.value.reason == f"Password check failed for '{user.name}': [id={user.id}]"
    nobody = f"nobody-{uuid.uuid4()}"
    with pytest.raises(Glacier2.PermissionDeniedException) as refused:
        client.createSession(nobody, "wrong")
    assert refused.value.reason == f"Password check failed for '{nobody}': []"
    client.closeSession()


def test_the_second_wrong_password_takes_three_seconds_and_the_right_one_none(devserver: OmeroServer, user: User) -> None:
    client = omero.client(devserver.host, devserver.ssl_port)
    took = []
    for password in ("wrong", "wrong", PASSWORD):
        begin = time.monotonic()
        try:
            client.createSession(user.name, password)
        except Glacier2.PermissionDeniedException:
            assert password == "wrong"
        took.append(time.monotonic() - begin)
    client.closeSession()
    assert took[1] >= 3
    assert max(took[0], took[2]) < took[1]


def test_a_group_that_is_not_mine_is_refused_at_the_first_call(devserver: OmeroServer, user: User) -> None:
    with devserver.client(user.name, PASSWORD, group=user.other_group) as client:
        with pytest.raises(omero.SecurityViolation) as refused:
            client.sf.getAdminService().getEventContext({})
        text = f"User {user.id} is not a member of group {user.other_group_id} and cannot login"
        assert refused.value.message == text
        assert client.sf.keepAlive(None) is False


def test_a_group_that_does_not_exist_is_refused_at_login(devserver: OmeroServer, user: User) -> None:
    with pytest.raises(omero.WrappedCreateSessionException) as refused, devserver.client(user.name, PASSWORD, group="none"):
        pass
    assert refused.value.reason == "No such group: none"


def test_a_second_client_joins_a_session_and_each_counts(devserver: OmeroServer, client: Any, user: User) -> None:
    key = client.getSessionId()
    second = omero.client(devserver.host, devserver.ssl_port)
    assert second.joinSession(key).getAdminService().getEventContext().userName == user.name
    service = client.sf.getSessionService()
    assert service.getReferenceCount(key) == 2
    second.closeSession()
    assert service.getReferenceCount(key) == 1


def test_an_unknown_session_cannot_be_joined(devserver: OmeroServer) -> None:
    client, key = omero.client(devserver.host, devserver.ssl_port), str(uuid.uuid4())
    with pytest.raises(Glacier2.PermissionDeniedException) as refused:
        client.joinSession(key)
    assert refused.value.reason == f"Password check failed for '{key}': []"
    client.closeSession()


def test_of_a_closed_session_it_is_told_whose_it_was_and_when(devserver: OmeroServer, user: User) -> None:
    client = omero.client(devserver.host, devserver.ssl_port)
    client.createSession(user.name, PASSWORD)
    key = client.getSessionId()
    client.closeSession()
    again = omero.client(devserver.host, devserver.ssl_port)
    with pytest.raises(Glacier2.PermissionDeniedException) as refused:
        again.joinSession(key)
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,3}"
    text = rf"Password check failed for '{key}': \[user={user.name}, created={moment}, closed={moment}\]"
    assert re.fullmatch(text, refused.value.reason)
    again.closeSession()


def test_a_user_whose_only_group_is_that_of_all_users_cannot_log_in(devserver: OmeroServer) -> None:
    person = new_person()
    with devserver.client() as root:
        everybody = ExperimenterGroupI(1, False)
        root.sf.getAdminService().createExperimenterWithPassword(person, rstring("p"), everybody, [everybody])
    name = person.omeName.val
    with pytest.raises(omero.WrappedCreateSessionException) as refused, devserver.client(name, "p"):
        pass
    assert refused.value.reason == f"Can't find default group for {name}"


def test_guests_log_in_and_get_no_service(devserver: OmeroServer) -> None:
    with devserver.client("guest", "guest") as client:
        assert client.sf.getAdminService().getEventContext().groupName == "guest"
        with pytest.raises(omero.SecurityViolation, match="Access denied to guest user"):
            client.sf.getQueryService()


def test_a_service_is_alive_until_it_is_closed(client: Any) -> None:
    store, query = client.sf.createRawFileStore(), client.sf.getQueryService()
    assert client.sf.keepAlive(store)
    assert client.sf.keepAlive(query)
    assert client.sf.keepAllAlive([store, query]) == 0
    store.close()
    assert not client.sf.keepAlive(store)
    assert client.sf.keepAllAlive([query, store]) == 2
    assert client.sf.keepAllAlive([]) == -1


def test_settings_are_read_by_whom_they_are_for(devserver: OmeroServer, client: Any) -> None:
    service = client.sf.getConfigService()
    assert service.getConfigValue("omero.sessions.timeout") == "600000"
    assert service.getConfigValue("omero.client.ui.tree.orphans.name") == "Orphaned Images"
    for name in ("omero.data.dir", "omero.fs.repo.path", "omero.nosuch", "omero.db.poolsize"):
        with pytest.raises(omero.SecurityViolation, match=f"Cannot read configuration: {name}"):
            service.getConfigValue(name)
    assert set(service.getConfigValues(r"omero\.db")) == {"omero.db.authority", "omero.db.uuid"}
    values = service.getClientConfigValues()
    assert values.keys() == service.getClientConfigDefaults().keys()
    assert values["omero.client.viewer.roi_limit"] == "2000"
    for attempt in (service.getConfigDefaults, lambda: service.setConfigValue("omero.test", "x")):
        with pytest.raises(omero.SecurityViolation, match=r"\(allowed: \[system\]\)"):
            attempt()
    with devserver.client() as root:
        service = root.sf.getConfigService()
        assert service.getConfigValue("omero.scripts.timeout")
        assert service.getConfigValue("omero.nosuch") == ""
        assert service.getConfigDefaults()["omero.sessions.maximum"] == "0"
        with pytest.raises(omero.SecurityViolation):
            service.getConfigValue("omero.db.pass")
        name = f"omero.test.{uuid.uuid4().hex}"
        service.setConfigValue(name, "a")
        assert service.setConfigValueIfEquals(name, "b", "a")
        assert not service.setConfigValueIfEquals(name, "c", "a")
        assert service.getConfigValue(name) == "b"


def test_the_security_context_of_a_session_can_be_changed_to_a_group_of_mine(devserver: OmeroServer, user: User) -> None:
    with devserver.client() as root:
        service = root.sf.getAdminService()
        service.addGroups(service.getExperimenter(user.id), [ExperimenterGroupI(user.other_group_id, False)])
    with devserver.client(user.name, PASSWORD) as client:
        former = client.sf.setSecurityContext(ExperimenterGroupI(user.other_group_id, False))
        assert former.id.val == user.group_id
        assert client.sf.getAdminService().getEventContext().groupName == user.other_group
        with pytest.raises(omero.SecurityViolation, match="is not a member of group 0"):
            client.sf.setSecurityContext(ExperimenterGroupI(0, False))


def test_a_closed_service_is_not_there_any_more(client: Any) -> None:
    store = client.sf.createRawFileStore()
    store.close()
    with pytest.raises(Ice.ObjectNotExistException):
        store.size()
