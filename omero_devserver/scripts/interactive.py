# SPDX-License-Identifier: GPL-2.0-or-later
"""InteractiveProcessor: a processor that has taken one job, and the session in which its script acts.

The script's session is a new one of the calling user, limited in time, not in idleness. It ends with the session that launched
the script, unless that one has let it go (`setDetach`). Recorded: facts 11; InteractiveProcessorI of OMERO's source.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.grid
from omero.rtypes import rmap, robject

from omero_devserver.scripts import jobs
from omero_devserver.scripts.kinds import of_mimetype
from omero_devserver.scripts.running import CALL_SECONDS, Process
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import make, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from omero_devserver.scripts.processors import Attached
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.sessions import Session

PARSE_SECONDS = 120  # for running a script only to learn its parameters
OUTPUTS = ("stdout", "stderr")
OUTPUT_SECONDS = 10.0
"""How long the outputs of a script that has ended may take: omero-py's ProcessI keeps an eye on its processes in a thread of its
own, which may have begun to upload them, and whoever waits for the process then does not wait for that."""
RULER = "-" * 33


class InteractiveProcessor:
    """Operations of ``omero.grid.InteractiveProcessor``, and for who runs scripts: `begin`, `results`, `release`.

    job:       as it was submitted.
    processor: what runs the script.
    name:      that of the servant, if there is one.
    """

    name = ""

    def __init__(self, call: Call, processor: Attached, job: Any, parameters_of: Callable[[Call, int, str], Any]) -> None:
        self.job = job
        self.processor = processor
        self._server, self._parameters_of = call.server, parameters_of
        self._script = jobs.script_of(call.server.store, job.id.val)
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._params: Any = None
        self._process: Process | None = None
        self._starting = self._detached = self._stopped = False

    def getJob(self, call: Call) -> Any:
        """Give the job as it was submitted."""
        return self.job

    def expires(self, call: Call) -> int:
        """Give the time, in milliseconds since 1970, at which the script's session is over."""
        session = self._own_session(call)
        return int(session.started * 1000) + session.time_to_live

    @waiting
    def params(self, call: Call) -> Any:
        """Give the parameters of the script."""
        return self.parameters(call)

    @waiting
    def execute(self, call: Call, inputs: Any) -> Any:
        """Start the script; returns the proxy of its process."""
        process = Process(self.processor, self.begin(call, (inputs.val if inputs is not None else None) or {}))
        process.name = f"Process-{uuid.uuid4()}"
        return omero.grid.ProcessPrx.uncheckedCast(call.service(process.name, process, omero.grid.Process))

    @waiting
    def getResults(self, call: Call, process: Any) -> Any:
        """Give what the script has put out, once."""
        return rmap(self.results())

    def setDetach(self, call: Call, detach: bool) -> bool:
        """Say whether the script is to go on without this; returns what was said before."""
        former, self._detached = self._detached, detach
        return former

    def stop(self, call: Call) -> None:
        """Drop this; the script ends, unless it was detached."""
        self.release()
        call.session.services.pop(self.name, None)

    def parameters(self, call: Call) -> Any:
        """Give the parameters of the script; the first time, for a ParseJob, the processor finds them out."""
        if self._params is None:
            if isinstance(self.job, omero.model.ParseJob):
                self._params = self._parse(call)
            else:
                self._params = self._parameters_of(call, self._script.id.val, self._script.hash.val)
        return self._params

    def begin(self, call: Call, inputs: Mapping[str, Any]) -> Any:
        """Start the script; returns the identity of its process in the processor.

        Raises
        ------
        omero.ApiUsageException
            It runs already, or this was dropped.
        omero.ValidationException
            The inputs are not what the script wants; the job ends with Error.
        omero.InternalException
            The processor has gone.
        """
        with self._lock:
            if self._process is not None or self._starting:
                raise fault(omero.ApiUsageException, "Process currently running.")
            self._refuse_stopped()
            self._starting = True
        try:
            session = self._own_session(call)
            session.inputs.update({key: value for key, value in inputs.items() if value is not None})
            identity = self._start(call, session)
            self._process = process = Process(self.processor, identity)
            session.services["Process"] = make(_Keeper(process), omero.grid.Process, server=self._server, session=session)
            if session.ended.is_set():  # with the session that launched it, before it had a keeper
                process.end()
            self._refuse_stopped()
            return identity
        finally:
            self._starting = False

    def results(self) -> dict[str, Any]:
        """Give what the script has put out, once.

        Raises
        ------
        omero.ApiUsageException
            It still runs, or they were given before.
        """
        process, session = self._process, self._session
        if process is None or session is None:
            raise fault(omero.ApiUsageException, "No current process.")
        if process.status() is None:
            raise fault(omero.ApiUsageException, "Process still running.")
        found = dict(session.outputs)
        for name in OUTPUTS:
            file = jobs.output_of(self._server.store, self.job.id.val, name)
            if file is not None:
                found[name] = robject(omero.model.OriginalFileI(file.id.val, False))
        self._process = None
        return found

    def release(self) -> None:
        """End the script's session, and so the script, unless it was detached."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            session = self._session
        if session is not None and not self._detached:
            self._server.sessions.end(session)

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise fault(omero.ApiUsageException, "This processor is stopped.")

    def _own_session(self, call: Call) -> Session:
        with self._lock:
            self._refuse_stopped()
            if self._session is None:
                who = call.caller
                self._session = self._server.sessions.create(
                    user=who.user,
                    group=who.group if who.group >= 0 else call.session.group,
                    event_type="Processing",
                    time_to_live=int(self._server.options.script_seconds * 1000),
                    agent="OMERO.scripts",
                    references=1,
                    of_server=True,
                )
            return self._session

    def _start(self, call: Call, session: Session) -> Any:
        params = self.parameters(call)
        try:
            started = self.processor.proxy(CALL_SECONDS).processJob(session.uuid, params, self.job, self._context(call))
        except omero.ValidationException as error:
            jobs.change(self._server.store, self.job.id.val, status=jobs.ERROR, message=error.message)
            raise
        except Ice.LocalException as error:
            raise _gone(error) from error
        return started.ice_getIdentity()

    def _parse(self, call: Call) -> Any:
        session = self._own_session(call)
        try:
            found = self.processor.proxy(PARSE_SECONDS).parseJob(session.uuid, self.job, self._context(call))
        except Ice.LocalException as error:
            raise _gone(error) from error
        if found is None:
            raise fault(omero.ValidationException, self._no_parameters())
        return found

    def _no_parameters(self) -> str:
        lines = [f"Can't find params for {self._script.id.val}!"]
        until = time.monotonic() + OUTPUT_SECONDS
        while not any(self._output(name) for name in OUTPUTS) and time.monotonic() < until:
            time.sleep(0.05)
        for name in OUTPUTS:
            file = self._output(name)
            if file is None:
                lines.append(f"No {name}.")
            else:
                text = self._server.disk.attachment(file.id.val).read_text(encoding="utf-8", errors="replace")
                lines += [f"{name} is in file {file.id.val}:", RULER, text, RULER]
        return "\n".join(lines) + "\n"

    def _output(self, name: str) -> Any:
        return jobs.output_of(self._server.store, self.job.id.val, name)

    def _context(self, call: Call) -> dict[str, str]:
        kind = of_mimetype(self._script.mimetype.val)
        chosen = {"omero.launcher": kind.launcher, "omero.process": kind.process} if kind is not None else {}
        return {**call.context, **chosen}


class _Keeper:
    """Ends the script when its session ends: by time, because it was killed, or with the session that launched it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def release(self) -> None:
        """Ask the script to end."""
        self._process.end()


def _gone(error: Ice.LocalException) -> Any:
    return fault(omero.InternalException, f"The processor has gone: {type(error).__name__}")
