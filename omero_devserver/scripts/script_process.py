# SPDX-License-Identifier: GPL-2.0-or-later
"""ScriptProcess: what `IScript.runScript` gives: a process, and the job that it is for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import omero

from omero_devserver.scripts import jobs
from omero_devserver.scripts.running import POLL_SECONDS, Process
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import waiting

if TYPE_CHECKING:
    from omero_devserver.scripts.interactive import InteractiveProcessor
    from omero_devserver.wire.servant import Call

LONGEST_RESULT_WAIT_SECONDS = 5


class ScriptProcess(Process):
    """Operations of ``omero.grid.ScriptProcess``: a process, and the job that it is for."""

    def __init__(self, running: InteractiveProcessor, identity: Any) -> None:
        super().__init__(running.processor, identity)
        self._running = running

    def getJob(self, call: Call) -> Any:
        """Give the job as it was when it was submitted."""
        return self._running.job

    @waiting
    def getResults(self, call: Call, seconds: int) -> dict[str, Any]:
        """Give what the script has put out, once.

        Raises
        ------
        omero.ApiUsageException
            It still runs after `seconds`, or the results have been given already.
        """
        if not 0 <= seconds <= LONGEST_RESULT_WAIT_SECONDS:
            raise fault(omero.ApiUsageException, f"Refusing to wait more than 5 seconds: {seconds}")
        deadline = time.monotonic() + seconds
        while self.status() is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return self._running.results()

    def setMessage(self, call: Call, message: str) -> str:
        """Set the message of the job; returns the former one."""
        store = call.server.store
        former = jobs.find(store, call.user, self._running.job.id.val)
        jobs.change(store, former.id.val, message=message)
        return str(former.message.val)

    def close(self, call: Call, detach: bool) -> None:
        """Drop this; the script ends, unless `detach`."""
        self._running.setDetach(call, detach)
        self.release()
        call.session.services.pop(self.name, None)

    def release(self) -> None:
        """End the script, unless it was detached: the session that launched it has ended."""
        super().release()
        self._running.release()
