# SPDX-License-Identifier: GPL-2.0-or-later
"""Handles: how a client watches a request that runs on the server."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import Ice
import omero.cmd

from omero_devserver.cmd.responses import failure
from omero_devserver.wire.arguments import given

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.wire.servant import Call


_CANCEL_SECONDS = 0.5  # as long a real server waits for what it has asked to end


class Handle:
    """Operations of ``omero.cmd.Handle``, and for who runs the request: `begin`, `step`, `finish`.

    Status as recorded (facts 1 and 10): (step, steps) goes from (0, 0) through (0, n) to (n - 1, n), and the response comes
    while the last step stays. The flags stay empty, or become CANCELLED and FAILURE.

    What is cancelled before it begins never does. What runs is asked to end; a request that waits does, others go on.
    """

    name = ""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._response: Any = None
        self._callbacks: list[Any] = []
        self._lock = threading.Lock()
        self._cancelled, self._ended = threading.Event(), threading.Event()
        self._started = False
        self._status = omero.cmd.Status()
        self._status.name = self._status.category = ""
        self._status.flags, self._status.parameters = [], {}
        self._status.stepStartTimes, self._status.stepStopTimes = [], []
        self._status.startTime = _now()

    def addCallback(self, call: Call, callback: Any) -> None:
        """Tell a client's object about steps and the end, through the client's own connection."""
        proxy = omero.cmd.CmdCallbackPrx.uncheckedCast(call.connection.createProxy(given(callback).ice_getIdentity()))
        with self._lock:
            self._callbacks.append(proxy)
            response = self._response
        if response is not None:
            _send(proxy.begin_finished, response, self._status)

    def removeCallback(self, call: Call, callback: Any) -> None:
        """Forget a client's object."""
        identity = given(callback).ice_getIdentity()
        with self._lock:
            self._callbacks = [one for one in self._callbacks if one.ice_getIdentity() != identity]

    def getRequest(self, call: Call) -> Any:
        """Give the request itself."""
        return self._request

    def getResponse(self, call: Call) -> Any:
        """Give the response, null while there is none."""
        return self._response

    def getStatus(self, call: Call) -> Any:
        """Say how far it is."""
        return self._status

    def cancel(self, call: Call) -> bool:
        """Call the request off; returns whether it ended for that."""
        with self._lock:
            if self._response is not None:
                return False
            self._cancelled.set()
            waiting = not self._started
        if waiting:
            self.finish(failure(self._request, name="cancelled", message="cancelled by the client"))
            return True
        self._ended.wait(_CANCEL_SECONDS)
        return isinstance(self._response, omero.cmd.ERR) and self._response.name == "cancelled"

    def close(self, call: Call) -> None:
        """Drop the handle; the request goes on."""
        call.session.services.pop(self.name, None)

    def start(self) -> bool:
        """Say that the request runs from now on; returns False if it was cancelled before."""
        with self._lock:
            self._started = not self._cancelled.is_set()
            return self._started

    def wait_for_cancel(self, seconds: float) -> bool:
        """Wait for so long; returns True as soon as the client has called the request off."""
        return self._cancelled.wait(seconds)

    def begin(self, steps: int) -> None:
        """Say how many steps there will be."""
        with self._lock:
            self._status.steps = steps

    def step(self, number: int) -> None:
        """Say that a step, counted from 0, begins."""
        with self._lock:
            self._status.currentStep = number
            self._status.stepStartTimes.append(_now())
            callbacks = list(self._callbacks)
        for one in callbacks:
            _send(one.begin_step, number, self._status.steps)

    def finish(self, response: Any) -> None:
        """Set the response, and tell the clients."""
        with self._lock:
            self._status.stopTime = _now()
            if isinstance(response, omero.cmd.ERR):
                self._status.flags = [omero.cmd.State.FAILURE, omero.cmd.State.CANCELLED]
            self._response = response
            callbacks = list(self._callbacks)
        self._ended.set()
        for one in callbacks:
            _send(one.begin_finished, response, self._status)


def _send(begin: Callable[..., Any], *arguments: Any) -> None:
    # A client that has gone is no concern of the request.
    try:
        begin(*arguments, lambda: None, lambda _error: None)
    except Ice.Exception:
        return


def _now() -> int:
    return int(time.time() * 1000)
