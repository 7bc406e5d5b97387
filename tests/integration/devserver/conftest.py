# SPDX-License-Identifier: GPL-2.0-or-later
"""A user with a group and a Dataset, sample files, and an import in place as a client does it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import omero
import omero.callbacks
import omero.cmd
import omero.grid
import pytest
import tifffile
from omero.rtypes import rbool, rlong, rstring

from tests.fixtures.omero import OmeroServer

PASSWORD = "secret"


@dataclass(frozen=True, kw_only=True)
class User:
    name: str
    id: int
    group: str
    group_id: int
    other_group: str
    other_group_id: int


def make_user(server: OmeroServer) -> User:
    suffix = uuid.uuid4().hex[:8]
    group, other = f"group-{suffix}", f"other-{suffix}"
    group_id, other_id = server.add_group(group), server.add_group(other)
    return User(
        name=f"user-{suffix}",
        id=server.add_user(f"user-{suffix}", PASSWORD, [group]),
        group=group,
        group_id=group_id,
        other_group=other,
        other_group_id=other_id,
    )


def rows(client: Any, hql: str, **values: Any) -> list[list[Any]]:
    parameters = omero.sys.ParametersI()
    for name, value in values.items():
        parameters.add(name, rlong(value) if isinstance(value, int) else rstring(value))
    found = client.sf.getQueryService().projection(hql, parameters, {"omero.group": "-1"})
    return [[None if one is None else one.val for one in row] for row in found]


def new_dataset(client: Any) -> int:
    dataset = omero.model.DatasetI()
    dataset.name = rstring("data")
    return int(client.sf.getUpdateService().saveAndReturnObject(dataset).id.val)


class InPlace:
    """One import, step by step; `marker` is a CommentAnnotation of the Fileset."""

    def __init__(self, client: Any, paths: Sequence[Path], dataset: int | None, **settings: Any) -> None:
        self.client, self.paths, self.marker = client, paths, uuid.uuid4().hex
        proxies = client.sf.sharedResources().repositories().proxies
        self.repository = omero.grid.ManagedRepositoryPrx.checkedCast(proxies[-1])
        where = self.repository.root()
        self.root = Path(where.path.val, where.name.val)
        fileset = omero.model.FilesetI()
        for path in paths:
            entry = omero.model.FilesetEntryI()
            entry.clientPath = rstring(str(path).lstrip("/"))
            fileset.addFilesetEntry(entry)
        job = omero.model.UploadJobI()
        job.versionInfo = [omero.model.NamedValue("bioformats.reader", "loci.formats.in.TiffDelegateReader")]
        fileset.linkJob(job)
        note = omero.model.CommentAnnotationI()
        note.ns, note.textValue = rstring("test/marker"), rstring(self.marker)
        fileset.linkAnnotation(note)
        chosen = omero.grid.ImportSettings()
        chosen.userSpecifiedTarget = omero.model.DatasetI(dataset, False) if dataset is not None else None
        chosen.doThumbnails, chosen.noStatsInfo = rbool(False), rbool(True)
        chosen.checksumAlgorithm = omero.model.ChecksumAlgorithmI()
        chosen.checksumAlgorithm.value = rstring("File-Size-64")
        for name, value in settings.items():
            setattr(chosen, name, value)
        self.process = self.repository.importFileset(fileset, chosen)
        self.links: list[Path] = []

    @property
    def fileset(self) -> int:
        hql = "select l.parent.id from FilesetAnnotationLink l where l.child.textValue = :marker"
        return int(rows(self.client, hql, marker=self.marker)[0][0])

    @property
    def template(self) -> Path:
        prefix = rows(self.client, "select f.templatePrefix from Fileset f where f.id = :id", id=self.fileset)[0][0]
        return self.root / prefix

    def link(self) -> None:
        for index, source in enumerate(self.paths):
            uploader = self.process.getUploader(index)
            file = self.client.sf.getQueryService().get("OriginalFile", uploader.getFileId().val)
            place = self.root / file.path.val / file.name.val
            assert not place.exists()
            uploader.write(b"mark", 0, 4)
            uploader.close()
            assert place.read_bytes() == b"mark"
            place.unlink()
            place.symlink_to(source)
            uploader = self.process.getUploader(index, {"omero.fs.mode": "r"})
            uploader.size()
            uploader.save()
            uploader.close()
            self.links.append(place)

    def hashes(self) -> list[str]:
        return [path.stat().st_size.to_bytes(8, "little").hex() for path in self.paths]

    def verify(self, hashes: list[str] | None = None) -> Any:
        return self.process.verifyUpload(hashes or self.hashes())

    def response(self, handle: Any) -> Any:
        callback = omero.callbacks.CmdCallbackI(self.client, handle)
        try:
            callback.loop(600, 100)
            return callback.getResponse()
        finally:
            callback.close(True)

    def run(self) -> Any:
        self.link()
        return self.response(self.verify())


def images_of(client: Any, fileset: int) -> list[list[Any]]:
    return rows(client, "select i.id, i.name, i.series from Image i where i.fileset.id = :id order by i.id", id=fileset)


def delete(client: Any, **targets: list[int]) -> Any:
    handle = client.sf.submit(omero.cmd.Delete2(targetObjects=targets))
    callback = omero.callbacks.CmdCallbackI(client, handle)
    try:
        callback.loop(600, 100)
        return callback.getResponse()
    finally:
        callback.close(True)


@pytest.fixture
def user(devserver: OmeroServer) -> User:
    return make_user(devserver)


@pytest.fixture
def client(devserver: OmeroServer, user: User) -> Iterator[Any]:
    with devserver.client(user.name, PASSWORD) as client:
        yield client


@pytest.fixture
def one(tmp_path: Path) -> Path:
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, np.arange(48 * 64, dtype="u2").reshape(48, 64))
    return path


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "three.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number in range(3):
            described = {
                "axes": "CYX",
                "Name": f"part {number}",
                "Channel": {"Name": ["DAPI", "GFP"]},
                "PhysicalSizeX": 0.5,
                "PhysicalSizeXUnit": "µm",
            }
            data = np.full((2, 16, 32), 10 * number, "u1")
            data[1] += 1
            writer.write(data, photometric="minisblack", metadata=described)
    return path
