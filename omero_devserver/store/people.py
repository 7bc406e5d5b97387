# SPDX-License-Identifier: GPL-2.0-or-later
"""People: users, groups, who is in which, and who may log in.

The order of a user's memberships is the order of `Experimenter.groupExperimenterMap`: the first one is the default group,
group `user` comes last.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ROOTS
from omero_devserver.model.tables import DETAILS
from omero_devserver.store.errors import NameTaken, NoSuchGroup, NoSuchUser, StillReferred
from omero_devserver.store.passwords import hash_password, password_matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_devserver.store.rows import Rows

#: Rows that every OMERO has (ome.system.Roles in OMERO's source).
SYSTEM_GROUP, USER_GROUP, GUEST_GROUP = 0, 1, 2
ROOT, GUEST = 0, 1

#: `omero.model.Permissions.perm1` of the kinds of groups.
PRIVATE, READ_ONLY, READ_ANNOTATE, READ_WRITE = -120, -56, -40, -8
#: Group `user`, as recorded: rwr-r-.
WORLD_READ_ONLY = -52
#: Settings of a restricted administrator that say which privileges are taken away begin so.
_TAKEN = "AdminPrivilege:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memberships:
    """Groups of one user: those it is in, default group first and `user` last, and those of them it owns."""

    member_of: tuple[int, ...]
    leader_of: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What is known of a user beside its groups: `name` is the one to log in with."""

    name: str
    first_name: str
    last_name: str
    middle_name: str | None = None
    email: str | None = None
    institution: str | None = None

    def columns(self) -> dict[str, object]:
        """Give the columns of its row."""
        return {
            "c_omeName": self.name,
            "c_firstName": self.first_name,
            "c_lastName": self.last_name,
            "c_middleName": self.middle_name,
            "c_email": self.email,
            "c_institution": self.institution,
        }


class People:
    """Users and groups of one store."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def user_id(self, name: str) -> int | None:
        """Id of the user of that name (capitals count)."""
        return self._first("SELECT id FROM t_Experimenter WHERE c_omeName = ?", name)

    def user_name(self, user: int) -> str | None:
        """Login name of a user."""
        found = self._rows.rows("SELECT c_omeName FROM t_Experimenter WHERE id = ?", user)
        return str(found[0][0]) if found else None

    def group_id(self, name: str) -> int | None:
        """Id of the group of that name (capitals count)."""
        return self._first("SELECT id FROM t_ExperimenterGroup WHERE c_name = ?", name)

    def group_name(self, group: int) -> str | None:
        """Name of a group."""
        found = self._rows.rows("SELECT c_name FROM t_ExperimenterGroup WHERE id = ?", group)
        return str(found[0][0]) if found else None

    def permissions(self, group: int) -> int:
        """`perm1` of a group.

        Raises
        ------
        NoSuchGroup
            There is none of that id.
        """
        found = self._first("SELECT permissions FROM t_ExperimenterGroup WHERE id = ?", group)
        if found is None:
            raise NoSuchGroup(group=group)
        return found

    def memberships(self, user: int) -> Memberships:
        """List the groups of a user; none for a user that does not exist."""
        found = self._rows.rows(
            "SELECT r_parent, c_owner FROM t_GroupExperimenterMap WHERE r_child = ? ORDER BY r_parent = ?, position, id",
            user,
            USER_GROUP,
        )
        return Memberships(
            member_of=tuple(row["r_parent"] for row in found),
            leader_of=tuple(row["r_parent"] for row in found if row["c_owner"]),
        )

    def privileges(self, user: int) -> frozenset[str]:
        """Values of AdminPrivilege that a user holds.

        All of them for a full administrator, none for others. A restricted administrator lists the ones that are taken
        away in the settings of its Experimenter row, `AdminPrivilege:<value>` = false (IAdmin.setAdminPrivileges, source).
        """
        if SYSTEM_GROUP not in self.memberships(user).member_of:
            return frozenset()
        every = self.every_privilege()
        taken = self._rows.rows(
            "SELECT name FROM map_value"
            " WHERE root = 'Experimenter' AND object = ? AND field = 'config' AND lower(value) = 'false'",
            user,
        )
        return every - {str(row[0]).removeprefix(_TAKEN) for row in taken if str(row[0]).startswith(_TAKEN)}

    def every_privilege(self) -> frozenset[str]:
        """Values of AdminPrivilege that a full administrator holds."""
        return frozenset(str(row[0]) for row in self._rows.rows("SELECT c_value FROM t_AdminPrivilege"))

    def set_privileges(self, user: int, privileges: frozenset[str]) -> None:
        """Make an administrator a restricted one with these privileges, or a full one with all of them."""
        with self._rows.transaction():
            self._require_user(user)
            others = self._rows.rows(
                "SELECT name, value FROM map_value"
                " WHERE root = 'Experimenter' AND object = ? AND field = 'config' ORDER BY position",
                user,
            )
            settings = [(row["name"], row["value"]) for row in others if not str(row["name"]).startswith(_TAKEN)]
            settings += [(f"{_TAKEN}{value}", "false") for value in sorted(self.every_privilege() - privileges)]
            self._rows.set_map("Experimenter", user, "config", settings)

    def check_password(self, name: str, password: str) -> bool:
        """Whether a user of that name exists and has that password; nobody logs in without one."""
        found = self._rows.rows(
            "SELECT hash FROM password JOIN t_Experimenter u ON u.id = password.user WHERE u.c_omeName = ?", name
        )
        return bool(found) and password_matches(password, found[0]["hash"])

    def set_password(self, user: int, password: str | None) -> None:
        """Give a user another password; with None or a blank one he cannot log in any more."""
        with self._rows.transaction():
            self._require_user(user)
            if password is None or not password.strip():
                self._rows.execute("DELETE FROM password WHERE user = ?", user)
                return
            self._rows.execute("INSERT OR REPLACE INTO password (user, hash) VALUES (?, ?)", user, hash_password(password))

    def add_group(self, name: str, permissions: int = PRIVATE, description: str | None = None) -> int:
        """Make a group.

        Raises
        ------
        NameTaken
            There is a group of that name.
        """
        with self._rows.transaction():
            if self.group_id(name) is not None:
                raise NameTaken(name=name)
            return self._rows.insert(
                "ExperimenterGroup", c_name=name, permissions=permissions, c_description=description, c_ldap=0
            )

    def change_group(self, group: int, *, name: str, description: str | None) -> None:
        """Give a group another name and description; raises NoSuchGroup and NameTaken."""
        with self._rows.transaction():
            self.permissions(group)
            if self.group_id(name) not in (None, group):
                raise NameTaken(name=name)
            self._rows.update("ExperimenterGroup", group, c_name=name, c_description=description)

    def delete_group(self, group: int) -> None:
        """Delete a group with its memberships; raises NoSuchGroup, and StillReferred if there is data in it."""
        with self._unless_referred("ExperimenterGroup", group):
            self.permissions(group)
            self._rows.execute("DELETE FROM t_GroupExperimenterMap WHERE r_parent = ?", group)

    def add_user(
        self, person: Person, password: str | None, groups: Sequence[int], *, privileges: frozenset[str] | None = None
    ) -> int:
        """Make a user.

        Parameters
        ----------
        person : Person
            Who it is.
        password : str or None
            None for one who cannot log in yet.
        groups : sequence of int
            Its groups, the default one first. Without group `user` it is not active, in group `system` an administrator.
        privileges : frozenset of str or None
            Those of an administrator who does not get all of them.

        Returns
        -------
        int
            Its id.

        Raises
        ------
        NameTaken
            There is a user of that name.
        NoSuchGroup
            One of the groups does not exist.
        """
        with self._rows.transaction():
            if self.user_id(person.name) is not None:
                raise NameTaken(name=person.name)
            user = self._rows.insert("Experimenter", c_ldap=0, **person.columns())
            for group in dict.fromkeys(groups):
                self.add_member(user, group)
            self.set_password(user, password)
            if privileges is not None:
                self.set_privileges(user, privileges)
            return user

    def change_user(self, user: int, person: Person) -> None:
        """Write a user's name and address anew; raises NoSuchUser and NameTaken."""
        with self._rows.transaction():
            self._require_user(user)
            if self.user_id(person.name) not in (None, user):
                raise NameTaken(name=person.name)
            self._rows.update("Experimenter", user, **person.columns())

    def delete_user(self, user: int) -> None:
        """Delete a user with its memberships; raises NoSuchUser, and StillReferred if there is data or a session of it."""
        with self._unless_referred("Experimenter", user):
            self._require_user(user)
            self._rows.execute("DELETE FROM password WHERE user = ?", user)
            self._rows.execute("DELETE FROM t_GroupExperimenterMap WHERE r_child = ?", user)

    def add_member(self, user: int, group: int, *, owner: bool = False) -> None:
        """Put a user into a group, after the groups it is in; one that is in it stays as it is, but for `owner`."""
        with self._rows.transaction():
            self._require_user(user)
            self.permissions(group)
            if group in self.memberships(user).member_of:
                if owner:
                    self.set_owner(user, group, owner=True)
                return
            self._rows.insert("GroupExperimenterMap", r_parent=group, r_child=user, c_owner=int(owner))

    def remove_member(self, user: int, group: int) -> None:
        """Take a user out of a group; nothing happens if it is not in it."""
        self._rows.execute("DELETE FROM t_GroupExperimenterMap WHERE r_parent = ? AND r_child = ?", group, user)

    def set_owner(self, user: int, group: int, owner: bool) -> None:
        """Make a member an owner of the group, or no longer."""
        self._rows.execute(
            "UPDATE t_GroupExperimenterMap SET c_owner = ? WHERE r_parent = ? AND r_child = ?", int(owner), group, user
        )

    def set_default_group(self, user: int, group: int) -> None:
        """Put a group that the user is in before its others.

        Raises
        ------
        NoSuchGroup
            The user is not in it.
        """
        with self._rows.transaction():
            if group not in self.memberships(user).member_of:
                raise NoSuchGroup(group=group)
            self._rows.execute(
                "UPDATE t_GroupExperimenterMap SET position ="
                " (SELECT min(position) - 1 FROM t_GroupExperimenterMap WHERE r_child = ?)"
                " WHERE r_child = ? AND r_parent = ?",
                user,
                user,
                group,
            )

    @contextmanager
    def _unless_referred(self, entity: str, row_id: int) -> Iterator[None]:
        """Delete a row after what a block deletes, all or nothing."""
        detail = next(column for column, kind in DETAILS.values() if kind == entity)
        try:
            with self._rows.transaction():
                yield
                self._rows.set_map(entity, row_id, "config", [])
                self._rows.execute(f"DELETE FROM t_{entity} WHERE id = ?", row_id)
                # Owners and groups are no foreign keys, and what was given or moved has its events with others.
                if any(self._rows.rows(f"SELECT 1 FROM t_{root} WHERE {detail} = ? LIMIT 1", row_id) for root in ROOTS):
                    raise StillReferred(entity=entity, row_id=row_id)
        except sqlite3.IntegrityError as error:  # at the commit: the tables check references there
            raise StillReferred(entity=entity, row_id=row_id) from error

    def _require_user(self, user: int) -> None:
        if self.user_name(user) is None:
            raise NoSuchUser(user=user)

    def _first(self, sql: str, argument: object) -> int | None:
        found = self._rows.rows(sql, argument)
        return int(found[0][0]) if found else None
