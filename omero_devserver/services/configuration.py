# SPDX-License-Identifier: GPL-2.0-or-later
"""IConfig: version and settings of the server."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rtime

from omero_devserver.services.roles import administrator
from omero_devserver.services.settings import DATABASE_UUID, DEFAULTS, FOR_CLIENTS, VERSION, Settings, Visibility, visibility
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call


class Configuration:
    """Operations of ``omero.api.IConfig``."""

    def getVersion(self, call: Call) -> str:
        """Give the OMERO release whose behaviour this server follows."""
        return VERSION

    def getConfigValue(self, call: Call, name: str) -> str:
        """Read one setting; empty for an unknown one."""
        if not _reads(call.caller, name):
            raise fault(omero.SecurityViolation, f"Cannot read configuration: {name}")
        return call.server.part(Settings).all().get(name, "")

    def getConfigValues(self, call: Call, pattern: str) -> dict[str, str]:
        """Read the settings whose names match a regular expression."""
        try:
            wanted = re.compile(pattern)
        except re.error as error:
            raise fault(omero.InternalException, f"{error} in {pattern}") from error
        who = call.caller
        settings = call.server.part(Settings).all()
        return {name: value for name, value in settings.items() if wanted.search(name) and _reads(who, name)}

    def getClientConfigValues(self, call: Call) -> dict[str, str]:
        """Read the settings that are meant for clients."""
        return self.getConfigValues(call, r"^omero\.client\.")

    def getConfigDefaults(self, call: Call) -> dict[str, str]:
        """Read the defaults of all settings."""
        administrator(call)
        return dict(DEFAULTS)

    def getClientConfigDefaults(self, call: Call) -> dict[str, str]:
        """Read the defaults of the settings that are meant for clients."""
        return dict(FOR_CLIENTS)

    def setConfigValue(self, call: Call, name: str, value: str) -> None:
        """Change what a setting is said to be until the server ends; the server itself does not look at it."""
        administrator(call)
        call.server.store.check_writable()
        call.server.part(Settings).change(name, lambda _: value)

    def setConfigValueIfEquals(self, call: Call, name: str, value: str, test: str) -> bool:
        """Change what a setting is said to be, if it is `test` now."""
        administrator(call)
        call.server.store.check_writable()
        return call.server.part(Settings).change(name, lambda now: value if now == test else None)

    def getDatabaseUuid(self, call: Call) -> str:
        """Give the identity of the database."""
        return DATABASE_UUID

    def getServerTime(self, call: Call) -> Any:
        """Give the server's time."""
        return rtime(int(time.time() * 1000))

    def getDatabaseTime(self, call: Call) -> Any:
        """Give the database's time: it has no clock of its own."""
        return self.getServerTime(call)


def _reads(who: Caller, name: str) -> bool:
    match visibility(name):
        case Visibility.ALL:
            return True
        case Visibility.ADMINISTRATORS:
            return who.admin
        case Visibility.HIDDEN:
            return False
