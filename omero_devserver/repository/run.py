# SPDX-License-Identifier: GPL-2.0-or-later
"""Import run: the five steps by which a fileset becomes images, each committing on its own.

0 all images with everything on them, all with series 0; 1 the series, then statistics; 2 thumbnails; 3 processing, of which
this server has none; 4 the objects of the response. After each step the size of the log is saved: that fails when the fileset
has been deleted meanwhile, and the import with it. A session that ends in between cuts the run off, and what is committed
stays (real server, recorded: facts 1 to 3).
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import omero
import omero.cmd
import omero.grid
import omero.sys
from omero.rtypes import rdouble, rlong

from omero_devserver.formats import readers
from omero_devserver.repository import graph
from omero_devserver.repository.failures import FilesetGone, of_init, of_step
from omero_devserver.repository.targets import instructions, target_of
from omero_devserver.services import thumbnails
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.moments import IMPORT_BEGUN, IMPORT_ENDED, Part, import_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_devserver.cmd.handle import Handle
    from omero_devserver.formats.readers import Statistics
    from omero_devserver.formats.values import Found, Opened
    from omero_devserver.repository.graph import Imported
    from omero_devserver.repository.registration import Registered
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

log = logging.getLogger(__name__)

STEPS = 5


class _CutOff(Exception):
    """The session has ended."""


@dataclass(slots=True, kw_only=True)
class ImportRun:
    """One import, from `verifyUpload` to its response.

    end_process: ends the ImportProcess, if the import is to close by itself.
    """

    server: Server
    session: Session
    registered: Registered
    end_process: Callable[[], None]
    settings: Any
    request: Any
    handle: Handle
    auto_close: bool = False
    _open: ExitStack = field(default_factory=ExitStack)
    _files: Opened | None = None
    _imported: Imported | None = None

    def run(self) -> None:
        """Go through the steps; ends with a response on the handle, or without one when the session ends."""
        facts = {"fileset": self.registered.fileset, "session": self.session}
        try:
            with _kept_alive(self.session), self._open:
                response = self._answer()
        except _CutOff:
            log.info("import of fileset %d cut off: its session has ended", self.registered.fileset)
        else:
            self._finish(response)
        finally:
            self.server.moments.reached(IMPORT_ENDED, **facts)

    def _answer(self) -> Any:
        try:
            self.server.moments.reached(IMPORT_BEGUN, fileset=self.registered.fileset, session=self.session)
            self.handle.begin(STEPS)
            with self.registered.log.timed("omero.import.request.init"):
                found = self._initialised()
        except _CutOff:
            raise
        except Exception as error:  # noqa: BLE001  whatever a reader stumbles over is the client's answer
            return of_init(self.request, error, self.registered.log)
        response = None
        for number, work in enumerate((self._metadata, self._pixels, self._thumbnails, self._processing, self._objects)):
            try:
                response = self._step(number, work, found)
            except _CutOff:
                raise
            except Exception as error:  # noqa: BLE001  the same
                return of_step(self.request, error, self.registered.log, file=self.registered.path(0))
        return response

    def _step(self, number: int, work: Callable[[Found], Any], found: Found) -> Any:
        self._check()
        self.handle.step(number)
        self.registered.log.line(f"step {number}")
        self._moment(number, Part.BEFORE)
        if number:  # before step 0 the request has waited already
            self.session.ended.wait(self.server.options.step_seconds)
        self._check()
        try:
            with self.registered.log.timed("omero.import.request.step"):
                result = work(found)
        finally:
            self._save_log_size()
        self._moment(number, Part.AFTER)
        return result

    def _moment(self, number: int, part: Part) -> None:
        name = import_step(number, part)
        self.server.moments.reached(name, fileset=self.registered.fileset, session=self.session)

    def _initialised(self) -> Found:
        """Read the files' headers, and what the annotations say."""
        store, who = self.server.store, self.registered.who
        first = self.server.disk.below_root(self.registered.path(0))
        self._files = self._open.enter_context(readers.opened(first))
        found = self._files.found()
        told = instructions(store, who, list(self.settings.userSpecifiedAnnotationList or []))
        self.auto_close = told.auto_close
        if told.template is not None and self.settings.userSpecifiedTarget is None:
            target = target_of(store, who, told.template, plates=bool(found.plates), log=self.registered.log)
            self.settings.userSpecifiedTarget = target
        self.registered.log.found(found)
        return found

    def _metadata(self, found: Found) -> None:
        store, fileset = self.server.store, self.registered.fileset
        with store.transaction():
            if not store.rows("SELECT id FROM t_Fileset WHERE id = ?", fileset):
                raise FilesetGone
            self._imported = graph.save(store, self.registered.who, found, fileset=fileset, settings=self.settings)
            self._moment(0, Part.IN)
        self.registered.log.imported(self._imported)

    def _pixels(self, _found: Found) -> None:
        assert self._files is not None and self._imported is not None  # noqa: S101, PT018  earlier steps set them or raise
        wanted = self.settings.noStatsInfo is None or not self.settings.noStatsInfo.val
        known: dict[int, Statistics] = {}
        for number, pixels in enumerate(self._imported.pixels if wanted else ()):
            self._check()
            with self.registered.log.timed("omero.import.request.pixels"):
                statistics = readers.statistics(self._files.planes(number))
            if statistics is not None:
                known[pixels] = statistics
        self._check()
        store = self.server.store
        with store.transaction():
            for number, image in enumerate(self._imported.images):
                store.update("Image", image, c_series=number)
            for pixels, statistics in known.items():
                store.update("Pixels", pixels, c_sha1=statistics.sha1)
            self._moment(1, Part.IN)
        with store.transaction():
            for pixels, statistics in known.items():
                self._save_extremes(pixels, statistics)

    def _save_extremes(self, pixels: int, known: Statistics) -> None:
        query = "select c from Channel c where c.pixels.id = :id order by c.id"
        channels = self.server.store.objects(SERVER, query, omero.sys.ParametersI().addId(pixels))
        for channel, (least, greatest) in zip(channels, known.extremes, strict=True):
            channel.statsInfo = omero.model.StatsInfoI()
            channel.statsInfo.globalMin, channel.statsInfo.globalMax = rdouble(least), rdouble(greatest)
        self.server.store.save(self.registered.who, channels)

    def _thumbnails(self, _found: Found) -> None:
        wanted = self.settings.doThumbnails is None or self.settings.doThumbnails.val
        self.registered.log.line("thumbnails" if wanted else "no thumbnails: the settings do not want them")
        assert self._files is not None and self._imported is not None  # noqa: S101, PT018  earlier steps set them or raise
        images = self._imported.images if wanted else ()
        for number, image in enumerate(images):
            if number == len(images) // 2:  # each commits on its own
                self._moment(2, Part.IN)
            self._check()
            thumbnails.make(self.server, self.registered.who, image, self._files)
        if not images:
            self._moment(2, Part.IN)

    def _processing(self, _found: Found) -> None:
        self._moment(3, Part.IN)

    def _objects(self, _found: Found) -> Any:
        """Give pixels by series, and the plates, or the images if there are none (recorded: facts 1)."""
        assert self._imported is not None  # noqa: S101  step 0 sets it or raises
        store, who, imported = self.server.store, self.registered.who, self._imported
        query = "select p from Pixels p join fetch p.image where p.image.id in (:ids)"
        pixels = {one.id.val: one for one in store.objects(who, query, _ids(imported.images))}
        kind, ids = ("Plate", imported.plates) if imported.plates else ("Image", imported.images)
        loaded = {one.id.val: one for one in store.objects(who, f"from {kind} where id in (:ids)", _ids(ids))}
        if len(pixels) < len(imported.images) or len(loaded) < len(ids):
            raise FilesetGone
        response = omero.grid.ImportResponse()
        response.pixels = [pixels[one] for one in imported.pixels]
        response.objects = [loaded[one] for one in ids]
        self._moment(4, Part.IN)
        return response

    def _finish(self, response: Any) -> None:
        self.registered.log.line("the import is over")
        try:
            self._save_log_size()
        except Exception as error:  # noqa: BLE001  the client must get its answer; as OMERO's ManagedImportRequestI.cleanup
            log.warning("size of the log of fileset %d not saved: %r", self.registered.fileset, error)
        self.handle.finish(response)
        if self.auto_close:
            self.session.services.pop(self.handle.name, None)
            self.end_process()

    def _save_log_size(self) -> None:
        store, row = self.server.store, self.registered.log_file
        with store.transaction():
            if not store.rows("SELECT id FROM t_OriginalFile WHERE id = ?", row):
                raise FilesetGone
            file = store.get(SERVER, "OriginalFile", [row])[0]
            file.size = rlong(self.registered.log.size())
            store.save(replace(self.registered.who, privileged=True), [file])

    def _check(self) -> None:
        if not self.session.alive():
            raise _CutOff


@contextmanager
def _kept_alive(session: Session) -> Iterator[None]:
    """Let a session live through a block, however long its client is silent; its absolute life is not longer for that."""
    done = threading.Event()

    def touch() -> None:
        while not done.wait(session.time_to_idle / 1000 / 4):
            session.used = time.time()

    if session.time_to_idle > 0:
        threading.Thread(target=touch, name="keep-alive", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _ids(ids: tuple[int, ...]) -> Any:
    return omero.sys.ParametersI().addIds(list(ids))
