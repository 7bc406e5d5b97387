# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients: connections that have joined a session."""

from __future__ import annotations

import logging
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import Ice

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from omero_devserver.wire.sessions import Session, Sessions

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class Client:
    """One connection and the session it has joined.

    category: of the client's own objects; also names its service factory.
    detached: leave the session open when the client goes (`detachOnDestroy`).
    released: its reference on the session has been given back already.
    password: it logged in with a password, or has proved it since (`setSecurityPassword`); some calls want that.
    """

    session: Session
    connection: Any
    category: str = field(default_factory=lambda: str(uuid.uuid4()))
    detached: bool = False
    released: bool = False
    password: bool = False

    @property
    def identity(self) -> Any:
        """Identity of the service factory: clients read the session's uuid from its name."""
        return Ice.Identity(self.session.uuid, "session-" + self.category)


class Clients:
    """All connected clients; `workers` are the threads on which those that were lost are let go."""

    def __init__(self, sessions: Sessions, workers: Executor) -> None:
        self._sessions, self._workers = sessions, workers
        self._all: dict[str, Client] = {}
        self._factories: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._watch = _Watch(self)
        sessions.on_end(self._session_ended)

    def add(self, client: Client, factory: Any) -> None:
        """Take a client in, with the servant of its service factory, which is then found under `Client.identity`."""
        with self._lock:
            self._all[client.category] = client
            self._factories[client.identity.category] = factory
        client.connection.setCallback(self._watch)
        if client.session.ended.is_set():  # meanwhile: somebody else closed it
            self._forget(client)

    def of(self, connection: Any) -> Client | None:
        """Find the client of a connection."""
        return next(iter(self._of(connection)), None)

    def connections(self, session: str | None = None) -> list[Any]:
        """List the connections of all clients, or of those that have joined the session of that uuid."""
        with self._lock:
            return [one.connection for one in self._all.values() if session is None or one.session.uuid == session]

    def factory(self, category: str) -> Any:
        """Find the servant of a service factory by the category of its identity; None if that client has gone."""
        return self._factories.get(category)

    def leave(self, client: Client, *, explicit: bool) -> None:
        """Let a client go: its reference on the session is gone (see `Sessions.release` for `explicit`)."""
        self._forget(client)
        with self._lock:
            released, client.released = client.released, True
        if not released:
            self._sessions.release(client.session, explicit=explicit, keep=client.detached)

    def lost(self, connection: Any) -> None:
        """Let those go whose connection has ended: more than one, if somebody logged in again over it."""
        for client in self._of(connection):
            with suppress(RuntimeError):  # the server ends, and all sessions with it
                self._workers.submit(self.leave, client, explicit=False)

    def _of(self, connection: Any) -> list[Client]:
        with self._lock:
            return [client for client in self._all.values() if client.connection == connection]

    def _forget(self, client: Client) -> None:
        with self._lock:
            self._all.pop(client.category, None)
            self._factories.pop(client.identity.category, None)

    def _session_ended(self, session: Session) -> None:
        with self._lock:
            gone = [client for client in self._all.values() if client.session is session]
        for client in gone:
            client.released = True
            self._forget(client)


class _Watch(Ice.ConnectionCallback):  # type: ignore[misc]  # Ice carries no types
    """Notices connections that end: a client that was killed gives its reference back within a second."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def heartbeat(self, connection: Any) -> None:
        """Do nothing: a heartbeat keeps the connection, not the session."""

    def closed(self, connection: Any) -> None:
        """Let the connection's clients go."""
        self._clients.lost(connection)
