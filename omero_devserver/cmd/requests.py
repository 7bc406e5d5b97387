# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that a client submits: Delete2 and DoAll.

Whatever happens, the answer is a response on the handle, never an exception (recorded: facts 10).
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import omero.cmd

from omero_devserver.cmd.handle import Handle
from omero_devserver.cmd.responses import failure, graph_failure
from omero_devserver.model.schema import UnknownEntityError, find_class
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.graphrules import ChildOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

DELETE_STEPS = 6  # as a real server shows them


class _Refused(Exception):
    """A request of a DoAll failed; what came before it is rolled back."""

    def __init__(self, response: Any) -> None:
        super().__init__(type(response).__name__)
        self.response = response


@dataclass(slots=True, kw_only=True)
class _Work:
    """One submitted request: in whose name it runs, and which files are to go after the commit."""

    server: Server
    who: Caller
    files: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)

    def answer(self, request: Any) -> Any:
        """Carry a request out; raises GraphFailed and whatever the store raises."""
        if isinstance(request, omero.cmd.DoAll):
            return self._all(request)
        if isinstance(request, omero.cmd.Delete2):
            return self._delete(request)
        where = f"Session.submit({type(request).__name__})"
        self.server.journal.not_implemented(where)
        return failure(request, name="not-implemented", message=f"not implemented by the development server: {where}")

    def _delete(self, request: Any) -> Any:
        targets = {find_class(kind).name: list(ids) for kind, ids in (request.targetObjects or {}).items()}
        response = omero.cmd.Delete2Response()
        options = [_child_option(one) for one in request.childOptions or []]
        deletion = self.server.store.delete(self.who, targets, dry_run=bool(request.dryRun), options=options)
        response.deletedObjects = {name: list(ids) for name, ids in deletion.objects.items()}
        if not request.dryRun:
            self.files.extend(deletion.files)
        return response

    def _all(self, request: Any) -> Any:
        if not request.requests:
            return failure(request, name="no-steps", message="no steps")
        response = omero.cmd.DoAllRsp()
        response.responses, response.status = [], []
        for one in request.requests:
            answer = self.answer(one)
            if isinstance(answer, omero.cmd.ERR):
                raise _Refused(answer)
            response.responses.append(answer)
            status = omero.cmd.Status()
            status.flags, status.parameters, status.stepStartTimes, status.stepStopTimes = [], {}, [], []
            response.status.append(status)
        return response


def _child_option(option: Any) -> ChildOption:
    return ChildOption(
        include=frozenset(option.includeType or ()),
        exclude=frozenset(option.excludeType or ()),
        include_ns=frozenset(option.includeNs or ()),
        exclude_ns=frozenset(option.excludeNs or ()),
    )


def submit(call: Call, request: Any, *, who: Caller) -> Any:
    """Start a request, in its own thread.

    Parameters
    ----------
    call : Call
        Whose session will hold the handle, and be held by the running request.
    request : omero.cmd.Request
        Delete2 or DoAll; any other is answered with an ERR `not-implemented`.
    who : Caller
        In whose name; graph requests run over all groups, whatever the client asked for.

    Returns
    -------
    omero.cmd.HandlePrx
        Answers at once.
    """
    handle = Handle(request)
    work = _Work(server=call.server, who=who)

    def run() -> None:
        handle.begin(DELETE_STEPS)
        handle.step(DELETE_STEPS - 1)
        handle.finish(_outcome(work, request))

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


def _outcome(work: _Work, request: Any) -> Any:
    try:
        with work.server.store.transaction():
            response = work.answer(request)
    except GraphFailed as refusal:
        return graph_failure(request, message=refusal.message)
    except _Refused as refused:
        return refused.response
    except UnknownEntityError as error:
        # A real server stumbles over an unknown class in the same place (recorded: facts 10).
        return failure(request, name="graph-fail", message="java.lang.NullPointerException", trace=str(error))
    except Exception as error:  # noqa: BLE001  the edge: the client must get an answer, whatever went wrong
        return failure(request, name="steps-cancel", message=str(error), trace=traceback.format_exc())
    work.server.disk.remove(work.files)
    return response
