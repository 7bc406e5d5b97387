# SPDX-License-Identifier: GPL-2.0-or-later
"""RenderingEngine: one image, how it is shown, and its pictures.

It is made ready in three calls: `lookupPixels`, `lookupRenderingDef` or `loadRenderingDef`, `load`. What is asked before its time
is refused as omero-server's RenderingBean refuses it (recorded: facts 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.romio
from omero.rtypes import rbool, rdouble, rint, rlong, rstring

from omero_devserver.rendering import picture
from omero_devserver.rendering.colours import Colour
from omero_devserver.rendering.projections import Projection, projected
from omero_devserver.rendering.ranges import SIGNED, Window, type_range
from omero_devserver.services import rendering_defs
from omero_devserver.services.pixel_sets import PixelSet, describe
from omero_devserver.services.rendered import combine, render, section
from omero_devserver.services.resolutions import Resolutions
from omero_devserver.services.types import Types
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import slow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from omero_devserver.wire.servant import Call

_NO_RENDERER = (
    "RenderingEngine not ready: renderer is null.\nThis method can only be called after the renderer is properly"
    " initialized (not-null).\nTry lookup and/or use methods."
)


class RenderingEngine(Resolutions):
    """Operations of ``omero.api.RenderingEngine``."""

    def __init__(self) -> None:
        super().__init__()
        self._pixels: Any = None
        self._definition: Any = None
        self._asked_for = False  # the definition was chosen by its id
        self._set: PixelSet | None = None
        self._quality = picture.DEFAULT_QUALITY

    # Getting ready

    @slow
    def lookupPixels(self, call: Call, pixels_id: int) -> None:
        """Choose the pixel set."""
        self.release()
        self._pixels = describe(call.server.store, call.user, pixels_id)
        if self._pixels is None:
            raise fault(omero.ValidationException, f"Pixels object with id {pixels_id} not found.")

    @slow
    def lookupRenderingDef(self, call: Call, pixels_id: int) -> bool:
        """Find the settings that the caller sees a pixel set with; False if there are none."""
        self._close_set()
        pixels = describe(call.server.store, call.user, pixels_id)
        self._definition = None if pixels is None else rendering_defs.in_use(call.server.store, call.user, pixels)
        self._asked_for = False
        return self._definition is not None

    @slow
    def loadRenderingDef(self, call: Call, definition_id: int) -> None:
        """Take settings by their id, also those of others."""
        self._need_pixels()
        store, who = call.server.store, call.user
        found = rendering_defs.load(store, who, definition_id)
        if found is None:
            raise fault(omero.ValidationException, f"No rendering definition exists with ID: {definition_id}")
        pixels = describe(store, who, found.pixels.id.val)
        if pixels is None or not rendering_defs.compatible(self._pixels, pixels):
            text = f"The rendering definition {definition_id} is incompatible with pixels set {self._pixels.id.val}"
            raise fault(omero.ValidationException, text)
        self._close_set()
        self._definition, self._asked_for = found, True

    @slow
    def load(self, call: Call) -> None:
        """Open the planes."""
        self._need_pixels()
        self._need_definition()
        self._close_set()
        opened = PixelSet(call.server, self._pixels)
        opened.open()
        self._set = opened

    # Pictures

    @slow
    def render(self, call: Call, plane: Any) -> Any:
        """Render a plane as three bands of bytes."""
        shown = self._rendered(plane)
        bands = [shown[..., band].tobytes() for band in range(3)]
        return omero.romio.RGBBuffer(bands, shown.shape[1], shown.shape[0])

    @slow
    def renderAsPackedInt(self, call: Call, plane: Any) -> list[int]:
        """Render a plane, a number for each pixel."""
        return picture.packed(self._rendered(plane))

    @slow
    def renderCompressed(self, call: Call, plane: Any) -> bytes:
        """Render a plane as JPEG."""
        return picture.jpeg(self._rendered(plane), self._quality)

    @slow
    def renderProjectedAsPackedInt(self, call: Call, kind: Any, t: int, step: int, first: int, last: int) -> list[int]:
        """Render a projection along Z, a number for each pixel."""
        return picture.packed(self._projected(kind, t, step, first, last))

    @slow
    def renderProjectedCompressed(self, call: Call, kind: Any, t: int, step: int, first: int, last: int) -> bytes:
        """Render a projection along Z as JPEG."""
        return picture.jpeg(self._projected(kind, t, step, first, last), self._quality)

    def setCompressionLevel(self, call: Call, quality: float) -> None:
        """Choose the quality of JPEGs, from 0 to 1."""
        self._quality = quality

    def getCompressionLevel(self, call: Call) -> float:
        """Give the quality of JPEGs."""
        return self._quality

    # Keeping

    @slow
    def resetDefaultSettings(self, call: Call, keep: bool) -> int:
        """Choose the settings anew; `keep` saves them as the caller's own. Returns their id."""
        store, who = call.server.store, call.user
        if not keep or self._asked_for:
            rendering_defs.set_defaults(store, self._ready(), self._definition)
            return int(self._definition.id.val) if self._definition.id is not None else -1
        self._need_pixels()
        if self._definition is None:
            self._definition = rendering_defs.in_use(store, who, self._pixels)
            if self._definition is not None:
                self._ready()
            self._reset(call, rendering_defs.new(self._pixels))
        else:
            self._ready()
            mine = self._definition.details.owner.id.val == who.user
            self._reset(call, self._definition if mine else rendering_defs.new(self._pixels))
            self.load(call)
        return int(self._definition.id.val)

    @slow
    def saveCurrentSettings(self, call: Call) -> None:
        """Save the settings: as they are if they are the caller's or were chosen by id, else as his own."""
        self._need_definition()
        mine = self._definition.details.owner.id.val == call.user.user
        if mine or self._asked_for:
            rendering_defs.save(call.server.store, call.user, self._pixels, self._definition)
            self._take(call, int(self._definition.id.val))
        else:
            self.saveAsNewSettings(call)

    @slow
    def saveAsNewSettings(self, call: Call) -> int:
        """Save the settings as new ones of the caller; returns their id."""
        self._need_definition()
        copy = rendering_defs.new(self._pixels)
        size_z, size_t = self._pixels.sizeZ.val, self._pixels.sizeT.val
        rendering_defs.copy_values(self._definition, copy, size_z=size_z, size_t=size_t)
        saved = rendering_defs.save(call.server.store, call.user, self._pixels, copy)
        self._take(call, saved)
        self._asked_for = True
        return saved

    def updateSettings(self, call: Call, settings: Any) -> None:
        """Take over the values that are set in `settings`."""
        self._ready()
        for field in ("model", "defaultZ", "defaultT"):
            if getattr(settings, field) is not None:
                setattr(self._definition, field, getattr(settings, field))
        if settings.quantization is not None:
            for field in ("bitResolution", "cdStart", "cdEnd"):
                if getattr(settings.quantization, field) is not None:
                    setattr(self._definition.quantization, field, getattr(settings.quantization, field))
        fields = ("active", "inputStart", "inputEnd", "family", "coefficient", "red", "green", "blue", "alpha", "lookupTable")
        for given, binding in zip(settings.copyWaveRendering(), self._definition.copyWaveRendering(), strict=False):
            for field in fields:
                if getattr(given, field) is not None:
                    setattr(binding, field, getattr(given, field))

    # What is shown

    def getRenderingDefId(self, call: Call) -> int:
        """Give the id of the settings."""
        if self._definition is None or self._definition.id is None:
            raise fault(omero.ApiUsageException, "No rendering def")
        return int(self._definition.id.val)

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

    # The end

    def close(self, call: Call) -> None:
        """End the service."""
        self.release()
        call.session.services.pop(self.name, None)

    def release(self) -> None:
        """Give the open files back; called at the session's end too."""
        self._close_set()
        self._pixels = self._definition = None
        self.level = 0

    def planes(self) -> PixelSet:
        """Give the pixel set that is open; see `Resolutions`."""
        return self._ready()

    def _close_set(self) -> None:
        if self._set is not None:
            self._set.close()
        self._set = None

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

    def _rendered(self, plane: Any) -> NDArray[np.uint8]:
        planes = self._ready()
        return render(planes, self._definition, section(planes, plane, self.level))

    def _projected(self, kind: Any, t: int, step: int, first: int, last: int) -> NDArray[np.uint8]:
        planes = self._ready()
        check_stack(planes, step=step, first=first, last=last)

        def values(channel: int) -> NDArray[Any]:
            return projected(
                Projection(kind.value),
                lambda z: planes.plane(z, channel, t),
                sections=(first, last, step),
                dtype=planes.dtype,
            )

        return combine(planes, self._definition, values)

    def _reset(self, call: Call, definition: Any) -> None:
        with PixelSet(call.server, self._pixels) as planes:
            rendering_defs.set_defaults(call.server.store, planes, definition)
        saved = rendering_defs.save(call.server.store, call.user, self._pixels, definition)
        self._definition = rendering_defs.load(call.server.store, call.user, saved)

    def _take(self, call: Call, definition_id: int) -> None:
        self._definition = rendering_defs.load(call.server.store, call.user, definition_id)
        self.load(call)


def check_stack(planes: PixelSet, *, step: int, first: int, last: int) -> None:
    """Raise ValidationException if there are no such sections."""
    if step <= 0:
        raise fault(omero.ValidationException, f"stepping: {step} <= 0")
    if min(first, last) < 0:
        raise fault(omero.ValidationException, "Z interval value cannot be negative.")
    if max(first, last) >= planes.size_z:
        raise fault(omero.ValidationException, f"Z interval value cannot be >= {planes.size_z}")


def _loaded(call: Call, kind: str, given: Any) -> Any:
    """Give the loaded enumeration of one that a client sent, which may be unloaded."""
    known: Sequence[Any] = Types().allEnumerations(call, kind)
    for one in known:
        if given is not None and one.id.val == (given.id or rlong(-1)).val:
            return one
    raise fault(omero.ApiUsageException, f"There is no such {kind}.")
