# SPDX-License-Identifier: GPL-2.0-or-later
"""Membership: whether OMERO lets a user work in a group, said before a session is made.

OMERO itself is generous: it makes sessions for groups that the user is not in and for users who are switched off, refuses every
call in them then, and for some names of groups quietly takes the user's default group (real server, recorded).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import GroupForNobody, GroupUnknown, NotInGroup, UserInactive, UserNeverLoggedIn, UserUnknown
from omero_adi_plugin.ice import TROUBLE, translated

if TYPE_CHECKING:
    from omero_adi_plugin.sessions.session import OmeroSession

USER_GROUP = "user"
"""The group that every active user of OMERO is in; no place for data, and a log-in into it means the default group."""

GUEST_GROUP, GUEST = "guest", "guest"
"""Those who visit without a name; the guest is in no other group."""


def check_membership(service: OmeroSession, *, user: str, group: str) -> None:
    """Return if the user may work in the group.

    Parameters
    ----------
    service : OmeroSession
        A session of any user: who is in which group may everybody ask.

    Raises
    ------
    UserUnknown, UserInactive, UserNeverLoggedIn
        The user is the trouble.
    GroupUnknown, GroupForNobody, NotInGroup
        The group is.
    """
    groups = groups_of(service, user)
    if not service.query("select g.id from ExperimenterGroup g where g.name = :name", name=group):
        raise GroupUnknown(group=group)
    if group in (USER_GROUP, GUEST_GROUP):
        raise GroupForNobody(group=group)
    if group not in groups:
        raise NotInGroup(user=user, group=group)


def default_group(service: OmeroSession, user: str) -> str:
    """Return the name of the group that a user works in when nobody says which.

    Raises
    ------
    UserUnknown, UserInactive, UserNeverLoggedIn
        There is none.
    """
    groups_of(service, user)
    [[identity]] = service.query("select e.id from Experimenter e where e.omeName = :name", name=user)
    with translated("asking for a default group", service.where):
        return str(service.factory.getAdminService().getDefaultGroup(identity).getName().getValue())


def groups_of(service: OmeroSession, user: str) -> frozenset[str]:
    """Return the names of the groups in which a user can have data, at least one.

    Raises
    ------
    UserUnknown, UserInactive, UserNeverLoggedIn
        The user cannot have data anywhere.
    """
    rows = service.query(
        "select g.name from GroupExperimenterMap m join m.parent g join m.child e where e.omeName = :name", name=user
    )
    groups = {name for (name,) in rows}
    if not groups and not service.query("select e.id from Experimenter e where e.omeName = :name", name=user):
        raise UserUnknown(user=user, similar=_similar(service, user), directory=_has_directory(service))
    if USER_GROUP not in groups:  # OMERO logs such a user in, and then refuses every call
        raise UserInactive(user=user, guest=user == GUEST)
    groups -= {USER_GROUP, GUEST_GROUP}
    if not groups:  # OMERO's words: "Can't find default group" (real server, recorded)
        raise UserNeverLoggedIn(user=user)
    return frozenset(groups)


def _similar(service: OmeroSession, user: str) -> str | None:
    """Return the one user whose name differs in capitals and outer blanks only, if there is one."""
    asked = user.strip().lower()
    if not asked:
        return None
    rows = service.query("select e.omeName from Experimenter e where lower(e.omeName) = :name", name=asked)
    return str(rows[0][0]) if len(rows) == 1 and str(rows[0][0]).lower() == asked else None  # or OMERO hides it: "<hidden>"


def _has_directory(service: OmeroSession) -> bool:
    """Tell whether users of this OMERO may come from an LDAP; only administrators are told."""
    with contextlib.suppress(*TROUBLE):
        return bool(service.factory.getLdapService().getSetting())
    return False
