# SPDX-License-Identifier: GPL-2.0-or-later
"""JobHandle: one job, submitted or attached to, as a stateful service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero

from omero_devserver.scripts import jobs
from omero_devserver.services.stateful import Stateful
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


class JobHandle(Stateful):
    """Operations of ``omero.api.JobHandle``."""

    name = ""

    def __init__(self) -> None:
        self._job: int | None = None

    def submit(self, call: Call, job: Any) -> int:
        """Save a job; this handle is for it from now on."""
        self._job = jobs.submit(call, job)
        return self._job

    def attach(self, call: Call, job: int) -> Any:
        """Take another job; returns its status."""
        found = jobs.find(call.server.store, call.user, job)
        self._job = job
        return found.status

    def getJob(self, call: Call) -> Any:
        """Load the job."""
        if self._job is None:
            text = "JobHandle not ready: Please submit() or attach() to a Job."
            raise fault(omero.ApiUsageException, text)
        return jobs.find(call.server.store, call.user, self._job)

    def jobStatus(self, call: Call) -> Any:
        """Give the status."""
        return self.getJob(call).status

    def jobFinished(self, call: Call) -> Any:
        """Give the time of its end; null before."""
        return self.getJob(call).finished

    def jobMessage(self, call: Call) -> str:
        """Give the message."""
        return str(self.getJob(call).message.val)

    def jobRunning(self, call: Call) -> bool:
        """Tell whether it runs."""
        return bool(self.jobStatus(call).value.val == jobs.RUNNING)

    def jobError(self, call: Call) -> bool:
        """Tell whether it failed."""
        return bool(self.jobStatus(call).value.val == jobs.ERROR)

    def setStatus(self, call: Call, status: str) -> str:
        """Set the status; returns the former one."""
        return self.setStatusAndMessage(call, status, None)

    def setMessage(self, call: Call, message: str) -> str:
        """Set the message; returns the former one."""
        former = self.getJob(call)
        jobs.change(call.server.store, former.id.val, message=message)
        return str(former.message.val)

    def setStatusAndMessage(self, call: Call, status: str, message: Any) -> str:
        """Set both; returns the former status."""
        former = self.getJob(call)
        jobs.change(call.server.store, former.id.val, status=status, message=None if message is None else message.val)
        return str(former.status.value.val)

    def cancelJob(self, call: Call) -> None:
        """Say that it is not wanted any more; a script that runs goes on."""
        self.setStatus(call, jobs.CANCELLED)

    def close(self, call: Call) -> None:
        """Drop the handle."""
        call.session.services.pop(self.name, None)
