# SPDX-License-Identifier: GPL-2.0-or-later
"""What the development server's benchmarks share: a server of their own, and an import in place as clients do it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import omero
import omero.all
import omero.callbacks
import omero.cmd
import omero.grid
from omero.rtypes import rbool, rstring

if TYPE_CHECKING:
    from collections.abc import Iterator

READY = re.compile(r"ready: ssl=(\d+) tcp=(\d+) managed_repository=(.+)\n")
COMMAND = [sys.executable, "-W", "ignore", "-m", "omero_devserver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server: its port for SSL and its data folder."""

    port: int
    data: Path

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Give a client of root."""
        client = omero.client("127.0.0.1", self.port)
        client.createSession("root", "omero")
        try:
            yield client
        finally:
            client.closeSession()


@contextmanager
def served(data: Path, *options: str) -> Iterator[Served]:
    """Run a server in a process of its own for the time of a block; its log is `data`.log."""
    with Path(f"{data}.log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen([*COMMAND, "--data", str(data), *options], stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None  # noqa: S101  as asked for above
    try:
        ready = READY.fullmatch(process.stdout.readline())
        if ready is None:
            raise SystemExit(f"The server did not start: see {data}.log.")
        yield Served(port=int(ready[1]), data=data)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def scratch() -> Iterator[Path]:
    """Have a folder meanwhile."""
    with tempfile.TemporaryDirectory(prefix="devserver-bench-") as folder:
        yield Path(folder)


def import_in_place(client: Any, path: Path, dataset: int) -> int:
    """Import one file, by a link, as the importers of the plugin do; returns the id of its Fileset."""
    proxies = client.sf.sharedResources().repositories().proxies
    found = (omero.grid.ManagedRepositoryPrx.checkedCast(proxy) for proxy in proxies if proxy is not None)
    repository = next(one for one in found if one is not None)
    fileset, settings = _described(path, dataset)
    process = repository.importFileset(fileset, settings)
    where = repository.root()
    uploader = process.getUploader(0)
    file = client.sf.getQueryService().get("OriginalFile", uploader.getFileId().val)
    place = Path(where.path.val, where.name.val, file.path.val.lstrip("/"), file.name.val)
    uploader.write(b"-", 0, 1)
    uploader.close()
    place.unlink()
    place.symlink_to(path)
    uploader = process.getUploader(0, {"omero.fs.mode": "r"})
    uploader.save()
    uploader.close()
    handle = process.verifyUpload([path.stat().st_size.to_bytes(8, "little").hex()])
    response = finished(client, handle)
    if isinstance(response, omero.cmd.ERR):
        raise SystemExit(f"The import of {path} failed: {response.name} {response.parameters}")
    return int(response.pixels[0].image.fileset.id.val if response.pixels[0].image.fileset else _fileset(client, response))


def finished(client: Any, handle: Any) -> Any:
    """Wait for the response of a handle."""
    callback = omero.callbacks.CmdCallbackI(client, handle)
    try:
        callback.loop(6000, 100)
        return callback.getResponse()
    finally:
        callback.close(True)


def _described(path: Path, dataset: int) -> tuple[Any, Any]:
    fileset = omero.model.FilesetI()
    entry = omero.model.FilesetEntryI()
    entry.clientPath = rstring(str(path).lstrip("/"))
    fileset.addFilesetEntry(entry)
    job = omero.model.UploadJobI()
    job.versionInfo = [omero.model.NamedValue("bioformats.reader", "loci.formats.in.TiffDelegateReader")]
    fileset.linkJob(job)
    marker = omero.model.CommentAnnotationI()
    marker.ns, marker.textValue = rstring("benchmark"), rstring(uuid.uuid4().hex)
    fileset.linkAnnotation(marker)
    settings = omero.grid.ImportSettings()
    settings.userSpecifiedTarget = omero.model.DatasetI(dataset, False)
    settings.doThumbnails, settings.noStatsInfo = rbool(val=False), rbool(val=True)
    settings.checksumAlgorithm = omero.model.ChecksumAlgorithmI()
    settings.checksumAlgorithm.value = rstring("File-Size-64")
    return fileset, settings


def _fileset(client: Any, response: Any) -> int:
    image = client.sf.getQueryService().get("Image", response.objects[0].id.val)
    return int(image.fileset.id.val)


def new_dataset(client: Any, name: str = "data") -> int:
    """Make a Dataset; returns its id."""
    dataset = omero.model.DatasetI()
    dataset.name = rstring(name)
    return int(client.sf.getUpdateService().saveAndReturnObject(dataset).id.val)
