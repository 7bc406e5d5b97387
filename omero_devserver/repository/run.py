# SPDX-License-Identifier: GPL-2.0-or-later
"""Import run: the five steps by which a fileset becomes images, each committing on its own.

0 all images with everything on them, all with series 0; 1 statistics, and at its end the series; 2 thumbnails, 3 processing
and 4 objects, of which this server has none. A session that ends in between cuts the run off, and what is committed stays
(real server, recorded: facts 1 to 3).
"""

from __future__ import annotations

import logging
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import omero
import omero.cmd
import omero.grid
import omero.sys
from omero.rtypes import rdouble

from omero_devserver.cmd.responses import failure
from omero_devserver.formats import readers
from omero_devserver.formats.values import Unreadable
from omero_devserver.repository import graph
from omero_devserver.store.caller import SERVER

if TYPE_CHECKING:
    from omero_devserver.cmd.handle import Handle
    from omero_devserver.formats.readers import Statistics
    from omero_devserver.formats.values import Found, Opened
    from omero_devserver.repository.graph import Imported
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
    _open: ExitStack = field(default_factory=ExitStack)

    def run(self) -> None:
        """Go through the steps; ends with a response on the handle, or without one when the session ends."""
        try:
            with self._open:
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
            files = self._files()
            found = self._headers(files)
        except (Unreadable, graph.NoSuchAnnotation, OSError) as error:
            return self._failed("error-on-init", str(error))
        self.handle.begin(STEPS)
        self.handle.step(0)
        try:
            imported = self._metadata(found)
            self._wait(1)
            self._pixels(imported, files)
            for step in range(2, STEPS):
                self._wait(step)
            return self._objects(imported)
        except _Gone:
            return self._failed("update-log-file-size", "the fileset has been deleted")
        except graph.UnusableTarget as error:
            return self._failed("import-request-failure", str(error))
        except omero.ServerError as error:
            # A real server names the class and nothing else (recorded: facts 1).
            return self._failed("import-request-failure", f"omero.{type(error).__name__}", error.message)

    def _files(self) -> Opened:
        first = self.server.disk.below_root(self.registered.folder + self.registered.paths[0])
        return self._open.enter_context(readers.opened(first))

    def _headers(self, files: Opened) -> Found:
        graph.check_annotations(self.server.store, self.registered.who, self.settings)
        found = files.found()
        self.registered.log.images(found)
        return found

    def _metadata(self, found: Found) -> Imported:
        store, fileset = self.server.store, self.registered.fileset
        with store.transaction():
            if not store.rows("SELECT id FROM t_Fileset WHERE id = ?", fileset):
                raise _Gone
            return graph.save(store, self.registered.who, found, fileset=fileset, settings=self.settings)

    def _pixels(self, imported: Imported, files: Opened) -> None:
        without_statistics = self.settings.noStatsInfo is not None and self.settings.noStatsInfo.val
        series = range(0 if without_statistics else len(imported.images))
        statistics = [self._statistics(files, number) for number in series]
        self._check()
        store = self.server.store
        with store.transaction():
            if not store.rows("SELECT id FROM t_Fileset WHERE id = ?", self.registered.fileset):
                raise _Gone
            for number, image in enumerate(imported.images):
                store.update("Image", image, c_series=number)
            for pixels, known in zip(imported.pixels, statistics, strict=False):
                if known is not None:
                    self._save_statistics(pixels, known)

    def _statistics(self, files: Opened, number: int) -> Statistics | None:
        self._check()
        return readers.statistics(files.planes(number))

    def _save_statistics(self, pixels: int, known: Statistics) -> None:
        self.server.store.update("Pixels", pixels, c_sha1=known.sha1)
        query = "select c from Channel c where c.pixels.id = :id order by c.id"
        rows = self.server.store.objects(SERVER, query, omero.sys.ParametersI().addId(pixels))
        for channel, (least, greatest) in zip(rows, known.extremes, strict=True):
            channel.statsInfo = omero.model.StatsInfoI()
            channel.statsInfo.globalMin, channel.statsInfo.globalMax = rdouble(least), rdouble(greatest)
        self.server.store.save(self.registered.who, rows)

    def _objects(self, imported: Imported) -> Any:
        """Give pixels by series, and the plates, or the images if there are none (recorded: facts 1)."""
        store, who = self.server.store, self.registered.who
        query = "select p from Pixels p join fetch p.image where p.image.id in (:ids)"
        found = store.objects(who, query, _ids(imported.images))
        pixels = {one.id.val: one for one in found}
        kind, ids = ("Plate", imported.plates) if imported.plates else ("Image", imported.images)
        loaded = {one.id.val: one for one in store.objects(who, f"from {kind} where id in (:ids)", _ids(ids))}
        if len(pixels) < len(imported.images) or len(loaded) < len(ids):
            raise _Gone
        self.registered.log.line(f"{len(imported.images)} images imported")
        self._log_size()
        response = omero.grid.ImportResponse()
        response.pixels = [pixels[one] for one in imported.pixels]
        response.objects = [loaded[one] for one in ids]
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


def _ids(ids: tuple[int, ...]) -> Any:
    return omero.sys.ParametersI().addIds(list(ids))
