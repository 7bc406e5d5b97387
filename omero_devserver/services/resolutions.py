# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolutions: what the services that read planes say of resolutions and tiles (``omero.api.PyramidService``).

Clients count resolutions from the smallest, 0, while their descriptions begin with the full one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.api

from omero_devserver.services.stateful import Stateful
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from omero_devserver.services.pixel_sets import PixelSet
    from omero_devserver.wire.servant import Call

TILE_PIXELS = 1024


class Resolutions(Stateful):
    """The operations of a service that reads planes; `level` counts from the full resolution, 0."""

    name = ""

    def __init__(self) -> None:
        self.level = 0

    def planes(self) -> PixelSet:
        """Give the pixel set that is open, or raise what the service raises without one."""
        raise NotImplementedError

    def requiresPixelsPyramid(self, call: Call) -> bool:
        """Tell whether the planes are too large to be read whole."""
        return self.planes().too_large

    def getResolutionLevels(self, call: Call) -> int:
        """Count the resolutions."""
        return len(self.planes().levels)

    def getResolutionLevel(self, call: Call) -> int:
        """Say which resolution is read."""
        return len(self.planes().levels) - 1 - self.level

    def setResolutionLevel(self, call: Call, level: int) -> None:
        """Choose the resolution that is read."""
        levels = len(self.planes().levels)
        if not 0 <= level < levels:
            raise fault(omero.ApiUsageException, f"Invalid resolution: {level}")
        self.level = levels - 1 - level

    def getResolutionDescriptions(self, call: Call) -> list[Any]:
        """Give the sizes of all resolutions, the full one first."""
        found = []
        for width, height in self.planes().levels:
            one = omero.api.ResolutionDescription()
            one.sizeX, one.sizeY = width, height
            found.append(one)
        return found

    def getTileSize(self, call: Call) -> list[int]:
        """Give width and height of the best tile: the plane itself, if it is small (recorded: facts 9)."""
        width, height = self.planes().levels[self.level]
        return [min(TILE_PIXELS, width), min(TILE_PIXELS, height)]
