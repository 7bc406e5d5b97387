# SPDX-License-Identifier: GPL-2.0-or-later
"""Shown channels: what a rendering engine tells and changes of how its image is shown.

What is asked before its time is refused as omero-server's RenderingBean refuses it (recorded: facts 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rbool, rdouble, rint, rlong, rstring

from omero_devserver.rendering.colours import Colour
from omero_devserver.rendering.ranges import SIGNED, Window, type_range
from omero_devserver.services import rendering_defs
from omero_devserver.services.resolutions import Resolutions
from omero_devserver.services.types import Types
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.services.pixel_sets import PixelSet
    from omero_devserver.wire.servant import Call

_NO_RENDERER = (
    "RenderingEngine not ready: renderer is null.\nThis method can only be called after the renderer is properly"
    " initialized (not-null).\nTry lookup and/or use methods."
)


class ShownChannels(Resolutions):
    """A part of ``omero.api.RenderingEngine``: pixel set, settings and open planes, each None as long as it is not there."""

    def __init__(self) -> None:
        super().__init__()
        self._pixels: Any = None
        self._definition: Any = None
        self._set: PixelSet | None = None

    # What is shown

    def getPixels(self, call: Call) -> Any:
        """Give the pixel set."""
        self._need_pixels()
        return self._pixels

    def getQuantumDef(self, call: Call) -> Any:
        """Give the scale of brightness."""
        self._need_definition()
        return self._definition.quantization

    def setQuantumStrategy(self, call: Call, resolution: int) -> None:
        """Choose the number of steps of brightness, less one: 1, 3, 7, … or 255."""
        self._ready()
        if resolution not in {2**bits - 1 for bits in range(1, 9)}:
            raise fault(omero.InternalException, f"Unsupported bit resolution: {resolution}.")
        self._definition.quantization.bitResolution = rint(resolution)

    def setCodomainInterval(self, call: Call, start: int, end: int) -> None:
        """Choose the darkest and the brightest level in use."""
        self._ready()
        if not 0 <= start < end <= 255:  # noqa: PLR2004  levels are bytes
            raise fault(omero.InternalException, f"The interval {start} to {end} is none within 0 to 255.")
        self._definition.quantization.cdStart, self._definition.quantization.cdEnd = rint(start), rint(end)

    def getModel(self, call: Call) -> Any:
        """Give the model: `rgb` or `greyscale`."""
        self._need_definition()
        return self._definition.model

    def setModel(self, call: Call, model: Any) -> None:
        """Choose the model."""
        self._ready()
        self._definition.model = _loaded(call, "RenderingModel", model)

    def getAvailableModels(self, call: Call) -> list[Any]:
        """List the models."""
        return Types().allEnumerations(call, "RenderingModel")

    def getAvailableFamilies(self, call: Call) -> list[Any]:
        """List the curves from values to brightness."""
        return Types().allEnumerations(call, "Family")

    def getDefaultZ(self, call: Call) -> int:
        """Give the section that is shown at first."""
        self._need_definition()
        return int(self._definition.defaultZ.val)

    def setDefaultZ(self, call: Call, z: int) -> None:
        """Choose the section that is shown at first."""
        self._ready().check(z, 0, 0)
        self._definition.defaultZ = rint(z)

    def getDefaultT(self, call: Call) -> int:
        """Give the time that is shown at first."""
        self._need_definition()
        return int(self._definition.defaultT.val)

    def setDefaultT(self, call: Call, t: int) -> None:
        """Choose the time that is shown at first."""
        self._ready().check(0, 0, t)
        self._definition.defaultT = rint(t)

    # Channels

    def isActive(self, call: Call, channel: int) -> bool:
        """Tell whether a channel is shown."""
        return bool(self._binding(channel).active.val)

    def setActive(self, call: Call, channel: int, active: bool) -> None:
        """Show a channel or not."""
        self._binding(channel).active = rbool(active)

    def getChannelWindowStart(self, call: Call, channel: int) -> float:
        """Give the value that is darkest."""
        return float(self._binding(channel).inputStart.val)

    def getChannelWindowEnd(self, call: Call, channel: int) -> float:
        """Give the value that is brightest."""
        return float(self._binding(channel).inputEnd.val)

    def setChannelWindow(self, call: Call, channel: int, start: float, end: float) -> None:
        """Choose the values that are darkest and brightest."""
        binding = self._binding(channel)
        binding.inputStart, binding.inputEnd = rdouble(start), rdouble(end)

    def getRGBA(self, call: Call, channel: int) -> list[int]:
        """Give red, green, blue and alpha of a channel."""
        binding = self._binding(channel)
        return [part.val for part in (binding.red, binding.green, binding.blue, binding.alpha)]

    def setRGBA(self, call: Call, channel: int, red: int, green: int, blue: int, alpha: int) -> None:
        """Choose the colour of a channel."""
        colour = Colour(red, green, blue, alpha)
        if not all(0 <= part <= 255 for part in colour):  # noqa: PLR2004  parts of a colour are bytes
            raise fault(omero.InternalException, f"{tuple(colour)} is no colour.")
        rendering_defs.set_colour(self._binding(channel), colour)

    def getChannelLookupTable(self, call: Call, channel: int) -> str | None:
        """Give the name of a channel's lookup table."""
        table = self._binding(channel).lookupTable
        return None if table is None else str(table.val)

    def setChannelLookupTable(self, call: Call, channel: int, table: str) -> None:
        """Keep the name of a lookup table; pictures are rendered in the channel's colour all the same."""
        self._binding(channel).lookupTable = rstring(table) if table else None

    def getChannelFamily(self, call: Call, channel: int) -> Any:
        """Give the curve of a channel."""
        return self._binding(channel).family

    def getChannelCurveCoefficient(self, call: Call, channel: int) -> float:
        """Give the exponent of a channel's curve."""
        return float(self._binding(channel).coefficient.val)

    def getChannelNoiseReduction(self, call: Call, channel: int) -> bool:
        """Tell what was set; it changes no picture."""
        return bool(self._binding(channel).noiseReduction.val)

    def setQuantizationMap(self, call: Call, channel: int, family: Any, coefficient: float, noise: bool) -> None:
        """Choose the curve of a channel."""
        binding = self._binding(channel)
        if coefficient <= 0:
            raise fault(omero.InternalException, f"Unsupported curve coefficient: '{coefficient}'")
        binding.family = _loaded(call, "Family", family)
        linear = binding.family.value.val == "linear"
        binding.coefficient, binding.noiseReduction = rdouble(1.0 if linear else coefficient), rbool(noise)

    def getChannelStats(self, call: Call, channel: int) -> list[float]:
        """Give nothing, as a real server does."""
        self._binding(channel)
        return []

    def getCodomainMapContext(self, call: Call, channel: int) -> list[Any]:
        """List what is done to a channel's brightness."""
        return list(self._binding(channel).copySpatialDomainEnhancement())

    def addCodomainMapToChannel(self, call: Call, context: Any, channel: int) -> None:
        """Make bright dark in a channel; there is no other context."""
        rendering_defs.set_inverted(self._binding(channel), inverted=True)

    def removeCodomainMapFromChannel(self, call: Call, context: Any, channel: int) -> None:
        """Make bright bright again in a channel."""
        rendering_defs.set_inverted(self._binding(channel), inverted=False)

    def addCodomainMap(self, call: Call, context: Any) -> None:
        """Do it to all channels."""
        for channel in range(self._ready().size_c):
            self.addCodomainMapToChannel(call, context, channel)

    def removeCodomainMap(self, call: Call, context: Any) -> None:
        """Undo it in all channels."""
        for channel in range(self._ready().size_c):
            self.removeCodomainMapFromChannel(call, context, channel)

    def isPixelsTypeSigned(self, call: Call) -> bool:
        """Tell whether pixels can be negative."""
        return self._ready().type in SIGNED

    def getPixelsTypeLowerBound(self, call: Call, channel: int) -> float:
        """Give the least value that pixels can have."""
        return self._type_range().start

    def getPixelsTypeUpperBound(self, call: Call, channel: int) -> float:
        """Give the greatest value that pixels can have."""
        return self._type_range().end

    def planes(self) -> PixelSet:
        """Give the pixel set that is open; see `Resolutions`."""
        return self._ready()

    def _need_pixels(self) -> None:
        if self._pixels is None:
            raise fault(omero.ApiUsageException, "RenderingEngine not ready: Pixels object not set.")

    def _need_definition(self) -> None:
        if self._definition is None:
            raise fault(omero.ApiUsageException, "RenderingEngine not ready: RenderingDef object not set.")

    def _ready(self) -> PixelSet:
        self._need_pixels()
        self._need_definition()
        if self._set is None:
            raise fault(omero.ApiUsageException, _NO_RENDERER)
        return self._set

    def _binding(self, channel: int) -> Any:
        planes = self._ready()
        if not 0 <= channel < planes.size_c:
            text = f"Wrapped Exception: (java.lang.ArrayIndexOutOfBoundsException):\nIndex {channel} out of bounds for"
            raise fault(omero.InternalException, f"{text} length {planes.size_c}")
        return self._definition.getChannelBinding(channel)

    def _type_range(self) -> Window:
        planes = self._ready()
        bits = planes.pixels.significantBits
        return type_range(planes.type, bits.val if bits is not None else None)


def _loaded(call: Call, kind: str, given: Any) -> Any:
    """Give the loaded enumeration of one that a client sent, which may be unloaded."""
    known: Sequence[Any] = Types().allEnumerations(call, kind)
    for one in known:
        if given is not None and one.id.val == (given.id or rlong(-1)).val:
            return one
    raise fault(omero.ApiUsageException, f"There is no such {kind}.")
