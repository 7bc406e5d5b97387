# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions: unsaved regions of interest with their shapes, from what a reader found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.model
from omero.rtypes import rdouble, rstring

from omero_devserver.repository.values import length, text, whole

if TYPE_CHECKING:
    from omero_devserver.formats.values import Region, Shape


def region(told: Region) -> Any:
    """Build a region, to be added to its image."""
    made = omero.model.RoiI()
    made.name, made.description = text(told.name), text(told.description)
    for shape in told.shapes:
        made.addShape(_shape(shape))
    return made


def _shape(told: Shape) -> Any:
    made = getattr(omero.model, told.kind + "I")()
    for name, value in told.numbers.items():
        setattr(made, name[0].lower() + name[1:], rdouble(value))
    if told.points is not None:
        made.points = rstring(told.points)
    if told.mask is not None:
        made.bytes = told.mask
    made.textValue = text(told.text)
    made.theZ, made.theC, made.theT = whole(told.z), whole(told.c), whole(told.t)
    made.fillColor, made.strokeColor = whole(told.fill), whole(told.stroke)
    made.strokeWidth, made.fontSize = length(told.stroke_width), length(told.font_size)
    return made
