# SPDX-License-Identifier: GPL-2.0-or-later
"""IRoi: regions of interest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.api
import omero.sys
from omero.rtypes import rint

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call

_ROIS = (
    "select distinct r from Roi r join fetch r.shapes s left outer join fetch r.folderLinks l"
    " left outer join fetch l.parent where "
)
_OF_PLANE = "r.image.id = :id and (s.theZ is null or s.theZ = :z) and (s.theT is null or s.theT = :t)"


class Rois:
    """Operations of ``omero.api.IRoi`` that list regions; options narrow them to an owner, a group and a part."""

    def findByImage(self, call: Call, image: int, options: Any) -> Any:
        """List the regions of an image; a missing one has none (recorded: facts 15)."""
        return _result(call, "r.image.id = :id", omero.sys.ParametersI().addId(image), options)

    def findByRoi(self, call: Call, roi: int, options: Any) -> Any:
        """Load one region with its shapes."""
        return _result(call, "r.id = :id", omero.sys.ParametersI().addId(roi), options)

    def findByPlane(self, call: Call, image: int, z: int, t: int, options: Any) -> Any:
        """List the regions that have shapes on a plane, each with those shapes only."""
        parameters = omero.sys.ParametersI().addId(image).add("z", rint(z)).add("t", rint(t))
        return _result(call, _OF_PLANE, parameters, options)


def _result(call: Call, condition: str, parameters: Any, options: Any) -> Any:
    for name, path in (("userId", "r.details.owner.id"), ("groupId", "r.details.group.id")):
        value = getattr(options, name, None)
        if value is not None:
            parameters.add(name, value)
            condition += f" and {path} = :{name}"
    if options is not None:
        parameters.theFilter = omero.sys.Filter(limit=options.limit, offset=options.offset)
    result = omero.api.RoiResult()
    result.rois = call.server.store.objects(call.user, f"{_ROIS}{condition} order by r.id", parameters)
    result.opts, result.byZ, result.byT = options, {}, {}
    return result
