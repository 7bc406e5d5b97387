# SPDX-License-Identifier: GPL-2.0-or-later
"""IRenderingSettings: how images are shown, for whole Projects, Datasets, Plates, … at a time.

Rules: omero-server's RenderingSettingsImpl.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.rtypes import rdouble

from omero_devserver.model.schema import UnknownEntityError, find_class
from omero_devserver.services import rendering_defs
from omero_devserver.services.pixel_sets import PixelSet, describe, described
from omero_devserver.wire.arguments import loaded, managed
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_devserver.wire.servant import Call

log = logging.getLogger(__name__)

#: By class, the pixel sets below it.
_PIXELS_OF = {
    "Pixels": "select p.id from Pixels p where p.id in (:ids) order by p.id",
    "Image": "select p.id from Pixels p where p.image.id in (:ids) order by p.id",
    "Dataset": "select distinct p.id from Pixels p join p.image i join i.datasetLinks l where l.parent.id in (:ids)",
    "Project": (
        "select distinct p.id from Pixels p join p.image i join i.datasetLinks l join l.parent d join d.projectLinks m"
        " where m.parent.id in (:ids)"
    ),
    "Plate": "select distinct p.id from Pixels p join p.image i join i.wellSamples s join s.well w where w.plate.id in (:ids)",
    "PlateAcquisition": (
        "select distinct p.id from Pixels p join p.image i join i.wellSamples s where s.plateAcquisition.id in (:ids)"
    ),
    "Screen": (
        "select distinct p.id from Pixels p join p.image i join i.wellSamples s join s.well w join w.plate x"
        " join x.screenLinks l where l.parent.id in (:ids)"
    ),
}


class RenderingSettings:
    """Operations of ``omero.api.IRenderingSettings``; what they list are ids of images."""

    def sanityCheckPixels(self, call: Call, one: Any, other: Any) -> bool:
        """Tell whether settings of one pixel set can be those of another."""
        return one is not None and other is not None and rendering_defs.compatible(loaded(one), loaded(other))

    def getRenderingSettings(self, call: Call, pixels_id: int) -> Any:
        """Load the settings that the caller sees a pixel set with; null if there are none."""
        pixels = described(call.server.store, call.user, pixels_id)
        return rendering_defs.in_use(call.server.store, call.user, pixels)

    def createNewRenderingDef(self, call: Call, pixels: Any) -> Any:
        """Make unsaved settings without values."""
        return None if pixels is None else rendering_defs.new(described(call.server.store, call.user, managed(pixels)))

    def resetDefaults(self, call: Call, definition: Any, pixels: Any) -> None:
        """Choose the values of settings anew, and save them."""
        self.resetDefaultsNoSave(call, definition, pixels)
        rendering_defs.save(call.server.store, call.user, described(call.server.store, call.user, managed(pixels)), definition)

    def resetDefaultsNoSave(self, call: Call, definition: Any, pixels: Any) -> Any:
        """Choose the values of settings anew."""
        with PixelSet(call.server, described(call.server.store, call.user, managed(pixels))) as planes:
            if loaded(definition).sizeOfWaveRendering() != planes.pixels.sizeOfChannels():
                raise fault(omero.ValidationException, "The settings are those of another number of channels.")
            rendering_defs.set_defaults(call.server.store, planes, definition)
        return definition

    def resetDefaultsInImage(self, call: Call, image: int) -> None:
        """Choose the caller's settings of an image anew."""
        self.resetDefaultsInSet(call, "Image", [image])

    def resetDefaultsForPixels(self, call: Call, pixels_id: int) -> None:
        """Choose the caller's settings of a pixel set anew."""
        self.resetDefaultsInSet(call, "Pixels", [pixels_id])

    def resetDefaultsInDataset(self, call: Call, dataset: int) -> list[int]:
        """Choose the caller's settings of a Dataset's images anew."""
        return self.resetDefaultsInSet(call, "Dataset", [dataset])

    def resetDefaultsInSet(self, call: Call, kind: str, ids: Sequence[int]) -> list[int]:
        """Choose the caller's settings anew."""
        return _reset(call, kind, ids, look=True)

    def setOriginalSettingsInImage(self, call: Call, image: int) -> None:
        """As resetDefaultsInImage, without looking at planes."""
        self.setOriginalSettingsInSet(call, "Image", [image])

    def setOriginalSettingsForPixels(self, call: Call, pixels_id: int) -> None:
        """As resetDefaultsForPixels, without looking at planes."""
        self.setOriginalSettingsInSet(call, "Pixels", [pixels_id])

    def setOriginalSettingsInDataset(self, call: Call, dataset: int) -> list[int]:
        """As resetDefaultsInDataset, without looking at planes."""
        return self.setOriginalSettingsInSet(call, "Dataset", [dataset])

    def setOriginalSettingsInSet(self, call: Call, kind: str, ids: Sequence[int]) -> list[int]:
        """As resetDefaultsInSet, without looking at planes."""
        return _reset(call, kind, ids, look=False)

    def resetMinMaxInSet(self, call: Call, kind: str, ids: Sequence[int]) -> list[int]:
        """Show all values from the least to the greatest, and leave the rest of the settings; lists pixel sets."""

        def window(pixels: Any) -> int:
            definition = rendering_defs.of_user(call.server.store, call.user, pixels.id.val, call.user.user)
            with PixelSet(call.server, pixels) as planes:
                if definition is None:
                    definition = rendering_defs.new(pixels)
                    rendering_defs.set_defaults(call.server.store, planes, definition, look=False)
                windows = rendering_defs.first_windows(planes, look=False)
            for binding, (start, end) in zip(definition.copyWaveRendering(), windows, strict=True):
                binding.inputStart, binding.inputEnd = rdouble(start), rdouble(end)
            rendering_defs.save(call.server.store, call.user, pixels, definition)
            return int(pixels.id.val)

        return _each(call, kind, ids, window)

    def resetDefaultsByOwnerInSet(self, call: Call, kind: str, ids: Sequence[int]) -> list[int]:
        """Take over the settings of the images' owners."""

        def take(pixels: Any) -> int | None:
            theirs = rendering_defs.of_user(call.server.store, call.user, pixels.id.val, pixels.details.owner.id.val)
            if theirs is None:
                return None
            _apply(call, theirs, pixels)
            return int(pixels.image.id.val)

        return _each(call, kind, ids, take)

    def applySettingsToSet(self, call: Call, source: int, kind: str, ids: Sequence[int]) -> dict[bool, list[int]]:
        """Copy the settings of a pixel set to others; lists the images where it went, and where it did not."""
        store, who = call.server.store, call.user
        done: dict[bool, list[int]] = {True: [], False: []}
        targets = _pixels_of(call, kind, ids)
        if not targets:
            return done
        given = describe(store, who, source)
        if given is None:
            raise fault(omero.ValidationException, f"No pixels set with ID: {source}")
        definition = rendering_defs.in_use(store, who, given)
        for pixels in targets:
            if pixels.id.val == source:
                done[True].append(int(pixels.image.id.val))
                continue
            fits = definition is not None and rendering_defs.compatible(given, pixels)
            if fits:
                _apply(call, definition, pixels)
            done[fits].append(int(pixels.image.id.val))
        return done

    def applySettingsToProject(self, call: Call, source: int, project: int) -> dict[bool, list[int]]:
        """Copy settings to the images of a Project."""
        return self.applySettingsToSet(call, source, "Project", [project])

    def applySettingsToDataset(self, call: Call, source: int, dataset: int) -> dict[bool, list[int]]:
        """Copy settings to the images of a Dataset."""
        return self.applySettingsToSet(call, source, "Dataset", [dataset])

    def applySettingsToImages(self, call: Call, source: int, images: Sequence[int]) -> dict[bool, list[int]]:
        """Copy settings to images."""
        return self.applySettingsToSet(call, source, "Image", images)

    def applySettingsToImage(self, call: Call, source: int, image: int) -> bool:
        """Copy settings to an image; tells whether they fitted."""
        return image in self.applySettingsToSet(call, source, "Image", [image])[True]

    def applySettingsToPixels(self, call: Call, source: int, pixels_id: int) -> bool:
        """Copy settings to a pixel set; tells whether they fitted."""
        return bool(self.applySettingsToSet(call, source, "Pixels", [pixels_id])[True])


def _pixels_of(call: Call, kind: str, ids: Sequence[int]) -> list[Any]:
    try:
        name = find_class(kind).name
    except UnknownEntityError:
        raise fault(omero.ApiUsageException, f"omero.model.{kind} does not specify a valid class.") from None
    if name not in _PIXELS_OF:
        text = f"Wrapped Exception: (java.lang.IllegalArgumentException):\nThere are no rendering settings of a {name}."
        raise fault(omero.InternalException, text)
    if not ids:
        return []
    rows = call.server.store.project(call.user, _PIXELS_OF[name], omero.sys.ParametersI().addIds(ids))
    described = (describe(call.server.store, call.user, row[0].val) for row in rows)
    return [pixels for pixels in described if pixels is not None]


def _each(call: Call, kind: str, ids: Sequence[int], work: Callable[[Any], int | None]) -> list[int]:
    """Do something for each pixel set; where it fails the image is left out, and the log says why."""
    done = []
    for pixels in _pixels_of(call, kind, ids):
        try:
            result = work(pixels)
        except Exception:
            log.exception("no settings for pixels %d", pixels.id.val)
            continue
        if result is not None:
            done.append(result)
    return done


def _reset(call: Call, kind: str, ids: Sequence[int], *, look: bool) -> list[int]:
    def reset(pixels: Any) -> int:
        mine = rendering_defs.of_user(call.server.store, call.user, pixels.id.val, call.user.user)
        definition = mine if mine is not None else rendering_defs.new(pixels)
        with PixelSet(call.server, pixels) as planes:
            rendering_defs.set_defaults(call.server.store, planes, definition, look=look)
        rendering_defs.save(call.server.store, call.user, pixels, definition)
        return int(pixels.image.id.val)

    return _each(call, kind, ids, reset)


def _apply(call: Call, definition: Any, pixels: Any) -> None:
    mine = rendering_defs.of_user(call.server.store, call.user, pixels.id.val, call.user.user)
    target = mine if mine is not None else rendering_defs.new(pixels)
    rendering_defs.copy_values(definition, target, size_z=pixels.sizeZ.val, size_t=pixels.sizeT.val)
    rendering_defs.save(call.server.store, call.user, pixels, target)
