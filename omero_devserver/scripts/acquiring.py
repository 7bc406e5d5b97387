# SPDX-License-Identifier: GPL-2.0-or-later
"""Acquiring: a processor for a job, and the parameters of scripts, which a processor finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.constants.namespaces
from omero.rtypes import rstring

from omero_devserver.scripts import jobs
from omero_devserver.scripts.interactive import InteractiveProcessor
from omero_devserver.scripts.processors import Processors

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server

WAIT_SECONDS = 10


def acquire(call: Call, job: Any, seconds: int) -> InteractiveProcessor:
    """Save a job, and find a processor that takes it within some seconds; raises what `Processors.acquire` raises."""
    processor, saved = call.server.part(Processors).acquire(call, job, seconds)
    return InteractiveProcessor(call, processor, saved, call.server.part(Parameters).get)


class Parameters:
    """The parameters of scripts, by id and checksum: a script runs once for them, until its text changes."""

    def __init__(self, server: Server) -> None:
        self._known: dict[tuple[int, str], Any] = {}

    def get(self, call: Call, script: int, checksum: str) -> Any:
        """Give the parameters of a script, as ``omero.grid.JobParams``.

        Raises
        ------
        omero.ValidationException
            It has none; the text has what it printed.
        omero.NoProcessorAvailable
            No processor runs it.
        """
        known = self._known.get((script, checksum))
        if known is not None:
            return known
        job = omero.model.ParseJobI()
        job.linkOriginalFile(omero.model.OriginalFileI(script, False))
        job.message = rstring(f"Parsing script {script}")
        running = acquire(call, job, WAIT_SECONDS)
        try:
            found = running.parameters(call)
        finally:
            running.release()
        jobs.discard(call.server.store, running.job.id.val)  # that of a failure stays, as on a real server (ParamsCache)
        if omero.constants.namespaces.NSDYNAMIC not in (found.namespaces or ()):
            self._known[script, checksum] = found
        return found

    def forget(self, script: int) -> None:
        """Forget a script that has gone, or whose text has changed."""
        self._known = {key: value for key, value in self._known.items() if key[0] != script}
