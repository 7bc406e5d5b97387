# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions: the regions of interest of a document of OME-XML, by their ids."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from omero_devserver.formats.elements import child, identity, number, quantity, whole
from omero_devserver.formats.values import Region, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

#: The numbers that say where a shape of each kind is; of polygons and polylines their points do.
_NUMBERS = {
    "Ellipse": ("X", "Y", "RadiusX", "RadiusY"),
    "Label": ("X", "Y"),
    "Line": ("X1", "Y1", "X2", "Y2"),
    "Mask": ("X", "Y", "Width", "Height"),
    "Point": ("X", "Y"),
    "Polygon": (),
    "Polyline": (),
    "Rectangle": ("X", "Y", "Width", "Height"),
}


def regions(root: Element) -> dict[str, Region]:
    """Read all regions of a document; shapes of kinds that OMERO does not have are left out."""
    return {identity(one): _region(one) for one in root.iterfind("{*}ROI")}


def _region(region: Element) -> Region:
    shapes = tuple(_shapes(region))
    return Region(name=region.get("Name"), description=child(region, "Description"), shapes=shapes)


def _shapes(region: Element) -> Iterator[Shape]:
    for shape in region.iterfind("{*}Union/*"):
        kind = shape.tag.rpartition("}")[2]
        if kind in _NUMBERS:
            numbers = {name: number(shape, name) for name in _NUMBERS[kind]}
            yield Shape(
                kind=kind,
                numbers={name: value for name, value in numbers.items() if value is not None},
                points=shape.get("Points"),
                mask=_bits(shape.find("{*}BinData")),
                text=shape.get("Text"),
                z=whole(shape, "TheZ"),
                c=whole(shape, "TheC"),
                t=whole(shape, "TheT"),
                fill=whole(shape, "FillColor"),
                stroke=whole(shape, "StrokeColor"),
                stroke_width=quantity(shape, "StrokeWidth", "pixel"),
                font_size=quantity(shape, "FontSize", "pt"),
            )


def _bits(data: Element | None) -> bytes | None:
    """Read the pixels of a mask; those that are packed are left out."""
    if data is None or data.get("Compression", "none") != "none":
        return None
    try:
        return base64.b64decode(data.text or "")
    except binascii.Error:
        return None
