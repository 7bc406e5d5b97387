# SPDX-License-Identifier: GPL-2.0-or-later
"""SharedResources: the repositories; there are no tables and no processors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.grid

from omero_devserver.repository.managed import ManagedRepository
from omero_devserver.store.caller import SERVER

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call

MANAGED = "omero.grid.ManagedRepository"


class SharedResources:
    """Operations of ``omero.grid.SharedResources``."""

    def repositories(self, call: Call) -> Any:
        """Describe the repositories; only the managed one can be reached."""
        who = call.caller  # refuses a session in a group that is not its user's
        found = omero.grid.RepositoryMap()
        found.descriptions = call.server.store.get(SERVER, "OriginalFile", [call.server.disk.root_id])
        managed = ManagedRepository(user=who.user)
        proxy = call.service(MANAGED, managed, omero.grid.ManagedRepository)
        found.proxies = [omero.grid.RepositoryPrx.uncheckedCast(proxy)]
        return found

    def areTablesEnabled(self, call: Call) -> bool:
        """Say that there are no tables."""
        return False
