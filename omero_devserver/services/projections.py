# SPDX-License-Identifier: GPL-2.0-or-later
"""IProjection: stacks as single planes, as bytes or as a new image (rules: omero-server's ProjectionBean)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import omero
from omero.rtypes import rdouble, rstring

from omero_devserver.rendering.projections import Projection, projected
from omero_devserver.services.pixel_copies import copy_image
from omero_devserver.services.pixel_sets import PixelSet, described, dtype_of
from omero_devserver.services.rendering_engine import check_stack
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from omero_devserver.wire.servant import Call

METHODOLOGIES = {
    Projection.MAXIMUM: "MAXIMUM_INTENSITY_PROJECTION",
    Projection.MEAN: "MEAN_INTENSITY_PROJECTION",
    Projection.SUM: "SUM_INTENSITY_PROJECTION",
}


class Projections:
    """Operations of ``omero.api.IProjection``."""

    def projectStack(
        self, call: Call, pixels_id: int, kind: Any, algorithm: Any, t: int, c: int, step: int, first: int, last: int
    ) -> bytes:
        """Project a stack; big-endian values of the given type, or of the image's own."""
        with PixelSet(call.server, described(call.server.store, call.user, pixels_id)) as planes:
            check_stack(planes, step=step, first=first, last=last)
            dtype = _dtype(call, kind, planes)
            plane = _project(planes, algorithm, (c, t), (first, last, step), dtype)
        return plane.astype(dtype.newbyteorder(">")).tobytes()

    def projectPixels(
        self,
        call: Call,
        pixels_id: int,
        kind: Any,
        algorithm: Any,
        first_t: int,
        last_t: int,
        channels: Sequence[int],
        step: int,
        first: int,
        last: int,
        name: str,
    ) -> int:
        """Make an image of the projections of all stacks of some channels and times; returns its id."""
        store, source = call.server.store, described(call.server.store, call.user, pixels_id)
        with PixelSet(call.server, source) as planes:
            check_stack(planes, step=step, first=first, last=last)
            times = range(first_t, last_t + 1)
            if not times or first_t < 0 or last_t >= planes.size_t:
                raise fault(omero.ValidationException, f"There are no times from {first_t} to {last_t}.")
            image = copy_image(
                call,
                source.image.id.val,
                sizes={"Z": 1, "T": len(times)},
                channels=channels,
                name=name or f"{source.image.name.val} Projection",
                statistics=False,
            )
            target = image.getPrimaryPixels()
            if kind is not None:
                target.pixelsType = store.get(call.user, "PixelsType", [kind.id.val])[0]
            target.methodology = rstring(METHODOLOGIES[Projection(algorithm.value)])
            dtype = dtype_of(target.pixelsType.value.val)
            made = np.stack([[_project(planes, algorithm, (c, t), (first, last, step), dtype) for c in channels] for t in times])
        for number, channel in enumerate(target.copyChannels()):
            channel.statsInfo = omero.model.StatsInfoI()
            channel.statsInfo.globalMin = rdouble(float(made[:, number].min()))
            channel.statsInfo.globalMax = rdouble(float(made[:, number].max()))
        saved = store.save(call.user, [image])[0]
        with PixelSet(call.server, described(call.server.store, call.user, saved.getPrimaryPixels().id.val)) as written:
            for t, c in np.ndindex(made.shape[:2]):
                written.write(made[t, c].astype(dtype.newbyteorder(">")).tobytes(), (t, c, 0))
        return int(saved.id.val)


def _project(
    planes: PixelSet, algorithm: Any, stack: tuple[int, int], sections: tuple[int, int, int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    c, t = stack
    return projected(Projection(algorithm.value), lambda z: planes.plane(z, c, t), sections=sections, dtype=dtype)


def _dtype(call: Call, kind: Any, planes: PixelSet) -> np.dtype[Any]:
    if kind is None:
        return planes.dtype
    return dtype_of(call.server.store.get(call.user, "PixelsType", [kind.id.val])[0].value.val)
