# SPDX-License-Identifier: GPL-2.0-or-later
"""The service factory: what a logged-in client holds, and gets its services from."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.all
from omero.rtypes import rlong

from omero_devserver.cmd.requests import submit
from omero_devserver.entry.catalogue import STATEFUL, STATELESS, Absent, create, stateless
from omero_devserver.store.caller import SERVER
from omero_devserver.store.people import GUEST
from omero_devserver.wire.access import SYSTEM_GROUP, caller
from omero_devserver.wire.arguments import given
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_devserver.wire.clients import Client
    from omero_devserver.wire.servant import Call

_GETTER = re.compile(r"get(\w+)Service$")
_FOR_GUESTS = ("omero.api.IAdmin", "omero.api.IConfig", "omero.api.ISession")
LONG_BITS = 64
_CREATOR = re.compile(r"create(\w+)$")


def offers(operation: str) -> bool:
    """Tell whether an operation of the service factory gives something of which anything is there."""
    got, created = _GETTER.match(operation), _CREATOR.match(operation)
    if got:
        return STATELESS.get(f"omero.api.I{got[1]}", Absent) is not Absent
    return created[1] in STATEFUL if created else hasattr(ServiceFactory, operation)


class ServiceFactory:
    """The operations of ``omero.api.ServiceFactory``.

    `getXService` and `createX` are one rule each (`__getattr__`); which services exist is in `entry.catalogue`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Callable[[Call], Any]:
        """Give the method behind `getXService` or `createX`; AttributeError for anything else."""
        got = _GETTER.match(operation)
        if got:
            return lambda call: self._stateless(call, f"omero.api.I{got[1]}")
        created = _CREATOR.match(operation)
        if created:
            kind = {"SearchService": "Search"}.get(created[1], created[1])
            return lambda call: self._create(call, kind)
        raise AttributeError(operation)

    def sharedResources(self, call: Call) -> Any:
        """Give the proxy of the shared resources."""
        return self._stateless(call, "omero.grid.SharedResources")

    def getByName(self, call: Call, name: str) -> Any:
        """Give the proxy of a stateless service by its full name."""
        return omero.api.ServiceInterfacePrx.uncheckedCast(self._stateless(call, name))

    def createByName(self, call: Call, name: str) -> Any:
        """Create a stateful service by its full name."""
        made = self._create(call, name.rpartition(".")[2])
        return omero.api.StatefulServiceInterfacePrx.uncheckedCast(made)

    def setCallback(self, call: Call, callback: Any) -> None:
        """Do nothing: a real server calls no client back for its session, either (ServiceFactoryI of OMERO's source)."""

    def closeOnDestroy(self, call: Call) -> None:
        """Let the session end with its last client."""
        self._client.detached = False

    def detachOnDestroy(self, call: Call) -> None:
        """Let the session outlive its last client."""
        self._client.detached = True

    def destroy(self, call: Call) -> None:
        """Log this client out."""
        call.server.clients.leave(self._client, explicit=True)

    def activeServices(self, call: Call) -> list[str]:
        """List the stateful services that are open."""
        return [name for name in list(call.session.services) if "@" in name]

    def keepAlive(self, call: Call, service: Any) -> bool:
        """Count as a call; tells whether a stateful or stateless service is still there, False for none."""
        return service is not None and service.ice_getIdentity().name in call.session.services

    def keepAllAlive(self, call: Call, services: list[Any] | None) -> int:
        """Count as a call; sets a bit for each service that is not there any more, all bits if there is none."""
        if not services:
            return -1
        gone = [at for at, one in enumerate(services) if one is not None and not self.keepAlive(call, one)]
        return _as_long(sum(1 << at for at in gone if at < LONG_BITS))

    def setSecurityPassword(self, call: Call, password: str) -> None:
        """Prove the password of the user, as some calls want of a client that joined a session."""
        people, user = call.server.store.people, call.session.user
        name = people.user_name(user) or ""
        if not people.check_password(name, password):
            raise fault(omero.SecurityViolation, f"Bad password for {name}")
        self._client.password = True

    def subscribe(self, call: Call, topic: str, subscriber: Any) -> None:
        """Accept a topic that clients may listen to; this server sends nothing on it."""
        if not topic.startswith("/public/"):
            raise fault(omero.ApiUsageException, f'Currently only "/public/" topics allowed: {topic}')

    def getSecurityContexts(self, call: Call) -> list[Any]:
        """List the groups that the user is in."""
        return call.server.store.get(SERVER, "ExperimenterGroup", list(call.caller.member_of))

    def setSecurityContext(self, call: Call, group: Any) -> Any:
        """Change the group of the session; returns the former one."""
        who = call.caller
        if group is None or group.id is None:
            raise fault(omero.ApiUsageException, "Security context must be managed!")
        if not isinstance(group, omero.model.ExperimenterGroup):
            raise fault(omero.ApiUsageException, f"Unknown security context:{type(group).__name__}:{group.id.val}")
        wanted = group.id.val
        if self.activeServices(call):
            names = "\n".join(self.activeServices(call))
            raise fault(omero.SecurityViolation, f"SecurityContext change cancelled:\n{names}")
        if wanted not in who.member_of and SYSTEM_GROUP not in who.member_of:
            raise fault(omero.SecurityViolation, f"User {who.user} is not a member of group {wanted}")
        if call.server.store.people.group_name(wanted) is None:
            raise fault(omero.ApiUsageException, f"No such group: {wanted}")
        former = call.session.group
        call.session.group = wanted
        return omero.model.ExperimenterGroupI(rlong(former), False)

    def submit(self, call: Call, request: Any) -> Any:
        """Start a request; returns the proxy of its handle."""
        with _undeclared():
            who = call.caller
            given(request)
        return submit(call, request, who=who)

    def _stateless(self, call: Call, name: str) -> Any:
        if name not in _FOR_GUESTS:
            _refuse_guests(call, name)
        return stateless(call, name)

    def _create(self, call: Call, kind: str) -> Any:
        _refuse_guests(call, kind)
        return create(call, kind)


@contextmanager
def _undeclared() -> Iterator[None]:
    """Send OMERO's exceptions as those are that an operation does not declare, or that a real server does not map."""
    try:
        yield
    except omero.ServerError as refusal:
        raise Ice.UnknownException(f"{refusal.serverExceptionClass}: {refusal.message}") from refusal


def _refuse_guests(call: Call, name: str) -> None:
    """Give services to those only whom the session's own group lets in, whatever the call's context says.

    Raises
    ------
    Ice.UnknownException
        The user is not in that group (recorded: facts 5).
    omero.SecurityViolation
        It is the user guest.
    """
    with _undeclared():
        who = caller(call.server.store, call.session, {})
    if who.user == GUEST:
        raise fault(omero.SecurityViolation, f"Access denied to guest user: {name}")


def _as_long(bits: int) -> int:
    return bits - (1 << LONG_BITS) if bits >> (LONG_BITS - 1) else bits
