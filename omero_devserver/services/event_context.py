# SPDX-License-Identifier: GPL-2.0-or-later
"""Event context: who calls, as clients are told."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.rtypes import rlong, rstring

from omero_devserver.store.caller import ALL_GROUPS
from omero_devserver.store.errors import NoSuchGroup

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


def event_context(call: Call) -> Any:
    """Describe the caller of a call, as ``omero.sys.EventContext``; with omero.group -1 the group is the session's (recorded)."""
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
    with suppress(NoSuchGroup):  # that of the session may have been deleted meanwhile
        context.groupPermissions = omero.model.PermissionsI(people.permissions(group))
    context.isAdmin, context.adminPrivileges = who.admin, sorted(who.privileges)
    context.memberOfGroups, context.leaderOfGroups = list(who.member_of), list(who.leader_of)
    return context
