# SPDX-License-Identifier: GPL-2.0-or-later
"""Logins: the service account's session, and sessions for users that are made with it.

Sessions made here have no absolute end, only an idle time-out, and are kept alive: an import may take days. Where the server
gives them less, they are kept alive as often as it takes, and replaced when they have ended all the same.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any, Self

import Glacier2
import Ice
import omero.all

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    ConnectionBroken,
    GroupUnknown,
    NotInGroup,
    OmeroDown,
    OmeroReadOnly,
    UserUnknown,
)
from omero_adi_plugin.ice import TROUBLE, translated, words
from omero_adi_plugin.logs import event
from omero_adi_plugin.sessions import membership
from omero_adi_plugin.sessions.clients import CALL_MILLISECONDS, Account, brief, close, means_overload, new_client
from omero_adi_plugin.sessions.session import OmeroSession

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)

IDLE_MILLISECONDS = 10 * 60 * 1000
"""How long a session for a user may be silent: OMERO's own default (omero.sessions.timeout). What a killed worker leaves on the
server is gone after that."""


class Logins:
    """The service account's own session, and sessions for users made with it. For use from several threads.

    Parameters
    ----------
    account : Account
        The service account: an administrator who may act for others (privilege Sudo).
    call_milliseconds : int
        How long one call may take before the connection counts as broken.
    """

    def __init__(self, account: Account, *, call_milliseconds: int = CALL_MILLISECONDS) -> None:
        self._account, self._call_milliseconds = account, call_milliseconds
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
            OMERO does not answer, lets nobody in, or is read-only (`OmeroReadOnly`).
        ConfigurationError
            The password is wrong.
        """
        with self._lock:
            if self._service is not None and not self._service.alive():
                self._service.close()
                self._service = None
                event(_log, logging.INFO, "session.service_lost", user=self._account.user, omero=self._account.where)
            if self._service is None:
                self._service = self._log_in()
            return self._service

    def act_for(self, user: str, group: str) -> OmeroSession:
        """Return a new session of `user` in `group`; whoever asked for it closes it.

        Raises
        ------
        UserUnknown, UserInactive, UserNeverLoggedIn, GroupUnknown, GroupForNobody, NotInGroup
            The order names a user or group that does not exist, or not one that the user may work in.
        ConfigurationError
            The service account may not act for others, or its password is wrong.
        OmeroDown, ConnectionBroken
            OMERO does not answer.
        """
        service = self.service()
        membership.check_membership(service, user=user, group=group)
        made = self._make_session(service, user, group)
        reached(Point.SESSION_MADE)
        try:
            return self._join(made, user, group)
        except BaseException:  # Ctrl-C too: nobody else knows of it
            self._give_back(made)
            raise

    def default_group(self, user: str) -> str:
        """Return the name of a user's default group.

        Raises
        ------
        UserUnknown, UserInactive, UserNeverLoggedIn
            The user has none.
        ConfigurationError, OmeroDown, ConnectionBroken
            As `act_for`.
        """
        return membership.default_group(self.service(), user)

    def close(self) -> None:
        """Log the service account out; never raises. Sessions for users have to be closed before: see `_give_back`."""
        with self._lock:
            if self._service is not None:
                self._service.close()
                self._service = None

    def _log_in(self) -> OmeroSession:
        account = self._account
        if not account.user or not account.password:
            raise ConfigurationError("OMERO_USER and OMERO_PASSWORD must name the service account and its password.")
        client = new_client(account, call_milliseconds=self._call_milliseconds)
        try:
            with _knocking(account):
                client.createSession(account.user, account.password)
                _raise_if_read_only(client, account)
                described = client.getSession().getSessionService().getSession(client.getSessionId())
                return OmeroSession(client, where=account.where, idle_milliseconds=described.getTimeToIdle().getValue())
        except BaseException:
            close(client)
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
                if not service.alive():  # or of the session that asks
                    raise
                raise UserUnknown(user=user) from error
            except omero.AuthenticationException as error:  # and of a group that does not exist
                raise GroupUnknown(group=group) from error

    def _join(self, made: Any, user: str, group: str) -> OmeroSession:  # noqa: ANN401 (omero.model.Session)
        client = new_client(self._account, call_milliseconds=self._call_milliseconds)
        try:
            with translated(f"logging in for '{user}'", self._account.where):
                try:
                    client.joinSession(made.getUuid().getValue())
                    idle = made.getTimeToIdle().getValue()
                    session = OmeroSession(client, where=self._account.where, idle_milliseconds=idle)
                except omero.SecurityViolation as error:  # left the group since it was looked up
                    raise NotInGroup(user=user, group=group) from error
                except Glacier2.PermissionDeniedException as error:
                    raise ConnectionBroken(doing=f"logging in for '{user}'") from error
        except BaseException:
            close(client)
            raise
        if (session.user, session.group) != (user, group):
            session.close()
            raise NotInGroup(user=user, group=group)
        session.give_back = functools.partial(self._give_back, made)
        reached(Point.SESSION_JOINED)
        return session

    def _give_back(self, made: Any) -> None:  # noqa: ANN401 (omero.model.Session)
        """Take away the reference that a session counts itself.

        Only another session can: called in the session itself, this would take its client's reference (real server, recorded).
        Where it cannot be done the session ends by its idle time-out.
        """
        reached(Point.SESSION_LEFT)
        with self._lock:
            service = self._service
        if service is None:
            return
        try:
            try:
                _take_reference(service, made)
            except Ice.TimeoutException:  # the server hangs: another log-in would too
                raise
            except TROUBLE:  # the service account's session may have been lost since
                _take_reference(self.service(), made)
        except (AdiError, *TROUBLE) as error:
            why = str(error) if isinstance(error, AdiError) else words(error)
            event(_log, logging.INFO, "session.left_to_end", minutes=IDLE_MILLISECONDS // 60_000, why=why)
        reached(Point.SESSION_GIVEN_BACK)


def _raise_if_read_only(client: Any, account: Account) -> None:  # noqa: ANN401 (omero.client is untyped)
    """Return if the server lets things be changed, which it decides for good when it starts.

    Source: ReadOnlyStatus of OMERO, whose findings these two settings are. A server that does not tell counts as one that does.
    """
    found: dict[str, str] = {}
    with contextlib.suppress(omero.SecurityViolation):
        found = client.getSession().getConfigService().getConfigValues(r"^omero\.cluster\.read_only\.runtime\.")
    if "true" in found.values():
        raise OmeroReadOnly(where=account.where)


def _take_reference(service: OmeroSession, made: Any) -> None:  # noqa: ANN401 (omero.model.Session)
    brief(brief(service.factory).getSessionService()).closeSession(made)


@contextlib.contextmanager
def _knocking(account: Account) -> Iterator[None]:
    """Make what goes wrong at the log-in of the service account ours: there, every broken connection means that OMERO is down."""
    try:
        yield
    except Glacier2.PermissionDeniedException as error:
        if not means_overload(error):
            raise ConfigurationError(
                f"OMERO at {account.where} does not let '{account.user}' in. Correct OMERO_USER or OMERO_PASSWORD."
            ) from error
        raise OmeroDown(where=account.where, why="the server is overloaded") from error
    except TROUBLE as error:
        raise OmeroDown(where=account.where, why=words(error)) from error
