# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories: which there are: the managed one, where imports go, and those that can only be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import omero.grid

from omero_devserver.files.disk import REPOSITORY_UUID
from omero_devserver.repository.managed import ManagedRepository
from omero_devserver.repository.tree import Tree
from omero_devserver.scripts.folder import ScriptFolder
from omero_devserver.store.caller import SERVER

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


def repositories(call: Call) -> Any:
    """Describe the repositories, the newest first: scripts, imports, data (recorded: facts 9), each with its proxy."""
    _ = call.caller  # refuses a session in a group that is not its user's
    call.server.part(ScriptFolder)  # makes the row of its repository
    rows = call.server.store.rows("SELECT id FROM t_OriginalFile WHERE c_mimetype = 'Repository' ORDER BY id DESC")
    found = omero.grid.RepositoryMap()
    found.descriptions = call.server.store.get(SERVER, "OriginalFile", [row["id"] for row in rows])
    found.proxies = [_proxy(call, described) for described in found.descriptions]
    return found


def script_repository(call: Call) -> Any:
    """Give the proxy of the repository of the official scripts."""
    row = call.server.part(ScriptFolder).row_id
    return _proxy(call, call.server.store.get(SERVER, "OriginalFile", [row])[0])


def _proxy(call: Call, described: Any) -> Any:
    uuid = described.hash.val
    if uuid == REPOSITORY_UUID:
        made: Tree = ManagedRepository(call.server.disk)
        proxy = call.service("omero.grid.ManagedRepository", made, omero.grid.ManagedRepository)
    else:
        root = Path(described.path.val, described.name.val)
        made = Tree(uuid=uuid, root=root, row=described.id.val)
        proxy = call.service(f"omero.grid.Repository-{uuid}", made, omero.grid.Repository)
    return omero.grid.RepositoryPrx.uncheckedCast(proxy)
