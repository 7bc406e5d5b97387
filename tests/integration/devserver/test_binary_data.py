# SPDX-License-Identifier: GPL-2.0-or-later
"""Binary data: what lies in the data folder beside the database goes with its rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omero
import pytest
from omero.rtypes import rint

from omero_devserver.testing import running
from tests.fixtures.omero_client import delete
from tests.fixtures.omero_pixels import image_by_hand, service


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Any]:
    with running(tmp_path / "data") as server:
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


def test_looking_at_an_image_without_planes_makes_no_file(root: Any, tmp_path: Path) -> None:
    with service(root, "RawPixelsStore") as store:
        store.setPixelsId(image_by_hand(root), False)
        assert store.getPlane(0, 0, 0) == bytes(1024)
    assert not (tmp_path / "data" / "Pixels").exists()
