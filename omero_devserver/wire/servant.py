# SPDX-License-Identifier: GPL-2.0-or-later
"""Servants: classes that Ice can call, made from the generated interfaces around plain objects of ours.

Each operation of an interface becomes a method that looks the session up, calls the method of the same name of the
object with a `Call` before the arguments, and checks the result against the operation's signature. An operation that the
object does not have is answered with an error and noted in the log: nothing pretends to have worked.

No operation runs on a dispatch thread of Ice, of which there are few: whatever one waits for, the database above all, others
are answered meanwhile.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import Ice

from omero_devserver.wire.access import USER_GROUP, caller, require_group
from omero_devserver.wire.faults import as_ice
from omero_devserver.wire.moments import CALL_AFTER, CALL_BEFORE
from omero_devserver.wire.signatures import Signature, asynchronous_twin, operations, signature

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

Method = TypeVar("Method", bound=Callable[..., Any])

_classes: dict[tuple[type, type], type] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call from a client.

    context:    what the client sent beside the arguments, as `omero.group`.
    connection: the client's own connection; a callback to the client must go through it.
    """

    server: Server
    session: Session
    context: Mapping[str, str]
    connection: Any

    @property
    def caller(self) -> Caller:
        """In whose name and in which group; raises SecurityViolation where the user may not be in that group."""
        return caller(self.server.store, self.session, self.context)

    @property
    def user(self) -> Caller:
        """As `caller`, and refuses inactive users: those who are not in the group `user`."""
        who = self.caller
        require_group(self.server.store, self.session, group=USER_GROUP, who=who)
        return who

    def service(self, name: str, implementation: object, interface: Any) -> Any:
        """Give the session a servant under `name`, and return its proxy (not yet cast)."""
        self.session.services[name] = make(implementation, interface, server=self.server, session=self.session)
        return self.server.proxy(self.session, name)

    def stateful(self, implementation: Any, interface: Any) -> Any:
        """Give the session a new stateful service, and return its proxy (not yet cast).

        The implementation learns its name in the session (`name`), so that it can drop itself at `close`.
        """
        implementation.name = f"{interface.ice_staticId()}@{uuid.uuid4()}"
        return self.service(implementation.name, implementation, interface)


def waiting(method: Method) -> Method:
    """Mark a method that waits for another program, which calls this server before it answers.

    It runs on threads of its own: were it on a worker thread like the others, the calls that it waits for might find none free.
    """
    method.threads = "waiters"  # type: ignore[attr-defined]
    return method


def make(implementation: object, interface: type, *, server: Server, session: Session | None) -> Any:
    """Make an Ice servant.

    Parameters
    ----------
    implementation : object
        Has a method for each operation that is there; its first argument is the `Call`, or for servants without a
        session (the router) Ice's own `Current`.
    interface : type
        Generated servant class, as ``omero.api.IQuery``.
    server : Server
        Counts the calls.
    session : Session or None
        Whose calls these are.

    Returns
    -------
    Ice.Object
        To be given to an object adapter or a servant locator.
    """
    key = (interface, type(implementation))
    if key not in _classes:
        members: dict[str, Any] = {}
        for operation in operations(interface):
            members |= _members(interface, operation, type(implementation))
        _classes[key] = type(interface.__name__ + "Servant", (interface,), members)
    made = _classes[key]()
    made.implementation, made.server, made.session = implementation, server, session
    return made


def _members(interface: type, operation: str, implementation: type) -> dict[str, Any]:
    answer = signature(interface, operation)
    threads = getattr(getattr(implementation, operation, None), "threads", "workers")
    where = f"{interface.__name__}.{operation}"

    def asynchronous(self: Any, callback: Any, *arguments: Any) -> None:
        try:
            getattr(self.server, threads).submit(_answer, callback, self, where, operation, answer, arguments)
        except RuntimeError:  # no more calls are taken: the server ends
            callback.ice_exception(Ice.ObjectNotExistException())

    declared = {} if answer.asynchronous else {f"_op_{operation}": asynchronous_twin(interface, operation)}
    return {f"{operation}_async": asynchronous, **declared}


def _answer(callback: Any, servant: Any, where: str, operation: str, answer: Signature, arguments: Any) -> None:
    try:
        result = _run(servant, where, operation, answer, arguments)
    except Exception as error:  # noqa: BLE001  the edge: whatever it is, Ice gets an exception that it can send
        callback.ice_exception(as_ice(error, where=where))
        return
    if answer.result is None:
        callback.ice_response()
    else:
        callback.ice_response(result)


def _run(servant: Any, where: str, operation: str, answer: Signature, arguments: Any) -> Any:
    server, session, current = servant.server, servant.session, arguments[-1]
    server.journal.called(where)
    method = getattr(servant.implementation, operation, None)
    if method is None:
        raise server.journal.not_implemented(where)
    first = current
    if session is not None:
        server.sessions.use(session)
        first = Call(server=server, session=session, context=current.ctx, connection=current.con)
    server.moments.reached(CALL_BEFORE, operation=where, session=session, connection=current.con)
    result = method(first, *arguments[:-1])
    server.moments.reached(CALL_AFTER, operation=where, session=session, connection=current.con)
    if not answer.accepts(result):
        raise TypeError(f"{result!r} is no {answer.result}")
    return result
