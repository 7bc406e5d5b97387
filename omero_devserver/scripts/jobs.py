# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs: the rows that say who runs which script, and how far it is (JobBean of OMERO's source)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rlong, rstring, rtime

from omero_devserver.scripts.kinds import is_script
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.store import Store
    from omero_devserver.wire.servant import Call

SUBMITTED, WAITING, RUNNING = "Submitted", "Waiting", "Running"
FINISHED, ERROR, CANCELLED = "Finished", "Error", "Cancelled"
MESSAGE_LENGTH = 255

_JOB = (
    "select j from Job j left outer join fetch j.status left outer join fetch j.originalFileLinks l"
    " left outer join fetch l.child where j.id = :id"
)


def submit(call: Call, job: Any) -> int:
    """Save a new job of the caller, with the files that it is linked to; returns its id.

    Raises
    ------
    omero.ApiUsageException
        Its status is neither Submitted nor Waiting.
    omero.ValidationException, omero.SecurityViolation
        A linked file is missing, or the caller may not link to it.
    """
    if job is None:
        raise fault(omero.ApiUsageException, "Job may not be null.")
    store, who = call.server.store, call.user
    job.username = rstring(store.people.user_name(who.user) or "")
    job.groupname = rstring(store.people.group_name(who.group) or "")
    job.type, job.started, job.finished = rstring(call.session.event_type), None, None
    now = int(time.time() * 1000)
    job.submitted = rtime(now)
    if job.scheduledFor is None or job.scheduledFor.val < now:
        job.scheduledFor = rtime(now)
    job.status = _first_status(store, job.status)
    job.message = job.message or rstring("")
    return int(store.save(who, [job])[0].id.val)


def find(store: Store, who: Caller, job: int) -> Any:
    """Load a job with status and files.

    Raises
    ------
    omero.ApiUsageException
        There is none that `who` may see.
    """
    found = store.objects(who, _JOB, omero.sys.ParametersI().addId(job))
    if not found:
        raise fault(omero.ApiUsageException, f"Unknown job:{job}")
    return found[0]


def change(store: Store, job: int, *, status: str | None = None, message: str | None = None) -> None:
    """Set status or message of a job, and when it started or ended.

    Raises
    ------
    omero.ValidationException
        A job cannot be given that status.
    """
    changes: dict[str, object] = {}
    if message is not None:
        changes["c_message"] = message[:MESSAGE_LENGTH]
    if status is not None:
        if status not in (RUNNING, FINISHED, ERROR, CANCELLED):
            raise fault(omero.ValidationException, f"Currently unsupported: {status}")
        changes["r_status"] = store.enumeration("JobStatus", status)
        changes["c_started" if status == RUNNING else "c_finished"] = int(time.time() * 1000)
    if changes:
        store.update("Job", job, **changes)


def script_of(store: Store, job: int) -> Any:
    """Load the script that a job runs.

    Raises
    ------
    omero.ValidationException
        It has none.
    """
    hql = f"select o from Job j join j.originalFileLinks l join l.child o where j.id = :id and {is_script('o')}"
    found = store.objects(SERVER, hql, omero.sys.ParametersI().addId(job))
    if not found:
        raise fault(omero.ValidationException, f"No script for job :{job}")
    return found[0]


def output_of(store: Store, job: int, name: str) -> Any:
    """Load the file `stdout` or `stderr` of a job; None where it printed nothing."""
    hql = "select o from Job j join j.originalFileLinks l join l.child o where j.id = :id and o.name = :name"
    found = store.objects(SERVER, hql, omero.sys.ParametersI().addId(job).addString("name", name))
    return found[0] if found else None


def discard(store: Store, job: int) -> None:
    """Remove a job and its links, not the files."""
    with store.transaction():
        for row in store.rows("SELECT id FROM t_JobOriginalFileLink WHERE r_parent = ?", job):
            store.discard("JobOriginalFileLink", row["id"])
        store.discard("Job", job)


def _first_status(store: Store, given: Any) -> Any:
    value = SUBMITTED
    if given is not None:
        if given.id is not None:
            given = store.get(SERVER, "JobStatus", [given.id.val])[0]
        value = given.value.val if given.value is not None else ""
    if value not in (SUBMITTED, WAITING):
        raise fault(omero.ApiUsageException, "Currently only SUBMITTED and WAITING are accepted as JobStatus")
    return omero.model.JobStatusI(rlong(store.enumeration("JobStatus", value)), False)
