# SPDX-License-Identifier: GPL-2.0-or-later
"""IContainer: counts and contents of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.sys

from omero_devserver.model.schema import find_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call

IMAGES = (
    "select distinct i from Image i left outer join fetch i.pixels p left outer join fetch p.pixelsType"
    " left outer join fetch p.dimensionOrder left outer join fetch i.format where i.id in "
)
# How images are reached from each kind of container.
WITHIN = {
    "Image": "(:ids)",
    "Dataset": "(select l.child.id from DatasetImageLink l where l.parent.id in (:ids))",
    "Project": (
        "(select l.child.id from DatasetImageLink l where l.parent.id in"
        " (select k.child.id from ProjectDatasetLink k where k.parent.id in (:ids)))"
    ),
}


class Containers:
    """Operations of ``omero.api.IContainer`` that BlitzGateway calls."""

    def getCollectionCount(self, call: Call, kind: str, collection: str, ids: Sequence[int], options: Any) -> dict[int, int]:
        """Count the links of a collection, as `imageLinks` of `Dataset`, for each id."""
        field = find_class(kind).fields[collection.rpartition("_")[2]]
        hql = (
            f"select l.{field.inverse}.id, count(l.id) from {field.type} l"
            f" where l.{field.inverse}.id in (:ids) group by l.{field.inverse}.id"
        )
        counts = dict.fromkeys(ids, 0)
        for identifier, number in call.server.store.project(call.user, hql, omero.sys.ParametersI().addIds(ids)):
            counts[identifier.val] = number.val
        return counts

    def getImages(self, call: Call, kind: str, ids: Sequence[int], options: Any) -> list[Any]:
        """List the images in containers, or those with the ids themselves."""
        name = find_class(kind).name
        if name not in WITHIN:
            raise call.server.journal.not_implemented(f"IContainer.getImages of {name}")
        return call.server.store.objects(call.user, IMAGES + WITHIN[name], omero.sys.ParametersI().addIds(ids))
