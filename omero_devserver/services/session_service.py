# SPDX-License-Identifier: GPL-2.0-or-later
"""ISession: sessions as objects, and sessions for others (sudo)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import Glacier2
import omero

from omero_devserver.store.caller import SERVER
from omero_devserver.wire.access import SYSTEM_GROUP, login_group
from omero_devserver.wire.faults import fault
from omero_devserver.wire.sessions import NOT_THERE

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.sessions import Session


class SessionService:
    """Operations of ``omero.api.ISession``. Nothing but its id protects a session (recorded: facts 4)."""

    def getSession(self, call: Call, uuid: str) -> Any:
        """Find an open session by uuid."""
        return _as_object(call, call.server.sessions.get(uuid))

    def getReferenceCount(self, call: Call, uuid: str) -> int:
        """Count who holds on to a session."""
        return call.server.sessions.get(uuid).references

    def getMyOpenSessions(self, call: Call) -> list[Any]:
        """List the caller's open sessions."""
        return [_as_object(call, session) for session in call.server.sessions.of_user(call.session.user)]

    def getMyOpenAgentSessions(self, call: Call, agent: str) -> list[Any]:
        """List the caller's open sessions that were made by a client of that name."""
        return [one for one in self.getMyOpenSessions(call) if one.userAgent is not None and one.userAgent.val == agent]

    def closeSession(self, call: Call, session: Any) -> int:
        """Take one reference away; returns how many are left, -2 when that closed it, -1 when there is none (recorded)."""
        found = call.server.sessions.find(session.uuid.val)
        if found is None:
            return NOT_THERE
        return call.server.sessions.release(found, explicit=True)

    def createSessionWithTimeout(self, call: Call, principal: Any, time_to_live: int) -> Any:
        """Make a session for somebody, with an absolute life in milliseconds and no limit of idleness (recorded)."""
        return self.createSessionWithTimeouts(call, principal, time_to_live, 0)

    def createSessionWithTimeouts(self, call: Call, principal: Any, time_to_live: int, time_to_idle: int) -> Any:
        """Make a session for somebody (sudo); both times in milliseconds, 0 for no limit.

        By an administrator with the privilege Sudo, or by the owner of a group for its members. The session counts one
        reference itself (recorded: facts 4 and 5).
        """
        people, who = call.server.store.people, call.caller
        user = people.user_id(principal.name)
        target = people.memberships(user) if user is not None else None
        by_owner = target is not None and any(group in who.leader_of for group in target.member_of)
        if "Sudo" not in who.privileges and not (by_owner and SYSTEM_GROUP not in getattr(target, "member_of", ())):
            raise fault(
                omero.SecurityViolation,
                f"Group sudo is not permitted for group {people.group_name(who.group)} (gid={who.group})",
            )
        if user is None:
            raise fault(omero.RemovedSessionException, f"Cannot find a user with name {principal.name}")
        try:
            group = login_group(call.server.store, user=user, name=principal.group or None)
        except Glacier2.CannotCreateSessionException as error:
            raise omero.AuthenticationException("Error creating session.") from error
        session = call.server.sessions.create(
            user=user,
            group=group,
            event_type=principal.eventType or "User",
            sudoer=who.user,
            # Acting for another administrator gives no privilege that the sudoer does not have.
            privileges=who.privileges if who.admin else None,
            time_to_idle=time_to_idle,
            time_to_live=time_to_live,
            agent="OMERO.sudo",
            references=1,
        )
        return _as_object(call, session)

    def createUserSession(self, call: Call, time_to_live: int, time_to_idle: int, group: str) -> Any:
        """Make another session for oneself; both times in milliseconds, 0 for no limit."""
        chosen = login_group(call.server.store, user=call.session.user, name=group or None)
        session = call.server.sessions.create(
            user=call.session.user,
            group=chosen,
            time_to_idle=time_to_idle,
            time_to_live=time_to_live,
            agent="createSession",
            references=1,
        )
        return _as_object(call, session)

    def getInput(self, call: Call, uuid: str, key: str) -> Any:
        """Read a value of the session's inputs; null where there is none."""
        return call.server.sessions.get(uuid).inputs.get(key)

    def getOutput(self, call: Call, uuid: str, key: str) -> Any:
        """Read a value of the session's outputs; null where there is none."""
        return call.server.sessions.get(uuid).outputs.get(key)

    def setInput(self, call: Call, uuid: str, key: str, value: Any) -> None:
        """Write a value of the session's inputs; null removes it."""
        _put(call.server.sessions.get(uuid).inputs, key, value)

    def setOutput(self, call: Call, uuid: str, key: str, value: Any) -> None:
        """Write a value of the session's outputs; null removes it."""
        _put(call.server.sessions.get(uuid).outputs, key, value)

    def getInputKeys(self, call: Call, uuid: str) -> list[str]:
        """List the keys of the session's inputs."""
        return list(call.server.sessions.get(uuid).inputs)

    def getOutputKeys(self, call: Call, uuid: str) -> list[str]:
        """List the keys of the session's outputs."""
        return list(call.server.sessions.get(uuid).outputs)

    def getInputs(self, call: Call, uuid: str) -> dict[str, Any]:
        """Give all inputs of the session."""
        return dict(call.server.sessions.get(uuid).inputs)

    def getOutputs(self, call: Call, uuid: str) -> dict[str, Any]:
        """Give all outputs of the session."""
        return dict(call.server.sessions.get(uuid).outputs)


def _as_object(call: Call, session: Session) -> Any:
    return call.server.store.get(SERVER, "Session", [session.row])[0]


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        values.pop(key, None)
    else:
        values[key] = value
