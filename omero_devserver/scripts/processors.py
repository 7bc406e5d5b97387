# SPDX-License-Identifier: GPL-2.0-or-later
"""Processors: the programs that run scripts, found by asking each whether it takes a job.

The server starts its own with the first script; others attach themselves (`addProcessor`), from this host or another. All are
omero-py's `ProcessorI`. A processor is called through the connection that it has opened, and answers by calls of its own.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.grid

from omero_devserver.scripts import children, jobs
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.access import SYSTEM_GROUP
from omero_devserver.wire.arguments import given
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import make

if TYPE_CHECKING:
    from omero_devserver.scripts.children import Child
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

log = logging.getLogger(__name__)

DEFAULT_WAIT_SECONDS = 5  # for a processor, of IScript.runScript
LONGEST_WAIT_SECONDS = 180
START_SECONDS = 30  # within which a processor of the server's own has attached itself
ATTEMPTS = 2  # to start a processor, and to find one while others go
ANSWER_SECONDS = 10  # within which a processor says whether it takes a job
GRACE_SECONDS = 2  # between the end of that call and the answer, a call of its own that others may overtake on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attached:
    """A processor. `connection` is the one that it has opened, `session` is whose it acts in."""

    server: Server
    session: Session
    connection: Any
    identity: Any

    def proxy(self, seconds: float) -> Any:
        """Give its proxy; calls that take longer end with InvocationTimeoutException."""
        return omero.grid.ProcessorPrx.uncheckedCast(self._bound(self.identity).ice_invocationTimeout(int(seconds * 1000)))

    def process(self, identity: Any, seconds: float | None = None) -> Any:
        """Give the proxy of one of its processes; without a limit of time if `seconds` is None."""
        bound = self._bound(identity)
        if seconds is not None:
            bound = bound.ice_invocationTimeout(int(seconds * 1000))
        return omero.grid.ProcessPrx.uncheckedCast(bound)

    def serve(self, implementation: object, interface: Any) -> tuple[str, Any]:
        """Make an object that this processor can call; returns its name in the processor's session, and its proxy."""
        name = f"{interface.__name__}-{uuid.uuid4()}"
        self.session.services[name] = make(implementation, interface, server=self.server, session=self.session)
        return name, self.server.proxy(self.session, name)

    def may_serve(self, user: int) -> bool:
        """Tell whether it may run scripts of a user: administrators' processors may, and his own (ProcessorCallbackI)."""
        return user == self.session.user or SYSTEM_GROUP in self.server.store.people.memberships(self.session.user).member_of

    def _bound(self, identity: Any) -> Any:
        return self.connection.createProxy(identity)


@dataclass(slots=True)
class _Asked:
    """What came of asking all: who takes the job, how many answered, and how many have gone."""

    found: Attached | None = None
    responses: int = 0
    lost: int = 0


@dataclass(slots=True)
class _Answer:
    """Operations of ``omero.grid.ProcessorCallback``: what one processor says to one question."""

    accepted: bool = False
    given: threading.Event = field(default_factory=threading.Event)

    def isProxyAccepted(self, call: Call, accepted: bool, session: str, processor: Any) -> None:
        """Take the answer."""
        self.accepted = accepted
        self.given.set()

    def isAccepted(self, call: Call, accepted: bool, session: str, processor: str) -> None:
        """Take the answer in the form that older processors send."""
        self.isProxyAccepted(call, accepted, session, None)


class Processors:
    """All processors of the server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._attached: list[Attached] = []
        self._children: list[Child] = []
        self._changed = threading.Condition(threading.RLock())
        self._starting = threading.Lock()
        self._turn = 0
        self._closed = False
        server.sessions.on_end(self._session_ended)

    def add(self, call: Call, processor: Any) -> None:
        """Attach a processor that a client offers."""
        if processor is None:
            raise fault(omero.ApiUsageException, "Processor may not be null.")
        identity = processor.ice_getIdentity()
        new = Attached(server=self._server, session=call.session, connection=call.connection, identity=identity)
        with self._changed:
            self._attached = [one for one in self._attached if one.identity != identity]
            self._attached.append(new)
            self._changed.notify_all()

    def remove(self, processor: Any) -> None:
        """Take a processor off the list."""
        if processor is not None:
            self._drop(processor.ice_getIdentity())

    def count(self) -> int:
        """Tell how many are attached."""
        with self._changed:
            return len(self._attached)

    def acquire(self, call: Call, job: Any, seconds: int) -> tuple[Attached, Any]:
        """Save a job, and find a processor that takes it.

        Returns
        -------
        Attached, omero.model.Job
            The processor, and the job as it was saved.

        Raises
        ------
        omero.ApiUsageException
            `seconds` is more than 180, or the job cannot be saved.
        omero.NoProcessorAvailable
            No processor takes it; the job ends with Error.
        """
        if seconds > LONGEST_WAIT_SECONDS:
            raise fault(omero.ApiUsageException, "Delay is too long. Maximum = 3 minutes.")
        store = self._server.store
        given(job).status = omero.model.JobStatusI(store.enumeration("JobStatus", jobs.WAITING), False)
        saved = jobs.find(store, SERVER, jobs.submit(call, job))
        found, responses = self._find(call, saved)
        if found is None:
            text = f"No processor available! [{responses} response(s)]"
            jobs.change(store, saved.id.val, status=jobs.ERROR, message=text)
            raise omero.NoProcessorAvailable("", "", text, responses)
        return found, saved

    def any_for(self, call: Call) -> bool:
        """Tell whether a processor takes whatever the caller wants to run."""
        return self._ask(call, None).found is not None

    def close(self) -> None:
        """End the processors that the server has started, and start none any more."""
        self._closed = True  # whoever waits for one that starts stops waiting
        with self._starting:
            children.end(self._server, self._children)
            self._children = []

    def _find(self, call: Call, job: Any) -> tuple[Attached | None, int]:
        """Find who takes a job, and how many answered; asks again when one was found to have gone, which may come back."""
        for _ in range(ATTEMPTS):
            self._start_own()
            asked = self._ask(call, job)
            if asked.found is not None or not asked.lost:
                break
        return asked.found, asked.responses

    def _ask(self, call: Call, job: Any) -> _Asked:
        """Ask one processor after the other, from the one whose turn it is."""
        with self._changed:
            self._turn += 1
            first = self._turn % max(1, len(self._attached))
            turn = self._attached[first:] + self._attached[:first]
        asked = _Asked()
        for one in turn:
            answer = self._question(one, call, job)
            if answer is None:
                asked.lost += 1
                continue
            asked.responses += answer.given.is_set()
            if answer.accepted and one.may_serve(call.session.user):
                asked.found = one
                break
        return asked

    def _question(self, one: Attached, call: Call, job: Any) -> _Answer | None:
        """Ask a processor whether it takes a job; None if it has gone."""
        answer, who = _Answer(), call.caller
        user = omero.model.ExperimenterI(who.user, False)
        group = omero.model.ExperimenterGroupI(who.group if who.group >= 0 else call.session.group, False)
        name, proxy = one.serve(answer, omero.grid.ProcessorCallback)
        try:
            one.proxy(ANSWER_SECONDS).willAccept(user, group, job, omero.grid.ProcessorCallbackPrx.uncheckedCast(proxy))
            answer.given.wait(GRACE_SECONDS)
        except Ice.TimeoutException:
            log.warning("a processor has not answered within %s s", ANSWER_SECONDS)
        except Ice.LocalException as error:
            log.info("a processor has gone: %s", type(error).__name__)
            self._drop(one.identity)
            return None
        finally:
            one.session.services.pop(name, None)
        return answer

    def _start_own(self) -> None:
        """Start the server's own processors unless they run, and wait for those that are about to attach themselves."""
        with self._starting:
            for _ in range(0 if self._closed else ATTEMPTS):
                self._replace_ended()
                deadline = time.monotonic() + START_SECONDS
                for child in self._children:
                    self._await(child, deadline)
                if all(child.runs for child in self._children):
                    break

    def _replace_ended(self) -> None:
        for child in [one for one in self._children if not one.runs]:
            log.warning("%s has ended with status %s, see %s", child.name, child.process.returncode, child.log)
            children.forget(self._server, child)
            self._children.remove(child)
        wanted = {f"Processor-{number}" for number in range(self._server.options.processors)}
        for name in sorted(wanted - {child.name for child in self._children}):
            self._children.append(children.start(self._server, name))

    def _await(self, child: Child, deadline: float) -> None:
        with self._changed:
            while not self._closed and child.runs and time.monotonic() < deadline and not self._is_attached(child):
                self._changed.wait(0.1)  # its end wakes nobody

    def _is_attached(self, child: Child) -> bool:
        return any(one.session is child.session for one in self._attached)

    def _drop(self, identity: Any) -> None:
        with self._changed:
            self._attached = [one for one in self._attached if one.identity != identity]

    def _session_ended(self, session: Session) -> None:
        with self._changed:
            self._attached = [one for one in self._attached if one.session is not session]
