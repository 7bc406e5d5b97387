# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients: omero.client as we want it, from its making to an end that comes whatever the server does."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import Ice
import omero.all
import omero.clients

from omero_adi_plugin.ice import TROUBLE

CALL_MILLISECONDS = 10 * 60 * 1000
"""How long one call may take before the connection counts as broken. A server that hangs, or a network that swallows everything,
would else hold a worker for ever; an overloaded server was seen to need minutes (real server, recorded)."""

CLOSE_MILLISECONDS = 15 * 1000
"""How long each call of a log-out may take, and the closing of its connection: nobody needs the answers, and what they leave on
the server ends by its idle time."""


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


def new_client(account: Account, *, call_milliseconds: int) -> Any:  # noqa: ANN401 (omero.client is untyped)
    """Make an omero.client that is not logged in yet; `close` it in the end, whether it was or not."""
    return _named(omero.client(_properties(call_milliseconds), host=account.host, port=account.port))


def given_client(config: str, *, call_milliseconds: int) -> Any:  # noqa: ANN401 (as above)
    """Make an omero.client as `new_client` does, for the server and the session that a file of Ice's properties names."""
    return _named(omero.client([f"--Ice.Config={config}", *_properties(call_milliseconds)]))


def _named(client: Any) -> Any:  # noqa: ANN401 (as above)
    client.setAgent("omero-adi-plugin")
    return client


def _properties(call_milliseconds: int) -> list[str]:
    properties = {
        "Ice.Default.InvocationTimeout": call_milliseconds,
        "Ice.Override.CloseTimeout": CLOSE_MILLISECONDS,
        # One thread takes all answers and wakes whoever waits; with more, as omero.client has it, each answer also wakes the next
        # of them. Those are for callbacks that ask the server something themselves; ours only ring a bell.
        "Ice.ThreadPool.Client.SizeMax": 1,
    }
    return [f"--{name}={value}" for name, value in properties.items()]


def means_overload(refusal: Any) -> bool:  # noqa: ANN401 (Glacier2.PermissionDeniedException)
    """Tell whether a server refuses a log-in because it is out of database connections.

    It does so with the type that stands for a wrong password; only its words tell (OMERO's PermissionsVerifierI).
    """
    return str(refusal.reason).startswith("Internal error")


def close(client: Any) -> None:  # noqa: ANN401 (as above)
    """Log out and give threads and sockets back; never raises, and does not wait for a server that hangs."""
    with contextlib.suppress(*TROUBLE):
        communicator = client.getCommunicator()
        router = communicator.getDefaultRouter()
        if router is not None:  # omero.client takes it from there to say good-bye
            communicator.setDefaultRouter(Ice.RouterPrx.uncheckedCast(brief(router)))
    with contextlib.suppress(*TROUBLE):
        client.closeSession()


def brief(proxy: Any) -> Any:  # noqa: ANN401 (Ice's proxies are untyped)
    """Return a proxy whose calls are given up after `CLOSE_MILLISECONDS`."""
    return proxy.ice_invocationTimeout(CLOSE_MILLISECONDS)
