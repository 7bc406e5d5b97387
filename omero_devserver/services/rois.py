# SPDX-License-Identifier: GPL-2.0-or-later
"""IRoi: regions of interest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.api
import omero.sys

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call

ROIS = "select distinct r from Roi r left outer join fetch r.shapes s where "


class Rois:
    """Operations of ``omero.api.IRoi`` that list regions."""

    def findByImage(self, call: Call, image: int, options: Any) -> Any:
        """List the regions of an image; a missing one has none (recorded: facts 15)."""
        return _result(call, "r.image.id = :id", image, options)

    def findByRoi(self, call: Call, roi: int, options: Any) -> Any:
        """Load one region with its shapes."""
        return _result(call, "r.id = :id", roi, options)


def _result(call: Call, condition: str, identifier: int, options: Any) -> Any:
    result = omero.api.RoiResult()
    result.rois = call.server.store.objects(call.user, ROIS + condition, omero.sys.ParametersI().addId(identifier))
    result.opts, result.byZ, result.byT = options, {}, {}
    return result
