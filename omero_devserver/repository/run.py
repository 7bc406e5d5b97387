# SPDX-License-Identifier: GPL-2.0-or-later
"""Import run: the five steps by which a fileset becomes images, each committing on its own.

0 all images with everything on them, all with series 0; 1 statistics, and at its end the series; 2 thumbnails, 3 processing
and 4 objects, of which this server has none. A session that ends in between cuts the run off, and what is committed stays
(real server, recorded: facts 1 to 3).
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import omero
import omero.cmd
import omero.grid
import omero.sys
from omero.rtypes import rdouble

from omero_devserver.cmd.responses import failure
from omero_devserver.formats import tiff
from omero_devserver.repository import graph
from omero_devserver.store.caller import SERVER

if TYPE_CHECKING:
    from omero_devserver.cmd.handle import Handle
    from omero_devserver.formats.tiff import Picture
    from omero_devserver.repository.template import Registered
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

log = logging.getLogger(__name__)

STEPS = 5


class _CutOff(Exception):
    """The session has ended."""


class _Gone(Exception):
    """The fileset was deleted while it was imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRun:
    """One import, from `verifyUpload` to its response."""

    server: Server
    session: Session
    registered: Registered
    settings: Any
    request: Any
    handle: Handle

    def run(self) -> None:
        """Go through the steps; ends with a response on the handle, or without one when the session ends."""
        try:
            response = self._imported()
        except _CutOff:
            log.info("import of fileset %d cut off: its session has ended", self.registered.fileset)
            return
        except Exception as error:
            log.exception("fault in the import of fileset %d", self.registered.fileset)
            response = self._failed("import-request-failure", type(error).__name__, traceback.format_exc())
        self.handle.finish(response)

    def _imported(self) -> Any:
        try:
            found = self._headers()
        except (tiff.Unreadable, graph.NoSuchAnnotation, OSError) as error:
            return self._failed("error-on-init", str(error))
        self.handle.begin(STEPS)
        self.handle.step(0)
        try:
            images = self._metadata(found)
            self._wait(1)
            self._pixels(images, found)
            for step in range(2, STEPS):
                self._wait(step)
            return self._objects(images)
        except _Gone:
            return self._failed("update-log-file-size", "the fileset has been deleted")
        except graph.UnusableTarget as error:
            return self._failed("import-request-failure", str(error))
        except omero.ServerError as error:
            # A real server names the class and nothing else (recorded: facts 1).
            return self._failed("import-request-failure", f"omero.{type(error).__name__}", error.message)

    def _headers(self) -> list[Picture]:
        first = self.server.disk.below_root(self.registered.folder + self.registered.paths[0])
        graph.check_annotations(self.server.store, self.registered.who, self.settings)
        found = tiff.pictures(first)
        self.registered.log.images(found)
        return found

    def _metadata(self, found: list[Picture]) -> list[int]:
        store, who = self.server.store, self.registered.who
        images = graph.images(
            store, found, fileset=self.registered.fileset, file=self.registered.paths[0], settings=self.settings
        )
        if not store.rows("SELECT id FROM t_Fileset WHERE id = ?", self.registered.fileset):
            raise _Gone
        return [one.id.val for one in store.save(who, images)]

    def _pixels(self, images: list[int], found: list[Picture]) -> None:
        without_statistics = self.settings.noStatsInfo is not None and self.settings.noStatsInfo.val
        path = self.server.disk.below_root(self.registered.folder + self.registered.paths[0])
        extremes = [] if without_statistics else [self._extremes(path, number, one) for number, one in enumerate(found)]
        self._check()
        store = self.server.store
        with store.transaction():
            if not store.rows("SELECT id FROM t_Fileset WHERE id = ?", self.registered.fileset):
                raise _Gone
            for number, image in enumerate(images):
                store.update("Image", image, c_series=number)
            for image, channels in zip(images, extremes, strict=False):
                self._save_statistics(image, channels)

    def _extremes(self, path: Any, number: int, picture: Picture) -> list[tuple[float, float]]:
        self._check()
        with tiff.stack(path, number) as planes:
            return [planes.extremes(channel) for channel in range(picture.size_c)]

    def _save_statistics(self, image: int, channels: list[tuple[float, float]]) -> None:
        query = "select c from Channel c where c.pixels.image.id = :id order by c.id"
        rows = self.server.store.objects(SERVER, query, omero.sys.ParametersI().addId(image))
        for channel, (least, greatest) in zip(rows, channels, strict=True):
            channel.statsInfo = omero.model.StatsInfoI()
            channel.statsInfo.globalMin, channel.statsInfo.globalMax = rdouble(least), rdouble(greatest)
        self.server.store.save(self.registered.who, rows)

    def _objects(self, images: list[int]) -> Any:
        store, who = self.server.store, self.registered.who
        parameters = omero.sys.ParametersI().addIds(images)
        query = "select p from Pixels p join fetch p.image where p.image.id in (:ids)"
        pixels = {one.image.id.val: one for one in store.objects(who, query, parameters)}
        loaded = {one.id.val: one for one in store.get(who, "Image", images)}
        if len(pixels) < len(images) or len(loaded) < len(images):
            raise _Gone
        self.registered.log.line(f"{len(images)} images imported")
        self._log_size()
        response = omero.grid.ImportResponse()
        response.pixels = [pixels[image] for image in images]
        response.objects = [loaded[image] for image in images]
        return response

    def _failed(self, name: str, message: str, trace: str = "") -> Any:
        self.registered.log.line(f"failed: {name}: {message}")
        self._log_size()
        return failure(self.request, name=name, message=message, trace=trace)

    def _log_size(self) -> None:
        path = self.registered.log.path
        if path.exists():
            self.server.store.update("OriginalFile", self.registered.log_file, c_size=path.stat().st_size)

    def _wait(self, step: int) -> None:
        self._check()
        self.handle.step(step)
        self.session.ended.wait(self.server.options.step_seconds)
        self._check()

    def _check(self) -> None:
        if not self.session.alive():
            raise _CutOff
