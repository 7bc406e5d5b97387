# SPDX-License-Identifier: GPL-2.0-or-later
"""IQuery: objects by id, by field, by example, by HQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.sys

from omero_devserver.model.schema import Kind, UnknownEntityError, entity_of, find_class
from omero_devserver.services import text
from omero_devserver.store.caller import SERVER
from omero_devserver.store.errors import ValuesSelected
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.model.schema import Entity
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

    def findAll(self, call: Call, kind: str, filter_: Any) -> list[Any]:
        """Load all objects of a kind."""
        parameters = omero.sys.ParametersI()
        parameters.theFilter = filter_
        return call.server.store.objects(call.user, f"select o from {entity(kind)} o", parameters)

    def findByString(self, call: Call, kind: str, field: str, value: str) -> Any:
        """Load the one object whose field has that text."""
        name = entity(kind)
        parameters = omero.sys.ParametersI().addString("value", value)
        hql = f"select o from {name} o where o.{property_of(name, field)} = :value"
        return _unique(call.server.store.objects(call.user, hql, parameters), "findByString")

    def findAllByString(
        self,
        call: Call,
        kind: str,
        field: str,
        value: str,
        case_sensitive: bool,
        filter_: Any,
    ) -> list[Any]:
        """Load the objects whose field has that text as a part (``QueryImpl.findAllByString`` in OMERO's source)."""
        name = entity(kind)
        path = f"o.{property_of(name, field)}"
        parameters = omero.sys.ParametersI().addString("value", f"%{value if case_sensitive else value.lower()}%")
        parameters.theFilter = filter_
        hql = f"select o from {name} o where {path if case_sensitive else f'lower({path})'} like :value"
        return call.server.store.objects(call.user, hql, parameters)

    def findByExample(self, call: Call, example: Any) -> Any:
        """Load the one object that has the fields of `example`."""
        return _unique(self.findAllByExample(call, example, None), "findByExample")

    def findAllByExample(self, call: Call, example: Any, filter_: Any) -> list[Any]:
        """Load the objects that have the scalar fields of `example`."""
        if example is None:
            raise fault(omero.ApiUsageException, "An example is wanted.")
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

    def findAllByFullText(self, call: Call, kind: str, query: str, parameters: Any) -> list[Any]:
        """Load the objects whose texts have the words of `query`, found as soon as they are saved."""
        name = entity(kind)
        part = parameters.theFilter if parameters is not None else None
        offset = part.offset.val if part is not None and part.offset is not None else 0
        limit = part.limit.val if part is not None and part.limit is not None else None
        ids = text.matching(call, name, query)[max(0, offset) :]
        return text.load(call, name, ids if limit is None else ids[:limit])

    def findByQuery(self, call: Call, hql: str, parameters: Any) -> Any:
        """Run HQL that gives one object or none."""
        try:
            return _unique(call.server.store.objects(call.user, hql, parameters), hql)
        except ValuesSelected as error:
            message = (
                f"Query named:\n\t{hql}\nhas returned an Object of type {error.kind} that cannot be cast to ome.model.IObject\n"
                "Queries must return IObjects when using findByQuery."
            )
            raise fault(omero.ApiUsageException, message) from None

    def findAllByQuery(self, call: Call, hql: str, parameters: Any) -> list[Any]:
        """Run HQL that gives objects."""
        try:
            return call.server.store.objects(call.user, hql, parameters)
        except ValuesSelected:
            # A real server sends the values in place of objects, and then this is what its client sees (recorded: facts 7).
            raise Ice.UnknownLocalException("Ice::EncapsulationException: the query gives values, not objects") from None

    def projection(self, call: Call, hql: str, parameters: Any) -> list[Any]:
        """Run HQL that gives rows of values."""
        return call.server.store.project(call.user, hql, parameters)

    def refresh(self, call: Call, _object: Any) -> Any:
        """Refuse, as a real server does."""
        raise fault(omero.SecurityViolation, "This method allows no remote access.")


def class_of(kind: str) -> Entity:
    """Find the class that a client names, as `Image`, `ImageI`, `omero.model.Image` or `ome.model.core.Image`.

    Raises
    ------
    omero.ApiUsageException
        There is none (recorded: facts 7).
    """
    try:
        return find_class(kind)
    except UnknownEntityError:
        raise fault(omero.ApiUsageException, f"{kind} does not specify a valid class.") from None


def entity(kind: str) -> str:
    """Find the name of a class of which there can be objects; raises as `class_of`, also for an abstract one."""
    found = class_of(kind)
    if not found.concrete:
        raise fault(omero.ApiUsageException, f"{kind} does not specify a valid class.")
    return found.name


def property_of(kind: str, field: str) -> str:
    """Check that a class has a property.

    Raises
    ------
    omero.ApiUsageException
        It has none of that name (recorded: facts 7).
    """
    found = find_class(kind)
    if field not in found.fields and field != "id":
        message = f"could not resolve property: {field} of: {found.full_name}"
        raise fault(omero.ApiUsageException, f"{message}; nested exception is org.hibernate.QueryException: {message}")
    return field


def _unique(found: list[Any], query: str) -> Any:
    distinct = {None if one is None else (type(one).__name__, one.id.val) for one in found}
    if len(distinct) > 1:
        message = f"Query named:\n\t{query}\nhas returned more than one Object\nfindBy methods must return a single value."
        raise fault(omero.ApiUsageException, message)
    return found[0] if found else None
