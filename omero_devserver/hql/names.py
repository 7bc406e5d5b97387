# SPDX-License-Identifier: GPL-2.0-or-later
"""Names: classes in the text of a query, written as the server knows them.

Before it parses, Hibernate puts the package before each class name of a from clause. So its messages quote the query with
``ome.model.containers.Dataset``, and the columns that they tell count in that text (real server, recorded).
"""

import re

from omero_devserver.model.schema import ENTITIES

_BEFORE_CLASS = frozenset({"from", "update", "delete", ","})
#: `extract(year from name)`, and the like: what follows tells that the name is none of a class.
_NOT_AFTER_CLASS = frozenset({"in", "from", ")"})
_PIECE = re.compile(r"\s+|'(?:[^']|'')*'?|[:\w]+(?:\s*\.\s*\w+)*|.", re.DOTALL)


def with_full_names(text: str) -> str:
    """Write the class names of from clauses with their packages; nothing else changes."""
    pieces = _PIECE.findall(text)
    solid = [at for at, piece in enumerate(pieces) if not piece.isspace()]
    for number, at in enumerate(solid):
        before = pieces[solid[number - 1]].lower() if number else ""
        after = pieces[solid[number + 1]].lower() if number + 1 < len(solid) else ""
        if before in _BEFORE_CLASS and after not in _NOT_AFTER_CLASS and pieces[at] in ENTITIES:
            pieces[at] = ENTITIES[pieces[at]].full_name
    return "".join(pieces)
