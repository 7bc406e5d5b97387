# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking up people: the operations of IAdmin that change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.rtypes import rlist

from omero_devserver.services.event_context import event_context
from omero_devserver.services.people_arguments import known_privileges
from omero_devserver.store.caller import ALL_GROUPS, SERVER
from omero_devserver.wire.access import SYSTEM_GROUP, USER_GROUP
from omero_devserver.wire.arguments import managed
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from omero_devserver.wire.servant import Call

USERS = "select distinct e from Experimenter e left outer join fetch e.groupExperimenterMap m left outer join fetch m.parent g "
GROUPS = (
    "select distinct g from ExperimenterGroup g left outer join fetch g.groupExperimenterMap m left outer join fetch m.child e "
)
PHOTOS = (
    "select f from ExperimenterAnnotationLink l join l.child a join a.file f"
    " where l.parent.id = :id and a.ns = 'openmicroscopy.org/omero/experimenter/photo' order by f.id"
)


class PeopleLookups:
    """Who is there. The names of users whom the caller shares no group with are hidden (recorded: facts 12)."""

    def getEventContext(self, call: Call) -> Any:
        """Say who the caller is."""
        return event_context(call)

    def getSecurityRoles(self, call: Call) -> Any:
        """Give names and ids of the users and groups that always exist."""
        roles = omero.sys.Roles()
        roles.rootId, roles.rootName = 0, "root"
        roles.guestId, roles.guestName = 1, "guest"
        roles.systemGroupId, roles.systemGroupName = SYSTEM_GROUP, "system"
        roles.userGroupId, roles.userGroupName = USER_GROUP, "user"
        roles.guestGroupId, roles.guestGroupName = 2, "guest"
        return roles

    def canUpdate(self, call: Call, obj: Any) -> bool:
        """Tell whether the caller may change an object."""
        if obj is None:
            raise fault(omero.ApiUsageException, "Argument cannot be null")
        kind = type(obj).__name__
        found = call.server.store.get(replace(call.user, group=ALL_GROUPS), kind, [managed(obj)])[0]
        return bool(found.details.permissions.canEdit())

    def getExperimenter(self, call: Call, user: int) -> Any:
        """Find a user by id."""
        return _one(_users(call, "where e.id = :id", omero.sys.ParametersI().addId(user)), "experimenter", user)

    def lookupExperimenter(self, call: Call, name: str) -> Any:
        """Find a user by name."""
        parameters = omero.sys.ParametersI().addString("name", name)
        return _one(_users(call, "where e.omeName = :name", parameters), "experimenter", name)

    def lookupExperimenters(self, call: Call) -> list[Any]:
        """List all users."""
        return _users(call, "order by e.id")

    def lookupLdapAuthExperimenter(self, call: Call, user: int) -> str | None:
        """Give a user's name in the directory (LDAP): null, there is none."""
        return None

    def lookupLdapAuthExperimenters(self, call: Call) -> Any:
        """List the users who log in by the directory (LDAP): none."""
        return rlist([])

    def getMyUserPhotos(self, call: Call) -> list[Any]:
        """List the photos of the caller."""
        who = replace(call.user, group=ALL_GROUPS)
        photos: list[Any] = call.server.store.objects(who, PHOTOS, omero.sys.ParametersI().addId(who.user))
        return photos

    def getGroup(self, call: Call, group: int) -> Any:
        """Find a group by id."""
        return _one(_groups(call, "where g.id = :id", omero.sys.ParametersI().addId(group)), "group", group)

    def lookupGroup(self, call: Call, name: str) -> Any:
        """Find a group by name, also one that the caller is not in (recorded)."""
        parameters = omero.sys.ParametersI().addString("name", name)
        return _one(_groups(call, "where g.name = :name", parameters), "group", name)

    def lookupGroups(self, call: Call) -> list[Any]:
        """List all groups."""
        return _groups(call, "order by g.id")

    def containedExperimenters(self, call: Call, group: int) -> list[Any]:
        """List the members of a group."""
        wanted = "where e.id in (select x.child.id from GroupExperimenterMap x where x.parent.id = :id) order by e.id"
        return _users(call, wanted, omero.sys.ParametersI().addId(group))

    def containedGroups(self, call: Call, user: int) -> list[Any]:
        """List the groups of a user."""
        wanted = "where g.id in (select x.parent.id from GroupExperimenterMap x where x.child.id = :id) order by g.id"
        return _groups(call, wanted, omero.sys.ParametersI().addId(user))

    def getDefaultGroup(self, call: Call, user: int) -> Any:
        """Give the group that a login of the user gets."""
        groups = [group for group in call.server.store.people.memberships(user).member_of if group != USER_GROUP]
        if not groups:
            raise fault(omero.ValidationException, f"The user {user} has no default group set.")
        return self.getGroup(call, groups[0])

    def getMemberOfGroupIds(self, call: Call, user: Any) -> list[int]:
        """List the ids of a user's groups."""
        _ = call.user
        return list(call.server.store.people.memberships(managed(user)).member_of)

    def getLeaderOfGroupIds(self, call: Call, user: Any) -> list[int]:
        """List the ids of the groups that a user owns."""
        _ = call.user
        return list(call.server.store.people.memberships(managed(user)).leader_of)

    def getCurrentAdminPrivileges(self, call: Call) -> list[Any]:
        """List the caller's administrator privileges."""
        return _privileges(call, call.user.privileges)

    def getAdminPrivileges(self, call: Call, user: Any) -> list[Any]:
        """List a user's administrator privileges."""
        _ = call.user
        return _privileges(call, call.server.store.people.privileges(managed(user)))

    def getAdminsWithPrivileges(self, call: Call, privileges: Iterable[Any]) -> list[Any]:
        """List the administrators who hold all of some privileges."""
        wanted, people = known_privileges(call, privileges), call.server.store.people
        admins = self.containedExperimenters(call, SYSTEM_GROUP)
        return [admin for admin in admins if wanted <= people.privileges(admin.id.val)]


def _one(found: list[Any], kind: str, wanted: object) -> Any:
    if not found:
        raise fault(omero.ApiUsageException, f"No such {kind}: {wanted}")
    return found[0]


def _users(call: Call, condition: str, parameters: Any = None) -> list[Any]:
    users: list[Any] = call.server.store.objects(replace(call.user, group=ALL_GROUPS), USERS + condition, parameters)
    return users


def _groups(call: Call, condition: str, parameters: Any = None) -> list[Any]:
    groups: list[Any] = call.server.store.objects(replace(call.user, group=ALL_GROUPS), GROUPS + condition, parameters)
    return groups


def _privileges(call: Call, names: frozenset[str]) -> list[Any]:
    found: list[Any] = call.server.store.objects(SERVER, "select p from AdminPrivilege p order by p.id", None)
    return [privilege for privilege in found if privilege.value.val in names]
