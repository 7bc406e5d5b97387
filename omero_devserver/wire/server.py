# SPDX-License-Identifier: GPL-2.0-or-later
"""The server: store, sessions, clients and repository behind one Ice object adapter."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import Ice
import omero
import omero.ObjectFactoryRegistrar
import omero.rtypes

from omero_devserver.files.disk import Disk
from omero_devserver.store.store import Store
from omero_devserver.wire.certificate import certificate_in
from omero_devserver.wire.clients import Clients
from omero_devserver.wire.journal import Journal
from omero_devserver.wire.moments import DATABASE_COMMIT, Moments
from omero_devserver.wire.sessions import SYNC_SECONDS, Session, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


Part = TypeVar("Part")

log = logging.getLogger(__name__)

DISPATCH_THREADS = 8
WORKERS = 64  # calls that are answered at a time; most of them wait for one that writes
WAITERS = 128  # calls that wait for another program at a time, as for a script
REQUESTS = 32  # submitted requests and imports that run at a time
REPOSITORY_TEMPLATE = "%user%_%userId%//%year%-%month%/%day%/%time%"  # a real server's own


class CannotListen(Exception):
    """The server cannot listen where it was told to; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the server is started with.

    data:                below it: database, certificate, files, managed repository.
    ssl_port, tcp_port:  0 for any free one.
    root_password:       of the user root, at the first start on this folder.
    read_only:           refuse all writes, like a real server with omero.cluster.read_only=true.
    session_sync_seconds: how often sessions whose time is over are ended.
    session_idle_seconds, session_live_seconds: longest silence and longest life of a session, whatever its maker asks for; None
                         for as long as is asked, and 10 minutes of silence where nobody asks, as a real server has it. Those
                         of scripts and Processors have no limit of silence.
    processors:          programs that run scripts and are started with the first script; others can be attached.
    script_seconds:      how long a script may run (`omero.scripts.timeout`).
    step_seconds:        how long each of the five import steps takes at least, so that it can be interrupted there.
    repository_template: where in the managed repository imports go (see `repository.template`).
    pool:                database connections, as of a real server, whose default is 10; None for no limit.
    pool_wait_seconds:   how long those wait who find none.
    """

    data: Path
    host: str = "127.0.0.1"
    ssl_port: int = 0
    tcp_port: int = 0
    root_password: str = "omero"  # noqa: S105  (OMERO's own default)
    read_only: bool = False
    session_sync_seconds: float = SYNC_SECONDS
    session_idle_seconds: float | None = None
    session_live_seconds: float | None = None
    processors: int = 1
    script_seconds: float = 3600
    step_seconds: float = 0.02
    repository_template: str = REPOSITORY_TEMPLATE
    pool: int | None = None
    pool_wait_seconds: float = 95  # recorded: facts 1


class Server:
    """Everything that servants share; listens when a door is opened (see `entry.start`), until `close`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        options.data.mkdir(parents=True, exist_ok=True)
        self.journal = Journal()
        self.moments = Moments()
        self._database = options.data / "omero.sqlite"
        self.store = Store(self._database, root_password=options.root_password, before_commit=self._before_commit)
        self.disk = Disk(data=options.data, store=self.store)
        self.sessions = Sessions(
            self.store,
            sync_seconds=options.session_sync_seconds,
            idle_seconds=options.session_idle_seconds,
            live_seconds=options.session_live_seconds,
            read_only=options.read_only,
        )
        self.workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="worker")
        self.clients = Clients(self.sessions, self.workers)
        self.sessions.on_end(_close_services)
        self.waiters = ThreadPoolExecutor(WAITERS, thread_name_prefix="waiter")
        self.requests = ThreadPoolExecutor(REQUESTS, thread_name_prefix="request")
        self._parts: dict[object, Any] = {}
        self._making = threading.RLock()  # a part may use another one when it is made
        self.communicator = _communicator(certificate_in(options.data / "certificate"))
        self.adapter = self._listen()
        self.ssl_port, self.tcp_port = self._ports()

    def open(self, servant: Any, identity: str) -> None:
        """Let clients in, to a servant that anybody may call."""
        self.adapter.add(servant, self.communicator.stringToIdentity(identity))
        self.adapter.activate()

    def part(self, kind: Callable[[Server], Part]) -> Part:
        """Give the one object that a package above keeps for the whole server.

        Parameters
        ----------
        kind : class
            Made as ``kind(server)`` at the first call. If it has a method `close`, that is called when the server ends, while
            clients are still answered.
        """
        with self._making:
            if kind not in self._parts:
                self._parts[kind] = kind(self)
            return cast("Part", self._parts[kind])

    def close(self) -> None:
        """Stop listening, wait for calls that are being answered and for requests that run, close the database."""
        self.moments.close()
        for part in list(self._parts.values()):
            if hasattr(part, "close"):
                part.close()
        self.adapter.deactivate()
        self.sessions.close()
        for threads in (self.workers, self.waiters, self.requests):
            threads.shutdown(wait=True)
        # Only now: who calls a client's proxy after this ends the interpreter (IcePy 3.6).
        self.communicator.destroy()
        self.store.close()

    def proxy(self, session: Session, name: str) -> Any:
        """Give the proxy of a session's servant (not yet cast)."""
        return self.adapter.createProxy(Ice.Identity(name, session.uuid))

    def _before_commit(self) -> None:
        self.moments.reached(DATABASE_COMMIT)
        if not self._database.exists():
            # SQLite would go on with a file that has no name any more, and lose everything at the end without a word.
            raise sqlite3.OperationalError(f"'{self._database}' has gone")

    def _listen(self) -> Any:
        host = self.options.host
        endpoints = f"ssl -h {host} -p {self.options.ssl_port}:tcp -h {host} -p {self.options.tcp_port}"
        try:
            adapter = self.communicator.createObjectAdapterWithEndpoints("Blitz", endpoints)
        except (Ice.SocketException, Ice.DNSException, Ice.EndpointParseException) as error:
            self.communicator.destroy()
            self.sessions.close()
            self.store.close()
            ports = " or ".join(str(port) for port in (self.options.ssl_port, self.options.tcp_port) if port)
            raise CannotListen(f"Cannot listen on {host}, port {ports or 'any'}: {_reason(error)}.") from error
        adapter.addServantLocator(_Locator(self), "")
        return adapter

    def _ports(self) -> tuple[int, int]:
        ports = {info.secure(): info.port for info in (endpoint.getInfo() for endpoint in self.adapter.getEndpoints())}
        return ports[True], ports[False]


class _Locator(Ice.ServantLocator):  # type: ignore[misc]  # Ice carries no types
    """Finds the servant of an identity: the service factory of a client, or a service of a session."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def locate(self, current: Any) -> Any:
        """Give the servant, or None: the client then gets ObjectNotExistException."""
        identity = current.id
        factory = self._server.clients.factory(identity.category)
        if factory is not None:
            return factory
        session = self._server.sessions.find(identity.category)
        return session.services.get(identity.name) if session is not None else None

    def finished(self, current: Any, servant: Any, cookie: Any) -> None:
        """Do nothing after a call."""

    def deactivate(self, category: str) -> None:
        """Do nothing at the end."""


def _reason(error: Any) -> str:
    if not isinstance(error, Ice.SocketException):
        return "no such host"
    return "another program uses it" if error.error == errno.EADDRINUSE else os.strerror(error.error)


def _close_services(session: Session) -> None:
    for made in list(session.services.values()):
        release = getattr(made.implementation, "release", None)
        if release is not None:
            try:
                release()
            except Exception:  # whatever it is, the others are to be released as well
                log.exception("%s was not released", type(made.implementation).__name__)
    session.services.clear()


def _communicator(certificate: Path) -> Any:
    data = Ice.InitializationData()
    data.properties = Ice.createProperties()
    for name, value in {
        "Ice.ImplicitContext": "Shared",
        "Ice.MessageSizeMax": "250000",
        "Ice.ThreadPool.Server.Size": str(DISPATCH_THREADS),
        "Ice.ThreadPool.Server.SizeMax": str(DISPATCH_THREADS),
        # Clients never send heartbeats, so an idle connection must not be closed from this side.
        "Ice.ACM.Server.Close": "0",
        "Ice.ACM.Server.Heartbeat": "3",
        "Ice.ACM.Server.Timeout": "30",
        "Ice.Warn.Dispatch": "1",
        # The end does not wait for clients that do not answer.
        "Ice.Override.CloseTimeout": "1000",
        "Ice.CacheMessageBuffers": "0",
        "Ice.Plugin.IceSSL": "IceSSL:createIceSSL",
        "IceSSL.CertFile": str(certificate),
        "IceSSL.VerifyPeer": "0",
        "IceSSL.Protocols": "TLS1_0, TLS1_1, TLS1_2",
    }.items():
        data.properties.setProperty(name, value)
    communicator = Ice.initialize(data)
    omero.ObjectFactoryRegistrar.registerObjectFactory(communicator, None)
    for factory in list(omero.rtypes.ObjectFactories.values()):
        factory.register(communicator)
    return communicator
