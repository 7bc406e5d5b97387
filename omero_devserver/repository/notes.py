# SPDX-License-Identifier: GPL-2.0-or-later
"""Notes: unsaved annotations of the files, one object each, for everything that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.model
from omero.rtypes import rbool, rdouble, rlong, rstring

from omero_devserver.repository.values import moment, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.formats.values import Note

#: The field of each class that takes the value, and what it is wrapped in.
_FIELDS = {
    "BooleanAnnotation": ("boolValue", rbool),
    "CommentAnnotation": ("textValue", rstring),
    "DoubleAnnotation": ("doubleValue", rdouble),
    "LongAnnotation": ("longValue", rlong),
    "TagAnnotation": ("textValue", rstring),
    "TermAnnotation": ("termValue", rstring),
    "TimestampAnnotation": ("timeValue", moment),
    "XmlAnnotation": ("textValue", rstring),
}


class Notes:
    """The annotations of one fileset."""

    def __init__(self, told: Sequence[Note]) -> None:
        self._made = [_made(one) for one in told]

    def link(self, owner: Any, numbers: Sequence[int]) -> None:
        """Link those with these numbers to an image, a plate, a well or a run."""
        for number in numbers:
            owner.linkAnnotation(self._made[number])


def _made(told: Note) -> Any:
    made = getattr(omero.model, told.kind + "I")()
    made.ns, made.description = text(told.namespace), text(told.description)
    if isinstance(told.value, tuple):
        made.mapValue = [omero.model.NamedValue(name, value) for name, value in told.value]
    else:
        field, wrapped = _FIELDS[told.kind]
        setattr(made, field, wrapped(told.value))
    return made
