# SPDX-License-Identifier: GPL-2.0-or-later
"""ITypes: enumerations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys

from omero_devserver.model.schema import UnknownEntityError, find_class
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


class Types:
    """Operations of ``omero.api.ITypes`` that read."""

    def allEnumerations(self, call: Call, kind: str) -> list[Any]:
        """List the values of an enumeration."""
        return call.server.store.objects(SERVER, f"select e from {_enumeration(kind)} e order by e.id", None)

    def getEnumeration(self, call: Call, kind: str, value: str) -> Any:
        """Find a value of an enumeration."""
        name = _enumeration(kind)
        parameters = omero.sys.ParametersI().addString("value", value)
        found = call.server.store.objects(SERVER, f"select e from {name} e where e.value = :value", parameters)
        if not found:
            full = find_class(name).full_name
            raise fault(omero.ApiUsageException, f"An {full} enum does not exist with the value: {value}")
        return found[0]


def _enumeration(kind: str) -> str:
    try:
        return find_class(kind).name
    except UnknownEntityError:
        raise fault(omero.ApiUsageException, f"omero.model.{kind} does not specify a valid class.") from None
