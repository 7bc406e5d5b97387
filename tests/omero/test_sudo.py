# SPDX-License-Identifier: GPL-2.0-or-later
"""Acting for somebody else (sudo): by whom, into which groups, with which privileges; as recorded on a real server."""

from __future__ import annotations

import uuid
from typing import Any

import Ice
import omero
import pytest
from omero.gateway import BlitzGateway
from omero.model import ExperimenterGroupI, ExperimenterI

from tests.fixtures.acting import joined, principal, sudo
from tests.fixtures.administrators import add_administrator, administrator, all_but
from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, User, make_user


def test_an_administrator_acts_for_a_user(devserver: OmeroServer, user: User) -> None:
    client = joined(devserver, sudo(devserver, user, user.group, live=7_777_000, idle=8_888_000))
    context = client.sf.getAdminService().getEventContext()
    assert (context.userName, context.groupName, context.sudoerName.val) == (user.name, user.group, "root")
    assert (context.isAdmin, context.adminPrivileges) == (False, [])
    row = client.sf.getSessionService().getSession(client.getSessionId())
    assert (row.timeToLive.val, row.timeToIdle.val, row.userAgent.val) == (7_777_000, 8_888_000, "OMERO.sudo")
    client.killSession()


@pytest.mark.parametrize("group", ["user", "", None])
def test_the_group_user_means_the_default_group(devserver: OmeroServer, user: User, group: str | None) -> None:
    client = joined(devserver, sudo(devserver, user, group))
    assert client.sf.getAdminService().getEventContext().groupName == user.group
    client.killSession()


def test_sudo_refuses_in_the_recorded_ways(devserver: OmeroServer, user: User) -> None:
    nobody = f"nobody-{uuid.uuid4()}"
    with devserver.client() as root:
        service = root.sf.getSessionService()
        with pytest.raises(omero.RemovedSessionException) as removed:
            service.createSessionWithTimeouts(principal(nobody, user.group), 0, 1000)
        assert removed.value.message == f"Cannot find a user with name {nobody}"
        with pytest.raises(omero.AuthenticationException) as failed:
            service.createSessionWithTimeouts(principal(user.name, "no such group"), 0, 1000)
        assert failed.value.reason == "Error creating session."
    client = joined(devserver, sudo(devserver, user, user.other_group))
    with pytest.raises(omero.SecurityViolation) as refused:
        client.sf.getAdminService().getEventContext({})
    assert refused.value.message == f"User {user.id} is not a member of group {user.other_group_id} and cannot login"
    client.killSession()


def test_a_member_may_not_act_for_others_and_a_group_owner_may(devserver: OmeroServer, user: User) -> None:
    owner = f"owner-{uuid.uuid4().hex[:8]}"
    devserver.add_user(owner, PASSWORD, [user.group])
    with devserver.client(owner, PASSWORD) as client:
        with pytest.raises(omero.SecurityViolation) as refused:
            client.sf.getSessionService().createSessionWithTimeouts(principal(user.name, user.group), 0, 1000)
        assert refused.value.message == f"Group sudo is not permitted for group {user.group} (gid={user.group_id})"
    devserver.set_owner(owner, user.group)
    with devserver.client(owner, PASSWORD) as client:
        made = client.sf.getSessionService().createSessionWithTimeouts(principal(user.name, user.group), 0, 1000)
        assert client.sf.getSessionService().getReferenceCount(made.uuid.val) == 1


def test_the_gateway_acts_for_a_user(devserver: OmeroServer, user: User) -> None:
    gateway = BlitzGateway("root", devserver.root_password, host=devserver.host, port=devserver.ssl_port)
    assert gateway.connect()
    acting = gateway.suConn(user.name, user.group, 60_000)
    assert acting.getUser().getName() == user.name
    row = acting.c.sf.getSessionService().getSession(acting.c.getSessionId())
    assert (row.timeToLive.val, row.timeToIdle.val) == (60_000, 0)
    assert gateway.suConn(f"nobody-{uuid.uuid4()}") is None
    acting.close()
    gateway.close()


def test_who_may_only_act_for_others_acts_for_administrators_without_gaining_anything(devserver: OmeroServer) -> None:
    without = add_administrator(devserver, [])
    with administrator(devserver, "Sudo") as admin:
        name = admin.sf.getAdminService().getEventContext().userName
        for target, held in (("root", ["Sudo"]), (without, [])):
            made = admin.sf.getSessionService().createSessionWithTimeouts(principal(target, "system"), 0, 60_000)
            client = joined(devserver, made)
            context = client.sf.getAdminService().getEventContext()
            assert (context.userName, context.isAdmin, context.sudoerName.val) == (target, True, name)
            assert context.adminPrivileges == held
            assert [one.value.val for one in client.sf.getAdminService().getCurrentAdminPrivileges()] == held
            client.killSession()


def test_what_is_taken_from_who_acts_is_gone_from_the_sessions_that_he_made(devserver: OmeroServer) -> None:
    name = add_administrator(devserver, ["Sudo", "Chgrp"])
    with devserver.client(name, PASSWORD) as admin, devserver.client() as root:
        client = joined(devserver, admin.sf.getSessionService().createSessionWithTimeouts(principal("root", "system"), 0, 60_000))
        service = root.sf.getAdminService()
        service.setAdminPrivileges(service.lookupExperimenter(name), [])
        assert client.sf.getAdminService().getEventContext().adminPrivileges == []
        client.killSession()


def test_without_the_privilege_an_administrator_is_refused_with_the_name_of_the_group(devserver: OmeroServer, user: User) -> None:
    with administrator(devserver, *all_but("Sudo")) as admin:
        service = admin.sf.getSessionService()
        for group in (user.group, "", None):
            with pytest.raises(omero.SecurityViolation) as refused:
                service.createSessionWithTimeouts(principal(user.name, group), 0, 1000)
            assert refused.value.message == f"Group sudo is not permitted for group {user.group} (gid={user.group_id})"
        with pytest.raises(omero.AuthenticationException):
            service.createSessionWithTimeouts(principal(user.name, "no such group"), 0, 1000)


def test_a_group_owner_acts_only_in_the_group_and_sees_no_other(devserver: OmeroServer) -> None:
    boss, member = make_user(devserver), make_user(devserver)
    with devserver.client() as root:
        service = root.sf.getAdminService()
        group, theirs = ExperimenterGroupI(boss.group_id, False), ExperimenterI(member.id, False)
        service.addGroups(theirs, [group])
        service.addGroupOwners(group, [ExperimenterI(boss.id, False)])
    with devserver.client(boss.name, PASSWORD) as client:
        sessions = client.sf.getSessionService()
        with pytest.raises(omero.SecurityViolation, match=f"Group sudo is not permitted for group {member.group}"):
            sessions.createSessionWithTimeouts(principal(member.name, member.group), 0, 60_000)
        acting = joined(devserver, sessions.createSessionWithTimeouts(principal(member.name, boss.group), 0, 60_000))
        context = acting.sf.getAdminService().getEventContext()
        assert (context.userName, context.groupName) == (member.name, boss.group)
        assert set(context.memberOfGroups) == {boss.group_id, 1}
        assert context.leaderOfGroups == []
        with pytest.raises(omero.SecurityViolation, match=f"User {member.id} is not a member of group {member.group_id}"):
            acting.sf.getQueryService().findAll("Project", None, {"omero.group": str(member.group_id)})
        acting.killSession()


def test_who_acts_for_one_who_acts_for_another_is_still_the_first(devserver: OmeroServer, user: User) -> None:
    with administrator(devserver, "Sudo") as admin:
        name = admin.sf.getAdminService().getEventContext().userName
        first = joined(devserver, admin.sf.getSessionService().createSessionWithTimeouts(principal("root", "system"), 0, 60_000))
        made = first.sf.getSessionService().createSessionWithTimeouts(principal(user.name, user.group), 0, 60_000)
        second = joined(devserver, made)
        assert second.sf.getAdminService().getEventContext().sudoerName.val == name
        second.killSession()
        first.killSession()


def test_in_a_group_that_is_not_the_users_no_service_is_given(devserver: OmeroServer, user: User) -> None:
    client = joined(devserver, sudo(devserver, user, user.other_group))
    for ask in (client.sf.getQueryService, client.sf.sharedResources, client.sf.createRawFileStore):
        with pytest.raises(Ice.UnknownException, match="is not a member of group"):
            ask()
    assert client.sf.keepAlive(None) is False
    client.killSession()


def test_inactive_users_and_guests_can_be_acted_for_and_do_nothing(devserver: OmeroServer, user: User) -> None:
    with devserver.client() as root:
        root.sf.getAdminService().removeGroups(ExperimenterI(user.id, False), [ExperimenterGroupI(1, False)])
    client = joined(devserver, sudo(devserver, user, user.group))
    assert client.sf.getAdminService().getEventContext().userName == user.name
    with pytest.raises(omero.SecurityViolation, match=rf"No matching roles found in \[{user.group}\] for session"):
        client.sf.getQueryService().findAll("Project", None)
    client.killSession()
    with devserver.client() as root:
        made = root.sf.getSessionService().createSessionWithTimeouts(principal("guest", "guest"), 0, 60_000)
    client = joined(devserver, made)
    assert client.sf.getAdminService().getEventContext().userName == "guest"
    with pytest.raises(omero.SecurityViolation, match="Access denied to guest user"):
        client.sf.getQueryService()
    client.killSession()


def test_a_kind_of_event_that_does_not_exist_makes_no_session(devserver: OmeroServer, user: User) -> None:
    with devserver.client() as root, pytest.raises(omero.AuthenticationException):
        root.sf.getSessionService().createSessionWithTimeouts(omero.sys.Principal(user.name, user.group, "None", None), 0, 1000)


def test_sessions_that_others_made_for_a_user_are_not_among_his_own(devserver: OmeroServer, client: Any, user: User) -> None:
    made = sudo(devserver, user, user.group)
    acting = joined(devserver, made)
    mine = {one.uuid.val for one in client.sf.getSessionService().getMyOpenSessions()}
    theirs = {one.uuid.val for one in acting.sf.getSessionService().getMyOpenSessions()}
    assert (client.getSessionId() in mine, made.uuid.val in mine) == (True, False)
    assert (client.getSessionId() in theirs, made.uuid.val in theirs) == (False, True)
    acting.killSession()
