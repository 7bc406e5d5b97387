# SPDX-License-Identifier: GPL-2.0-or-later
"""Values: those of OMERO's model, made out of plain ones; what is missing stays missing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import omero.model
from omero.model.enums import UnitsLength, UnitsTime
from omero.rtypes import rdouble, rint, rlong, rstring, rtime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from omero_devserver.formats.values import Color, Quantity
    from omero_devserver.store.store import Store


class Values:
    """Makes values of OMERO's model out of plain ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str], int | None] = {}

    def enumeration(self, kind: str, value: str | None, otherwise: str | None = None) -> Any:
        """Refer to an enumeration's value; to `otherwise` if the database does not have it, and None without that."""
        for wanted in (value, otherwise):
            known = self._id(kind, wanted) if wanted is not None else None
            if known is not None:
                return getattr(omero.model, kind + "I")(rlong(known), False)
        return None

    def format(self, value: str) -> Any:
        """Refer to a format, added if it is new: a real server has one for each reader (ome.services.util.DBEnumCheck)."""
        if self._id("Format", value) is None:
            self._known["Format", value] = self._store.insert("Format", c_value=value)
        return omero.model.FormatI(rlong(self._known["Format", value]), False)

    def _id(self, kind: str, value: str) -> int | None:
        if (kind, value) not in self._known:
            self._known[kind, value] = self._store.enumeration(kind, value)
        return self._known[kind, value]


def text(value: str | None) -> Any:
    """Wrap a text that may be missing."""
    return None if value is None else rstring(value)


def whole(value: int | None) -> Any:
    """Wrap a whole number that may be missing."""
    return None if value is None else rint(value)


def number(value: float | None) -> Any:
    """Wrap a number that may be missing."""
    return None if value is None else rdouble(value)


def moment(value: datetime | None) -> Any:
    """Wrap a time that may be missing."""
    return None if value is None else rtime(int(value.timestamp() * 1000))


def length(value: Quantity | None) -> Any:
    """Make a length; None if it is missing or its unit is none that OMERO knows."""
    return _quantity(value, omero.model.LengthI, UnitsLength)


def time(value: Quantity | None) -> Any:
    """Make a span of time; None as with a length."""
    return _quantity(value, omero.model.TimeI, UnitsTime)


def paint(target: Any, color: Color | None) -> None:
    """Set the four parts of a colour; nothing without one."""
    if color is not None:
        target.red, target.green = rint(color.red), rint(color.green)
        target.blue, target.alpha = rint(color.blue), rint(color.alpha)


def _quantity(value: Quantity | None, kind: Any, units: Any) -> Any:
    unit = _by_symbol(kind, units).get(value.unit) if value is not None else None
    return kind(value.value, unit) if value is not None and unit is not None else None


@functools.cache
def _by_symbol(kind: Any, units: Any) -> Mapping[str, Any]:
    return {kind.lookupSymbol(unit): unit for unit in units._enumerators.values()}
