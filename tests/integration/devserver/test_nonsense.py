# SPDX-License-Identifier: GPL-2.0-or-later
"""Nonsense as arguments of every operation that is there: an exception of OMERO's or an answer, and the server lives on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import Ice
import omero
import omero.all
import omero.cmd
import omero.grid
import pytest

from omero_devserver.cmd.work import known_requests
from omero_devserver.entry.catalogue import STATEFUL, STATELESS, Absent
from omero_devserver.entry.factory import ServiceFactory, offers
from omero_devserver.entry.operations import OTHERS
from omero_devserver.wire.signatures import operations
from tests.fixtures.nonsense import NOWHERE, arguments
from tests.fixtures.omero import OmeroServer, started
from tests.fixtures.omero_client import InPlace
from tests.fixtures.waiting import wait_until

VARIANTS = 6  # each with other nonsense
PATIENCE_MILLISECONDS = 20_000
#: Changes the password of the user that all others log in with.
LEFT_OUT = {"changePassword", "changePasswordWithOldPassword"}
#: Those of a running script are reached in test_processors only.
OF_SCRIPTS = {"omero.grid.InteractiveProcessor", "omero.grid.Process", "omero.grid.ScriptProcess"}
THERE = {name: made for name, made in STATELESS.items() if made is not Absent}
INTERFACES: dict[str, Any] = {**THERE, **{f"omero.api.{kind}": made for kind, made in STATEFUL.items()}, **OTHERS}
FIELDS: tuple[Any, ...] = (None, -1, NOWHERE, "", [], {}, [None], {"Image": [NOWHERE]}, {"Nonsense": [1]}, [omero.cmd.Delete2()])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OmeroServer]:
    with started(tmp_path_factory.mktemp("nonsense") / "data", "--processors", "0", "--step-seconds", "0") as server:
        yield server
        assert server.stop() == 0


class Visitor:
    """A client that logs in again when nonsense has ended its session, with whatever an interface needs to be asked."""

    def __init__(self, server: OmeroServer, file: Path) -> None:
        self._server, self._file = server, file
        self._client: Any = None
        self._imported: InPlace | None = None

    @property
    def client(self) -> Any:
        try:
            self._client.sf.keepAlive(None)
        except (Ice.Exception, AttributeError):
            self.leave()
            self._client = omero.client(self._server.host, self._server.ssl_port)
            self._client.createSession(self._server.root, self._server.root_password)
        return self._client

    def leave(self) -> None:
        if self._client is not None:
            self._client.__del__()

    def proxy(self, name: str) -> Any:
        module, short = name.split(".")[1:]
        found = self._proxy(name).ice_invocationTimeout(PATIENCE_MILLISECONDS)
        return getattr(getattr(omero, module), f"{short}Prx").uncheckedCast(found)

    def _proxy(self, name: str) -> Any:
        factory = self.client.sf
        special: dict[str, Callable[[], Any]] = {
            "omero.api.ServiceFactory": lambda: factory,
            "omero.cmd.Handle": lambda: factory.submit(omero.cmd.DiskUsage2()),
            "omero.grid.ImportProcess": lambda: InPlace(self.client, [self._file], None).process,
            "omero.grid.ManagedRepository": lambda: managed_repository(self.client),
            "omero.grid.Repository": lambda: factory.sharedResources().getScriptRepository(),
            "omero.grid.SharedResources": factory.sharedResources,
        }
        if name in special:
            return special[name]()
        return factory.getByName(name) if name in STATELESS else factory.createByName(name)


@pytest.fixture(scope="module")
def visitor(server: OmeroServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    file = tmp_path_factory.mktemp("files") / "a.tif"
    file.write_bytes(b"nonsense")
    visitor = Visitor(server, file)
    yield visitor
    visitor.leave()


def managed_repository(client: Any) -> Any:
    proxies = client.sf.sharedResources().repositories().proxies
    return next(filter(None, map(omero.grid.ManagedRepositoryPrx.checkedCast, proxies)))


def faults(server: OmeroServer) -> list[str]:
    """What the server logged of faults of its own."""
    assert server.log is not None
    return [line for line in server.log.read_text().splitlines() if " ERROR " in line or line.startswith("Traceback")]


def has(implementation: Any, operation: str) -> bool:
    return offers(operation) if implementation is ServiceFactory else hasattr(implementation, operation)


@pytest.mark.parametrize("name", sorted(set(INTERFACES) - OF_SCRIPTS))
def test_every_operation_answers_nonsense(server: OmeroServer, visitor: Visitor, name: str) -> None:
    module, short = name.split(".")[1:]
    interface = getattr(getattr(omero, module), short)
    before = faults(server)
    wrong = []
    for operation in operations(interface):
        if not has(INTERFACES[name], operation) or operation in LEFT_OUT:
            continue
        proxy = visitor.proxy(name)
        for number in range(VARIANTS):
            given = arguments(interface, operation, number)
            try:
                getattr(proxy, operation)(*given)
            except (ValueError, TypeError, AttributeError):  # the client does not send it
                continue
            except (Ice.UserException, Ice.ObjectNotExistException, Ice.UnknownException):
                continue
            except Ice.Exception as error:
                wrong.append((operation, given, error))
            if not given:
                break
    assert (wrong, faults(server)[len(before) :]) == ([], [])


@pytest.mark.parametrize("kind", known_requests(), ids=lambda kind: kind.__name__)
def test_every_request_answers_nonsense(server: OmeroServer, visitor: Visitor, kind: type) -> None:
    before = faults(server)
    for field, value in itertools.product(vars(kind()), FIELDS):
        request = kind()
        setattr(request, field, value)
        try:
            handle = visitor.client.sf.submit(request)
        except (ValueError, TypeError, AttributeError, Ice.UserException, Ice.UnknownException):
            continue
        assert isinstance(wait_until(handle.getResponse, seconds=20, what=f"answer to {field}={value}"), omero.cmd.Response)
        handle.close()
    assert faults(server) == before
