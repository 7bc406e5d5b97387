# SPDX-License-Identifier: GPL-2.0-or-later
"""Binary data: what lies in the data folder beside the database goes with its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import omero
import pytest
from omero.cmd import Delete2, DoAll, Duplicate
from omero.rtypes import rbool, rint, rstring

from omero_devserver.services.pixel_sets import PixelSet, describe
from omero_devserver.store.caller import SERVER
from omero_devserver.testing import running
from omero_devserver.wire.server import Server
from tests.fixtures.omero_client import InPlace, delete, rows, submit
from tests.fixtures.omero_pixels import engine, image_by_hand, service
from tests.fixtures.omero_requests import save


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


def test_copies_that_are_taken_back_leave_no_file(root: Any, tmp_path: Path) -> None:
    file = omero.model.OriginalFileI()
    file.name, file.path = rstring("note.txt"), rstring("/")
    note = save(root, file).id.val
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
