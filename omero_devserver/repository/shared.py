# SPDX-License-Identifier: GPL-2.0-or-later
"""SharedResources: the repositories, and the processors that run scripts; there are no tables."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import omero.grid

from omero_devserver.repository.repositories import repositories, script_repository
from omero_devserver.scripts.acquiring import acquire
from omero_devserver.scripts.processors import Processors
from omero_devserver.wire.servant import waiting

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


class SharedResources:
    """Operations of ``omero.grid.SharedResources``."""

    def repositories(self, call: Call) -> Any:
        """Describe the repositories."""
        return repositories(call)

    def getScriptRepository(self, call: Call) -> Any:
        """Give the proxy of the repository of the official scripts."""
        return script_repository(call)

    def areTablesEnabled(self, call: Call) -> bool:
        """Say that there are no tables."""
        return False

    @waiting
    def acquireProcessor(self, call: Call, job: Any, seconds: int) -> Any:
        """Find a processor that takes a job; returns the proxy of what runs it."""
        running = acquire(call, job, seconds)
        running.name = f"InteractiveProcessor-{uuid.uuid4()}"
        proxy = call.service(running.name, running, omero.grid.InteractiveProcessor)
        return omero.grid.InteractiveProcessorPrx.uncheckedCast(proxy)

    def addProcessor(self, call: Call, processor: Any) -> None:
        """Attach a processor that the caller runs."""
        call.server.part(Processors).add(call, processor)

    def removeProcessor(self, call: Call, processor: Any) -> None:
        """Take a processor off the list."""
        call.server.part(Processors).remove(processor)
