# SPDX-License-Identifier: GPL-2.0-or-later
"""IPixels: pixel sets as objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.rtypes import rdouble, rint, rlong, rstring

from omero_devserver.services.pixel_settings import PixelSettings
from omero_devserver.services.types import Types
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call

_DESCRIPTION = (
    "select p from Pixels p left outer join fetch p.pixelsType left outer join fetch p.channels c"
    " left outer join fetch c.statsInfo left outer join fetch c.logicalChannel lc"
    " left outer join fetch lc.photometricInterpretation left outer join fetch lc.illumination"
    " left outer join fetch lc.mode left outer join fetch lc.contrastMethod where p.id = :id"
)


class Pixels(PixelSettings):
    """Operations of ``omero.api.IPixels``; those about rendering settings and copies are in `pixel_settings`."""

    def retrievePixDescription(self, call: Call, identifier: int) -> Any:
        """Load a pixel set with its channels; null where it is missing or may not be read (recorded: facts 15)."""
        found = call.server.store.objects(call.user, _DESCRIPTION, omero.sys.ParametersI().addId(identifier))
        return found[0] if found else None

    def getEnumeration(self, call: Call, kind: str, value: str) -> Any:
        """Find a value of an enumeration."""
        return Types().getEnumeration(call, kind, value)

    def getAllEnumerations(self, call: Call, kind: str) -> list[Any]:
        """List the values of an enumeration."""
        return Types().allEnumerations(call, kind)

    def createImage(
        self,
        call: Call,
        size_x: int,
        size_y: int,
        size_z: int,
        size_t: int,
        channels: Sequence[int],
        kind: Any,
        name: str,
        description: str,
    ) -> Any:
        """Make an image whose planes will be written with a RawPixelsStore; returns its id."""
        image = omero.model.ImageI()
        image.name, image.description = rstring(name), rstring(description)
        pixels = omero.model.PixelsI()
        pixels.sizeX, pixels.sizeY, pixels.sizeZ = rint(size_x), rint(size_y), rint(size_z)
        pixels.sizeC, pixels.sizeT = rint(len(channels)), rint(size_t)
        pixels.sha1, pixels.pixelsType = rstring("Pending..."), kind
        order = call.server.store.enumeration("DimensionOrder", "XYZCT")
        pixels.dimensionOrder = omero.model.DimensionOrderI(rlong(order), False)
        for _ in channels:  # their numbers are not looked at
            channel = omero.model.ChannelI()
            channel.logicalChannel = omero.model.LogicalChannelI()
            pixels.addChannel(channel)
        image.addPixels(pixels)
        return call.server.store.save(call.user, [image])[0].id

    def setChannelGlobalMinMax(self, call: Call, pixels: int, index: int, minimum: float, maximum: float) -> None:
        """Set the statistics of one channel."""
        found = self.retrievePixDescription(call, pixels)
        if found is None or not 0 <= index < found.sizeOfChannels():
            raise fault(omero.ApiUsageException, f"No channel {index} of pixels {pixels}.")
        channel = found.getChannel(index)
        if channel.statsInfo is None:
            channel.statsInfo = omero.model.StatsInfoI()
        channel.statsInfo.globalMin, channel.statsInfo.globalMax = rdouble(minimum), rdouble(maximum)
        call.server.store.save(call.user, [channel])
