# SPDX-License-Identifier: GPL-2.0-or-later
"""Changing people: the operations of IAdmin that make, change and delete users, groups and memberships.

Who may do what, and in which order it is checked, follows AdminImpl of OMERO's source: an administrator with the privilege
for it, or for a group its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import unwrap

from omero_devserver.services.people_arguments import as_omero, known_privileges, person_of
from omero_devserver.services.roles import (
    administrator,
    refuse_elevation,
    require_admin_of_users,
    require_password,
    require_privilege,
)
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.people import ROOT
from omero_devserver.wire.access import SYSTEM_GROUP, USER_GROUP
from omero_devserver.wire.arguments import loaded, managed
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from omero_devserver.store.people import People
    from omero_devserver.store.transfer import Transferred
    from omero_devserver.wire.servant import Call

PRIVATE = "rw----"
SPECIAL_USERS, SPECIAL_GROUPS = ("root", "guest"), ("guest", "system", "user")


class PeopleChanges:
    """What changes users and groups."""

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
            return _people(call).add_group(group.name.val, permissions._perm1, unwrap(group.description))

    def createUser(self, call: Call, user: Any, group: str) -> int:
        """Create a user, with a group by name; he cannot log in before he has a password."""
        found = _people(call).group_id(group)
        if found is None:
            raise fault(omero.ApiUsageException, f"No such group: {group}")
        return self._create(call, user, None, [found, USER_GROUP])

    def createSystemUser(self, call: Call, user: Any) -> int:
        """Create an administrator; he cannot log in before he has a password."""
        administrator(call)
        return self._create(call, user, None, [SYSTEM_GROUP, USER_GROUP])

    def createRestrictedSystemUser(self, call: Call, user: Any, privileges: Iterable[Any]) -> int:
        """Create an administrator who holds only some privileges."""
        administrator(call)
        return self._create(call, user, None, [SYSTEM_GROUP, USER_GROUP], known_privileges(call, privileges))

    def createRestrictedSystemUserWithPassword(self, call: Call, user: Any, privileges: Iterable[Any], password: Any) -> int:
        """Create an administrator who holds only some privileges."""
        administrator(call)
        wanted = known_privileges(call, privileges)
        return self._create(call, user, unwrap(password), [SYSTEM_GROUP, USER_GROUP], wanted)

    def createExperimenter(self, call: Call, user: Any, default: Any, groups: Iterable[Any]) -> int:
        """Create a user; he cannot log in before he has a password."""
        return self._create(call, user, None, _ids(default, groups))

    def createExperimenterWithPassword(self, call: Call, user: Any, password: Any, default: Any, groups: Iterable[Any]) -> int:
        """Create a user; returns his id."""
        return self._create(call, user, unwrap(password), _ids(default, groups))

    def setAdminPrivileges(self, call: Call, user: Any, privileges: Iterable[Any]) -> None:
        """Give and take privileges of an administrator."""
        administrator(call)
        wanted, people, changed = known_privileges(call, privileges), _people(call), managed(user)
        before = people.privileges(changed)
        if changed == ROOT and wanted != people.every_privilege():
            raise fault(omero.ApiUsageException, "cannot remove light administrator privileges from the root user")
        require_privilege(call, "ModifyUser")  # what is saved is the row of the user
        if SYSTEM_GROUP in people.memberships(changed).member_of:
            refuse_elevation(call, wanted - before)
        with as_omero("Experimenter"):
            people.set_privileges(changed, wanted)

    def updateExperimenter(self, call: Call, user: Any) -> None:
        """Write a user's name and address anew; without the privilege for it, one's own but for the login name."""
        if "ModifyUser" not in call.user.privileges and managed(user) == call.caller.user:
            self.updateSelf(call, user)
            return
        self._update(call, user)

    def updateExperimenterWithPassword(self, call: Call, user: Any, password: Any) -> None:
        """Write a user's name, address and password anew: all, or nothing."""
        with call.server.store.transaction():
            self._update(call, user)
            self._change_password(call, managed(user), unwrap(password))

    def updateSelf(self, call: Call, user: Any) -> None:
        """Write one's own name and address anew, not the login name."""
        who, people = call.user, _people(call)
        if who.sudoer not in (None, who.user):
            require_admin_of_users(call)
        with as_omero("Experimenter"):
            people.change_user(who.user, person_of(user, name=people.user_name(who.user)))

    def updateGroup(self, call: Call, group: Any) -> None:
        """Write a group's name, description and permissions anew."""
        changed, people = managed(group), _people(call)
        parted = None
        require_privilege(call, "ModifyGroup", changed)
        with call.server.store.transaction(), as_omero("ExperimenterGroup"):
            people.permissions(changed)
            before, name = people.group_name(changed) or "", unwrap(loaded(group).name) or ""
            _refuse_special(before, name, SPECIAL_GROUPS, "group")
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

    def deleteExperimenter(self, call: Call, user: Any) -> None:
        """Delete a user of whom there is nothing, not even a session."""
        require_admin_of_users(call)
        with as_omero("Experimenter"):
            _people(call).delete_user(managed(user))

    def deleteGroup(self, call: Call, group: Any) -> None:
        """Delete a group that nothing is in."""
        require_privilege(call, "ModifyGroup", managed(group))
        with as_omero("ExperimenterGroup"):
            _people(call).delete_group(managed(group))

    def addGroups(self, call: Call, user: Any, groups: Sequence[Any]) -> None:
        """Put a user into groups."""
        if not groups:
            raise fault(omero.ValidationException, "Nothing to do.")
        added, people, wanted = managed(user), _people(call), [managed(group) for group in groups]
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
        removed, gone, people = managed(user), {managed(group) for group in groups}, _people(call)
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
        people = _people(call)
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

    def changePassword(self, call: Call, password: Any) -> None:
        """Change the caller's own password."""
        user = call.user.user
        require_password(call)
        _people(call).set_password(user, unwrap(password))

    def changePasswordWithOldPassword(self, call: Call, old: Any, new: Any) -> None:
        """Change the caller's own password, proving the old one."""
        people, user = _people(call), call.user.user
        if not people.check_password(people.user_name(user) or "", unwrap(old) or ""):
            raise fault(omero.SecurityViolation, "Old password is invalid")
        people.set_password(user, unwrap(new))

    def changeUserPassword(self, call: Call, name: str, password: Any) -> None:
        """Change somebody's password."""
        _ = call.user
        require_password(call)
        user = _people(call).user_id(name)
        if user is None:
            raise fault(omero.ApiUsageException, f"No such experimenter: {name}")
        self._change_password(call, user, unwrap(password))

    def synchronizeLoginCache(self, call: Call) -> None:
        """Do nothing: there is no directory (LDAP) to read from."""
        administrator(call)

    def _create(
        self, call: Call, user: Any, password: str | None, groups: list[int], privileges: frozenset[str] | None = None
    ) -> int:
        require_privilege(call, "ModifyUser", *(group for group in groups if group != USER_GROUP))
        people = _people(call)
        if not groups:
            raise fault(omero.ApiUsageException, "Group must be persistent.")
        if SYSTEM_GROUP in groups:
            refuse_elevation(call, people.every_privilege() if privileges is None else privileges)
        with as_omero("Experimenter"):
            return people.add_user(person_of(user), password, groups, privileges=privileges)

    def _update(self, call: Call, user: Any) -> None:
        require_admin_of_users(call)
        people, changed = _people(call), managed(user)
        with as_omero("Experimenter"):
            person = person_of(user)
            _refuse_special(people.user_name(changed) or "", person.name, SPECIAL_USERS, "experimenter")
            people.change_user(changed, person)

    def _change_password(self, call: Call, user: int, password: str | None) -> None:
        require_admin_of_users(call)
        people = _people(call)
        if people.privileges(user) - call.caller.privileges:
            raise fault(omero.SecurityViolation, "Cannot change the password of a more privileged user.")
        people.set_password(user, password)

    def _own(self, call: Call, group: Any, users: Iterable[Any], *, owner: bool) -> None:
        owned, people = managed(group), _people(call)
        require_privilege(call, "ModifyGroupMembership", owned)
        with call.server.store.transaction(), as_omero("Experimenter"):
            for user in users:
                if owned not in people.memberships(managed(user)).member_of:
                    self.addGroups(call, user, [group])
                people.set_owner(managed(user), owned, owner)


def _people(call: Call) -> People:
    return call.server.store.people


def _set_permissions(call: Call, group: int, permissions: Any) -> Transferred:
    try:
        return call.server.store.graphs.set_permissions(call.user, [group], permissions=permissions._perm1)
    except GraphFailed as refusal:
        raise fault(omero.SecurityViolation, refusal.message) from refusal


def _remove_files(call: Call, parted: Transferred) -> None:
    """Remove the files of what a group lost that became private, when that has been committed."""
    call.server.disk.remove(parted.files)
    call.server.disk.remove_data(call.server.disk.data_of(parted.deleted))


def _refuse_special(before: str, after: str, special: Sequence[str], kind: str) -> None:
    if before == after:
        return
    if before in special:
        raise fault(omero.ValidationException, f"cannot change name of special {kind} '{before}'")
    if after in special:
        raise fault(omero.ValidationException, f"cannot change name to special {kind} '{after}'")


def _ids(default: Any, groups: Iterable[Any] | None) -> list[int]:
    return list(dict.fromkeys(managed(group) for group in [*([default] if default is not None else []), *(groups or [])]))
