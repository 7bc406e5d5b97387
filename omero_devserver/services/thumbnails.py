# SPDX-License-Identifier: GPL-2.0-or-later
"""ThumbnailStore: small pictures of images; see `shown` for whose and which."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero
import omero.model
import omero.sys

from omero_devserver.services import rendering_defs
from omero_devserver.services.pixel_sets import LARGEST_SIDE, PixelSet, describe
from omero_devserver.services.shown import Shown
from omero_devserver.services.stateful import Stateful
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_devserver.formats.values import Opened
    from omero_devserver.services.shown import Size
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server

log = logging.getLogger(__name__)

DEFAULT_SIDE = 48
#: Longest side of the thumbnails that an import makes (recorded: facts 1).
IMPORT_SIDE = 96


def make(server: Server, who: Caller, image: int, files: Opened) -> None:
    """Make what an import makes of an image: settings, and a thumbnail of them.

    An image that cannot be rendered is left without, and the log says so: the import goes on.

    Parameters
    ----------
    server : Server
        Has the store and the disk.
    who : Caller
        In whose name.
    image : int
        Id of the image, whose series is set.
    files : Opened
        Of its fileset.
    """
    for row in server.store.rows("SELECT id FROM t_Pixels WHERE r_image = ? ORDER BY id", image):
        try:
            shown = Shown.of(server, who, int(row["id"]))
            with PixelSet(server, shown.pixels, files) as planes:
                shown.need_settings(planes)
                shown.thumbnail(shown.fitting(IMPORT_SIDE), planes)
        except Exception:
            log.exception("no thumbnail of pixels %d", row["id"])


class Thumbnails(Stateful):
    """Operations of ``omero.api.ThumbnailStore``."""

    name = ""

    def __init__(self) -> None:
        self._shown: Shown | None = None

    def setPixelsId(self, call: Call, pixels_id: int) -> bool:
        """Choose the pixel set; False if there are no settings for it."""
        self._shown = None
        self._shown = Shown.of(call.server, call.user, pixels_id)
        return self._shown.definition is not None

    def isInProgress(self, call: Call) -> bool:
        """Say that nothing is being prepared."""
        return False

    def setRenderingDefId(self, call: Call, definition_id: int) -> None:
        """Choose the settings, also those of others; thumbnails are then their owner's."""
        shown = self._chosen()
        found = rendering_defs.load(call.server.store, call.user, definition_id)
        if found is None:
            raise fault(omero.ValidationException, f"No rendering definition exists with ID = {definition_id}")
        pixels = describe(call.server.store, call.user, found.pixels.id.val)
        if pixels is None or not rendering_defs.compatible(shown.pixels, pixels):
            text = f"The rendering definition {definition_id} is incompatible with pixels set {shown.pixels.id.val}"
            raise fault(omero.ValidationException, text)
        shown.definition, shown.made = definition_id, None

    def getRenderingDefId(self, call: Call) -> int:
        """Give the id of the settings."""
        if self._shown is None or self._shown.definition is None:
            raise fault(omero.ApiUsageException, "No rendering def")
        return self._shown.definition

    def resetDefaults(self, call: Call) -> None:
        """Choose and save settings where there are none."""
        shown = self._shown = replace(self._chosen(), who=call.user)
        if rendering_defs.in_use_id(call.server.store, call.user, shown.pixels) is not None:
            text = "There are rendering settings already; RenderingEngine and IRenderingSettings reset them."
            raise fault(omero.ApiUsageException, text)
        if not shown.may_keep:
            text = f"Unable to reset rendering settings in a read-only group for Pixels set id:{shown.pixels.id.val}"
            raise fault(omero.ApiUsageException, text)
        with shown.opened() as planes:
            shown.need_settings(planes)
        shown.made = None  # somebody may change them before the next call

    # One

    def getThumbnail(self, call: Call, width: Any, height: Any) -> bytes:
        """Give the kept thumbnail of a size."""
        return _kept(self._chosen(), _size(width, height))

    def getThumbnailByLongestSide(self, call: Call, longest: Any) -> bytes:
        """Give the kept thumbnail of a size in the image's proportions."""
        shown = self._chosen()
        return _kept(shown, shown.fitting(_size(longest, longest)[0]))

    def getThumbnailWithoutDefault(self, call: Call, width: Any, height: Any) -> bytes:
        """Give the thumbnail of a size, or nothing where there are no settings to render it with."""
        shown = self._chosen()
        return b"" if shown.definition is None else _kept(shown, _size(width, height))

    def getThumbnailDirect(self, call: Call, width: Any, height: Any) -> bytes:
        """Make a thumbnail of a size; nothing is kept."""
        return _made(self._chosen(), _size(width, height))

    def getThumbnailByLongestSideDirect(self, call: Call, longest: Any) -> bytes:
        """Make a thumbnail in the image's proportions; nothing is kept."""
        shown = self._chosen()
        return _made(shown, shown.fitting(_size(longest, longest)[0]))

    def getThumbnailForSectionDirect(self, call: Call, z: int, t: int, width: Any, height: Any) -> bytes:
        """Make a thumbnail of a section and time; nothing is kept."""
        return _made(self._chosen(), _size(width, height), z=z, t=t)

    def getThumbnailForSectionByLongestSideDirect(self, call: Call, z: int, t: int, longest: Any) -> bytes:
        """Make a thumbnail of a section and time in the image's proportions; nothing is kept."""
        shown = self._chosen()
        return _made(shown, shown.fitting(_size(longest, longest)[0]), z=z, t=t)

    def thumbnailExists(self, call: Call, width: Any, height: Any) -> bool:
        """Tell whether a thumbnail of a size is kept and shows the settings as they are."""
        shown = self._chosen()
        return shown.definition is not None and shown.is_kept(_size(width, height))

    def createThumbnail(self, call: Call, width: Any, height: Any) -> None:
        """Make and keep a thumbnail of a size."""
        _kept(self._chosen(), _size(width, height))

    def createThumbnails(self, call: Call) -> None:
        """Make all sizes anew that are kept of the pixel set."""
        shown = self._chosen()
        rows = call.server.store.rows(
            "SELECT DISTINCT c_sizeX, c_sizeY FROM t_Thumbnail WHERE r_pixels = ? AND owner_id = ?",
            shown.pixels.id.val,
            call.user.user,
        )
        for row in rows:
            _kept(shown, (row["c_sizeX"], row["c_sizeY"]))

    # Many

    def getThumbnailSet(self, call: Call, width: Any, height: Any, pixels_ids: Sequence[int]) -> dict[int, bytes]:
        """Give thumbnails of a size of many pixel sets; one that cannot be made is empty."""
        size = _size(width, height)
        return _many(call, pixels_ids, lambda _: size)

    def getThumbnailByLongestSideSet(self, call: Call, longest: Any, pixels_ids: Sequence[int]) -> dict[int, bytes]:
        """Give thumbnails of many pixel sets, each in its image's proportions; one that cannot be made is empty.

        One pixel set that is missing makes the call fail for all (recorded: facts 9).
        """
        side = _size(longest, longest)[0]
        return _many(call, pixels_ids, lambda shown: shown.fitting(side))

    def createThumbnailsByLongestSideSet(self, call: Call, longest: Any, pixels_ids: Sequence[int]) -> None:
        """Make and keep thumbnails of many pixel sets."""
        self.getThumbnailByLongestSideSet(call, longest, pixels_ids)

    def close(self, call: Call) -> None:
        """End the service."""
        self._shown = None
        call.session.services.pop(self.name, None)

    def _chosen(self) -> Shown:
        if self._shown is None:
            raise fault(omero.ApiUsageException, "Thumbnail service not ready: Pixels not set.")
        return self._shown


def _kept(shown: Shown, size: Size) -> bytes:
    with shown.opened() as planes:
        return shown.thumbnail(size, planes)


def _made(shown: Shown, size: Size, *, z: int | None = None, t: int | None = None) -> bytes:
    with shown.opened() as planes:
        return shown.render(size, planes, z=z, t=t)


def _many(call: Call, pixels_ids: Sequence[int], size: Callable[[Shown], Size]) -> dict[int, bytes]:
    found = [Shown.of(call.server, call.user, pixels_id) for pixels_id in pixels_ids]
    made = {}
    for shown in found:
        pixels_id = int(shown.pixels.id.val)
        try:
            with shown.opened() as planes:
                shown.need_settings(planes)
                made[pixels_id] = shown.thumbnail(size(shown), planes)
        except Exception:
            log.exception("no thumbnail of pixels %d", pixels_id)
            made[pixels_id] = b""
    return made


def _size(width: Any, height: Any) -> Size:
    sides = tuple(DEFAULT_SIDE if side is None else side.val for side in (width, height))
    for name, side in zip(("sizeX", "sizeY"), sides, strict=True):
        if side < 0:
            raise fault(omero.ApiUsageException, f"{name} is negative")
        if side > LARGEST_SIDE:
            raise fault(omero.ApiUsageException, f"{name} is greater than {LARGEST_SIDE}")
    return max(1, sides[0]), max(1, sides[1])
