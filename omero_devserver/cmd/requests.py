# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests: how what a client submits is started, carried out in one transaction, and answered.

Whatever happens, the answer is a response on the handle, never an exception (recorded: facts 10).
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero.cmd

# Each of these registers the answers to its requests.
from omero_devserver.cmd import accounts, basic, changes, copies, image_files, kin  # noqa: F401
from omero_devserver.cmd.handle import Handle
from omero_devserver.cmd.responses import failure
from omero_devserver.cmd.work import Work, failed, steps_of, writes
from omero_devserver.store.caller import ALL_GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

log = logging.getLogger(__name__)


class _TakenBack(Exception):
    """A request failed, and what it had done is taken back; the answer is its response."""

    def __init__(self, response: Any) -> None:
        super().__init__(type(response).__name__)
        self.response = response


def submit(call: Call, request: Any, *, who: Caller) -> Any:
    """Start a request, in its own thread.

    Parameters
    ----------
    call : Call
        Whose session will hold the handle, and be held by the running request.
    request : omero.cmd.Request
        One of the classes that there is an answer to; any other is answered with an ERR `not-implemented`.
    who : Caller
        In whose name; graph requests run over all groups, whatever the client asked for, saves in the group of the call.

    Returns
    -------
    omero.cmd.HandlePrx
        Answers at once.
    """
    handle = Handle(request)
    everywhere = replace(who, group=ALL_GROUPS)
    work = Work(server=call.server, session=call.session, who=everywhere, caller=who, cancelled=handle.wait_for_cancel)

    def run() -> None:
        try:
            _carry_out(work, request, handle)
        except Exception as error:  # noqa: BLE001  whatever it is, the client waits for an answer
            handle.finish(_fault(request, error))

    proxy = call.stateful(handle, omero.cmd.Handle)
    start(call.server, call.session, run)
    return omero.cmd.HandlePrx.uncheckedCast(proxy)


def start(server: Server, session: Session, run: Callable[[], None], *, after_seconds: float = 0) -> None:
    """Run work in its own thread, holding a reference on its session.

    Parameters
    ----------
    server : Server
        Has the threads.
    session : Session
        If it ends before the work begins, the work never runs.
    run : callable
        The work; it answers for its own errors.
    after_seconds : float
        How long it waits before it begins.
    """
    server.sessions.accept(session)

    def held() -> None:
        session.ended.wait(after_seconds)
        if not server.sessions.begin(session):
            return
        try:
            run()
        finally:
            server.sessions.release(session, explicit=False)

    server.requests.submit(held)


def _carry_out(work: Work, request: Any, handle: Handle) -> None:
    steps = steps_of(request)
    handle.begin(steps)
    if handle.start():
        handle.step(0)
        response = _outcome(work, request)
        for number in range(1, steps) if not failed(response) else ():
            handle.step(number)
        handle.finish(response)


def _fault(request: Any, error: Exception) -> Any:
    log.error("fault in %s", type(request).__name__, exc_info=error)
    return failure(request, name="steps-cancel", message=str(error), trace="".join(traceback.format_exception(error)))


def _taken_back_if_failed(response: Any) -> Any:
    if failed(response):
        raise _TakenBack(response)
    return response


def _outcome(work: Work, request: Any) -> Any:
    try:
        if not writes(request):
            return work.answer(request)
        with work.server.store.transaction():
            response = _taken_back_if_failed(work.answer(request))
    except _TakenBack as taken_back:
        work.server.disk.remove_data(work.made)
        return taken_back.response
    except Exception as error:  # noqa: BLE001  as above
        work.server.disk.remove_data(work.made)
        return _fault(request, error)
    work.server.disk.remove(work.files)
    work.server.disk.remove_data(work.data)
    return response
