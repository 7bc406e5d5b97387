# SPDX-License-Identifier: GPL-2.0-or-later
"""Roles: who may call an operation of an administrative service (RolesAllowed of OMERO's source)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import omero

from omero_devserver.wire.access import SYSTEM_GROUP, require_group
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call


def require_password(call: Call) -> None:
    """Refuse a client that joined its session, and has not proved the password since.

    Raises
    ------
    omero.SecurityViolation
        It has shown nothing but the session's uuid.
    """
    client = call.server.clients.of(call.connection)
    if client is None or not client.password:
        text = "Bad authentication credentials for this action.\nSee setSecurityPassword for more information"
        raise fault(omero.SecurityViolation, text)


def administrator(call: Call) -> Caller:
    """Give the caller, who must be an administrator, restricted or not.

    Raises
    ------
    omero.SecurityViolation
        He is not in group `system`; the text names the groups that he is in (recorded).
    """
    who = call.caller
    require_group(call.server.store, call.session, group=SYSTEM_GROUP, who=who)
    return who


def require_privilege(call: Call, privilege: str, *groups: int) -> None:
    """Refuse a caller who neither holds a privilege nor owns all of some groups.

    Raises
    ------
    omero.SecurityViolation
        As AdminImpl of OMERO's source words it.
    """
    who = call.user
    if privilege not in who.privileges and not (groups and set(groups) <= set(who.leader_of)):
        text = "Current user is neither admin nor group-leader for the given user(s)/group(s)"
        raise fault(omero.SecurityViolation, text)


def require_admin_of_users(call: Call) -> None:
    """Refuse a caller who may not change users, with omero.SecurityViolation."""
    if "ModifyUser" not in call.user.privileges:
        raise fault(omero.SecurityViolation, "Current user is not admin for the given user(s)")


def refuse_elevation(call: Call, gained: frozenset[str]) -> None:
    """Refuse to give privileges that the caller does not hold, with omero.SecurityViolation."""
    if gained - call.caller.privileges:
        raise fault(omero.SecurityViolation, "cannot give administrator privileges that current user does not have")
