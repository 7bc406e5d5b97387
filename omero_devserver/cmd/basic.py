# SPDX-License-Identifier: GPL-2.0-or-later
"""Basics: requests that are about requests, DoAll, Timing, ListRequests; and Save, which goes into a DoAll."""

from __future__ import annotations

from typing import Any

import omero
import omero.api
import omero.cmd

from omero_devserver.cmd.responses import failure, refusal
from omero_devserver.cmd.work import Work, answers, failed, known_requests, steps_of, writes

_LONGEST_SECONDS = 5 * 60
_MOST_STEPS = 1_000_000


@answers(
    omero.cmd.DoAll,
    steps=lambda request: sum(steps_of(one) for one in request.requests or []),
    writes=lambda request: any(writes(one) for one in request.requests or []),
)
def do_all(work: Work, request: Any) -> Any:
    """Carry out several requests one after the other; the first that fails is the answer, and all is taken back."""
    if not request.requests:
        return refusal(request, "no-steps", {})
    if None in request.requests:
        return failure(request, name="bad-request", message="a request is missing")
    response = omero.cmd.DoAllRsp([], [])
    for one in request.requests:
        answer = work.answer(one)
        if failed(answer):
            return answer
        response.responses.append(answer)
        response.status.append(omero.cmd.Status(None, "", "", [], {}, 0, steps_of(one), 0, [], [], 0))
    return response


@answers(omero.api.Save, writes=True)
def save(work: Work, request: Any) -> Any:
    """Save an object in the group of the call, as BlitzGateway does with new links after a Chgrp2."""
    try:
        return omero.api.SaveRsp(work.server.store.save(work.caller, [request.obj])[0])
    except omero.ServerError as error:
        trace = f"{error.serverExceptionClass}: {error.message}"
        return failure(request, name="failed", message=error.message, trace=trace)


@answers(omero.cmd.Timing, steps=lambda request: int(request.steps))
def timing(work: Work, request: Any) -> Any:
    """Wait, as clients ask for that try out handles; it can be cancelled (limits: TimingI of OMERO's source)."""
    steps, seconds = request.steps, request.millisPerStep / 1000
    told = {"steps": str(steps), "millisPerStep": str(request.millisPerStep)}
    if steps > _MOST_STEPS:
        return refusal(request, "too-many-steps", {"steps": told["steps"]})
    if seconds > _LONGEST_SECONDS:
        return refusal(request, "too-long-steps", {"millisPerStep": told["millisPerStep"]})
    if seconds * steps > _LONGEST_SECONDS:
        return refusal(request, "too-long", told)
    for _ in range(steps):
        if work.cancelled(seconds):
            return failure(request, name="cancelled", message="cancelled by the client")
    return omero.cmd.OK()


@answers(omero.cmd.ListRequests)
def list_requests(_work: Work, _request: Any) -> Any:
    """List one request of each class that is answered."""
    return omero.cmd.ListRequestsRsp([kind() for kind in known_requests()])
