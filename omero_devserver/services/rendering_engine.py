# SPDX-License-Identifier: GPL-2.0-or-later
"""RenderingEngine: one image, how it is shown, and its pictures.

It is made ready in three calls: `lookupPixels`, `lookupRenderingDef` or `loadRenderingDef`, `load`. What is asked before its time
is refused as omero-server's RenderingBean refuses it (recorded: facts 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.romio

from omero_devserver.rendering import picture
from omero_devserver.rendering.projections import Projection, projected
from omero_devserver.services import rendering_defs
from omero_devserver.services.pixel_sets import PixelSet, describe
from omero_devserver.services.rendered import combine, render, section
from omero_devserver.services.shown_channels import ShownChannels
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from omero_devserver.wire.servant import Call


class RenderingEngine(ShownChannels):
    """Operations of ``omero.api.RenderingEngine``."""

    def __init__(self) -> None:
        super().__init__()
        self._asked_for = False  # the definition was chosen by its id
        self._quality = picture.DEFAULT_QUALITY

    # Getting ready

    def lookupPixels(self, call: Call, pixels_id: int) -> None:
        """Choose the pixel set."""
        self.release()
        self._pixels = describe(call.server.store, call.user, pixels_id)
        if self._pixels is None:
            raise fault(omero.ValidationException, f"Pixels object with id {pixels_id} not found.")

    def lookupRenderingDef(self, call: Call, pixels_id: int) -> bool:
        """Find the settings that the caller sees a pixel set with; False if there are none."""
        self._close_set()
        pixels = describe(call.server.store, call.user, pixels_id)
        self._definition = None if pixels is None else rendering_defs.in_use(call.server.store, call.user, pixels)
        self._asked_for = False
        return self._definition is not None

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

    def load(self, call: Call) -> None:
        """Open the planes."""
        self._need_pixels()
        self._need_definition()
        self._close_set()
        opened = PixelSet(call.server, self._pixels)
        opened.open()
        self._set = opened

    # Pictures

    def render(self, call: Call, plane: Any) -> Any:
        """Render a plane as three bands of bytes."""
        shown = self._rendered(plane)
        bands = [shown[..., band].tobytes() for band in range(3)]
        return omero.romio.RGBBuffer(bands, shown.shape[1], shown.shape[0])

    def renderAsPackedInt(self, call: Call, plane: Any) -> list[int]:
        """Render a plane, a number for each pixel."""
        return picture.packed(self._rendered(plane))

    def renderCompressed(self, call: Call, plane: Any) -> bytes:
        """Render a plane as JPEG."""
        return picture.jpeg(self._rendered(plane), self._quality)

    def renderProjectedAsPackedInt(self, call: Call, kind: Any, t: int, step: int, first: int, last: int) -> list[int]:
        """Render a projection along Z, a number for each pixel."""
        return picture.packed(self._projected(kind, t, step, first, last))

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

    def saveCurrentSettings(self, call: Call) -> None:
        """Save the settings: as they are if they are the caller's or were chosen by id, else as his own."""
        self._need_pixels()
        self._need_definition()
        mine = self._definition.details.owner.id.val == call.user.user
        if mine or self._asked_for:
            rendering_defs.save(call.server.store, call.user, self._pixels, self._definition)
            self._take(call, int(self._definition.id.val))
        else:
            self.saveAsNewSettings(call)

    def saveAsNewSettings(self, call: Call) -> int:
        """Save the settings as new ones of the caller; returns their id."""
        self._need_pixels()
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
        if settings.model is not None:
            self.setModel(call, settings.model)
        _take_over(settings, self._definition, ("defaultZ", "defaultT"))
        if settings.quantization is not None:
            _take_over(settings.quantization, self._definition.quantization, ("bitResolution", "cdStart", "cdEnd"))
        bindings = zip(settings.copyWaveRendering(), self._definition.copyWaveRendering(), strict=False)
        for channel, (given, binding) in enumerate(bindings):
            _take_over(given, binding, ("active", "inputStart", "inputEnd", "red", "green", "blue", "alpha", "lookupTable"))
            if None not in (given.family, given.coefficient, given.noiseReduction):
                self.setQuantizationMap(call, channel, given.family, given.coefficient.val, given.noiseReduction.val)

    def getRenderingDefId(self, call: Call) -> int:
        """Give the id of the settings."""
        if self._definition is None or self._definition.id is None:
            raise fault(omero.ApiUsageException, "No rendering def")
        return int(self._definition.id.val)

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

    def _close_set(self) -> None:
        if self._set is not None:
            self._set.close()
        self._set = None

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


def _take_over(given: Any, taken: Any, fields: Sequence[str]) -> None:
    for field in fields:
        if getattr(given, field) is not None:
            setattr(taken, field, getattr(given, field))
