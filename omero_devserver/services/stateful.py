# SPDX-License-Identifier: GPL-2.0-or-later
"""Stateful: what every service has that a session keeps between calls (``omero.api.StatefulServiceInterface``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_devserver.services.event_context import event_context

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


class Stateful:
    """The operations that do the same in all of them."""

    def activate(self, call: Call) -> None:
        """Do nothing: services are always active."""

    def passivate(self, call: Call) -> None:
        """Do nothing: services are always active."""

    def getCurrentEventContext(self, call: Call) -> Any:
        """Say who the caller is."""
        return event_context(call)
