# SPDX-License-Identifier: GPL-2.0-or-later
"""Who sees what and may do what: the table that was recorded on a real server, for alice's Dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero
import omero.model as m
import pytest
from omero.rtypes import rstring

from omero_devserver.store.caller import ALL_GROUPS, SERVER
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.repositories import MANAGED, SCRIPTS

if TYPE_CHECKING:
    from .conftest import Lab

#: E edit, A annotate, D delete, L link, G chgrp, O chown; None: cannot read.
TABLE: dict[str, dict[str, str | None]] = {
    "gpriv": {"alice": "EADLG", "bob": None, "gown": "EDO", "root": "EDGO", "anone": "", "awowned": "E", "adelo": "D"},
    "gro": {"alice": "EADLG", "bob": "", "gown": "EADLO", "root": "EADLGO", "anone": "", "awowned": "EAL", "adelo": "D"},
    "gra": {"alice": "EADLG", "bob": "A", "gown": "EADLO", "root": "EADLGO", "anone": "", "awowned": "EAL", "adelo": "D"},
    "grw": {"alice": "EADLG", "bob": "EADL", "gown": "EADLO", "root": "EADLGO", "anone": "", "awowned": "EAL", "adelo": "D"},
}
CELLS = [(group, name, flags) for group, row in TABLE.items() for name, flags in row.items()]
READABLE = [cell for cell in CELLS if cell[2] is not None]


def flags_of(permissions: Any) -> str:
    names = {"E": "Edit", "A": "Annotate", "D": "Delete", "L": "Link", "G": "Chgrp", "O": "Chown"}
    return "".join(flag for flag, name in names.items() if getattr(permissions, f"can{name}")())


@pytest.mark.parametrize(("group", "name", "flags"), READABLE)
@pytest.mark.parametrize("context", ["the group", ALL_GROUPS])
def test_the_flags_are_those_of_the_table(lab: Lab, group: str, name: str, flags: str, context: str | int) -> None:
    dataset = lab.dataset(lab.caller("alice", group))
    caller = lab.caller(name, group if context == "the group" else ALL_GROUPS)
    found = lab.store.get(caller, "Dataset", [dataset.id.val])[0]
    assert flags_of(found.details.permissions) == flags
    assert len(lab.store.objects(caller, "select d from Dataset d", None)) == 1


@pytest.mark.parametrize(
    ("group", "name", "context"), [("gpriv", "bob", "gpriv"), ("gpriv", "bob", -1), ("gro", "carol", -1), ("grw", "alice", "gro")]
)
def test_what_cannot_be_read_is_not_found_and_not_got(lab: Lab, group: str, name: str, context: str | int) -> None:
    dataset = lab.dataset(lab.caller("alice", group))
    caller = lab.caller(name, context)
    assert lab.store.objects(caller, "select d from Dataset d", None) == []
    assert lab.store.project(caller, "select count(d) from Dataset d", None)[0][0].val == 0
    with pytest.raises(omero.SecurityViolation, match=f"Cannot read ome.model.containers.Dataset:Id_{dataset.id.val}"):
        lab.store.get(caller, "Dataset", [dataset.id.val])


def test_collections_are_filtered_as_well(lab: Lab, image: Any) -> None:
    alice, root = lab.caller("alice", "gpriv"), lab.caller("root", "gpriv")
    saved = lab.save(alice, image())
    text = "select i from Image i left outer join fetch i.annotationLinks"
    link = m.ImageAnnotationLinkI()
    link.parent, link.child = m.ImageI(saved.id.val, False), m.TagAnnotationI()
    lab.save(alice, link)
    lab.store.update("ImageAnnotationLink", 1, owner_id=root.user)
    assert lab.store.objects(root, text, None)[0].sizeOfAnnotationLinks() == 1
    assert lab.store.objects(alice, text, None)[0].sizeOfAnnotationLinks() == 0


@pytest.mark.parametrize(("group", "name", "flags"), READABLE)
def test_editing_does_what_the_flag_says(lab: Lab, group: str, name: str, flags: str) -> None:
    dataset = lab.dataset(lab.caller("alice", group))
    caller = lab.caller(name, group)
    copy = lab.store.get(caller, "Dataset", [dataset.id.val])[0]
    copy.name = rstring("changed")
    if "E" in flags:
        assert lab.save(caller, copy).name.val == "changed"
        return
    text = (
        "-modification violates group-security" if group == "gpriv" else "Updating ome.model.containers.Dataset:Id_1 not allowed"
    )
    with pytest.raises(omero.SecurityViolation, match=text):
        lab.save(caller, copy)


@pytest.mark.parametrize(("group", "name", "flags"), READABLE)
def test_annotating_and_linking_do_what_the_flags_say(lab: Lab, group: str, name: str, flags: str) -> None:
    alice, caller = lab.caller("alice", group), lab.caller(name, group)
    dataset = m.DatasetI(lab.dataset(alice).id.val, False)
    annotation, link = m.DatasetAnnotationLinkI(), m.ProjectDatasetLinkI()
    annotation.parent, annotation.child = dataset, m.CommentAnnotationI()
    project = m.ProjectI()
    project.name = rstring("project")
    link.parent, link.child = project, dataset
    for flag, obj in (("A", annotation), ("L", link)):
        if flag in flags:
            assert lab.save(caller, obj).details.owner.id.val == caller.user
        else:
            with pytest.raises(omero.SecurityViolation, match=r"Cannot link to|not authorized to create"):
                lab.save(caller, obj)


@pytest.mark.parametrize(("group", "name", "flags"), READABLE)
def test_deleting_does_what_the_flag_says(lab: Lab, group: str, name: str, flags: str) -> None:
    dataset = lab.dataset(lab.caller("alice", group))
    targets = {"Dataset": [dataset.id.val]}
    if "D" in flags:
        assert lab.store.delete(lab.caller(name, group), targets).objects == {"ome.model.containers.Dataset": [dataset.id.val]}
        return
    with pytest.raises(GraphFailed, match=r"not permitted to delete ome.model.containers.Dataset\[1\]"):
        lab.store.delete(lab.caller(name, group), targets)
    assert lab.count("Dataset") == 1


def test_groups_system_and_user_are_open_by_id_and_to_links(lab: Lab) -> None:
    alice, root = lab.caller("alice", "gro"), lab.caller("root", "system")
    there = lab.dataset(root)
    assert lab.store.get(alice, "Dataset", [there.id.val])
    assert lab.store.objects(alice, "select d from Dataset d", None) == []
    link = m.ProjectDatasetLinkI()
    link.parent, link.child = m.ProjectI(), m.DatasetI(there.id.val, False)
    link.parent.name = rstring("mine")
    assert lab.save(alice, link).details.group.id.val == lab.group("gro")
    copy = lab.store.get(alice, "Dataset", [there.id.val])[0]
    copy.name = rstring("changed")
    with pytest.raises(
        omero.SecurityViolation, match=f"Currently logged into group {lab.group('gro')}. Cannot alter object in group 0"
    ):
        lab.save(alice, copy)


def test_links_do_not_cross_groups(lab: Lab) -> None:
    project = m.ProjectI()
    project.name = rstring("in gro")
    project = lab.save(lab.caller("alice", "gro"), project)
    dataset = lab.dataset(lab.caller("alice", "grw"))
    for name, group, error, text in (
        ("alice", "gro", omero.SecurityViolation, "Cannot read ome.model.containers.Dataset"),
        ("alice", -1, omero.SecurityViolation, "Group is ------. Cannot link to object: ome.model.containers.Dataset"),
        ("root", -1, omero.GroupSecurityViolation, "MIXED GROUP: ome.model.containers.ProjectDatasetLink"),
    ):
        link = m.ProjectDatasetLinkI()
        link.parent, link.child = m.ProjectI(project.id.val, False), m.DatasetI(dataset.id.val, False)
        with pytest.raises(error, match=text):
            lab.save(lab.caller(name, group), link)
    assert lab.count("ProjectDatasetLink") == 0


def test_a_link_with_a_group_of_its_own_does_not_cross_groups_either(lab: Lab) -> None:
    dataset = lab.dataset(lab.caller("alice", "gro"))
    link = m.DatasetAnnotationLinkI()
    link.parent, link.child = m.DatasetI(dataset.id.val, False), m.CommentAnnotationI()
    for obj in (link, link.child):
        obj.details.group = m.ExperimenterGroupI(lab.group("grw"), False)
    with pytest.raises(omero.GroupSecurityViolation, match="MIXED GROUP"):
        lab.save(lab.caller("root", ALL_GROUPS), link)


def test_sessions_of_others_are_not_seen(lab: Lab) -> None:
    alice, bob = lab.caller("alice", -1), lab.caller("bob", -1)
    lab.store.insert("Session", c_uuid="secret", r_owner=alice.user, c_timeToIdle=1, c_timeToLive=0)
    assert lab.store.project(alice, "select s.uuid from Session s", None)[0][0].val == "secret"
    assert lab.store.project(bob, "select s.uuid from Session s", None) == []
    assert len(lab.store.project(SERVER, "select s.uuid from Session s", None)) == 1
    assert lab.store.get(alice, "Session", [1])
    with pytest.raises(omero.SecurityViolation, match="Cannot read ome"):
        lab.store.get(bob, "Session", [1])


@pytest.mark.parametrize(
    ("repository", "writing", "deleting"),
    [
        (None, "WriteFile", "DeleteFile"),
        (MANAGED, "WriteManagedRepo", "DeleteManagedRepo"),
        (SCRIPTS, "WriteScriptRepo", "DeleteScriptRepo"),
    ],
)
def test_files_of_others_want_the_privileges_of_their_repository(
    lab: Lab, repository: str | None, writing: str, deleting: str
) -> None:
    alice, anone = lab.caller("alice", "gro"), lab.caller("anone", "gro")
    row = lab.store.insert("OriginalFile", c_name="a", c_path="/", c_repo=repository, owner_id=alice.user, group_id=alice.group)
    for held, edit, delete in ((writing, True, False), (deleting, False, True), ("WriteOwned", False, False)):
        caller = replace(anone, privileges=frozenset({held}))
        permissions = lab.store.get(caller, "OriginalFile", [row])[0].details.permissions
        assert (permissions.canEdit(), permissions.canDelete()) == (edit, delete)


@pytest.mark.parametrize(
    ("entity", "privilege"),
    [("Experimenter", "ModifyUser"), ("ExperimenterGroup", "ModifyGroup"), ("GroupExperimenterMap", "ModifyGroupMembership")],
)
def test_users_and_groups_want_the_privilege_for_them(lab: Lab, entity: str, privilege: str) -> None:
    anone = lab.caller("anone", "gro")
    for held, may in ((privilege, True), ("WriteOwned", False)):
        caller = replace(anone, privileges=frozenset({held}))
        row = lab.store.rows(f"SELECT min(id) FROM t_{entity}")[0][0]
        permissions = lab.store.get(caller, entity, [row])[0].details.permissions
        assert (permissions.canEdit(), permissions.canLink()) == (may, True)


def test_enumerations_are_changed_by_any_administrator_and_linked_to_by_all(lab: Lab) -> None:
    for name, may in (("anone", True), ("alice", False)):
        permissions = lab.store.get(lab.caller(name, "gro"), "Format", [1])[0].details.permissions
        assert (permissions.canEdit(), permissions.canLink()) == (may, True)


def test_names_are_known_to_who_shares_a_group_that_is_not_private(lab: Lab) -> None:
    bob, carol = lab.store.people.user_id("bob"), lab.store.people.user_id("carol")
    assert bob is not None
    assert carol is not None
    for name, known in (("alice", {bob}), ("carol", {carol}), ("gown", {bob, carol}), ("anone", {bob, carol})):
        users = lab.store.objects(lab.caller(name, -1), "select e from Experimenter e", None)
        assert {user.id.val for user in users if user.omeName.val != "<hidden>"} & {bob, carol} == known
        assert {user.omeName.val for user in users if user.id.val in (0, 1)} == {"root", "guest"}
    only_private = replace(lab.caller("alice", -1), member_of=(lab.group("gpriv"), 1))
    found = lab.store.get(only_private, "Experimenter", [bob])[0]
    assert (found.omeName.val, found.firstName.val, found.lastName.val) == ("<hidden>",) * 3


def test_a_session_is_read_by_who_is_behind_it(lab: Lab) -> None:
    alice, bob = lab.caller("alice", -1), lab.caller("bob", -1)
    lab.store.insert("Session", c_uuid="by bob", r_owner=alice.user, r_sudoer=bob.user, c_timeToIdle=1, c_timeToLive=0)
    acting = replace(alice, sudoer=bob.user)
    for caller, seen in ((alice, 0), (bob, 1), (acting, 1), (replace(bob, privileges=frozenset({"ReadSession"})), 1)):
        assert len(lab.store.project(caller, "select s.id from Session s", None)) == seen
    with pytest.raises(omero.SecurityViolation, match="Cannot read ome"):
        lab.store.get(alice, "Session", [1])


def test_a_store_that_only_reads_lets_nobody_do_anything(lab: Lab) -> None:
    alice = lab.caller("alice", "gro")
    dataset = lab.dataset(alice)
    lab.store.refuse_writes()
    for name in ("alice", "root"):
        caller = lab.caller(name, "gro")
        found = lab.store.get(caller, "Dataset", [dataset.id.val])[0]
        assert flags_of(found.details.permissions) == ""
        for write in (
            lambda caller=caller, found=found: lab.save(caller, found),
            lambda caller=caller: lab.dataset(caller),
            lambda: lab.store.people.set_password(alice.user, "other"),
            lambda: lab.store.insert("Node", c_uuid="x", c_conn="x"),
        ):
            with pytest.raises(omero.ApiUsageException) as refused:
                write()
            assert refused.value.message == "This instance is read-only"
    assert lab.count("Dataset") == 1
