# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments: omero.sys.Parameters as the query translator wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import Ice
import omero

from omero_devserver.hql.errors import HqlError
from omero_devserver.hql.values import Argument
from omero_devserver.model.schema import SCALAR_TYPES, entity_of
from omero_devserver.store.refusals import api_usage

_NO_CLASS = "ome.conditions.ApiUsageException"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a result; no limit is None."""

    limit: int | None
    offset: int

    @property
    def everything(self) -> bool:
        """Whether it is no part but the whole."""
        return self.limit is None and self.offset == 0

    def sql(self) -> str:
        """Write it as the end of a statement."""
        return "" if self.everything else f" LIMIT {-1 if self.limit is None else self.limit} OFFSET {self.offset}"


def read_arguments(parameters: Any) -> dict[str, Argument]:
    """Named parameters of a call.

    Raises
    ------
    omero.ApiUsageException
        A parameter is None.
    Ice.UnknownException
        A parameter is an object.
    HqlError
        A parameter is of another kind that no query takes.
    """
    given = parameters.map if parameters is not None and parameters.map else {}
    return {name: _argument(name, value) for name, value in given.items()}


def read_page(parameters: Any) -> Page:
    """Limit and offset of a call; a negative offset counts as 0 (real server, recorded)."""
    part = parameters.theFilter if parameters is not None else None
    limit = part.limit.val if part is not None and part.limit is not None else None
    offset = part.offset.val if part is not None and part.offset is not None else 0
    return Page(limit=limit, offset=max(0, offset))


def _argument(name: str, value: Any) -> Argument:
    if value is None:
        raise api_usage("Parameter argument may not be null.")
    if isinstance(value, omero.RObject):
        # A fault of the real server's own conversion, recorded; it does not say so by an exception of its own.
        found = entity_of(value.val).full_name if value.val is not None else "null"
        raise Ice.UnknownException(f"{_NO_CLASS}: Value object should be of type: omero.model.IObject and not: {found}")
    if isinstance(value, omero.RCollection):
        elements = [_scalar(name, element) for element in value.val or ()]
        return Argument(
            type="RList",
            elements=tuple(element.value for element in elements),
            element_types=frozenset(element.type for element in elements),
        )
    return _scalar(name, value)


def _scalar(name: str, value: Any) -> Argument:
    kind = value.ice_staticId().rpartition("::")[2] if value is not None else ""
    if kind not in SCALAR_TYPES:
        raise HqlError(f"Parameter {name} is a {kind or 'null'}, which no query takes.")
    inner = value.val
    return Argument(type=kind, value=int(inner) if isinstance(inner, bool) else inner)
