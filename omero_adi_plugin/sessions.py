# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: log-ins to OMERO, of the service account and of the users that it acts for.

Sessions made here have no absolute end, only an idle time-out, and are kept alive: an import may take days. A session for
another user is refused before it is made when it could not work, because OMERO itself is generous: it makes sessions for
groups that the user is not in, and for some names of groups quietly takes the user's default group (real server, recorded).
"""

from __future__ import annotations

import contextlib
import functools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import Glacier2
import omero.all
import omero.clients
from omero.rtypes import rlist, rlong, rstring, unwrap

from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    ConnectionBroken,
    GroupUnknown,
    NotInGroup,
    OmeroDown,
    UserUnknown,
)
from omero_adi_plugin.ice import TROUBLE, translated, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero.gateway import BlitzGateway

__all__ = ["Account", "Logins", "OmeroSession", "translated"]

IDLE_MILLISECONDS = 10 * 60 * 1000
"""How long a session for a user may be silent: as OMERO's own default (omero.sessions.timeout)."""

KEEP_ALIVE_SECONDS = 60
"""How often a session is kept alive: often enough that a few lost tries do not matter."""

CALL_MILLISECONDS = 10 * 60 * 1000
"""How long one call may take before the connection counts as broken. A server that hangs, or a network that swallows everything,
would else hold a worker for ever; an overloaded server was seen to need minutes (real server, recorded)."""

USER_GROUP = "user"
"""The group that every active user of OMERO is in; no place for data, and a log-in into it means the default group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The service account, and the server that it is on."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    @property
    def where(self) -> str:
        """Host and port, as messages name them."""
        return f"{self.host}:{self.port}"


class OmeroSession:
    """A joined session.

    Attributes
    ----------
    client : omero.client
    factory : omero.api.ServiceFactoryPrx
    where : str
        Host and port of OMERO.
    user, group : str
        Whose session it is, and in which group it reads and writes.
    user_id, group_id : int
        Their ids.
    """

    def __init__(self, client: Any, *, where: str, give_back: Callable[[], None] | None = None) -> None:  # noqa: ANN401 (untyped)
        self.client, self.where = client, where
        self.factory: Any = client.getSession()
        self._give_back = give_back
        self._gateway: BlitzGateway | None = None
        context = self.factory.getAdminService().getEventContext()
        self.user: str = context.userName
        self.user_id: int = context.userId
        self.group: str = context.groupName
        self.group_id: int = context.groupId
        client.enableKeepAlive(KEEP_ALIVE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<OmeroSession of {self.user} in {self.group} at {self.where}>"

    def gateway(self) -> BlitzGateway:
        """Return a BlitzGateway on this session, the same one every time; it is closed with the session."""
        if self._gateway is None:
            from omero.gateway import BlitzGateway  # noqa: PLC0415 (it brings numpy with it)

            with translated("opening a gateway", self.where):
                self._gateway = BlitzGateway(client_obj=self.client)
                self._gateway.SERVICE_OPTS.setOmeroGroup(str(self.group_id))
        return self._gateway

    def query(self, hql: str, *, all_groups: bool = False, **parameters: object) -> list[list[Any]]:
        """Return the rows of a projection.

        Parameters
        ----------
        hql : str
            A query that selects values: `select d.id, d.name from Dataset d where d.id = :id`.
        all_groups : bool
            Look into all groups of the user, not only into the session's.
        parameters
            int, str, or a list of either. OMERO answers an empty list with an error: do not ask then.

        Returns
        -------
        list of list
            Rows of Python values; objects stay objects of omero.model. A row of one null is empty.
        """
        values = omero.sys.ParametersI()
        for name, value in parameters.items():
            values.add(name, _rtype(value))
        context = {"omero.group": "-1"} if all_groups else None
        with translated("asking OMERO", self.where):
            service = self.factory.getQueryService()
            rows = service.projection(hql, values, context) if context else service.projection(hql, values)
        return [[unwrap(value) for value in row] for row in rows]

    def alive(self) -> bool:
        """Tell whether the session still answers."""
        try:
            self.factory.getAdminService().getEventContext()
        except TROUBLE:
            return False
        return True

    def close(self) -> None:
        """End what was made for this session; never raises.

        A session made for a user counts one reference of its own beside its client's, which has to be given back as well. It is
        given back and not killed, so that an import that still runs in it comes to its end (real server, recorded).
        """
        _close(self.client)
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Logins:
    """The service account's own session, and sessions for users made with it. For use from several threads."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._service: OmeroSession | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Logins({self._account!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def service(self) -> OmeroSession:
        """Return the service account's session; a lost one is replaced.

        Raises
        ------
        OmeroDown
            OMERO does not answer or lets nobody in.
        ConfigurationError
            The password is wrong.
        """
        with self._lock:
            if self._service is not None and not self._service.alive():
                self._service.close()
                self._service = None
            if self._service is None:
                self._service = self._log_in()
            return self._service

    def act_for(self, user: str, group: str) -> OmeroSession:
        """Return a new session of `user` in `group`; whoever asked for it closes it.

        Raises
        ------
        UserUnknown, GroupUnknown, NotInGroup
            The order names a user or group that does not exist, or not one that the user may work in.
        ConfigurationError
            The service account may not act for others, or its password is wrong.
        OmeroDown, ConnectionBroken
            OMERO does not answer.
        """
        service = self.service()
        _check_membership(service, user, group)
        made = self._make_session(service, user, group)
        try:
            return self._join(made, user, group)
        except AdiError:
            self._give_back(made)
            raise

    def close(self) -> None:
        """Log the service account out; never raises. Sessions for users should be closed before: see `_give_back`."""
        with self._lock:
            if self._service is not None:
                self._service.close()
                self._service = None

    def _log_in(self) -> OmeroSession:
        account = self._account
        if not account.user or not account.password:
            raise ConfigurationError("OMERO_USER and OMERO_PASSWORD must name the service account and its password.")
        client = _client(account)
        try:
            with _knocking(account):
                client.createSession(account.user, account.password)
                return OmeroSession(client, where=account.where)
        except AdiError:
            _close(client)
            raise

    def _make_session(self, service: OmeroSession, user: str, group: str) -> Any:  # noqa: ANN401 (omero.model.Session)
        principal = omero.sys.Principal(user, group, "User", None)
        with translated(f"logging in for '{user}'", service.where):
            try:
                return service.factory.getSessionService().createSessionWithTimeouts(principal, 0, IDLE_MILLISECONDS)
            except omero.SecurityViolation as error:
                raise ConfigurationError(
                    f"The service account '{service.user}' may not act for '{user}'. "
                    "OMERO_USER must be an administrator; a restricted one needs the privilege Sudo."
                ) from error
            except omero.RemovedSessionException as error:  # what OMERO says of a user that does not exist
                raise UserUnknown(user=user) from error
            except omero.AuthenticationException as error:  # and of a group that does not exist
                raise GroupUnknown(group=group) from error

    def _join(self, made: Any, user: str, group: str) -> OmeroSession:  # noqa: ANN401 (omero.model.Session)
        client, give_back = _client(self._account), functools.partial(self._give_back, made)
        try:
            with translated(f"logging in for '{user}'", self._account.where):
                try:
                    client.joinSession(made.getUuid().getValue())
                    session = OmeroSession(client, where=self._account.where, give_back=give_back)
                except omero.SecurityViolation as error:  # left the group since it was looked up
                    raise NotInGroup(user=user, group=group) from error
                except Glacier2.PermissionDeniedException as error:
                    raise ConnectionBroken(doing=f"logging in for '{user}'") from error
            if (session.user, session.group) != (user, group):
                raise NotInGroup(user=user, group=group)
        except AdiError:
            _close(client)
            raise
        return session

    def _give_back(self, made: Any) -> None:  # noqa: ANN401 (omero.model.Session)
        """Take away the reference that a session counts itself.

        Only another session can: called in the session itself, this would take its client's reference (real server, recorded).
        Without a service session nothing is done: it ends by its idle time-out.
        """
        with self._lock:
            service = self._service
        if service is not None:
            with contextlib.suppress(*TROUBLE):
                service.factory.getSessionService().closeSession(made)


@contextlib.contextmanager
def _knocking(account: Account) -> Iterator[None]:
    """Make what goes wrong at the log-in of the service account ours: there, every broken connection means that OMERO is down."""
    try:
        yield
    except Glacier2.PermissionDeniedException as error:
        # A server out of database connections refuses with the same type; only these words tell (OMERO's PermissionsVerifierI).
        if not error.reason.startswith("Internal error"):
            raise ConfigurationError(
                f"OMERO at {account.where} does not let '{account.user}' in. Correct OMERO_USER or OMERO_PASSWORD."
            ) from error
        raise OmeroDown(where=account.where, why="the server is overloaded") from error
    except TROUBLE as error:
        raise OmeroDown(where=account.where, why=words(error)) from error


def _check_membership(service: OmeroSession, user: str, group: str) -> None:
    """Refuse what OMERO would not refuse in time, or would do in another group than asked for."""
    if not service.query("select e.id from Experimenter e where e.omeName = :name", name=user):
        raise UserUnknown(user=user)
    if not service.query("select g.id from ExperimenterGroup g where g.name = :name", name=group):
        raise GroupUnknown(group=group)
    if group == USER_GROUP:
        raise NotInGroup(user=user, group=group)
    groups = service.query(
        "select g.name from GroupExperimenterMap m join m.parent g join m.child e where e.omeName = :name", name=user
    )
    for needed in (USER_GROUP, group):  # a user outside `user` is switched off: OMERO logs him in and then refuses every call
        if [needed] not in groups:
            raise NotInGroup(user=user, group=needed)


def _rtype(value: object) -> Any:  # noqa: ANN401 (omero.RType is untyped)
    if isinstance(value, int):
        return rlong(value)
    if isinstance(value, str):
        return rstring(value)
    if isinstance(value, (list, tuple)):
        return rlist([_rtype(item) for item in value])
    raise TypeError(f"a query cannot take {value!r}")


def _client(account: Account) -> Any:  # noqa: ANN401 (omero.client is untyped)
    client = omero.client([f"--Ice.Default.InvocationTimeout={CALL_MILLISECONDS}"], host=account.host, port=account.port)
    client.setAgent("omero-adi-plugin")
    return client


def _close(client: Any) -> None:  # noqa: ANN401 (omero.client is untyped)
    with contextlib.suppress(*TROUBLE):
        client.closeSession()
