# SPDX-License-Identifier: GPL-2.0-or-later
"""Users and groups: made, changed, deleted, put into each other; by whom; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import Glacier2
import omero
import pytest
from omero.model import ExperimenterGroupI, ExperimenterI, PermissionsI
from omero.rtypes import rstring

from tests.fixtures.administrators import new_person
from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, User, make_user, new_dataset
from tests.fixtures.omero_requests import named

NEITHER = "Current user is neither admin nor group-leader"
NO_PASSWORD = "Bad authentication credentials for this action"


def a_group(group_id: int) -> Any:
    return ExperimenterGroupI(group_id, False)


def a_user(user_id: int) -> Any:
    return ExperimenterI(user_id, False)


def logs_in(server: OmeroServer, name: str, password: str) -> bool:
    client = omero.client(server.host, server.ssl_port)
    try:
        client.createSession(name, password)
    except Glacier2.PermissionDeniedException:
        return False
    finally:
        client.closeSession()
    return True


def test_a_user_is_made_with_all_that_is_said_and_cannot_log_in_without_a_password(devserver: OmeroServer, user: User) -> None:
    person = new_person()
    person.middleName, person.email, person.institution = rstring("B"), rstring("a@b.c"), rstring("Lab")
    name = person.omeName.val
    with devserver.client() as root:
        service = root.sf.getAdminService()
        made = service.createUser(person, user.group)
        found = service.getExperimenter(made)
        said = [getattr(found, field).val for field in ("omeName", "firstName", "middleName", "lastName", "email", "institution")]
        assert said == [name, "A", "B", "Person", "a@b.c", "Lab"]
        assert service.getMemberOfGroupIds(found) == [user.group_id, 1]
        assert service.getDefaultGroup(made).id.val == user.group_id
        assert not logs_in(devserver, name, " ")
        service.changeUserPassword(name, rstring("now"))
        assert logs_in(devserver, name, "now")
        for nothing in (None, rstring(" ")):
            service.changeUserPassword(name, nothing)
            assert not logs_in(devserver, name, " ")


def test_who_is_not_put_into_the_group_of_users_is_not_active(devserver: OmeroServer, user: User) -> None:
    person = new_person()
    with devserver.client() as root:
        service = root.sf.getAdminService()
        service.createExperimenterWithPassword(person, rstring("p"), a_group(user.group_id), [])
    with devserver.client(person.omeName.val, "p") as client:
        assert client.sf.getAdminService().getEventContext().memberOfGroups == [user.group_id]
        with pytest.raises(omero.SecurityViolation, match="No matching roles found"):
            client.sf.getQueryService().findAll("Project", None)


def test_names_in_use_and_missing_ones_are_refused(devserver: OmeroServer, user: User) -> None:
    taken, unnamed = new_person(), new_person()
    taken.omeName, unnamed.firstName = rstring(user.name), None
    with devserver.client() as root:
        service = root.sf.getAdminService()
        invalid: tuple[tuple[Callable[[], object], str], ...] = (
            (lambda: service.createUser(taken, user.group), "experimenter_omename_key"),
            (lambda: service.createUser(unnamed, user.group), "not-null property references a null"),
            (
                lambda: service.createGroup(named(ExperimenterGroupI, user.group)),
                r"\(description, external_id, permissions, ldap, name, version, id\) .* \[experimentergroup_name_key\]",
            ),
            (lambda: service.createGroup(ExperimenterGroupI()), "Group name may not be null"),
            (lambda: service.addGroups(a_user(user.id), []), "Nothing to do"),
            (lambda: service.addGroups(a_user(user.id), [a_group(999_999)]), "No row with the given identifier exists"),
            (lambda: service.addGroups(a_user(999_999), [a_group(user.group_id)]), "No row with the given identifier exists"),
            (lambda: service.getDefaultGroup(999_999), "has no default group set"),
        )
        for attempt, text in invalid:
            with pytest.raises(omero.ValidationException, match=text):
                attempt()
        misused: tuple[tuple[Callable[[], object], str], ...] = (
            (lambda: service.createUser(new_person(), "no such group"), "No such group: no such group"),
            (lambda: service.addGroups(new_person(), [a_group(user.group_id)]), "has no id"),
            (lambda: service.lookupExperimenter("no such user"), "No such experimenter: no such user"),
            (lambda: service.getGroup(999_999), "No such group: 999999"),
            (lambda: service.setDefaultGroup(a_user(user.id), a_group(user.other_group_id)), "was not found for user"),
            (lambda: service.setDefaultGroup(a_user(user.id), a_group(1)), "Cannot set default group to: user"),
        )
        for attempt, text in misused:
            with pytest.raises(omero.ApiUsageException, match=text):
                attempt()


def test_a_group_is_private_unless_it_says_something_else(devserver: OmeroServer) -> None:
    with devserver.client() as root:
        service = root.sf.getAdminService()
        made = service.createGroup(named(ExperimenterGroupI, new_person().omeName.val))
        assert str(service.getGroup(made).details.permissions) == "rw----"
        group = named(ExperimenterGroupI, new_person().omeName.val)
        group.details.permissions = PermissionsI("rwra--")
        assert str(service.getGroup(service.createGroup(group)).details.permissions) == "rwra--"


def test_the_permissions_of_a_group_are_changed_by_administrators_and_its_owners(devserver: OmeroServer, user: User) -> None:
    with devserver.client() as root:
        service = root.sf.getAdminService()
        group = service.getGroup(user.group_id)
        group.details.permissions = PermissionsI("rwr---")
        service.updateGroup(group)
        assert str(service.getGroup(user.group_id).details.permissions) == "rwr---"
    with devserver.client(user.name, PASSWORD) as client:
        service = client.sf.getAdminService()
        with pytest.raises(omero.SecurityViolation):
            service.changePermissions(a_group(user.group_id), PermissionsI("rwrw--"))
    devserver.set_owner(user.name, user.group)
    with devserver.client(user.name, PASSWORD) as client:
        service = client.sf.getAdminService()
        service.changePermissions(a_group(user.group_id), PermissionsI("rwrw--"))
        assert str(service.getEventContext().groupPermissions) == "rwrw--"


def test_users_and_groups_are_renamed_but_for_the_special_ones(devserver: OmeroServer, user: User) -> None:
    other = make_user(devserver)
    with devserver.client() as root:
        service = root.sf.getAdminService()
        found, group = service.getExperimenter(user.id), service.getGroup(user.other_group_id)
        found.omeName, found.lastName = rstring(new_person().omeName.val), rstring("Renamed")
        service.updateExperimenterWithPassword(found, rstring("other"))
        assert logs_in(devserver, found.omeName.val, "other")
        group.name, group.description = rstring(new_person("group").omeName.val), rstring("about")
        service.updateGroup(group)
        assert service.lookupGroup(group.name.val).description.val == "about"
        found.omeName = rstring(other.name)
        with pytest.raises(omero.ValidationException, match="experimenter_omename_key"):
            service.updateExperimenter(found)
        found.omeName = rstring("root")
        with pytest.raises(omero.ValidationException, match="cannot change name to special experimenter 'root'"):
            service.updateExperimenter(found)
        guest, system = service.getExperimenter(1), service.getGroup(0)
        guest.omeName, system.name = rstring("host"), rstring("nobody")
        with pytest.raises(omero.ValidationException, match="cannot change name of special experimenter 'guest'"):
            service.updateExperimenter(guest)
        with pytest.raises(omero.ValidationException, match="cannot change name of special group 'system'"):
            service.updateGroup(system)
        mine = service.getGroup(user.group_id)
        mine.name = rstring(new_person("group").omeName.val)
        with pytest.raises(omero.ValidationException, match="cannot rename the current group context"):
            service.updateGroup(mine, {"omero.group": str(user.group_id)})


def test_a_member_changes_his_own_entry_and_not_his_login_name(devserver: OmeroServer, client: Any, user: User) -> None:
    service = client.sf.getAdminService()
    me = service.getExperimenter(user.id)
    me.omeName, me.lastName, me.email = rstring("root2"), rstring("Changed"), rstring("a@b.c")
    service.updateSelf(me)
    found = service.getExperimenter(user.id)
    assert (found.omeName.val, found.lastName.val, found.email.val) == (user.name, "Changed", "a@b.c")
    me.lastName = rstring("Again")
    service.updateExperimenter(me)
    assert service.getExperimenter(user.id).lastName.val == "Again"
    with pytest.raises(omero.SecurityViolation, match="Current user is not admin for the given user"):
        service.updateExperimenter(service.getExperimenter(0))


def test_a_member_changes_nobody_else(devserver: OmeroServer, client: Any, user: User) -> None:
    service, other = client.sf.getAdminService(), make_user(devserver)
    for attempt, text in (
        (lambda: service.createGroup(named(ExperimenterGroupI)), r"No matching roles found in .* \(allowed: \[system\]\)"),
        (lambda: service.createUser(new_person(), user.group), NEITHER),
        (lambda: service.addGroups(a_user(user.id), [a_group(other.group_id)]), NEITHER),
        (lambda: service.removeGroups(a_user(other.id), [a_group(other.group_id)]), NEITHER),
        (lambda: service.addGroupOwners(a_group(user.group_id), [a_user(user.id)]), NEITHER),
        (lambda: service.updateGroup(service.getGroup(user.group_id)), NEITHER),
        (lambda: service.deleteGroup(a_group(user.other_group_id)), NEITHER),
        (lambda: service.deleteExperimenter(a_user(other.id)), "Current user is not admin"),
        (lambda: service.changeUserPassword(other.name, rstring("x")), "Current user is not admin"),
        (lambda: service.setDefaultGroup(a_user(other.id), a_group(other.group_id)), "can only set own default group"),
        (service.synchronizeLoginCache, "No matching roles found"),
    ):
        with pytest.raises(omero.SecurityViolation, match=text):
            attempt()


def test_a_group_owner_makes_users_and_members_and_owners_of_his_group(devserver: OmeroServer, user: User) -> None:
    devserver.set_owner(user.name, user.group)
    person = new_person()
    with devserver.client(user.name, PASSWORD) as client:
        service = client.sf.getAdminService()
        made = service.createExperimenterWithPassword(person, rstring("p"), a_group(user.group_id), [a_group(1)])
        service.addGroupOwners(a_group(user.group_id), [a_user(made)])
        assert service.getLeaderOfGroupIds(a_user(made)) == [user.group_id]
        service.removeGroupOwners(a_group(user.group_id), [a_user(made)])
        assert service.getLeaderOfGroupIds(a_user(made)) == []
        group = service.getGroup(user.group_id)
        group.description = rstring("ours")
        service.updateGroup(group)
        with pytest.raises(omero.SecurityViolation, match=NEITHER):
            service.createExperimenter(new_person(), a_group(user.other_group_id), [a_group(user.group_id)])
        assert logs_in(devserver, person.omeName.val, "p")


def test_groups_are_left_but_not_all_of_them(devserver: OmeroServer, user: User) -> None:
    with devserver.client() as root:
        service = root.sf.getAdminService()
        service.addGroups(a_user(user.id), [a_group(user.other_group_id)])
        service.setDefaultGroup(a_user(user.id), a_group(user.other_group_id))
        assert service.getDefaultGroup(user.id).id.val == user.other_group_id
        service.removeGroups(a_user(user.id), [a_group(user.other_group_id)])
        assert service.getDefaultGroup(user.id).id.val == user.group_id
        for groups, who, text in (
            ([user.group_id], user.id, "cannot be a member of only the 'user' group"),
            ([user.group_id, 1], user.id, "must remain a member of some group"),
            ([0], 0, "'root' may not be removed from the 'system' or 'user' group"),
        ):
            with pytest.raises(omero.ValidationException, match=text):
                service.removeGroups(a_user(who), [a_group(group) for group in groups])
        assert service.getMemberOfGroupIds(a_user(user.id)) == [user.group_id, 1]


def test_users_and_groups_go_unless_there_is_something_of_them(devserver: OmeroServer, client: Any, user: User) -> None:
    new_dataset(client)
    with devserver.client() as root:
        service = root.sf.getAdminService()
        unused = service.createUser(new_person(), user.other_group)
        service.deleteExperimenter(a_user(unused))
        with pytest.raises(omero.ApiUsageException, match="No such experimenter"):
            service.getExperimenter(unused)
        service.deleteGroup(a_group(user.other_group_id))
        with pytest.raises(omero.ApiUsageException, match="No such group"):
            service.getGroup(user.other_group_id)
        attempts: tuple[Callable[[], object], ...] = (
            lambda: service.deleteExperimenter(a_user(user.id)),
            lambda: service.deleteGroup(a_group(user.group_id)),
            lambda: service.deleteGroup(a_group(999_999)),
        )
        for attempt in attempts:
            with pytest.raises(omero.ValidationException):
                attempt()
        assert service.getMemberOfGroupIds(a_user(user.id)) == [user.group_id, 1]
    assert logs_in(devserver, user.name, PASSWORD)


def test_a_member_changes_his_password_when_he_has_shown_it(devserver: OmeroServer, client: Any, user: User) -> None:
    second = omero.client(devserver.host, devserver.ssl_port)
    service = second.joinSession(client.getSessionId()).getAdminService()
    with pytest.raises(omero.SecurityViolation, match=NO_PASSWORD):
        service.changePassword(rstring("new"))
    with pytest.raises(omero.SecurityViolation, match=NO_PASSWORD):
        second.sf.getSessionService().createUserSession(0, 1000, user.group)
    with pytest.raises(omero.SecurityViolation, match=f"Bad password for {user.name}"):
        second.sf.setSecurityPassword("wrong")
    with pytest.raises(omero.SecurityViolation, match="Old password is invalid"):
        service.changePasswordWithOldPassword(rstring("wrong"), rstring("new"))
    second.sf.setSecurityPassword(PASSWORD)
    service.changePassword(rstring("new"))
    assert logs_in(devserver, user.name, "new")
    service.changePasswordWithOldPassword(rstring("new"), rstring("newer"))
    assert logs_in(devserver, user.name, "newer")
    assert not logs_in(devserver, user.name, "new")
    second.closeSession()


def test_names_of_users_with_whom_no_group_is_shared_are_hidden(devserver: OmeroServer, client: Any, user: User) -> None:
    other = make_user(devserver)
    service = client.sf.getAdminService()
    found = service.lookupExperimenter(other.name)
    assert (found.id.val, found.omeName.val, found.firstName.val, found.lastName.val) == (other.id, *["<hidden>"] * 3)
    assert service.lookupGroup(other.group).name.val == other.group
    with devserver.client() as root:
        root.sf.getAdminService().addGroups(a_user(user.id), [a_group(other.group_id)])
    assert service.getExperimenter(other.id).omeName.val == other.name


def test_nobody_logs_in_by_a_directory(client: Any, user: User) -> None:
    assert client.sf.getLdapService().getSetting() is False
    service = client.sf.getAdminService()
    assert service.lookupLdapAuthExperimenters().val == []
    assert not service.lookupLdapAuthExperimenter(user.id)


def test_what_may_be_changed_is_told_of_any_object(devserver: OmeroServer, client: Any, user: User) -> None:
    service, dataset = client.sf.getAdminService(), omero.model.DatasetI(new_dataset(client), False)
    assert service.canUpdate(dataset)
    assert not service.canUpdate(a_user(0))
    with (
        devserver.client(make_user(devserver).name, PASSWORD) as other,
        pytest.raises(omero.SecurityViolation, match="Cannot read"),
    ):
        other.sf.getAdminService().canUpdate(dataset)
