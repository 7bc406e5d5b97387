# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts: requests about sessions and passwords: CurrentSessionsRequest, UpdateSessionTimeoutRequest, ResetPasswordRequest."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import omero
import omero.cmd
import omero.model
import omero.sys
from omero.rtypes import rint, rlong, rstring, rtime

from omero_devserver.cmd.responses import refusal
from omero_devserver.cmd.work import Work, answers
from omero_devserver.store.errors import NoSuchGroup
from omero_devserver.store.people import SYSTEM_GROUP
from omero_devserver.wire.access import standing
from omero_devserver.wire.session import milliseconds

if TYPE_CHECKING:
    from omero_devserver.wire.sessions import Session


@answers(omero.cmd.CurrentSessionsRequest)
def current_sessions(work: Work, _request: Any) -> Any:
    """List open sessions; of those that the caller may not read only who is in which group (CurrentSessionsRequestI)."""
    response = omero.cmd.CurrentSessionsResponse([], [], [])
    for session in work.server.sessions.all():
        if not session.alive():
            continue
        readable = session.user == work.who.user or "ReadSession" in work.who.privileges
        response.sessions.append(session.as_object() if readable else None)
        response.contexts.append(_context(work, session, whole=readable))
        response.data.append(_data(session) if readable else {})
    return response


def _context(work: Work, session: Session, *, whole: bool) -> Any:
    people = work.server.store.people
    found, privileges = standing(people, session)
    context = omero.sys.EventContext()
    context.userId, context.userName = session.user, people.user_name(session.user) or ""
    context.groupId, context.groupName = session.group, people.group_name(session.group) or ""
    context.isAdmin = SYSTEM_GROUP in found.member_of
    if whole:
        context.sessionId, context.sessionUuid, context.eventType = session.row, session.uuid, session.event_type
        context.shareId, context.eventId = -1, -1
        with suppress(NoSuchGroup):  # it may have been deleted meanwhile
            context.groupPermissions = omero.model.PermissionsI(people.permissions(session.group))
        context.memberOfGroups, context.leaderOfGroups = list(found.member_of), list(found.leader_of)
        context.adminPrivileges = sorted(privileges)
        if session.sudoer is not None:
            context.sudoerId = rlong(session.sudoer)
            context.sudoerName = rstring(people.user_name(session.sudoer) or "")
    return context


def _data(session: Session) -> dict[str, Any]:
    return {
        "hitCount": rint(session.hits),
        "lastAccessTime": rtime(milliseconds(session.used)),
    }


@answers(omero.cmd.UpdateSessionTimeoutRequest)
def update_timeouts(work: Work, request: Any) -> Any:
    """Change the times of a session; users may not make theirs endless (UpdateSessionTimeoutRequestI of OMERO's source)."""
    session = work.server.sessions.find(request.session)
    if session is None or not (work.who.admin or session.user == work.who.user):
        return refusal(request, "no-session", {})
    wanted = {"timeToLive": request.timeToLive, "timeToIdle": request.timeToIdle}
    current = {"timeToLive": session.time_to_live, "timeToIdle": session.time_to_idle}
    given = {name: value.val for name, value in wanted.items() if value is not None}
    for name, target in given.items():
        if not work.who.admin and target <= 0 and target != current[name]:
            told = {"field": f"ome.model.meta.Session_{name}", "target": str(target), "current": str(current[name])}
            return refusal(request, "non-admin-disabling", told)
    if not given:
        return refusal(request, "no-update-performed", {"session": request.session})
    new = current | given
    work.server.store.update("Session", session.row, **{f"c_{name}": value for name, value in new.items()})
    session.time_to_live, session.time_to_idle = new["timeToLive"], new["timeToIdle"]
    return omero.cmd.OK()


@answers(omero.cmd.ResetPasswordRequest)
def reset_password(work: Work, request: Any) -> Any:
    """Refuse: a new password would be sent by mail, and this server sends none (names: ResetPasswordRequestI)."""
    store = work.server.store
    user = store.people.user_id(request.omename)
    if user is None:
        return refusal(request, "unknown-user", {"ApiUsageException": f"No such experimenter: {request.omename}"})
    email = store.rows("SELECT c_email FROM t_Experimenter WHERE id = ?", user)[0][0]
    if not email:
        return refusal(request, "unknown-email", {"ApiUsageException": "User has no email address."})
    if email != request.email:
        return refusal(request, "not-match", {"ApiUsageException": "Email address does not match."})
    if SYSTEM_GROUP in store.people.memberships(user).member_of:
        text = "Cannot reset password of administrators. Have another administrator set the new password."
        return refusal(request, "password-change-failed", {"PasswordChangeException": text})
    return refusal(request, "mail-send-failed", {"MailException": "The development server sends no mail."})
