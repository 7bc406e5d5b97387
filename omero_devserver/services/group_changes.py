# SPDX-License-Identifier: GPL-2.0-or-later
"""Changing groups: the operations of IAdmin that make, change and delete groups, and put users into them.

Who may do what, and in which order it is checked, follows AdminImpl of OMERO's source: an administrator with the privilege
for it, or the group's owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import unwrap

from omero_devserver.services.people_arguments import as_omero, refuse_special
from omero_devserver.services.roles import administrator, refuse_elevation, require_privilege
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.people import ROOT
from omero_devserver.wire.access import SYSTEM_GROUP, USER_GROUP
from omero_devserver.wire.arguments import loaded, managed
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from omero_devserver.store.transfer import Transferred
    from omero_devserver.wire.servant import Call

PRIVATE = "rw----"
SPECIAL_GROUPS = ("guest", "system", "user")


class GroupChanges:
    """What changes groups and memberships."""

    def createGroup(self, call: Call, group: Any) -> int:
        """Create a group; returns its id. A private one, if it says nothing else."""
        administrator(call)
        require_privilege(call, "ModifyGroup")
        if loaded(group).name is None:
            raise fault(omero.ValidationException, "Group name may not be null.")
        details = group.details
        permissions = details.permissions if details is not None and details.permissions is not None else None
        if permissions is None:
            permissions = omero.model.PermissionsI(PRIVATE)
        with as_omero("ExperimenterGroup"):
            return call.server.store.people.add_group(group.name.val, permissions._perm1, unwrap(group.description))

    def updateGroup(self, call: Call, group: Any) -> None:
        """Write a group's name, description and permissions anew."""
        changed, people = managed(group), call.server.store.people
        parted = None
        require_privilege(call, "ModifyGroup", changed)
        with call.server.store.transaction(), as_omero("ExperimenterGroup"):
            people.permissions(changed)
            before, name = people.group_name(changed) or "", unwrap(loaded(group).name) or ""
            refuse_special(before, name, SPECIAL_GROUPS, "group")
            if before != name and changed == call.caller.group:
                raise fault(omero.ValidationException, f"cannot rename the current group context '{before}'")
            people.change_group(changed, name=name, description=unwrap(group.description))
            permissions = None if group.details is None else group.details.permissions
            if permissions is not None and permissions._perm1 != people.permissions(changed):
                parted = _set_permissions(call, changed, permissions)
        if parted is not None:
            _remove_files(call, parted)

    def changePermissions(self, call: Call, obj: Any, permissions: Any) -> None:
        """Change the permissions of a group; other objects have those of their group.

        Raises
        ------
        omero.SecurityViolation
            The group is not the caller's to change, or its data cannot be parted, as it must be in a private group.
        omero.InternalException
            It is no group: not implemented.
        """
        if permissions is None:
            raise fault(omero.ApiUsageException, "Argument may not be null.")
        if not isinstance(obj, omero.model.ExperimenterGroup):
            raise call.server.journal.not_implemented("IAdmin.changePermissions of other objects than groups")
        _remove_files(call, _set_permissions(call, managed(obj), permissions))

    def deleteGroup(self, call: Call, group: Any) -> None:
        """Delete a group that nothing is in."""
        require_privilege(call, "ModifyGroup", managed(group))
        with as_omero("ExperimenterGroup"):
            call.server.store.people.delete_group(managed(group))

    def addGroups(self, call: Call, user: Any, groups: Sequence[Any]) -> None:
        """Put a user into groups."""
        if not groups:
            raise fault(omero.ValidationException, "Nothing to do.")
        added, people, wanted = managed(user), call.server.store.people, [managed(group) for group in groups]
        require_privilege(call, "ModifyGroupMembership", *wanted)
        with call.server.store.transaction(), as_omero("Experimenter"):
            before = people.privileges(added)
            for group in wanted:
                people.add_member(added, group)
            refuse_elevation(call, people.privileges(added) - before)

    def removeGroups(self, call: Call, user: Any, groups: Sequence[Any]) -> None:
        """Take a user out of groups; one must be left besides `user` (recorded)."""
        if user is None or groups is None:
            return
        removed, gone, people = managed(user), {managed(group) for group in groups}, call.server.store.people
        require_privilege(call, "ModifyGroupMembership", *gone)
        name = people.user_name(removed)
        if gone & {SYSTEM_GROUP, USER_GROUP} and removed == ROOT:
            text = f"experimenter '{name}' may not be removed from the 'system' or 'user' group"
            raise fault(omero.ValidationException, text)
        if gone & {SYSTEM_GROUP, USER_GROUP} and removed == call.caller.user:
            text = "experimenters may not remove themselves from the 'system' or 'user' group"
            raise fault(omero.ValidationException, text)
        with call.server.store.transaction():  # somebody else may be taking him out of the others
            left = set(people.memberships(removed).member_of) - gone
            if not left:
                raise fault(omero.ValidationException, "experimenter must remain a member of some group")
            if left == {USER_GROUP}:
                text = "experimenter cannot be a member of only the 'user' group, a different default group is also required"
                raise fault(omero.ValidationException, text)
            for group in gone:
                people.remove_member(removed, group)

    def setDefaultGroup(self, call: Call, user: Any, group: Any) -> None:
        """Choose the group that a login of the user gets."""
        if user is None or group is None:
            return
        who, changed, wanted = call.user, managed(user), managed(group)
        if "ModifyUser" not in who.privileges and changed != who.user:
            raise fault(omero.SecurityViolation, f"User {changed} can only set own default group.")
        if wanted == USER_GROUP:
            raise fault(omero.ApiUsageException, "Cannot set default group to: user")
        people = call.server.store.people
        if wanted not in people.memberships(changed).member_of:
            raise fault(omero.ApiUsageException, f"Group {wanted} was not found for user {changed}")
        people.set_default_group(changed, wanted)

    def setGroupOwner(self, call: Call, group: Any, user: Any) -> None:
        """Make a user an owner of a group."""
        self._own(call, group, [user], owner=True)

    def unsetGroupOwner(self, call: Call, group: Any, user: Any) -> None:
        """Make a user a plain member of a group."""
        self._own(call, group, [user], owner=False)

    def addGroupOwners(self, call: Call, group: Any, users: Iterable[Any]) -> None:
        """Make users owners of a group."""
        self._own(call, group, users, owner=True)

    def removeGroupOwners(self, call: Call, group: Any, users: Iterable[Any]) -> None:
        """Make users plain members of a group."""
        self._own(call, group, users, owner=False)

    def _own(self, call: Call, group: Any, users: Iterable[Any], *, owner: bool) -> None:
        owned, people = managed(group), call.server.store.people
        require_privilege(call, "ModifyGroupMembership", owned)
        with call.server.store.transaction(), as_omero("Experimenter"):
            for user in users:
                if owned not in people.memberships(managed(user)).member_of:
                    self.addGroups(call, user, [group])
                people.set_owner(managed(user), owned, owner)


def _set_permissions(call: Call, group: int, permissions: Any) -> Transferred:
    try:
        return call.server.store.graphs.set_permissions(call.user, [group], permissions=permissions._perm1)
    except GraphFailed as refusal:
        raise fault(omero.SecurityViolation, refusal.message) from refusal


def _remove_files(call: Call, parted: Transferred) -> None:
    """Remove the files of what a group lost that became private, when that has been committed."""
    call.server.disk.remove(parted.files)
    call.server.disk.remove_data(call.server.disk.data_of(parted.deleted))
