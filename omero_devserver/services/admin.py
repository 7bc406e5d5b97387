# SPDX-License-Identifier: GPL-2.0-or-later
"""IAdmin: users, groups, and who the caller is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.rtypes import rlong, rstring, unwrap

from omero_devserver.store.caller import SERVER
from omero_devserver.store.errors import NameTaken
from omero_devserver.store.people import ROOT
from omero_devserver.wire.access import ALL_GROUPS, SYSTEM_GROUP, USER_GROUP, require_group
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call

USERS = "select distinct e from Experimenter e left outer join fetch e.groupExperimenterMap m left outer join fetch m.parent g "
GROUPS = (
    "select distinct g from ExperimenterGroup g left outer join fetch g.groupExperimenterMap m left outer join fetch m.child e "
)
PRIVATE = "rw----"
HIDDEN = "<hidden>"


class Admin:
    """Operations of ``omero.api.IAdmin``."""

    def getEventContext(self, call: Call) -> Any:
        """Say who the caller is; with omero.group -1 the group is the session's own (recorded)."""
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
        return self.getGroup(call, call.server.store.people.memberships(user).member_of[0])

    def getMemberOfGroupIds(self, call: Call, user: Any) -> list[int]:
        """List the ids of a user's groups."""
        return list(call.server.store.people.memberships(user.id.val).member_of)

    def getLeaderOfGroupIds(self, call: Call, user: Any) -> list[int]:
        """List the ids of the groups that a user owns."""
        return list(call.server.store.people.memberships(user.id.val).leader_of)

    def getCurrentAdminPrivileges(self, call: Call) -> list[Any]:
        """List the caller's administrator privileges."""
        return _privileges(call, call.caller.privileges)

    def getAdminPrivileges(self, call: Call, user: Any) -> list[Any]:
        """List a user's administrator privileges."""
        return _privileges(call, call.server.store.people.privileges(user.id.val))

    def createGroup(self, call: Call, group: Any) -> int:
        """Create a group; returns its id."""
        _require(call, "ModifyGroup")
        details = group.details
        permissions = details.permissions if details is not None and details.permissions is not None else None
        if permissions is None:
            permissions = omero.model.PermissionsI(PRIVATE)
        with _names():
            return call.server.store.people.add_group(
                group.name.val, permissions=permissions._perm1, description=unwrap(group.description)
            )

    def createUser(self, call: Call, user: Any, group: str) -> int:
        """Create a user, with a group by name; he cannot log in before he has a password."""
        found = call.server.store.people.group_id(group)
        if found is None:
            raise fault(omero.ApiUsageException, f"No such group: {group}")
        return self._create(call, user, None, [found])

    def createSystemUser(self, call: Call, user: Any) -> int:
        """Create an administrator."""
        return self._create(call, user, None, [SYSTEM_GROUP])

    def createRestrictedSystemUser(self, call: Call, user: Any, privileges: Iterable[Any]) -> int:
        """Create an administrator who holds only some privileges; returns his id."""
        return self._create(call, user, None, [SYSTEM_GROUP], _known(call, privileges))

    def createRestrictedSystemUserWithPassword(self, call: Call, user: Any, privileges: Iterable[Any], password: Any) -> int:
        """Create an administrator who holds only some privileges; returns his id."""
        return self._create(call, user, unwrap(password), [SYSTEM_GROUP], _known(call, privileges))

    def setAdminPrivileges(self, call: Call, user: Any, privileges: Iterable[Any]) -> None:
        """Give and take privileges of an administrator."""
        _require(call, "ModifyUser")
        wanted = _known(call, privileges)
        people = call.server.store.people
        if user.id.val == ROOT and wanted != people.every_privilege():
            raise fault(omero.ApiUsageException, "cannot remove light administrator privileges from the root user")
        _no_elevation(call, wanted - people.privileges(user.id.val))
        people.set_privileges(user.id.val, wanted)

    def createExperimenter(self, call: Call, user: Any, default: Any, groups: Iterable[Any]) -> int:
        """Create a user without a password; returns his id."""
        return self._create(call, user, None, _ids(default, groups))

    def createExperimenterWithPassword(self, call: Call, user: Any, password: Any, default: Any, groups: Iterable[Any]) -> int:
        """Create a user; returns his id."""
        return self._create(call, user, unwrap(password), _ids(default, groups))

    def addGroups(self, call: Call, user: Any, groups: Iterable[Any]) -> None:
        """Put a user into groups."""
        for group in groups:
            _require(call, "ModifyGroupMembership", owner_of=group.id.val)
            call.server.store.people.add_member(user.id.val, group.id.val)

    def removeGroups(self, call: Call, user: Any, groups: Iterable[Any]) -> None:
        """Take a user out of groups; one must be left besides `user` (recorded)."""
        people = call.server.store.people
        gone = {group.id.val for group in groups}
        for group in gone:
            _require(call, "ModifyGroupMembership", owner_of=group)
        left = [group for group in people.memberships(user.id.val).member_of if group not in gone]
        if left == [USER_GROUP]:
            raise fault(
                omero.ValidationException,
                "experimenter cannot be a member of only the 'user' group, a different default group is also required",
            )
        for group in gone:
            people.remove_member(user.id.val, group)

    def setDefaultGroup(self, call: Call, user: Any, group: Any) -> None:
        """Choose the group that a login of the user gets."""
        if user.id.val != call.caller.user:
            _require(call, "ModifyGroupMembership")
        call.server.store.people.set_default_group(user.id.val, group.id.val)

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
        call.server.store.people.set_password(call.caller.user, unwrap(password) or "")

    def changePasswordWithOldPassword(self, call: Call, old: Any, new: Any) -> None:
        """Change the caller's own password, proving the old one."""
        people, who = call.server.store.people, call.caller
        if not people.check_password(people.user_name(who.user) or "", unwrap(old) or ""):
            raise fault(omero.SecurityViolation, "Old password is invalid")
        people.set_password(who.user, unwrap(new) or "")

    def changeUserPassword(self, call: Call, name: str, password: Any) -> None:
        """Change somebody's password."""
        _require(call, "ModifyUser")
        user = call.server.store.people.user_id(name)
        if user is None:
            raise fault(omero.ApiUsageException, f"No such experimenter: {name}")
        call.server.store.people.set_password(user, unwrap(password) or "")

    def _create(
        self, call: Call, user: Any, password: str | None, groups: list[int], privileges: frozenset[str] | None = None
    ) -> int:
        _require(call, "ModifyUser")
        if SYSTEM_GROUP in groups:
            _no_elevation(call, call.server.store.people.every_privilege() if privileges is None else privileges)
        with _names():
            return call.server.store.people.add_user(
                user.omeName.val,
                password or "",
                [group for group in groups if group not in (USER_GROUP, SYSTEM_GROUP)],
                first_name=unwrap(user.firstName) or "",
                last_name=unwrap(user.lastName) or "",
                admin=SYSTEM_GROUP in groups,
                privileges=privileges,
            )

    def _own(self, call: Call, group: Any, users: Iterable[Any], *, owner: bool) -> None:
        _require(call, "ModifyGroupMembership", owner_of=group.id.val)
        people = call.server.store.people
        for user in users:
            if group.id.val not in people.memberships(user.id.val).member_of:
                people.add_member(user.id.val, group.id.val, owner=owner)
            people.set_owner(user.id.val, group.id.val, owner)


def event_context(call: Call) -> Any:
    """Describe the caller of a call, as ``omero.sys.EventContext``."""
    who, people, session = call.caller, call.server.store.people, call.session
    context = omero.sys.EventContext()
    context.shareId, context.eventId, context.eventType = -1, -1, session.event_type
    context.sessionId, context.sessionUuid = session.row, session.uuid
    context.userId, context.userName = who.user, people.user_name(who.user) or ""
    if session.sudoer is not None:
        context.sudoerId = rlong(session.sudoer)
        context.sudoerName = rstring(people.user_name(session.sudoer))
    group = session.group if who.group == ALL_GROUPS else who.group
    context.groupId, context.groupName = group, people.group_name(group) or ""
    context.groupPermissions = omero.model.PermissionsI(people.permissions(group))
    context.isAdmin, context.adminPrivileges = who.admin, sorted(who.privileges)
    context.memberOfGroups, context.leaderOfGroups = list(who.member_of), list(who.leader_of)
    return context


class _names:  # noqa: N801  used as a function
    """Turn a name that is taken into the exception of a real server (its text names the constraint)."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Translate."""
        if isinstance(error, NameTaken):
            text = f"could not insert; constraint [{error.name}_key]; nested exception is ConstraintViolationException"
            raise fault(omero.ValidationException, text) from error


def _require(call: Call, privilege: str, *, owner_of: int | None = None) -> None:
    who = call.caller
    if owner_of is not None and owner_of in who.leader_of:
        return
    require_group(call.server.store, call.session, group=SYSTEM_GROUP, who=who)
    if privilege not in who.privileges:
        raise fault(omero.SecurityViolation, f"You do not have the privilege {privilege}")


def _known(call: Call, privileges: Iterable[Any]) -> frozenset[str]:
    values = [unwrap(privilege.value) for privilege in privileges]
    for value in values:
        if value not in call.server.store.people.every_privilege():
            raise fault(omero.ApiUsageException, f"unknown light administrator privilege: {value}")
    return frozenset(values)


def _no_elevation(call: Call, gained: frozenset[str]) -> None:
    # AdminImpl.assertNoPrivilegeElevation of OMERO's source.
    if gained - call.caller.privileges:
        raise fault(omero.SecurityViolation, "cannot give administrator privileges that current user does not have")


def _ids(default: Any, groups: Iterable[Any] | None) -> list[int]:
    ids = [default.id.val] if default is not None else []
    return list(dict.fromkeys(ids + [group.id.val for group in groups or []]))


def _one(found: list[Any], kind: str, wanted: object) -> Any:
    if not found:
        raise fault(omero.ApiUsageException, f"No such {kind}: {wanted}")
    return found[0]


def _users(call: Call, condition: str, parameters: Any = None) -> list[Any]:
    users = call.server.store.objects(SERVER, USERS + condition, parameters)
    return [_as_seen_by(call.caller, user) for user in users]


def _groups(call: Call, condition: str, parameters: Any = None) -> list[Any]:
    who = call.caller
    groups: list[Any] = call.server.store.objects(SERVER, GROUPS + condition, parameters)
    for group in groups:
        for link in group.copyGroupExperimenterMap():
            if link is not None and link.child is not None and link.child.isLoaded():
                _hide(who, link.child, group.id.val in who.member_of)
    return groups


def _as_seen_by(who: Caller, user: Any) -> Any:
    shared = any(
        link.parent.id.val in who.member_of and link.parent.id.val != USER_GROUP for link in user.copyGroupExperimenterMap()
    )
    return _hide(who, user, shared)


def _hide(who: Caller, user: Any, shared: bool) -> Any:
    # A member does not see the names of users he shares no group with; owners and administrators do (recorded: facts 12).
    if not (shared or who.admin or who.leader_of or user.id.val in (0, 1, who.user)):
        user.omeName = user.firstName = user.lastName = rstring(HIDDEN)
    return user


def _privileges(call: Call, names: frozenset[str]) -> list[Any]:
    found: list[Any] = call.server.store.objects(SERVER, "select p from AdminPrivilege p order by p.id", None)
    return [privilege for privilege in found if privilege.value.val in names]
