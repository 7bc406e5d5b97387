# SPDX-License-Identifier: GPL-2.0-or-later
"""Handles: waiting for what OMERO.server does by itself, an import or a deletion."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import Ice
import omero.all

from omero_adi_plugin.ice import TROUBLE, translated, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.importers.protocol import Session

POLL_SECONDS = 1.0
"""How often the server is asked although it calls back by itself: a call back may get lost, and a dead server makes none."""

_YES = b"\x07\x00\x00\x00\x01\x00\x01"
"""A true answer as Ice sends it: an encapsulation of 7 bytes, encoding 1.0, one bool (Ice 3.6 manual, "Data Encoding")."""


class NoProgress(Exception):
    """The server has not got one step further for as long as was allowed."""


class Bell(Ice.Blobject):  # type: ignore[misc]  # Ice carries no types
    """Stands in for an omero.cmd.CmdCallback, and rings when the server says that a request is over.

    What comes with the call, the whole response, is not decoded: that costs more than all the rest of an import, and the
    response has to be fetched anyway, because that makes the server clean up.
    """

    def __init__(self) -> None:
        self.rung = threading.Event()

    def ice_invoke(self, _arguments: bytes, current: Any) -> tuple[bool, bytes]:  # noqa: ANN401 (Ice.Current is untyped)
        """Take a call of the server, of whichever operation."""
        if current.operation == "finished":
            self.rung.set()
        return True, _YES if current.operation == "ice_isA" else b""


def finished(
    session: Session,
    handle: Any,  # noqa: ANN401 (omero.cmd.HandlePrx is untyped)
    *,
    doing: str,
    patience_seconds: float,
    on_status: Callable[[int, int], None] | None = None,
    unread: str | None = None,
) -> Any:  # noqa: ANN401 (omero.cmd.Response is untyped)
    """Wait for the response of a handle, and close it.

    Parameters
    ----------
    doing : str
        For errors, to follow "while".
    patience_seconds : float
        How long the server may stay at one step.
    on_status : callable, optional
        Told the steps done and their number, about once a second.
    unread : str, optional
        Ice's name of a class of responses, `::omero::grid::ImportResponse`, that nobody wants to read.

    Returns
    -------
    omero.cmd.Response or None
        What the server answered, `omero.cmd.ERR` if it failed: that is never raised (real server, recorded). None stands for
        a response of the class `unread`.

    Raises
    ------
    NoProgress
        The patience is over; the server may still be at work.
    ConnectionBroken, OmeroDown, ServerTrouble
        The server cannot be asked any more, or does not answer; it may still be at work.
    """
    with translated(doing, session.where):
        try:
            with _bell_at(session, handle) as bell:
                latest, since = -1, time.monotonic()
                while True:
                    bell.rung.wait(POLL_SECONDS)
                    bell.rung.clear()
                    there, response = _response(handle, unread)
                    if there:
                        return response
                    status = handle.getStatus()
                    if status.currentStep != latest:
                        latest, since = status.currentStep, time.monotonic()
                    if on_status is not None:
                        on_status(status.currentStep, status.steps)
                    if time.monotonic() - since > patience_seconds:
                        raise NoProgress
        finally:
            with contextlib.suppress(*TROUBLE):
                handle.close()


def refusal(response: Any) -> str:  # noqa: ANN401 (omero.cmd.ERR is untyped)
    """Return the server's words for why it failed, in one line."""
    text = response.parameters.get("message") or words(response).partition(": ")[2]
    return f"{response.name}: {text.strip().splitlines()[0]}" if text and text.strip() else str(response.name)


@contextlib.contextmanager
def _bell_at(session: Session, handle: Any) -> Iterator[Bell]:  # noqa: ANN401 (omero.cmd.HandlePrx is untyped)
    """Have a bell that rings when the request of a handle is over; if it is over already, it may stay silent."""
    adapter = session.client.getAdapter()
    bell, identity = Bell(), Ice.Identity(uuid.uuid4().hex, session.callback_category)
    proxy = adapter.add(bell, identity)
    try:
        handle.addCallback(omero.cmd.CmdCallbackPrx.uncheckedCast(proxy))
        yield bell
    finally:
        with contextlib.suppress(*TROUBLE):
            adapter.remove(identity)


def _response(handle: Any, unread: str | None) -> tuple[bool, Any]:  # noqa: ANN401 (omero.cmd.HandlePrx is untyped)
    """Fetch the response; say whether there is one, and what it is, None if it is of the class `unread`."""
    if unread is not None:
        understood, content = handle.ice_invoke("getResponse", Ice.OperationMode.Normal, b"")
        if understood and unread.encode() in content:  # Ice writes the names of the classes that it sends
            return True, None
        if understood and b"::" not in content:
            return False, None
    response = handle.getResponse()
    return response is not None, response
