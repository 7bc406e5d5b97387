# SPDX-License-Identifier: GPL-2.0-or-later
"""Handles: waiting for what OMERO.server does by itself, an import or a deletion."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import omero.all
import omero.callbacks

from omero_adi_plugin.ice import TROUBLE, translated, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.importers.protocol import Session

POLL_SECONDS = 1.0
"""How often the server is asked although it calls back by itself: a call back may get lost, and a dead server makes none."""


class NoProgress(Exception):
    """The server has not got one step further for as long as was allowed."""


def finished(
    session: Session,
    handle: Any,  # noqa: ANN401 (omero.cmd.HandlePrx is untyped)
    *,
    doing: str,
    patience_seconds: float,
    on_status: Callable[[int, int], None] | None = None,
) -> Any:  # noqa: ANN401 (omero.cmd.Response is untyped)
    """Wait for the response of a handle, and close it.

    Parameters
    ----------
    doing : str
        For errors, to follow "while".
    patience_seconds : float
        How long the server may stay at one step.
    on_status : callable, optional
        Told the steps done and their number, at each look.

    Returns
    -------
    omero.cmd.Response
        What the server answered, `omero.cmd.ERR` if it failed: that is never raised (real server, recorded).

    Raises
    ------
    NoProgress
        The patience is over; the server may still be at work.
    ConnectionBroken, OmeroDown
        The server cannot be asked any more; it may still be at work.
    """
    with translated(doing, session.where):
        callback = omero.callbacks.CmdCallbackI(session.client, handle)
        try:
            latest, since = -1, time.monotonic()
            while not callback.event.wait(POLL_SECONDS):  # its own `block` does the same by a deprecated name
                callback.poll()  # fetches the response if there is one; that also makes the server clean up
                status = handle.getStatus()
                if status.currentStep != latest:
                    latest, since = status.currentStep, time.monotonic()
                if on_status is not None:
                    on_status(status.currentStep, status.steps)
                if time.monotonic() - since > patience_seconds and not callback.getResponse():
                    raise NoProgress
            return callback.getResponse()
        finally:
            with contextlib.suppress(*TROUBLE):
                callback.close(True)  # noqa: FBT003 (its one argument: the handle too)


def refusal(response: Any) -> str:  # noqa: ANN401 (omero.cmd.ERR is untyped)
    """Return the server's words for why it failed, in one line."""
    text = response.parameters.get("message") or words(response).partition(": ")[2]
    return f"{response.name}: {text.strip().splitlines()[0]}" if text and text.strip() else str(response.name)
