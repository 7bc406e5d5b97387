# SPDX-License-Identifier: GPL-2.0-or-later
"""IQuery: objects by id, by field, by example, by HQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys

from omero_devserver.model.schema import Kind, UnknownEntityError, entity_of, find_class
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import slow

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


class Query:
    """Operations of ``omero.api.IQuery``."""

    def get(self, call: Call, kind: str, identifier: int) -> Any:
        """Load an object; an error where it is missing or may not be read."""
        return call.server.store.get(call.user, entity(kind), [identifier])[0]

    def find(self, call: Call, kind: str, identifier: int) -> Any:
        """Load an object; null where it is missing, an error where it may not be read (recorded: facts 6)."""
        name = entity(kind)
        rows = call.server.store.project(
            SERVER, f"select o.id from {name} o where o.id = :id", omero.sys.ParametersI().addId(identifier)
        )
        return call.server.store.get(call.user, name, [identifier])[0] if rows else None

    @slow
    def findAll(self, call: Call, kind: str, filter_: Any) -> list[Any]:
        """Load all objects of a kind."""
        parameters = omero.sys.ParametersI()
        parameters.theFilter = filter_
        return call.server.store.objects(call.user, f"select o from {entity(kind)} o", parameters)

    def findByString(self, call: Call, kind: str, field: str, value: str) -> Any:
        """Load the one object whose field has that text."""
        return _unique(self.findAllByString(call, kind, field, value, True, None), "findByString")

    def findAllByString(
        self,
        call: Call,
        kind: str,
        field: str,
        value: str,
        case_sensitive: bool,
        filter_: Any,
    ) -> list[Any]:
        """Load the objects whose field has that text; not case-sensitive also finds it as a part (recorded: facts 7)."""
        parameters = omero.sys.ParametersI().addString("value", value if case_sensitive else f"%{value.lower()}%")
        parameters.theFilter = filter_
        condition = f"o.{field} = :value" if case_sensitive else f"lower(o.{field}) like :value"
        return call.server.store.objects(call.user, f"select o from {entity(kind)} o where {condition}", parameters)

    def findByExample(self, call: Call, example: Any) -> Any:
        """Load the one object that has the fields of `example`."""
        return _unique(self.findAllByExample(call, example, None), "findByExample")

    def findAllByExample(self, call: Call, example: Any, filter_: Any) -> list[Any]:
        """Load the objects that have the scalar fields of `example`."""
        found = entity_of(example)
        parameters = omero.sys.ParametersI()
        parameters.theFilter = filter_
        conditions = []
        for field in found.fields.values():
            value = getattr(example, "_" + field.name, None) if field.kind is Kind.SCALAR else None
            if value is not None:
                parameters.add(field.name, value)
                conditions.append(f"o.{field.name} = :{field.name}")
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return call.server.store.objects(call.user, f"select o from {found.name} o{where}", parameters)

    def findByQuery(self, call: Call, hql: str, parameters: Any) -> Any:
        """Run HQL that gives one object or none."""
        return _unique(call.server.store.objects(call.user, hql, parameters), hql)

    @slow
    def findAllByQuery(self, call: Call, hql: str, parameters: Any) -> list[Any]:
        """Run HQL that gives objects."""
        return call.server.store.objects(call.user, hql, parameters)

    @slow
    def projection(self, call: Call, hql: str, parameters: Any) -> list[Any]:
        """Run HQL that gives rows of values."""
        return call.server.store.project(call.user, hql, parameters)

    def refresh(self, call: Call, _object: Any) -> Any:
        """Refuse, as a real server does."""
        raise fault(omero.SecurityViolation, "This method allows no remote access.")


def entity(kind: str) -> str:
    """Find the class that a client names, as `Image`, `ImageI`, `omero.model.Image` or `ome.model.core.Image`.

    Raises
    ------
    omero.ApiUsageException
        There is none, or it is abstract (recorded: facts 7).
    """
    try:
        found = find_class(kind)
    except UnknownEntityError:
        raise fault(omero.ApiUsageException, f"{kind} does not specify a valid class.") from None
    if not found.concrete:
        raise fault(omero.ApiUsageException, f"{kind} does not specify a valid class.")
    return found.name


def _unique(found: list[Any], query: str) -> Any:
    distinct = {(type(one).__name__, one.id.val): one for one in found}
    if len(distinct) > 1:
        text = f"Query named:\n\t{query}\nhas returned more than one Object\nfindBy methods must return a single value."
        raise fault(omero.ApiUsageException, text)
    return found[0] if found else None
