# SPDX-License-Identifier: GPL-2.0-or-later
"""Access: what a caller may see, and what it may do to a row.

The rules are those recorded on a real server for owners, members, group owners and administrators with and without
privileges, in private, read-only, read-annotate and read-write groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_devserver.store.people import GUEST, PRIVATE, ROOT, SYSTEM_GROUP, USER_GROUP
from omero_devserver.store.repositories import file_privileges

if TYPE_CHECKING:
    import sqlite3

    from omero_devserver.model.schema import Entity
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.rows import Rows

_READ, _WRITE, _ANNOTATE = 4, 2, 1
_USER, _GROUP, _WORLD = 8, 4, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one caller may do to one row, in the order of `Permissions._restrictions`."""

    link: bool
    edit: bool
    delete: bool
    annotate: bool
    chgrp: bool
    chown: bool

    def restrictions(self) -> list[bool]:
        """List what is *not* allowed, as clients get it; an empty list if all is."""
        denied = [not right for right in (self.link, self.edit, self.delete, self.annotate, self.chgrp, self.chown)]
        return denied if any(denied) else []


EVERYTHING = Rights(link=True, edit=True, delete=True, annotate=True, chgrp=True, chown=True)
NOTHING = Rights(link=False, edit=False, delete=False, annotate=False, chgrp=False, chown=False)
LINKING = Rights(link=True, edit=False, delete=False, annotate=True, chgrp=False, chown=False)
#: What an administrator needs to change rows that belong to no group; nothing for the others.
_MODIFYING = {"Experimenter": "ModifyUser", "ExperimenterGroup": "ModifyGroup", "GroupExperimenterMap": "ModifyGroupMembership"}


class Access:
    """The eyes and hands of one caller, for the length of one call."""

    def __init__(self, caller: Caller, rows: Rows) -> None:
        self.caller = caller
        self._rows = rows
        self._known_users: frozenset[int] | None = None
        self._permissions = {
            row["id"]: int(row["permissions"]) for row in rows.rows("SELECT id, permissions FROM t_ExperimenterGroup")
        }

    def permissions(self, group: int | None) -> int:
        """`perm1` of a group; that of a private one for rows that are in none."""
        return PRIVATE if group is None else self._permissions.get(group, PRIVATE)

    def is_private(self, group: int) -> bool:
        """Whether members do not see each other's data."""
        return not _granted(self.permissions(group), _GROUP, _READ)

    def row_filter(self, table: str, entity: Entity) -> str:
        """Write the SQL condition under which the caller sees rows of an entity in a query; "" if always.

        As ``OneGroupSecurityFilter`` and ``AllGroupsSecurityFilter`` in OMERO's source. One group: rows of that group and of
        group `user`; in a private group only the caller's own, unless it leads the group or is an administrator. All groups:
        the caller's own rows, those of groups that it leads, of groups it is in that are not private, and of groups that
        the world may read; an administrator sees everything.
        """
        caller = self.caller
        if caller.privileged:
            return ""
        if entity.name == "Session":
            return "" if self._reads_all_sessions() else f"coalesce({table}.r_sudoer, {table}.r_owner) = {caller.real_user}"
        if entity.system or (caller.admin and caller.group < 0):
            return ""
        own = f"{table}.owner_id = {caller.user}"
        if caller.group < 0:
            shared = [group for group in self._permissions if self._is_open(group)]
            return f"({own} OR {table}.group_id IN ({', '.join(map(str, shared))}))"
        if self._sees_all_of(caller.group):
            return f"{table}.group_id IN ({caller.group}, {USER_GROUP})"
        return f"({table}.group_id = {USER_GROUP} OR ({table}.group_id = {caller.group} AND {own}))"

    def can_read(self, entity: Entity, row: sqlite3.Row) -> bool:
        """Whether the caller may load a row by its id; other than in queries, groups `system` and `user` are open."""
        caller, group = self.caller, row["group_id"]
        if caller.privileged:
            return True
        if entity.name == "Session":
            real_owner = row["r_owner"] if row["r_sudoer"] is None else row["r_sudoer"]
            return self._reads_all_sessions() or real_owner == caller.real_user
        if entity.system or group is None or group in (SYSTEM_GROUP, USER_GROUP):
            return True
        if caller.group >= 0 and group != caller.group:
            return False
        if not caller.admin and group not in caller.member_of:
            return _granted(self.permissions(group), _WORLD, _READ)
        return bool(row["owner_id"] == caller.user) or self._sees_all_of(group)

    def rights(self, entity: Entity, owner: int | None, group: int | None, *, repository: str | None = None) -> Rights:
        """Tell what the caller may do to a row of that owner and group, a file also of that repository."""
        caller = self.caller
        if caller.privileged:
            return EVERYTHING
        if self._rows.read_only:
            return NOTHING
        if entity.system or group is None:
            return self._to_system_row(entity)
        every = [
            self._as_owner(owner, group),
            self._as_member(group),
            self._as_leader(group),
            self._as_admin(entity, group, repository),
        ]
        if group in (SYSTEM_GROUP, USER_GROUP):
            every.append(LINKING)
        return _together(every)

    def rights_to(self, entity: Entity, row: sqlite3.Row) -> Rights:
        """Tell what the caller may do to a row."""
        repository = row["c_repo"] if entity.name == "OriginalFile" else None
        return self.rights(entity, row["owner_id"], row["group_id"], repository=repository)

    def may_create(self, entity: Entity) -> bool:
        """Tell whether the caller may add rows of an entity that belongs to no group."""
        caller = self.caller
        return caller.privileged or (caller.admin and self._holds_for(entity))

    def sees_names(self, user: int) -> bool:
        """Tell whether the caller may know the names of a user, or gets ``<hidden>`` and no address.

        Administrators and group owners know all, others those with whom they share a group that is not private
        (recorded: facts 12; PropertyFilterInitializer of OMERO's source).
        """
        caller = self.caller
        if caller.privileged or caller.admin or caller.leader_of or user in (ROOT, GUEST, caller.user):
            return True
        if self._known_users is None:
            groups = [group for group in caller.member_of if group != USER_GROUP and not self.is_private(group)]
            marks = ", ".join(map(str, groups))
            found = self._rows.rows(f"SELECT DISTINCT r_child FROM t_GroupExperimenterMap WHERE r_parent IN ({marks})")
            self._known_users = frozenset(row["r_child"] for row in found)
        return user in self._known_users

    def _reads_all_sessions(self) -> bool:
        return "ReadSession" in self.caller.privileges

    def _holds_for(self, entity: Entity) -> bool:
        wanted = _MODIFYING.get(entity.name)
        return wanted is None or wanted in self.caller.privileges

    def _to_system_row(self, entity: Entity) -> Rights:
        return EVERYTHING if self.caller.admin and self._holds_for(entity) else LINKING

    def _sees_all_of(self, group: int) -> bool:
        return self.caller.admin or not self.is_private(group) or group in self.caller.leader_of

    def _is_open(self, group: int) -> bool:
        """Whether a look at all groups shows all rows of a group to the caller, who is no administrator."""
        if _granted(self.permissions(group), _WORLD, _READ) or group in self.caller.leader_of:
            return True
        return group in self.caller.member_of and not self.is_private(group)

    def _as_owner(self, owner: int | None, group: int) -> Rights:
        if owner != self.caller.user or not (group in self.caller.member_of or self.caller.admin):
            return NOTHING
        write = _granted(self.permissions(group), _USER, _WRITE)
        return Rights(link=write, edit=write, delete=write, annotate=write, chgrp=True, chown=False)

    def _as_member(self, group: int) -> Rights:
        if group not in self.caller.member_of:
            return NOTHING
        write = _granted(self.permissions(group), _GROUP, _WRITE)
        annotate = write or _granted(self.permissions(group), _GROUP, _ANNOTATE)
        return Rights(link=write, edit=write, delete=write, annotate=annotate, chgrp=False, chown=False)

    def _as_leader(self, group: int) -> Rights:
        if group not in self.caller.leader_of:
            return NOTHING
        shared = not self.is_private(group)
        return Rights(link=shared, edit=True, delete=True, annotate=shared, chgrp=False, chown=True)

    def _as_admin(self, entity: Entity, group: int, repository: str | None) -> Rights:
        if not self.caller.admin:
            return NOTHING
        held = self.caller.privileges
        writing, deleting = ("WriteOwned", "DeleteOwned")
        if entity.name == "OriginalFile":
            writing, deleting = file_privileges(repository)
        write = writing in held
        shared = write and not self.is_private(group)
        return Rights(
            link=shared,
            edit=write,
            delete=deleting in held,
            annotate=shared,
            chgrp="Chgrp" in held,
            chown="Chown" in held,
        )


def _granted(permissions: int, shift: int, right: int) -> bool:
    return bool(permissions & (right << shift))


def _together(every: list[Rights]) -> Rights:
    return Rights(
        link=any(r.link for r in every),
        edit=any(r.edit for r in every),
        delete=any(r.delete for r in every),
        annotate=any(r.annotate for r in every),
        chgrp=any(r.chgrp for r in every),
        chown=any(r.chown for r in every),
    )
