# SPDX-License-Identifier: GPL-2.0-or-later
"""Binary data: what lies in the data folder beside the database goes with its rows."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import Ice
import numpy as np
import omero
import pytest
from omero.cmd import Delete2, DoAll, Duplicate
from omero.rtypes import rbool, rint, rstring

from omero_devserver.services.pixel_sets import PixelSet, describe
from omero_devserver.store.caller import SERVER
from omero_devserver.testing import running
from omero_devserver.wire.moments import CALL_BEFORE, Passing
from omero_devserver.wire.server import Server
from tests.fixtures.omero import ServerHere
from tests.fixtures.omero_client import PASSWORD, InPlace, delete, make_user, rows, submit
from tests.fixtures.omero_pixels import engine, image_by_hand, service
from tests.fixtures.omero_requests import save

WRITERS = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "data", step_seconds=0) as server:
        yield server


@pytest.fixture
def root(server: Server) -> Iterator[Any]:
    client = omero.client("127.0.0.1", server.ssl_port)
    client.createSession("root", "omero")
    yield client
    client.closeSession()


def new_file() -> Any:
    file = omero.model.OriginalFileI()
    file.name, file.path = rstring("note.txt"), rstring("/")
    return file


def test_planes_and_thumbnails_go_with_their_image(root: Any, tmp_path: Path) -> None:
    pixels = image_by_hand(root)
    with service(root, "RawPixelsStore") as store:
        store.setPixelsId(pixels, False)
        store.setPlane(bytes(1024), 0, 0, 0)
    with service(root, "ThumbnailStore") as store:
        assert store.getThumbnailByLongestSideSet(rint(96), [pixels])[pixels]
    folders = [tmp_path / "data" / name for name in ("Pixels", "Thumbnails")]
    assert [len(list(folder.iterdir())) for folder in folders] == [1, 1]
    image = root.sf.getQueryService().get("Pixels", pixels).image.id.val
    assert isinstance(delete(root, Image=[image]), omero.cmd.Delete2Response)
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


def test_what_is_deleted_without_a_request_leaves_no_file_either(root: Any, server: Server, tmp_path: Path) -> None:
    note = save(root, new_file())
    with service(root, "RawFileStore") as store:
        store.setFileId(note.id.val)
        store.write(b"text", 0, 4)
    root.sf.getUpdateService().deleteObject(root.sf.getQueryService().get("OriginalFile", note.id.val))
    assert list((tmp_path / "data" / "Files").iterdir()) == []


def test_a_store_that_takes_another_file_leaves_that_as_it_is(server_here: ServerHere) -> None:
    owner = make_user(server_here)
    server_here.add_user("colleague", PASSWORD, [owner.group])
    with server_here.client(owner.name, PASSWORD) as client, server_here.client("colleague", PASSWORD) as colleague:
        theirs, mine = (save(one, new_file()).id.val for one in (client, colleague))
        with service(client, "RawFileStore") as writer:  # the row does not have the size before it closes
            writer.setFileId(theirs)
            writer.write(b"text", 0, 4)
            with service(colleague, "RawFileStore") as store:
                store.setFileId(mine)
                store.write(b"other", 0, 5)
                store.setFileId(theirs)
                assert store.read(0, 4) == b"text"
                assert store.save() is None


def test_a_file_is_not_opened_again_when_its_session_has_ended(server_here: ServerHere) -> None:
    server = server_here.server
    with server_here.client() as client:
        made = client.sf.createRawFileStore()
        made.setFileId(save(client, new_file()).id.val)
        made.write(b"text", 0, 4)

        def end(passing: Passing) -> None:
            if passing.operation == "RawFileStore.read" and passing.session is not None:
                server.sessions.end(passing.session)

        server.moments.at(CALL_BEFORE, end)
        with pytest.raises(Ice.ObjectNotExistException):
            made.read(0, 4)


def test_thumbnails_of_others_go_when_their_group_becomes_private(server_here: ServerHere, tmp_path: Path) -> None:
    owner = make_user(server_here)
    server_here.add_user("colleague", PASSWORD, [owner.group])
    with server_here.client(owner.name, PASSWORD) as client, server_here.client("colleague", PASSWORD) as colleague:
        pixels = image_by_hand(client)
        with engine(colleague, pixels) as rendering:
            rendering.saveCurrentSettings()
        with service(colleague, "ThumbnailStore") as store:
            assert store.getThumbnailByLongestSideSet(rint(96), [pixels])[pixels]
    kept = tmp_path / "omero" / "Thumbnails"
    assert len(list(kept.iterdir())) == 1
    with server_here.client() as root:
        admin = root.sf.getAdminService()
        group = admin.getGroup(owner.group_id)
        group.details.permissions = omero.model.PermissionsI("rw----")
        admin.updateGroup(group)
    assert list(kept.iterdir()) == []


def test_values_that_are_no_numbers_count_nowhere(root: Any) -> None:
    pixels = image_by_hand(root, size=(4, 4), kind="float")
    values = np.arange(16, dtype=">f4")
    values[0] = np.nan
    with service(root, "RawPixelsStore") as store:
        store.setPixelsId(pixels, False)
        store.setPlane(values.tobytes(), 0, 0, 0)
        assert store.findMinMax([0]) == {0: [1, 15]}
        assert sum(store.getHistogram([0], 4, False, None)[0]) == 15
    with engine(root, pixels) as rendering:
        assert (rendering.getChannelWindowStart(0), rendering.getChannelWindowEnd(0)) == (1, 15)


def test_planes_that_are_written_at_once_are_all_kept(server: Server, root: Any) -> None:
    described: Any = describe(server.store, SERVER, image_by_hand(root, size=(64, 64), kind="uint8"))
    described.sizeZ = rint(WRITERS)
    at_once = threading.Barrier(WRITERS)

    def write(z: int) -> None:
        with PixelSet(server, described) as planes:
            at_once.wait()
            planes.write(bytes([z + 1]) * 4096, (0, 0, z))

    with ThreadPoolExecutor(WRITERS) as writers:
        for _ in range(50):
            server.disk.pixel_buffer(described.id.val).unlink(missing_ok=True)
            list(writers.map(write, range(WRITERS)))
            with PixelSet(server, described) as planes:
                assert [int(planes.plane(z, 0, 0).min()) for z in range(WRITERS)] == list(range(1, WRITERS + 1))


def test_room_for_all_planes_is_taken_before_the_first_is_written(server: Server, root: Any) -> None:
    pixels = image_by_hand(root, size=(1024, 1024), kind="uint8")
    with service(root, "RawPixelsStore") as store:
        store.setPixelsId(pixels, False)
        store.setTile(b"\1", 0, 0, 0, 0, 0, 1, 1)
    written = server.disk.pixel_buffer(pixels).stat()
    assert written.st_size == 1024 * 1024
    assert written.st_blocks * 512 >= written.st_size  # a map that finds no room in the middle of a write ends the process


def test_planes_for_which_there_is_no_room_are_refused(root: Any) -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with service(root, "RawPixelsStore") as store:
        store.setPixelsId(image_by_hand(root, size=(3000, 30_000), kind="uint8"), False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64_000_000, hard))
        try:
            with pytest.raises(omero.ResourceError, match="File too large"):
                store.setTile(b"\1", 0, 0, 0, 0, 0, 1, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        store.setTile(b"\1", 0, 0, 0, 0, 0, 1, 1)
        assert store.getTile(0, 0, 0, 0, 0, 1, 1) == b"\1"


def test_copies_that_are_taken_back_leave_no_file(root: Any, tmp_path: Path) -> None:
    note = save(root, new_file()).id.val
    with service(root, "RawFileStore") as store:
        store.setFileId(note)
        store.write(b"text", 0, 4)
    copied, missing = Duplicate(targetObjects={"OriginalFile": [note]}), Delete2(targetObjects={"Dataset": [999999]})
    assert isinstance(submit(root, DoAll([copied, missing], [])), omero.cmd.GraphException)
    assert [path.name for path in (tmp_path / "data" / "Files").iterdir()] == [str(note)]
    [copy] = submit(root, copied).duplicates["ome.model.core.OriginalFile"]
    assert (tmp_path / "data" / "Files" / str(copy)).read_bytes() == b"text"


def test_looking_at_an_image_without_planes_makes_no_file(root: Any, tmp_path: Path) -> None:
    with service(root, "RawPixelsStore") as store:
        store.setPixelsId(image_by_hand(root), False)
        assert store.getPlane(0, 0, 0) == bytes(1024)
    assert not (tmp_path / "data" / "Pixels").exists()


def test_planes_that_were_closed_are_not_opened_again(server: Server, root: Any, stack: Path) -> None:
    imported = InPlace(root, [stack], None).run().pixels[0].id.val
    for pixels in (imported, image_by_hand(root)):
        planes = PixelSet(server, describe(server.store, SERVER, pixels))
        assert planes.plane(0, 0, 0).shape == (16, 32)
        planes.close()
        with pytest.raises(omero.ResourceError):
            planes.plane(0, 0, 0)


def test_a_file_that_is_gone_is_named_and_one_that_is_kept_needs_none(root: Any, stack: Path) -> None:
    imported = InPlace(root, [stack], None, doThumbnails=rbool(True)).run().pixels[0].id.val
    stack.unlink()
    with service(root, "RawPixelsStore") as store, pytest.raises(omero.ResourceError, match=r"stack\.ome\.tif"):
        store.setPixelsId(imported, False)
    with service(root, "RenderingEngine") as rendering:
        rendering.lookupPixels(imported)
        assert rendering.lookupRenderingDef(imported)
        with pytest.raises(omero.ResourceError, match=r"stack\.ome\.tif"):
            rendering.load()
    with service(root, "ThumbnailStore") as store:
        assert store.getThumbnailByLongestSideSet(rint(96), [imported])[imported].startswith(b"\xff\xd8\xff")
        assert store.getThumbnailByLongestSideSet(rint(80), [imported]) == {imported: b""}


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("RawPixelsStore", lambda store: store.getHistogram([0], 10**9, False, None)),
        ("RawPixelsStore", lambda store: store.getHypercube([0] * 5, [10**9] * 5, [1] * 5)),
        ("RawPixelsStore", lambda store: store.getPlaneRegion(0, 0, 0, 10**9, 0)),
        ("ThumbnailStore", lambda store: store.getThumbnailDirect(rint(10**6), rint(10**6))),
        ("RenderingEngine", lambda rendering: rendering.renderCompressed(None)),
        ("RenderingEngine", lambda rendering: rendering.setModel(None)),
        ("RenderingEngine", lambda rendering: rendering.setQuantumStrategy(77)),
    ],
)
def test_what_would_take_all_memory_or_is_nothing_is_refused(root: Any, kind: str, call: Callable[[Any], Any]) -> None:
    pixels = image_by_hand(root)
    with engine(root, pixels) as ready, service(root, kind) as made:
        if kind != "RenderingEngine":
            made.setPixelsId(pixels, *([False] if kind == "RawPixelsStore" else []))
        with pytest.raises(omero.ServerError):
            call(ready if kind == "RenderingEngine" else made)


def test_many_who_look_at_once_make_one_thumbnail(root: Any, stack: Path) -> None:
    pixels = InPlace(root, [stack], None).run().pixels[0].id.val

    def look(_: int) -> int:
        with service(root, "ThumbnailStore") as store:
            return len(store.getThumbnailByLongestSideSet(rint(96), [pixels])[pixels])

    with ThreadPoolExecutor(8) as lookers:
        assert all(lookers.map(look, range(8)))
    for kind in ("Thumbnail", "RenderingDef"):
        assert rows(root, f"select count(x) from {kind} x where x.pixels.id = :id", id=pixels) == [[1]]
