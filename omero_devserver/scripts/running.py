# SPDX-License-Identifier: GPL-2.0-or-later
"""Running: one script that a processor runs, as clients hold it.

A client cannot reach the processor itself; these servants stand between. Whoever holds one that never hears of the processor
again gets Ice's exception for a lost connection, as from a real server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import Ice
import omero.grid

from omero_devserver.wire.arguments import given
from omero_devserver.wire.servant import waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.scripts.processors import Attached
    from omero_devserver.wire.servant import Call

CALL_SECONDS = 60  # of a call to the processor that is no waiting for the script
POLL_SECONDS = 0.1


class Process:
    """Operations of ``omero.grid.Process``."""

    name = ""

    def __init__(self, processor: Attached, identity: Any) -> None:
        self._processor, self._identity = processor, identity
        self._callbacks: dict[Any, tuple[str, Any]] = {}
        self._proxy = processor.process(identity, CALL_SECONDS)

    @waiting
    def poll(self, call: Call) -> Any:
        """Give the exit status of the script; null while it runs."""
        return self._proxy.poll()

    @waiting
    def wait(self, call: Call) -> int:
        """Wait for the end of the script; returns its exit status."""
        proxy = self._processor.process(self._identity)
        asked = proxy.begin_wait()
        while not asked.isCompleted():
            if call.session.ended.wait(POLL_SECONDS):
                raise Ice.ObjectNotExistException
        return int(proxy.end_wait(asked))

    @waiting
    def cancel(self, call: Call) -> bool:
        """Ask the script to end; returns whether it had ended before."""
        return bool(self._proxy.cancel())

    @waiting
    def kill(self, call: Call) -> bool:
        """Kill the script; returns whether it had ended before."""
        return bool(self._proxy.kill())

    def shutdown(self, call: Call) -> None:
        """Ask the script to end, and kill it if it does not."""
        self.end()

    @waiting
    def registerCallback(self, call: Call, callback: Any) -> None:
        """Tell a client's object about the end of the script."""
        identity = given(callback).ice_getIdentity()
        self._forget(identity)
        client = omero.grid.ProcessCallbackPrx.uncheckedCast(call.connection.createProxy(identity))
        name, proxy = self._processor.serve(_Forwarder(client), omero.grid.ProcessCallback)
        self._callbacks[identity] = (name, omero.grid.ProcessCallbackPrx.uncheckedCast(proxy))
        self._proxy.registerCallback(self._callbacks[identity][1])

    @waiting
    def unregisterCallback(self, call: Call, callback: Any) -> None:
        """Forget a client's object."""
        self._proxy.unregisterCallback(self._forget(given(callback).ice_getIdentity()))

    def status(self) -> Any:
        """Give the exit status; None while the script runs."""
        return self._proxy.poll()

    def end(self) -> None:
        """Ask the script to end, without waiting."""
        _send(self._proxy.begin_shutdown)

    def release(self) -> None:
        """Tell nobody any more: the session that started the script has ended."""
        for identity in list(self._callbacks):
            self._forget(identity)

    def _forget(self, identity: Any) -> Any:
        """Drop what stands for a client's object in the processor's session; returns its proxy, None if there is none."""
        name, proxy = self._callbacks.pop(identity, ("", None))
        self._processor.session.services.pop(name, None)
        return proxy


class _Forwarder:
    """Operations of ``omero.grid.ProcessCallback``: passes on what a processor says, through the client's own connection."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def processFinished(self, call: Call, status: int) -> None:
        """Tell that the script has ended."""
        _send(self._client.begin_processFinished, status)

    def processCancelled(self, call: Call, success: bool) -> None:
        """Tell that somebody has cancelled the script."""
        _send(self._client.begin_processCancelled, success)

    def processKilled(self, call: Call, success: bool) -> None:
        """Tell that somebody has killed the script."""
        _send(self._client.begin_processKilled, success)


def _send(begin: Callable[..., Any], *arguments: Any) -> None:
    # Whoever has gone need not be told.
    try:
        begin(*arguments, lambda: None, lambda _error: None)
    except Ice.Exception:
        return
