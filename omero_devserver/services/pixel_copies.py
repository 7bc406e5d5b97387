# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel copies: new pixel sets in the likeness of others, without their planes (rules: omero-server's PixelsImpl)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.model
from omero.rtypes import rint, rlong, rstring

from omero_devserver.services.pixel_sets import described
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call

_OF_IMAGE = ("acquisitionDate", "objectiveSettings", "imagingEnvironment", "experiment", "stageLabel", "instrument")
_OF_PIXELS = ("dimensionOrder", "physicalSizeX", "physicalSizeY", "physicalSizeZ", "pixelsType")


def copy_image(
    call: Call, image_id: int, *, sizes: dict[str, int | None], channels: Sequence[int] | None, name: str, statistics: bool
) -> Any:
    """Build an unsaved image with a pixel set for each of those of another.

    Parameters
    ----------
    call : Call
        In whose name.
    image_id : int
        The other image.
    sizes : dict of str to int or None
        New sizes by axis, as ``Z``; None and axes that are left out stay as they are.
    channels : sequence of int or None
        Which channels, None for all.
    name : str
        Of the new image.
    statistics : bool
        Copy the extremes of the channels.

    Returns
    -------
    omero.model.Image
        To be saved.

    Raises
    ------
    omero.ValidationException
        There is no such image, or a size or a channel that cannot be.
    """
    source = call.server.store.get(call.user, "Image", [image_id])[0]
    image = omero.model.ImageI()
    image.name = rstring(name)
    for field in _OF_IMAGE:
        setattr(image, field, getattr(source, field))
    rows = call.server.store.rows("SELECT id FROM t_Pixels WHERE r_image = ? ORDER BY id", image_id)
    for row in rows:
        image.addPixels(copy_pixels(call, row["id"], sizes=sizes, channels=channels, statistics=statistics))
    return image


def copy_pixels(
    call: Call, pixels_id: int, *, sizes: dict[str, int | None], channels: Sequence[int] | None, statistics: bool
) -> Any:
    """Build an unsaved pixel set in the likeness of another; arguments as `copy_image`."""
    source = described(call.server.store, call.user, pixels_id)
    for axis, size in sizes.items():
        if size is not None and size < 0:
            raise fault(omero.ValidationException, f"size{axis}: {size} <= 0")
    given = source.copyChannels()
    wanted = range(len(given)) if channels is None else channels
    if not wanted or not all(0 <= number < len(given) for number in wanted):
        raise fault(omero.ValidationException, f"There are no channels {list(wanted)} of {len(given)}.")
    pixels = omero.model.PixelsI()
    for field in _OF_PIXELS:
        setattr(pixels, field, getattr(source, field))
    pixels.sha1, pixels.relatedTo = rstring("Pending..."), omero.model.PixelsI(rlong(pixels_id), False)
    for axis in "XYZT":
        size = sizes.get(axis)
        setattr(pixels, f"size{axis}", getattr(source, f"size{axis}") if size is None else rint(size))
    pixels.sizeC = rint(len(wanted))
    for number in wanted:
        channel = omero.model.ChannelI()
        channel.logicalChannel = omero.model.LogicalChannelI(given[number].logicalChannel.id, False)
        stats = given[number].statsInfo
        if statistics and stats is not None:
            channel.statsInfo = omero.model.StatsInfoI()
            channel.statsInfo.globalMin, channel.statsInfo.globalMax = stats.globalMin, stats.globalMax
        pixels.addChannel(channel)
    return pixels
