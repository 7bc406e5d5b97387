# SPDX-License-Identifier: GPL-2.0-or-later
"""Shown: one pixel set as one user sees it: whose settings count, and its thumbnails on disk, a row for each size and user.

Rules: omero-server's ThumbnailBean and ThumbnailCtx. A user sees an image with his own settings, else with its owner's. Where he
may not have settings of his own (a private or read-only group, somebody else's image), nothing is saved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import omero
import omero.model
from omero.rtypes import rint, rstring

from omero_devserver.rendering import picture
from omero_devserver.services import rendering_defs
from omero_devserver.services.pixel_sets import PixelSet, describe
from omero_devserver.services.rendered import Section, render
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.server import Server

MIME_TYPE = "image/jpeg"

Size = tuple[int, int]


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
        with self.server.store.transaction():
            self.definition = rendering_defs.in_use_id(self.server.store, self.who, self.pixels)
            if self.definition is None:  # nobody was quicker
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
            with self.server.store.transaction():
                row = self._row(size, settings)
                if row is None or not self._is_fresh(row, settings):  # nobody was quicker
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
        unfinished = path.with_suffix(".new")  # who reads at this moment gets the former one whole
        unfinished.write_bytes(made)
        unfinished.replace(path)
        # As new as the settings that it shows: thumbnails that are older than their settings are made again.
        self.server.store.update("Thumbnail", row, update_id=event)


def _level(levels: Sequence[Size], size: Size) -> int:
    """Choose the smallest resolution that is not smaller than the thumbnail."""
    enough = [at for at, (width, height) in enumerate(levels) if width >= size[0] and height >= size[1]]
    return enough[-1] if enough else 0
