# SPDX-License-Identifier: GPL-2.0-or-later
"""ITypes: enumerations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys

from omero_devserver.model.schema import ENTITIES, Entity, UnknownEntityError, find_class
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


class Types:
    """Operations of ``omero.api.ITypes`` that read."""

    def allEnumerations(self, call: Call, kind: str) -> list[Any]:
        """List the values of an enumeration."""
        return _all(call, _enumeration(kind))

    def getEnumeration(self, call: Call, kind: str, value: str) -> Any:
        """Find a value of an enumeration."""
        found = _enumeration(kind)
        parameters = omero.sys.ParametersI().addString("value", value)
        values = call.server.store.objects(SERVER, f"select e from {found.name} e where e.value = :value", parameters)
        if not values:
            text = f"An {found.full_name} enum does not exist with the value: {value}"
            raise fault(omero.ApiUsageException, text)
        return values[0]

    def getEnumerationTypes(self, call: Call) -> list[str]:
        """List the names of all enumerations."""
        return [entity.name for entity in _enumerations()]

    def getEnumerationsWithEntries(self, call: Call) -> dict[str, list[Any]]:
        """List all enumerations with their values."""
        return {entity.name: _all(call, entity) for entity in _enumerations()}

    def getAnnotationTypes(self, call: Call) -> list[str]:
        """List the names of the kinds of annotations."""
        return sorted(name for name in ENTITIES["Annotation"].subs if ENTITIES[name].concrete)


def _all(call: Call, entity: Entity) -> list[Any]:
    return call.server.store.objects(SERVER, f"select e from {entity.name} e order by e.id", None)


def _enumerations() -> list[Entity]:
    return sorted((entity for entity in ENTITIES.values() if entity.enumeration), key=lambda entity: entity.name)


def _enumeration(kind: str) -> Entity:
    try:
        found = find_class(kind or "")
    except UnknownEntityError:
        found = None
    if found is None or not found.enumeration:
        name = (kind or "").removeprefix("omero.model.")
        raise fault(omero.ApiUsageException, f"omero.model.{name} does not specify a valid class.")
    return found
