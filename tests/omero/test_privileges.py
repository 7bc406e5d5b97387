# SPDX-License-Identifier: GPL-2.0-or-later
"""Restricted administrators: each privilege lets its holder do what it is for, and who lacks only that one may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omero
import omero.cmd
import pytest
from omero.cmd import Chgrp2, Chown2, Delete2
from omero.model import ExperimenterGroupI, ExperimenterI, OriginalFileI
from omero.rtypes import rstring

from tests.fixtures.administrators import (
    EVERY_PRIVILEGE,
    add_administrator,
    administrator,
    all_but,
    new_person,
    privileges,
)
from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, new_dataset, rows, submit
from tests.fixtures.omero_requests import exists, named, save


@dataclass(frozen=True, kw_only=True)
class Given:
    """What there is to act on: a user's Dataset, file and import, and the administrator who acts."""

    user: User
    client: Any
    dataset: int
    file: int
    path: Path

    @property
    def context(self) -> dict[str, str]:
        return {"omero.group": str(self.user.group_id)}


@pytest.fixture
def given(client: Any, user: User, one: Path) -> Given:
    file = OriginalFileI()
    file.name, file.path = rstring("note.txt"), rstring("/")
    given = Given(user=user, client=client, dataset=new_dataset(client), file=save(client, file).id.val, path=one)
    write_file(given, client)
    return given


def edit(given: Given, admin: Any) -> None:
    dataset = admin.sf.getQueryService().get("Dataset", given.dataset, given.context)
    dataset.name = rstring("changed")
    admin.sf.getUpdateService().saveObject(dataset, given.context)


def annotate(given: Given, admin: Any) -> None:
    link = omero.model.DatasetAnnotationLinkI()
    link.parent, link.child = omero.model.DatasetI(given.dataset, False), omero.model.CommentAnnotationI()
    admin.sf.getUpdateService().saveObject(link, given.context)


def delete(given: Given, admin: Any) -> None:
    admin.sf.getUpdateService().deleteObject(omero.model.DatasetI(given.dataset, False), given.context)


def write_file(given: Given, admin: Any) -> None:
    store = admin.sf.createRawFileStore()
    try:
        store.setFileId(given.file, given.context)
        store.write(b"text", 0, 4, given.context)
    finally:
        store.close(given.context)


def rename_imported_file(given: Given, admin: Any) -> None:
    job = InPlace(given.client, [given.path], None)
    hql = "select e.originalFile.id from FilesetEntry e where e.fileset.id = :id"
    file = admin.sf.getQueryService().get("OriginalFile", rows(given.client, hql, id=job.fileset)[0][0], given.context)
    file.mimetype = rstring("image/other")
    admin.sf.getUpdateService().saveObject(file, given.context)


def refused(response: Any) -> None:
    """Raise what a response says, so that all refusals look alike."""
    if isinstance(response, omero.cmd.ERR):
        raise omero.SecurityViolation("", "", getattr(response, "message", response.name))


def delete_file(given: Given, admin: Any) -> None:
    refused(submit(admin, Delete2(targetObjects={"OriginalFile": [given.file]})))


def move(given: Given, admin: Any) -> None:
    refused(submit(admin, Chgrp2(targetObjects={"Dataset": [given.dataset]}, groupId=given.user.other_group_id)))


def give(given: Given, admin: Any) -> None:
    refused(submit(admin, Chown2(targetObjects={"Dataset": [given.dataset]}, userId=0)))


def create_user(given: Given, admin: Any) -> None:
    group = ExperimenterGroupI(given.user.group_id, False)
    admin.sf.getAdminService().createExperimenterWithPassword(new_person(), rstring("p"), group, [group])


def change_user(given: Given, admin: Any) -> None:
    service = admin.sf.getAdminService()
    found = service.getExperimenter(given.user.id)
    found.email = rstring("a@b.c")
    service.updateExperimenter(found)


def change_password(given: Given, admin: Any) -> None:
    admin.sf.getAdminService().changeUserPassword(given.user.name, rstring("other"))


def create_group(given: Given, admin: Any) -> None:
    admin.sf.getAdminService().createGroup(named(ExperimenterGroupI, new_person("group").omeName.val))


def change_group(given: Given, admin: Any) -> None:
    service = admin.sf.getAdminService()
    found = service.getGroup(given.user.group_id)
    found.description = rstring("changed")
    service.updateGroup(found)


def add_member(given: Given, admin: Any) -> None:
    user, group = ExperimenterI(given.user.id, False), ExperimenterGroupI(given.user.other_group_id, False)
    admin.sf.getAdminService().addGroups(user, [group])


def make_owner(given: Given, admin: Any) -> None:
    user, group = ExperimenterI(given.user.id, False), ExperimenterGroupI(given.user.group_id, False)
    admin.sf.getAdminService().addGroupOwners(group, [user])


def act_for(given: Given, admin: Any) -> None:
    principal = omero.sys.Principal(given.user.name, given.user.group, "User", None)
    service = admin.sf.getSessionService()
    service.closeSession(service.createSessionWithTimeouts(principal, 0, 1000))


@pytest.mark.parametrize(
    ("privilege", "act"),
    [
        ("WriteOwned", edit),
        ("WriteOwned", annotate),
        ("DeleteOwned", delete),
        ("WriteFile", write_file),
        ("WriteManagedRepo", rename_imported_file),
        ("DeleteFile", delete_file),
        ("Chgrp", move),
        ("Chown", give),
        ("ModifyUser", create_user),
        ("ModifyUser", change_user),
        ("ModifyUser", change_password),
        ("ModifyGroup", create_group),
        ("ModifyGroup", change_group),
        ("ModifyGroupMembership", add_member),
        ("ModifyGroupMembership", make_owner),
        ("Sudo", act_for),
    ],
)
def test_who_lacks_a_privilege_is_refused_and_a_full_administrator_is_not(
    devserver: OmeroServer, given: Given, privilege: str, act: Callable[[Given, Any], None]
) -> None:
    with administrator(devserver, *all_but(privilege)) as admin, pytest.raises(omero.SecurityViolation):
        act(given, admin)
    with administrator(devserver, *EVERY_PRIVILEGE) as admin:
        act(given, admin)


@pytest.mark.parametrize(
    ("privilege", "act"),
    [
        ("WriteOwned", edit),
        ("DeleteOwned", delete),
        ("WriteFile", write_file),
        ("DeleteFile", delete_file),
        ("Chgrp", move),
        ("Chown", give),
        ("ModifyUser", create_user),
        ("ModifyGroup", create_group),
        ("ModifyGroupMembership", add_member),
        ("Sudo", act_for),
    ],
)
def test_one_privilege_is_enough_for_what_it_is_for(
    devserver: OmeroServer, given: Given, privilege: str, act: Callable[[Given, Any], None]
) -> None:
    with administrator(devserver, privilege) as admin:
        act(given, admin)


def test_an_administrator_without_privileges_reads_and_is_told_that_no_more_is_allowed(
    devserver: OmeroServer, given: Given
) -> None:
    with administrator(devserver) as admin:
        context = admin.sf.getAdminService().getEventContext()
        assert (context.isAdmin, context.adminPrivileges, context.groupName) == (True, [], "system")
        dataset = admin.sf.getQueryService().get("Dataset", given.dataset, given.context)
        permissions = dataset.details.permissions
        flags = [permissions.canEdit(), permissions.canAnnotate(), permissions.canDelete(), permissions.canLink()]
        assert flags == [False] * 4
        assert not permissions.canChgrp()
        assert not permissions.canChown()
        with pytest.raises(omero.SecurityViolation, match=r"You are not authorized to create ome\.model\.containers\.Dataset"):
            save(admin, named(omero.model.DatasetI), group=given.user.group_id)
    assert exists(given.client, "Dataset", given.dataset)


def test_sessions_of_others_are_read_with_the_privilege_for_it_only(devserver: OmeroServer, client: Any) -> None:
    hql = "select count(s) from Session s where s.uuid = :uuid"
    uuid = client.getSessionId()
    with administrator(devserver, *all_but("ReadSession")) as admin:
        assert rows(admin, hql, uuid=uuid) == [[0]]
    with administrator(devserver, "ReadSession") as admin:
        assert rows(admin, hql, uuid=uuid) == [[1]]


def test_privileges_are_listed_given_and_taken(devserver: OmeroServer) -> None:
    name = add_administrator(devserver, ["Sudo", "Chgrp"])
    with devserver.client() as root:
        service = root.sf.getAdminService()
        admin = service.lookupExperimenter(name)
        assert {one.value.val for one in service.getAdminPrivileges(admin)} == {"Sudo", "Chgrp"}
        assert {one.value.val for one in service.getCurrentAdminPrivileges()} == EVERY_PRIVILEGE
        with devserver.client(name, PASSWORD) as client:
            service.setAdminPrivileges(admin, privileges(["Chown"]))
            assert {one.value.val for one in service.getAdminPrivileges(admin)} == {"Chown"}
            assert client.sf.getAdminService().getAdminPrivileges(ExperimenterI(0, False))
        holders = {one.omeName.val for one in service.getAdminsWithPrivileges(privileges(["Chown"]))}
        assert {"root", name} <= holders
        assert name not in {one.omeName.val for one in service.getAdminsWithPrivileges(privileges(["Chown", "Sudo"]))}
        with pytest.raises(omero.ApiUsageException, match="unknown light administrator privilege: Fly"):
            service.setAdminPrivileges(admin, privileges(["Fly"]))
        with pytest.raises(omero.ApiUsageException, match="cannot remove light administrator privileges from the root user"):
            service.setAdminPrivileges(ExperimenterI(0, False), privileges(["Sudo"]))


def test_a_user_is_changed_with_the_password_or_not_at_all(devserver: OmeroServer) -> None:
    name = add_administrator(devserver, ["Sudo"])
    with administrator(devserver, "ModifyUser") as admin:
        service = admin.sf.getAdminService()
        other = service.lookupExperimenter(name)
        other.lastName = rstring("Changed")
        with pytest.raises(omero.SecurityViolation, match="Cannot change the password of a more privileged user"):
            service.updateExperimenterWithPassword(other, rstring("mine"))
        assert service.lookupExperimenter(name).lastName.val == "Person"


def test_nobody_gives_what_he_does_not_have(devserver: OmeroServer, user: User) -> None:
    text = "cannot give administrator privileges that current user does not have"
    with administrator(devserver, "ModifyUser", "ModifyGroupMembership") as admin:
        service = admin.sf.getAdminService()
        with pytest.raises(omero.SecurityViolation, match=text):
            service.createRestrictedSystemUser(new_person(), privileges(["Sudo"]))
        with pytest.raises(omero.SecurityViolation, match=text):
            service.createSystemUser(new_person())
        with pytest.raises(omero.SecurityViolation, match=text):
            service.addGroups(ExperimenterI(user.id, False), [ExperimenterGroupI(0, False)])
        assert 0 not in service.getMemberOfGroupIds(ExperimenterI(user.id, False))
        with pytest.raises(omero.SecurityViolation, match="Cannot change the password of a more privileged user"):
            service.changeUserPassword("root", rstring("mine"))
        mine = service.createRestrictedSystemUser(new_person(), privileges(["ModifyUser"]))
        with pytest.raises(omero.SecurityViolation, match=text):
            service.setAdminPrivileges(ExperimenterI(mine, False), privileges(["ModifyUser", "Sudo"]))


def test_a_member_gets_no_privilege_and_makes_no_administrator(devserver: OmeroServer, client: Any, user: User) -> None:
    service = client.sf.getAdminService()
    assert service.getCurrentAdminPrivileges() == []
    attempts: tuple[Callable[[], object], ...] = (
        lambda: service.createRestrictedSystemUser(new_person(), []),
        lambda: service.createRestrictedSystemUserWithPassword(new_person(), [], rstring("p")),
        lambda: service.createSystemUser(new_person()),
        lambda: service.setAdminPrivileges(ExperimenterI(user.id, False), privileges(["Sudo"])),
    )
    for make in attempts:
        with pytest.raises(omero.SecurityViolation, match="No matching roles found in"):
            make()
