# SPDX-License-Identifier: GPL-2.0-or-later
"""Elements: attributes and children of elements of OME-XML, as values. What is missing or makes no sense is None."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from omero_devserver.formats.values import Color, Quantity

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def identity(element: Element) -> str:
    """Give the id by which others refer to an element; empty if it has none."""
    return element.get("ID", "")


def child(element: Element, name: str) -> str | None:
    """Give the text of a child; None if there is none."""
    found = element.find(f"{{*}}{name}")
    return found.text if found is not None else None


def number(element: Element, name: str) -> float | None:
    """Read an attribute that is a number; None if it is missing, or is none, or not finite."""
    try:
        value = float(element.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole(element: Element, name: str) -> int | None:
    """Read an attribute that is a whole number; None as with `number`."""
    value = number(element, name)
    return None if value is None else int(value)


def quantity(element: Element, name: str, unit: str) -> Quantity | None:
    """Read an attribute with its unit, `unit` if the file does not say which; None as with `number`."""
    value = number(element, name)
    return None if value is None else Quantity(value=value, unit=element.get(f"{name}Unit", unit))


def color(element: Element) -> Color | None:
    """Read a colour: a signed number of 32 bits, red the highest byte and alpha the lowest."""
    value = whole(element, "Color")
    if value is None:
        return None
    red, green, blue, alpha = (value & 0xFFFFFFFF).to_bytes(4, "big")
    return Color(red=red, green=green, blue=blue, alpha=alpha)


def time(text: str | None) -> datetime | None:
    """Read a time; one without a zone is UTC, as OMERO takes it (recorded: an acquisition date of a fake)."""
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
