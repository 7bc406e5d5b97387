# SPDX-License-Identifier: GPL-2.0-or-later
"""IMetadata: annotations of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.sys

from omero_devserver.model.schema import find_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call


class Metadata:
    """Operations of ``omero.api.IMetadata`` that load annotations."""

    def loadAnnotations(
        self, call: Call, kind: str, ids: Sequence[int], types: Sequence[str], annotators: Sequence[int], options: Any
    ) -> dict[int, list[Any]]:
        """List the annotations of each object; `types` and `annotators` narrow them, empty means all."""
        link = find_class(kind).fields["annotationLinks"].type
        wanted = {name for one in types or [] for name in find_class(one).subs}
        links = f"select l from {link} l join fetch l.child where l.parent.id in (:ids) order by l.id"
        found: dict[int, list[Any]] = {identifier: [] for identifier in ids}
        for each in call.server.store.objects(call.user, links, omero.sys.ParametersI().addIds(ids)):
            annotation = each.child
            right_type = not wanted or type(annotation).__name__.removesuffix("I") in wanted
            right_owner = not annotators or annotation.details.owner.id.val in annotators
            if right_type and right_owner:
                found[each.parent.id.val].append(annotation)
        return found
