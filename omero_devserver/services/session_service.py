# SPDX-License-Identifier: GPL-2.0-or-later
"""ISession: sessions as objects, and sessions for others (sudo)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import Glacier2
import omero
from omero.rtypes import unwrap

from omero_devserver.services.roles import require_password
from omero_devserver.wire.access import login_group
from omero_devserver.wire.faults import fault
from omero_devserver.wire.sessions import NOT_THERE

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call

OWN_CLIENTS = ("OMERO.insight", "OMERO.web", "OMERO.importer")


class SessionService:
    """Operations of ``omero.api.ISession``. Nothing but its id protects a session (recorded: facts 4)."""

    def getSession(self, call: Call, uuid: str) -> Any:
        """Find an open session by uuid."""
        return call.server.sessions.get(uuid).as_object()

    def getReferenceCount(self, call: Call, uuid: str) -> int:
        """Count who holds on to a session."""
        return call.server.sessions.get(uuid).references

    def getMyOpenSessions(self, call: Call) -> list[Any]:
        """List the caller's open sessions, newest first.

        Those that somebody else made for the user are seen by that one only, and the other way round, unless the caller
        holds the privilege ReadSession (SessionManagerImpl.findSameUser of OMERO's source).
        """
        own, all_of_them = call.session, "ReadSession" in call.user.privileges
        return [
            one.as_object()
            for one in sorted(call.server.sessions.all(), key=lambda one: one.started, reverse=True)
            if one.user == own.user and one.alive() and (all_of_them or one.sudoer == own.sudoer)
        ]

    def getMyOpenAgentSessions(self, call: Call, agent: str) -> list[Any]:
        """List the caller's open sessions that were made by a client of that name."""
        return self._of_agents(call, agent)

    def getMyOpenClientSessions(self, call: Call) -> list[Any]:
        """List the caller's open sessions of OMERO's own clients."""
        return self._of_agents(call, *OWN_CLIENTS)

    def closeSession(self, call: Call, session: Any) -> int:
        """Take one reference away; returns how many are left, -2 when that closed it, -1 when there is none (recorded)."""
        uuid = None if session is None or not session.isLoaded() else unwrap(session.uuid)
        if uuid is None:
            raise fault(omero.ApiUsageException, "Uuid cannot be null.")
        found = call.server.sessions.find(uuid)
        if found is None:
            return NOT_THERE
        return call.server.sessions.release(found, explicit=True)

    def createSession(self, call: Call, principal: Any, password: str) -> Any:
        """Make another session with name and password, or join one by its uuid."""
        joined = call.server.sessions.join(password)
        if joined is not None:
            return joined.as_object()
        people = call.server.store.people
        user = None if principal is None else people.user_id(principal.name or "")
        if user is None or not people.check_password(principal.name, password):
            raise omero.AuthenticationException("Authentication exception.")
        return self._create(call, principal, user, agent="createSession")

    def createSessionWithTimeout(self, call: Call, principal: Any, time_to_live: int) -> Any:
        """Make a session for somebody, with an absolute life in milliseconds and no limit of idleness (recorded)."""
        return self.createSessionWithTimeouts(call, principal, time_to_live, 0)

    def createSessionWithTimeouts(self, call: Call, principal: Any, time_to_live: int, time_to_idle: int) -> Any:
        """Make a session for somebody (sudo); both times in milliseconds, 0 for no limit.

        By an administrator with the privilege Sudo, or by the owner of a group for its members, in that group. The session
        counts one reference itself (recorded: facts 4 and 5).
        """
        people, who = call.server.store.people, call.user
        if principal is None:
            raise fault(omero.ApiUsageException, "Principal may not be null.")
        user = people.user_id(principal.name or "")
        if "Sudo" not in who.privileges:
            group = _group_for(call, principal, user)
            if group not in who.leader_of:
                name = people.group_name(group)
                raise fault(omero.SecurityViolation, f"Group sudo is not permitted for group {name} (gid={group})")
        if user is None:
            raise fault(omero.RemovedSessionException, f"Cannot find a user with name {principal.name}")
        return self._create(
            call,
            principal,
            user,
            agent="OMERO.sudo",
            # Who acts for one who acts for another is still the first one.
            sudoer=who.user if who.sudoer is None else who.sudoer,
            time_to_idle=time_to_idle,
            time_to_live=time_to_live,
        )

    def createUserSession(self, call: Call, time_to_live: int, time_to_idle: int, group: str) -> Any:
        """Make another session for oneself; both times in milliseconds, 0 for no limit."""
        user = call.user.user
        require_password(call)
        principal = omero.sys.Principal(call.server.store.people.user_name(user), group, "User", None)
        return self._create(
            call,
            principal,
            user,
            agent="createSession",
            sudoer=call.session.sudoer,
            time_to_idle=time_to_idle,
            time_to_live=time_to_live,
        )

    def _create(self, call: Call, principal: Any, user: int, *, agent: str, **limits: Any) -> Any:
        kind = principal.eventType or "User"
        group = _group_for(call, principal, user)
        if call.server.store.enumeration("EventType", kind) is None:
            raise omero.AuthenticationException("Error creating session.")
        chosen = call.context.get("omero.agent") or agent
        return call.server.sessions.create(
            user=user, group=group, event_type=kind, agent=chosen, references=1, **limits
        ).as_object()

    def _of_agents(self, call: Call, *agents: str) -> list[Any]:
        return [one for one in self.getMyOpenSessions(call) if one.userAgent is not None and one.userAgent.val in agents]

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


def _group_for(call: Call, principal: Any, user: int | None) -> int:
    try:
        return login_group(call.server.store, user=user, name=principal.group)
    except Glacier2.CannotCreateSessionException as error:
        raise omero.AuthenticationException("Error creating session.") from error


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        values.pop(key, None)
    else:
        values[key] = value
