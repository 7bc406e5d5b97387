# SPDX-License-Identifier: GPL-2.0-or-later
"""ThumbnailStore: small pictures of images, kept on disk, with a row for each size and user.

Rules: omero-server's ThumbnailBean and ThumbnailCtx. A user sees an image with his own settings, else with its owner's. Where he
may not have settings of his own (a private or read-only group, somebody else's image), nothing is saved.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import omero
import omero.model
import omero.sys
from omero.rtypes import rint, rstring

from omero_devserver.rendering import picture
from omero_devserver.services import rendering_defs
from omero_devserver.services.pixel_sets import LARGEST_SIDE, PixelSet, describe
from omero_devserver.services.rendered import Section, render
from omero_devserver.services.stateful import Stateful
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import slow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_devserver.formats.values import Opened
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.servant import Call
    from omero_devserver.wire.server import Server

log = logging.getLogger(__name__)

DEFAULT_SIDE = 48
#: Longest side of the thumbnails that an import makes (recorded: facts 1).
IMPORT_SIDE = 96
MIME_TYPE = "image/jpeg"

Size = tuple[int, int]


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


@dataclass(slots=True, kw_only=True)
class Shown:
    """One pixel set as one user sees it.

    pixels:     as `describe` loads it.
    definition: id of the settings, None where there are none.
    made:       the settings as objects, where this user has just got them.
    """

    server: Server
    who: Caller
    pixels: Any
    definition: int | None
    made: Any = None

    @classmethod
    def of(cls, server: Server, who: Caller, pixels_id: int) -> Shown:
        """Look a pixel set up, and whose settings count.

        Raises
        ------
        omero.ResourceError
            There is no such pixel set, or `who` may not read it.
        """
        pixels = describe(server.store, who, pixels_id)
        if pixels is None:
            raise fault(
                omero.ResourceError,
                f"Error retrieving Pixels id:{pixels_id}. Pixels set does not exist or the user id:{who.user} has insufficient"
                " permissions to retrieve it.",
            )
        return cls(server=server, who=who, pixels=pixels, definition=rendering_defs.in_use_id(server.store, who, pixels))

    @property
    def may_keep(self) -> bool:
        """Whether the user may have settings and thumbnails of his own."""
        return bool(self.pixels.details.permissions.canAnnotate())

    def opened(self) -> PixelSet:
        """Give the planes, to be closed by the caller; files are opened when something of them is asked for."""
        return PixelSet(self.server, self.pixels)

    def need_settings(self, planes: PixelSet) -> None:
        """Choose and save settings if there are none and the user may."""
        if self.definition is not None or not self.may_keep:
            return
        definition = rendering_defs.new(self.pixels)
        rendering_defs.set_defaults(self.server.store, planes, definition)
        self.definition = rendering_defs.save(self.server.store, self.who, self.pixels, definition)
        self.made = definition

    def fitting(self, longest: int) -> Size:
        """Give the size of a thumbnail by its longest side."""
        return picture.fitting(self.pixels.sizeX.val, self.pixels.sizeY.val, longest)

    def thumbnail(self, size: Size, planes: PixelSet) -> bytes:
        """Give the kept thumbnail of a size, made anew where there is none or the settings have changed."""
        settings = self._settings_row()
        row = self._row(size, settings)
        if row is not None and self._is_fresh(row, settings):
            return self.server.disk.thumbnail(row["id"]).read_bytes()
        made = self.render(size, planes)
        if self.may_keep:
            self._keep(self._new_row(size) if row is None else row["id"], made, settings["update_id"])
        return made

    def is_kept(self, size: Size) -> bool:
        """Tell whether there is a thumbnail of a size that shows the settings as they are."""
        settings = self._settings_row()
        row = self._row(size, settings)
        return row is not None and self._is_fresh(row, settings)

    def render(self, size: Size, planes: PixelSet, *, z: int | None = None, t: int | None = None) -> bytes:
        """Make a thumbnail, of the section and time that the settings show at first if no others are wanted."""
        settings = self._settings()
        definition = self.made or rendering_defs.load(self.server.store, self.who, settings)
        if definition is None:
            raise self._gone()
        where = (definition.defaultZ.val if z is None else z, definition.defaultT.val if t is None else t)
        level = _level(planes.levels, size)
        # Of a large plane only some pixels are looked at: four a side for each of the thumbnail are enough.
        every = max(1, min(side // (4 * wanted) for side, wanted in zip(planes.levels[level], size, strict=True)))
        shown = render(planes, definition, Section(z=where[0], t=where[1], level=level, every=every))
        return picture.jpeg(picture.scaled(shown, *size))

    def _settings(self) -> int:
        if self.definition is not None:
            return self.definition
        pixels_id = self.pixels.id.val
        if not self.may_keep:
            owner = self.pixels.details.owner.id.val
            text = f"The owner id:{owner} has not viewed the Pixels set id:{pixels_id}, rendering settings are missing."
            raise fault(omero.ResourceError, text)
        raise fault(omero.InternalException, f"There are no rendering settings for Pixels set id:{pixels_id}")

    def _settings_row(self) -> Any:
        rows = self.server.store.rows("SELECT owner_id, update_id FROM t_RenderingDef WHERE id = ?", self._settings())
        if not rows:
            raise self._gone()
        return rows[0]

    def _gone(self) -> Any:
        return fault(omero.InternalException, f"The rendering settings {self.definition} have been deleted.")

    def _row(self, size: Size, settings: Any) -> Any | None:
        """Find the row of a thumbnail: that of the settings' owner, else the user's own."""
        rows = self.server.store.rows(
            "SELECT id, update_id FROM t_Thumbnail WHERE r_pixels = ? AND c_sizeX = ? AND c_sizeY = ? AND owner_id IN (?, ?)"
            " ORDER BY owner_id = ? DESC, id DESC LIMIT 1",
            self.pixels.id.val,
            *size,
            settings["owner_id"],
            self.who.user,
            settings["owner_id"],
        )
        return rows[0] if rows else None

    def _is_fresh(self, row: Any, settings: Any) -> bool:
        return row["update_id"] >= settings["update_id"] and self.server.disk.thumbnail(row["id"]).exists()

    def _new_row(self, size: Size) -> int:
        thumbnail = omero.model.ThumbnailI()
        thumbnail.pixels = omero.model.PixelsI(self.pixels.id, False)
        thumbnail.mimeType, thumbnail.sizeX, thumbnail.sizeY = rstring(MIME_TYPE), rint(size[0]), rint(size[1])
        into = replace(self.who, group=self.pixels.details.group.id.val)
        return int(self.server.store.save(into, [thumbnail])[0].id.val)

    def _keep(self, row: int, made: bytes, event: int) -> None:
        path = self.server.disk.thumbnail(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made)
        # As new as the settings that it shows: thumbnails that are older than their settings are made again.
        self.server.store.update("Thumbnail", row, update_id=event)


class Thumbnails(Stateful):
    """Operations of ``omero.api.ThumbnailStore``."""

    name = ""

    def __init__(self) -> None:
        self._shown: Shown | None = None

    @slow
    def setPixelsId(self, call: Call, pixels_id: int) -> bool:
        """Choose the pixel set; False if there are no settings for it."""
        self._shown = None
        self._shown = Shown.of(call.server, call.user, pixels_id)
        return self._shown.definition is not None

    def isInProgress(self, call: Call) -> bool:
        """Say that nothing is being prepared."""
        return False

    @slow
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

    @slow
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

    @slow
    def getThumbnail(self, call: Call, width: Any, height: Any) -> bytes:
        """Give the kept thumbnail of a size."""
        return _kept(self._chosen(), _size(width, height))

    @slow
    def getThumbnailByLongestSide(self, call: Call, longest: Any) -> bytes:
        """Give the kept thumbnail of a size in the image's proportions."""
        shown = self._chosen()
        return _kept(shown, shown.fitting(_size(longest, longest)[0]))

    @slow
    def getThumbnailWithoutDefault(self, call: Call, width: Any, height: Any) -> bytes:
        """Give the thumbnail of a size, or nothing where there are no settings to render it with."""
        shown = self._chosen()
        return b"" if shown.definition is None else _kept(shown, _size(width, height))

    @slow
    def getThumbnailDirect(self, call: Call, width: Any, height: Any) -> bytes:
        """Make a thumbnail of a size; nothing is kept."""
        return _made(self._chosen(), _size(width, height))

    @slow
    def getThumbnailByLongestSideDirect(self, call: Call, longest: Any) -> bytes:
        """Make a thumbnail in the image's proportions; nothing is kept."""
        shown = self._chosen()
        return _made(shown, shown.fitting(_size(longest, longest)[0]))

    @slow
    def getThumbnailForSectionDirect(self, call: Call, z: int, t: int, width: Any, height: Any) -> bytes:
        """Make a thumbnail of a section and time; nothing is kept."""
        return _made(self._chosen(), _size(width, height), z=z, t=t)

    @slow
    def getThumbnailForSectionByLongestSideDirect(self, call: Call, z: int, t: int, longest: Any) -> bytes:
        """Make a thumbnail of a section and time in the image's proportions; nothing is kept."""
        shown = self._chosen()
        return _made(shown, shown.fitting(_size(longest, longest)[0]), z=z, t=t)

    def thumbnailExists(self, call: Call, width: Any, height: Any) -> bool:
        """Tell whether a thumbnail of a size is kept and shows the settings as they are."""
        shown = self._chosen()
        return shown.definition is not None and shown.is_kept(_size(width, height))

    @slow
    def createThumbnail(self, call: Call, width: Any, height: Any) -> None:
        """Make and keep a thumbnail of a size."""
        _kept(self._chosen(), _size(width, height))

    @slow
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

    @slow
    def getThumbnailSet(self, call: Call, width: Any, height: Any, pixels_ids: Sequence[int]) -> dict[int, bytes]:
        """Give thumbnails of a size of many pixel sets; one that cannot be made is empty."""
        size = _size(width, height)
        return _many(call, pixels_ids, lambda _: size)

    @slow
    def getThumbnailByLongestSideSet(self, call: Call, longest: Any, pixels_ids: Sequence[int]) -> dict[int, bytes]:
        """Give thumbnails of many pixel sets, each in its image's proportions; one that cannot be made is empty.

        One pixel set that is missing makes the call fail for all (recorded: facts 9).
        """
        side = _size(longest, longest)[0]
        return _many(call, pixels_ids, lambda shown: shown.fitting(side))

    @slow
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


def _level(levels: Sequence[Size], size: Size) -> int:
    """Choose the smallest resolution that is not smaller than the thumbnail."""
    enough = [at for at, (width, height) in enumerate(levels) if width >= size[0] and height >= size[1]]
    return enough[-1] if enough else 0
