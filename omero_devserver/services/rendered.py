# SPDX-License-Identifier: GPL-2.0-or-later
"""Rendered: a plane of a pixel set as a picture, the way a rendering definition says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import omero
import omero.romio

from omero_devserver.rendering import picture
from omero_devserver.rendering.colours import Colour
from omero_devserver.rendering.levels import Curve, levels
from omero_devserver.rendering.ranges import Window, type_range, usable_window
from omero_devserver.services.rendering_defs import is_inverted
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from omero_devserver.services.pixel_sets import PixelSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of an image that is shown as one picture.

    slice:  `omero.romio.XY`, `ZY` or `XZ`; `x`, `y` and `z` tell where, each for the slice that it does not lie in.
    region: x, y, width and height in a plane XY; None for all of it.
    every:  of how many pixels each way one is taken.
    level:  resolution, 0 is the full one.
    """

    t: int
    z: int = 0
    x: int = 0
    y: int = 0
    slice: int = omero.romio.XY
    region: tuple[int, int, int, int] | None = None
    every: int = 1
    level: int = 0


def section(planes: PixelSet, wanted: Any, level: int) -> Section:
    """Read an ``omero.romio.PlaneDef``; a region that leaves the plane is cut off at its edge.

    Raises
    ------
    omero.ApiUsageException
        The region lies outside, or there is no PlaneDef.
    """
    if wanted is None:
        raise fault(omero.ApiUsageException, "A plane to render is wanted.")
    region = None
    if wanted.region is not None:
        width, height = planes.levels[level]
        x, y = wanted.region.x, wanted.region.y
        region = (x, y, min(wanted.region.width, width - x), min(wanted.region.height, height - y))
        if min(x, y) < 0 or min(region[2:]) < 1:
            raise fault(omero.ApiUsageException, f"The region {x}, {y} lies outside of the plane of {width} x {height}.")
    return Section(
        t=wanted.t,
        z=wanted.z,
        x=wanted.x,
        y=wanted.y,
        slice=wanted.slice,
        region=region,
        every=max(wanted.stride, 0) + 1,
        level=level,
    )


def render(planes: PixelSet, definition: Any, where: Section) -> NDArray[np.uint8]:
    """Render a section; returns red, green and blue, shape (height, width, 3)."""
    return combine(planes, definition, lambda channel: _values(planes, channel, where))


def combine(planes: PixelSet, definition: Any, values: Callable[[int], NDArray[Any]]) -> NDArray[np.uint8]:
    """Make a picture of the active channels.

    Parameters
    ----------
    planes : PixelSet
        Tells the type of the pixels.
    definition : omero.model.RenderingDef
        How; with everything loaded.
    values : callable
        Reads the values of a channel, shape (height, width).

    Returns
    -------
    array of uint8, shape (height, width, 3)
        Of the model `greyscale`, the first active channel in grey; else all active ones in their colours.
    """
    bindings = definition.copyWaveRendering()[: planes.size_c]
    active = [at for at, binding in enumerate(bindings) if binding.active.val]
    if not active:
        height, width = values(0).shape
        return picture.black(height, width)
    if definition.model.value.val == "greyscale":
        first = active[0]
        return picture.grey(levels(values(first), _curve(planes, definition, bindings[first])))
    return picture.blended(
        [(levels(values(at), _curve(planes, definition, bindings[at])), _colour(bindings[at])) for at in active]
    )


def _values(planes: PixelSet, channel: int, where: Section) -> NDArray[Any]:
    if where.slice == omero.romio.XY:
        if where.region is None:
            values = planes.plane(where.z, channel, where.t, where.level)
        else:
            values = planes.tile(where.z, channel, where.t, *where.region, where.level)
        return values[:: where.every, :: where.every]
    if where.slice == omero.romio.XZ and 0 <= where.y < planes.size_y:
        lines = [planes.tile(z, channel, where.t, 0, where.y, planes.size_x, 1)[0] for z in range(planes.size_z)]
        return np.stack(lines)
    if where.slice == omero.romio.ZY and 0 <= where.x < planes.size_x:
        lines = [planes.tile(z, channel, where.t, where.x, 0, 1, planes.size_y)[:, 0] for z in range(planes.size_z)]
        return np.stack(lines, axis=1)
    raise fault(omero.ApiUsageException, f"There is no slice {where.slice} at x={where.x}, y={where.y}.")


def _curve(planes: PixelSet, definition: Any, binding: Any) -> Curve:
    bits = planes.pixels.significantBits
    whole = type_range(planes.type, bits.val if bits is not None else None)
    quantum = definition.quantization
    return Curve(
        window=usable_window(planes.type, whole, Window(binding.inputStart.val, binding.inputEnd.val)),
        family=binding.family.value.val,
        coefficient=binding.coefficient.val,
        darkest=quantum.cdStart.val,
        brightest=quantum.cdEnd.val,
        resolution=quantum.bitResolution.val,
        inverted=is_inverted(binding),
    )


def _colour(binding: Any) -> Colour:
    return Colour(binding.red.val, binding.green.val, binding.blue.val, binding.alpha.val)
