# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel settings: the operations of IPixels that are about rendering settings and copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rlong, rstring

from omero_devserver.services import rendering_defs
from omero_devserver.services.pixel_copies import copy_image, copy_pixels
from omero_devserver.store.enumerations import BITS
from omero_devserver.wire.arguments import loaded, managed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call


class PixelSettings:
    """A part of ``omero.api.IPixels``."""

    def retrieveRndSettings(self, call: Call, pixels_id: int) -> Any:
        """Load the settings that the caller sees a pixel set with; null if there are none."""
        pixels = call.server.store.get(call.user, "Pixels", [pixels_id])[0]
        return rendering_defs.in_use(call.server.store, call.user, pixels)

    def retrieveRndSettingsFor(self, call: Call, pixels_id: int, user: int) -> Any:
        """Load the settings that a user has for a pixel set; null if there are none."""
        return rendering_defs.of_user(call.server.store, call.user, pixels_id, user)

    def retrieveAllRndSettings(self, call: Call, pixels_id: int, user: int) -> list[Any]:
        """Load all settings of a pixel set, of one user or, for a negative id, of all; the newest first."""
        return rendering_defs.all_of(call.server.store, call.user, pixels_id, user if user >= 0 else None)

    def loadRndSettings(self, call: Call, definition_id: int) -> Any:
        """Load settings by their id; null if there are none."""
        return rendering_defs.load(call.server.store, call.user, definition_id)

    def saveRndSettings(self, call: Call, settings: Any) -> None:
        """Save settings."""
        pixels = call.server.store.get(call.user, "Pixels", [managed(loaded(settings).pixels)])[0]
        rendering_defs.save(call.server.store, call.user, pixels, settings)

    def getBitDepth(self, call: Call, kind: Any) -> int:
        """Give the bits of a pixel of a type."""
        return BITS[call.server.store.get(call.user, "PixelsType", [managed(kind)])[0].value.val]

    def copyAndResizePixels(
        self,
        call: Call,
        pixels_id: int,
        size_x: Any,
        size_y: Any,
        size_z: Any,
        size_t: Any,
        channels: Sequence[int] | None,
        methodology: str,
        statistics: bool,
    ) -> Any:
        """Add a pixel set in the likeness of another to its image; returns its id."""
        store = call.server.store
        sizes = _sizes(X=size_x, Y=size_y, Z=size_z, T=size_t)
        pixels = copy_pixels(call, pixels_id, sizes=sizes, channels=channels or None, statistics=statistics)
        pixels.methodology = rstring(methodology) if methodology else None
        image = store.get(call.user, "Pixels", [pixels_id])[0].image
        pixels.image = omero.model.ImageI(image.id, False)
        return rlong(store.save(call.user, [pixels])[0].id.val)

    def copyAndResizeImage(
        self,
        call: Call,
        image_id: int,
        size_x: Any,
        size_y: Any,
        size_z: Any,
        size_t: Any,
        channels: Sequence[int] | None,
        name: str,
        statistics: bool,
    ) -> Any:
        """Make an image in the likeness of another; returns its id."""
        sizes = _sizes(X=size_x, Y=size_y, Z=size_z, T=size_t)
        image = copy_image(call, image_id, sizes=sizes, channels=channels or None, name=name, statistics=statistics)
        return rlong(call.server.store.save(call.user, [image])[0].id.val)


def _sizes(**given: Any) -> dict[str, int | None]:
    return {axis: None if size is None else int(size.val) for axis, size in given.items()}
