# SPDX-License-Identifier: GPL-2.0-or-later
"""The router: where a client logs in (`OMERO.Glacier2/router`).

A real server has Glacier2 before it, which forwards calls; here the router is a servant of the same adapter, and hands
out proxies to it. Clients notice no difference.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import Glacier2
import Ice
import omero
import omero.api

from omero_devserver.entry.factory import ServiceFactory
from omero_devserver.wire import handles
from omero_devserver.wire.access import login_group
from omero_devserver.wire.clients import Client
from omero_devserver.wire.faults import as_ice
from omero_devserver.wire.moments import LOGIN
from omero_devserver.wire.servant import make
from omero_devserver.wire.session import stamp
from omero_devserver.wire.signatures import asynchronous_twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

log = logging.getLogger(__name__)

IDENTITY = "OMERO.Glacier2/router"
SECONDS_AFTER_SECOND_FAILURE = 3  # recorded: the first wrong password answers at once, each further one takes 3 s
FAILURES_KEPT = 1000  # names that have failed: the last ones
INTERNAL_ERROR = "Internal error. Please contact your administrator:\n"  # as a real server, when its database has gone
SESSION_TIMEOUT_SECONDS, ACM_TIMEOUT_SECONDS = 600, 60


class Router:
    """The operations of ``Glacier2.Router``; asynchronous ones get Ice's callback."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._failures: OrderedDict[str, None] = OrderedDict()
        self._counting = threading.Lock()

    def getClientProxy(self, current: Any) -> None:
        """Give no proxy for callbacks: null makes clients use the router's own endpoints."""
        return

    def getServerProxy(self, current: Any) -> Any:
        """Give some proxy: clients only check that it is not null."""
        return self._server.adapter.createProxy(Ice.Identity("server", ""))

    def addProxies(self, proxies: Any, current: Any) -> list[Any]:
        """Have nothing to forward, so nothing to evict."""
        return []

    def getCategoryForClient(self, current: Any) -> str:
        """Give the category that the client's own objects must have."""
        client = self._server.clients.of(current.con)
        return client.category if client else ""

    def createSession(self, user: str, password: str, current: Any) -> Any:
        """Log in with a password, or join a session by its uuid.

        Raises
        ------
        Glacier2.PermissionDeniedException
            Wrong name, password or uuid.
        omero.WrappedCreateSessionException
            Unknown group, or a user without one.
        """
        joined = self._joined(user, password)
        session = joined or self._login(user, password, current.ctx)
        client = Client(session=session, connection=current.con, password=joined is None)
        factory = make(ServiceFactory(client), omero.api.ServiceFactory, server=self._server, session=session)
        self._server.clients.add(client, factory)
        return Glacier2.SessionPrx.uncheckedCast(self._server.adapter.createProxy(client.identity))

    def answer_login(self, callback: Any, user: str, password: str, current: Any) -> None:
        """Answer `createSession`: at once, or late when passwords of this user were wrong before."""
        try:
            self._server.moments.reached(LOGIN, connection=current.con)
        except (Ice.UserException, Ice.LocalException) as refusal:
            callback.ice_exception(refusal)
            return
        if handles.scarce():
            log.warning("a login was refused: too many open files")
            callback.ice_exception(Glacier2.PermissionDeniedException(f"{INTERNAL_ERROR}{os.strerror(errno.EMFILE)}"))
            return
        try:
            callback.ice_response(self.createSession(user, password, current))
        except Glacier2.PermissionDeniedException as refusal:
            late = threading.Timer(self.delay(user), callback.ice_exception, [refusal])
            late.daemon = True  # the end of the server waits for no refusal
            late.start()
        except (Ice.UserException, Ice.LocalException) as refusal:
            callback.ice_exception(refusal)
        except Exception as error:  # the edge: a client must get an exception that logins may raise
            log.exception("fault in a login")
            callback.ice_exception(Glacier2.PermissionDeniedException(f"{INTERNAL_ERROR}{error}"))

    def later(self, callback: Any, answer: Callable[..., None], *arguments: Any) -> None:
        """Let a worker thread answer; a client that comes when the server ends is told that nobody is there."""
        try:
            self._server.workers.submit(answer, *arguments)
        except RuntimeError:
            callback.ice_exception(Ice.ObjectNotExistException())

    def delay(self, user: str) -> float:
        """Say how long to wait, in seconds, before a refusal is sent to `user`, which may be no user's name at all."""
        with self._counting:
            if user in self._failures:
                return SECONDS_AFTER_SECOND_FAILURE
            self._failures[user] = None
            if len(self._failures) > FAILURES_KEPT:
                self._failures.popitem(last=False)
        return 0

    def refreshSession(self, current: Any) -> None:
        """Keep the session alive."""
        client = self._server.clients.of(current.con)
        if client is None:
            raise Glacier2.SessionNotExistException
        self._server.sessions.use(client.session)

    def destroySession(self, current: Any) -> None:
        """Log out: the client's reference on its session is gone."""
        client = self._server.clients.of(current.con)
        if client is None:
            raise Glacier2.SessionNotExistException
        self._server.clients.leave(client, explicit=True)

    def getSessionTimeout(self, current: Any) -> int:
        """Give the seconds of silence after which the router would forget a client."""
        return SESSION_TIMEOUT_SECONDS

    def getACMTimeout(self, current: Any) -> int:
        """Give the seconds after which an idle connection would be closed."""
        return ACM_TIMEOUT_SECONDS

    def _joined(self, user: str, password: str) -> Session | None:
        session = self._server.sessions.join(user)
        if session is None and password != user:
            session = self._server.sessions.join(password)
        return session

    def _login(self, user: str, password: str, context: Any) -> Session:
        people = self._server.store.people
        if not people.check_password(user, password):
            raise Glacier2.PermissionDeniedException(f"Password check failed for '{user}': [{self._known(user)}]")
        with self._counting:
            self._failures.pop(user, None)
        identifier = people.user_id(user)
        if identifier is None:
            raise Glacier2.PermissionDeniedException(f"Password check failed for '{user}': []")
        group = login_group(self._server.store, user=identifier, name=context.get("omero.group"))
        return self._server.sessions.create(
            user=identifier,
            group=group,
            event_type=context.get("omero.event") or "User",
            agent=context.get("omero.agent"),
            references=1,
        )

    def _known(self, user: str) -> str:
        identifier = self._server.store.people.user_id(user)
        if identifier is not None:
            return f"id={identifier}"
        rows = self._server.store.rows(
            "SELECT e.c_omeName AS name, s.c_started AS started, s.c_closed AS closed FROM t_Session s"
            " JOIN t_Experimenter e ON e.id = s.r_owner WHERE s.c_uuid = ?",
            user,
        )
        if not rows:
            return ""
        name, started, closed = rows[0]["name"], stamp(rows[0]["started"] / 1000), rows[0]["closed"]
        return f"user={name}, created={started}, closed={'null' if closed is None else stamp(closed / 1000)}"


def servant(router: Router) -> Any:
    """Make the router's Ice servant: as `servant.make`, but failing logins of one user are answered late.

    What may wait for the database is answered on a worker thread, the rest at once.
    """

    class RouterServant(Glacier2.Router):  # type: ignore[misc]
        """Adapter between Ice and `Router`."""

        def createSession_async(self, callback: Any, user: str, password: str, current: Any) -> None:
            router.later(callback, router.answer_login, callback, user, password, current)

        def createSessionFromSecureConnection_async(self, callback: Any, current: Any) -> None:
            callback.ice_exception(Glacier2.PermissionDeniedException("log in with name and password"))

        def refreshSession_async(self, callback: Any, current: Any) -> None:
            router.later(callback, _answered, callback, router.refreshSession, current)

        def destroySession_async(self, callback: Any, current: Any) -> None:
            router.later(callback, _answered, callback, router.destroySession, current)

    for name in (
        "getClientProxy",
        "getServerProxy",
        "addProxies",
        "getCategoryForClient",
        "getSessionTimeout",
        "getACMTimeout",
    ):
        setattr(RouterServant, name, staticmethod(getattr(router, name)))
    RouterServant._op_destroySession = asynchronous_twin(Glacier2.Router, "destroySession")
    return RouterServant()


def _answered(callback: Any, method: Callable[[Any], None], current: Any) -> None:
    try:
        method(current)
    except Exception as error:  # noqa: BLE001  the edge: Ice gets an exception that it can send
        callback.ice_exception(as_ice(error, where=f"Router.{method.__name__}"))
    else:
        callback.ice_response()
