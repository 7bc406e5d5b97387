# SPDX-License-Identifier: GPL-2.0-or-later
"""A read-only server, as omero.cluster.read_only=true makes a real one: it answers, and refuses what would change something."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import omero
import omero.cmd
import pytest
import tifffile
from omero.cmd import Chgrp2, Delete2
from omero.model import ExperimenterGroupI, OriginalFileI
from omero.rtypes import rstring

from tests.fixtures.acting import joined, principal
from tests.fixtures.administrators import new_person
from tests.fixtures.omero import OmeroServer, started
from tests.fixtures.omero_client import PASSWORD, InPlace, User, images_of, make_user, new_dataset, rows, submit
from tests.fixtures.omero_requests import named, save

WORDS = "This instance is read-only"


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A read-only server, with what was there before: a user's Dataset with an imported image, and a file."""

    server: OmeroServer
    user: User
    dataset: int
    fileset: int
    image: int
    file: int
    source: Path


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frozen]:
    folder = tmp_path_factory.mktemp("read-only")
    source = folder / "one.tif"
    tifffile.imwrite(source, np.arange(48 * 64, dtype="u2").reshape(48, 64))
    with started(folder / "data") as server:
        user = make_user(server)
        with server.client(user.name, PASSWORD) as client:
            dataset = new_dataset(client)
            job = InPlace(client, [source], dataset)
            job.run()
            file = OriginalFileI()
            file.name, file.path = rstring("note.txt"), rstring("/")
            note = save(client, file).id.val
            store = client.sf.createRawFileStore()
            store.setFileId(note)
            store.write(b"text", 0, 4)
            store.close()
            fileset, image = job.fileset, images_of(client, job.fileset)[0][0]
    with started(folder / "data", "--read-only") as server:
        yield Frozen(server=server, user=user, dataset=dataset, fileset=fileset, image=image, file=note, source=source)


@pytest.fixture
def reader(frozen: Frozen) -> Iterator[Any]:
    with frozen.server.client(frozen.user.name, PASSWORD) as client:
        yield client


def disk(frozen: Frozen) -> list[str]:
    return sorted(f"{folder}/{name}" for folder, _, names in os.walk(frozen.server.managed_repository) for name in names)


def test_logins_queries_and_pixels_go_on(frozen: Frozen, reader: Any) -> None:
    assert rows(reader, "select i.name from Image i where i.id = :id", id=frozen.image) == [["one.tif"]]
    pixels = rows(reader, "select p.id from Pixels p where p.image.id = :id", id=frozen.image)[0][0]
    store = reader.sf.createRawPixelsStore()
    store.setPixelsId(pixels, False)
    assert np.frombuffer(store.getPlane(0, 0, 0), ">u2")[:3].tolist() == [0, 1, 2]
    store.close()
    file = reader.sf.createRawFileStore()
    file.setFileId(frozen.file)
    assert file.read(0, 4) == b"text"
    file.close()
    assert reader.sf.getSessionService().getSession(reader.getSessionId()).id.val < 0


def test_it_says_that_it_is_read_only(frozen: Frozen, reader: Any) -> None:
    service = reader.sf.getConfigService()
    values = service.getConfigValues(r"^omero\.cluster\.read_only\.runtime")
    assert values == {f"omero.cluster.read_only.runtime.{what}": "true" for what in ("db", "repo")}
    permissions = reader.sf.getQueryService().get("Dataset", frozen.dataset).details.permissions
    assert [permissions.canEdit(), permissions.canAnnotate(), permissions.canDelete(), permissions.canLink()] == [False] * 4


def test_sessions_are_made_joined_and_closed(frozen: Frozen, reader: Any) -> None:
    with frozen.server.client() as root:
        made = root.sf.getSessionService().createSessionWithTimeouts(principal(frozen.user.name, None), 0, 60_000)
        acting = joined(frozen.server, made)
        assert acting.sf.getAdminService().getEventContext().userName == frozen.user.name
        assert reader.sf.getSessionService().createUserSession(0, 1000, frozen.user.group).id.val < 0
        assert root.sf.getSessionService().getReferenceCount(made.uuid.val) == 2
        acting.killSession()
        with pytest.raises(omero.RemovedSessionException):
            root.sf.getSessionService().getSession(made.uuid.val)


def test_saving_and_deleting_objects_is_refused(frozen: Frozen, reader: Any) -> None:
    query, update = reader.sf.getQueryService(), reader.sf.getUpdateService()
    dataset = query.get("Dataset", frozen.dataset)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: update.saveObject(dataset),
        lambda: update.saveAndReturnObject(named(omero.model.DatasetI)),
        lambda: update.saveAndReturnArray([named(omero.model.ProjectI)]),
    )
    for attempt in attempts:
        with pytest.raises(omero.ApiUsageException, match=WORDS):
            attempt()
    with pytest.raises((omero.ApiUsageException, omero.SecurityViolation)):
        update.deleteObject(dataset)
    assert query.get("Dataset", frozen.dataset).name.val == "data"


def test_users_groups_and_settings_stay_as_they_are(frozen: Frozen, reader: Any) -> None:
    with frozen.server.client() as root:
        service, config = root.sf.getAdminService(), root.sf.getConfigService()
        attempts: tuple[Callable[[], object], ...] = (
            lambda: service.createGroup(named(ExperimenterGroupI)),
            lambda: service.createUser(new_person(), frozen.user.group),
            lambda: service.changeUserPassword(frozen.user.name, rstring("other")),
            lambda: service.addGroups(service.getExperimenter(frozen.user.id), [ExperimenterGroupI(0, False)]),
            lambda: config.setConfigValue("omero.test", "x"),
            lambda: reader.sf.getAdminService().changePassword(rstring("other")),
        )
        for attempt in attempts:
            with pytest.raises(omero.ApiUsageException, match=WORDS):
                attempt()


def test_nothing_is_imported_written_or_made_on_disk(frozen: Frozen, reader: Any) -> None:
    before = disk(frozen)
    with pytest.raises(omero.ApiUsageException, match=WORDS):
        InPlace(reader, [frozen.source], frozen.dataset)
    proxies = reader.sf.sharedResources().repositories().proxies
    repository = next(found for found in map(omero.grid.ManagedRepositoryPrx.checkedCast, proxies) if found is not None)
    with pytest.raises(omero.ApiUsageException, match=WORDS):
        repository.makeDir(f"{frozen.user.name}_{frozen.user.id}/new", True)
    store = reader.sf.createRawFileStore()
    store.setFileId(frozen.file)
    with pytest.raises(omero.SecurityViolation, match="File not writeable!"):
        store.write(b"other", 0, 5)
    assert store.read(0, 4) == b"text"
    store.close()
    assert disk(frozen) == before


def test_requests_that_change_something_end_with_an_error_and_the_others_answer(frozen: Frozen, reader: Any) -> None:
    targets = {"Fileset": [frozen.fileset]}
    with frozen.server.client() as root:
        for client in (reader, root):
            for request in (
                Delete2(targetObjects=targets),
                Chgrp2(targetObjects=targets, groupId=frozen.user.other_group_id),
                omero.cmd.DoAll([Delete2(targetObjects=targets)]),
            ):
                assert isinstance(submit(client, request), omero.cmd.ERR)
        change = omero.cmd.UpdateSessionTimeoutRequest(session=reader.getSessionId(), timeToIdle=omero.rtypes.rlong(5000))
        assert isinstance(submit(root, change), omero.cmd.ERR)
        assert reader.sf.getSessionService().getSession(reader.getSessionId()).timeToIdle.val != 5000
        open_ones = submit(root, omero.cmd.CurrentSessionsRequest()).sessions
        assert reader.getSessionId() in {one.uuid.val for one in open_ones}
    used = submit(reader, omero.cmd.UsedFilesRequest(imageId=frozen.image))
    assert len(used.binaryFilesThisSeries) == 1
    assert images_of(reader, frozen.fileset) == [[frozen.image, "one.tif", 0]]
