# SPDX-License-Identifier: GPL-2.0-or-later
"""IConfig: version and settings of the server."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rtime

from omero_devserver.wire.faults import fault
from omero_devserver.wire.sessions import DEFAULT_IDLE_MILLISECONDS

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call

VERSION = "5.6.12"  # the release that this server was compared with
DATABASE_UUID = "00000000-0000-0000-0000-000000000000"
# What members may read (recorded: facts 4); for anything else they are refused.
FOR_ALL = re.compile(r"omero\.(version$|sessions\.timeout$|router\.|client\.|pixeldata\.|policy\.|upgrades\.)")
CLIENT_DEFAULTS = {
    "omero.client.ui.tree.orphans.name": "Orphaned Images",
    "omero.client.ui.tree.orphans.enabled": "true",
    "omero.client.scripts_to_ignore": "",
}


class Configuration:
    """Operations of ``omero.api.IConfig``."""

    def getVersion(self, call: Call) -> str:
        """Give the OMERO release whose behaviour this server follows."""
        return VERSION

    def getConfigValue(self, call: Call, name: str) -> str:
        """Read one setting; empty for an unknown one."""
        if not call.caller.admin and not FOR_ALL.match(name):
            raise fault(omero.SecurityViolation, f"Cannot read configuration: {name}")
        return _settings(call).get(name, "")

    def getConfigValues(self, call: Call, pattern: str) -> dict[str, str]:
        """Read the settings whose names match a regular expression."""
        readable = call.caller.admin
        return {
            name: value
            for name, value in _settings(call).items()
            if re.match(pattern, name) and (readable or FOR_ALL.match(name))
        }

    def getClientConfigValues(self, call: Call) -> dict[str, str]:
        """Read the settings that are meant for clients."""
        return dict(CLIENT_DEFAULTS)

    def getClientConfigDefaults(self, call: Call) -> dict[str, str]:
        """Read the defaults of the settings that are meant for clients."""
        return dict(CLIENT_DEFAULTS)

    def getDatabaseUuid(self, call: Call) -> str:
        """Give the identity of the database."""
        return DATABASE_UUID

    def getServerTime(self, call: Call) -> Any:
        """Give the server's time."""
        return rtime(int(time.time() * 1000))

    def getDatabaseTime(self, call: Call) -> Any:
        """Give the database's time: it has no clock of its own."""
        return self.getServerTime(call)


def _settings(call: Call) -> dict[str, str]:
    server = call.server
    return CLIENT_DEFAULTS | {
        "omero.version": VERSION,
        "omero.devserver.version": VERSION,  # a real server gives an administrator "" for a name that it does not know
        "omero.db.patch": "0",
        "omero.data.dir": str(server.options.data),
        "omero.sessions.timeout": str(DEFAULT_IDLE_MILLISECONDS),
        "omero.scripts.timeout": str(int(server.options.script_seconds * 1000)),
        "omero.fs.repo.path": "%user%_%userId%//%year%-%month%/%day%/%time%",
        # BlitzGateway leaves SSL after the login by default, and asks where to.
        "omero.router.insecure": f"OMERO.Glacier2/router:tcp -p {server.tcp_port} -h @omero.host@",
        "omero.cluster.read_only": str(server.options.read_only).lower(),
        "omero.cluster.read_only.db": "false",
        "omero.cluster.read_only.repo": "false",
        # What a real server finds out at its start (ReadOnlyConfigInit of OMERO's source).
        "omero.cluster.read_only.runtime.db": str(server.options.read_only).lower(),
        "omero.cluster.read_only.runtime.repo": str(server.options.read_only).lower(),
        "omero.pixeldata.max_plane_width": "3192",
        "omero.pixeldata.max_plane_height": "3192",
        "omero.policy.binary_access": "+read,+write,+image,+plate",
    }
