# SPDX-License-Identifier: GPL-2.0-or-later
"""Changing people: the operations of IAdmin that make, change and delete users.

Who may do what, and in which order it is checked, follows AdminImpl of OMERO's source: an administrator with the privilege
for it, or for a group its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import unwrap

from omero_devserver.services.people_arguments import as_omero, known_privileges, person_of, refuse_special
from omero_devserver.services.roles import (
    administrator,
    refuse_elevation,
    require_admin_of_users,
    require_password,
    require_privilege,
)
from omero_devserver.store.people import ROOT
from omero_devserver.wire.access import SYSTEM_GROUP, USER_GROUP
from omero_devserver.wire.arguments import managed
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from omero_devserver.wire.servant import Call

SPECIAL_USERS = ("root", "guest")


class PeopleChanges:
    """What changes users."""

    def createUser(self, call: Call, user: Any, group: str) -> int:
        """Create a user, with a group by name; he cannot log in before he has a password."""
        found = call.server.store.people.group_id(group)
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
        wanted, people, changed = known_privileges(call, privileges), call.server.store.people, managed(user)
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
        who, people = call.user, call.server.store.people
        if who.sudoer not in (None, who.user):
            require_admin_of_users(call)
        with as_omero("Experimenter"):
            people.change_user(who.user, person_of(user, name=people.user_name(who.user)))

    def deleteExperimenter(self, call: Call, user: Any) -> None:
        """Delete a user of whom there is nothing, not even a session."""
        require_admin_of_users(call)
        with as_omero("Experimenter"):
            call.server.store.people.delete_user(managed(user))

    def changePassword(self, call: Call, password: Any) -> None:
        """Change the caller's own password."""
        user = call.user.user
        require_password(call)
        call.server.store.people.set_password(user, unwrap(password))

    def changePasswordWithOldPassword(self, call: Call, old: Any, new: Any) -> None:
        """Change the caller's own password, proving the old one."""
        people, user = call.server.store.people, call.user.user
        if not people.check_password(people.user_name(user) or "", unwrap(old) or ""):
            raise fault(omero.SecurityViolation, "Old password is invalid")
        people.set_password(user, unwrap(new))

    def changeUserPassword(self, call: Call, name: str, password: Any) -> None:
        """Change somebody's password."""
        _ = call.user
        require_password(call)
        user = call.server.store.people.user_id(name)
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
        people = call.server.store.people
        if not groups:
            raise fault(omero.ApiUsageException, "Group must be persistent.")
        if SYSTEM_GROUP in groups:
            refuse_elevation(call, people.every_privilege() if privileges is None else privileges)
        with as_omero("Experimenter"):
            return people.add_user(person_of(user), password, groups, privileges=privileges)

    def _update(self, call: Call, user: Any) -> None:
        require_admin_of_users(call)
        people, changed = call.server.store.people, managed(user)
        with as_omero("Experimenter"):
            person = person_of(user)
            refuse_special(people.user_name(changed) or "", person.name, SPECIAL_USERS, "experimenter")
            people.change_user(changed, person)

    def _change_password(self, call: Call, user: int, password: str | None) -> None:
        require_admin_of_users(call)
        people = call.server.store.people
        if people.privileges(user) - call.caller.privileges:
            raise fault(omero.SecurityViolation, "Cannot change the password of a more privileged user.")
        people.set_password(user, password)


def _ids(default: Any, groups: Iterable[Any] | None) -> list[int]:
    return list(dict.fromkeys(managed(group) for group in [*([default] if default is not None else []), *(groups or [])]))
