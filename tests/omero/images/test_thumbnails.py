# SPDX-License-Identifier: GPL-2.0-or-later
"""Thumbnails: made by imports or when they are wanted, kept as long as they show the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import omero
import pytest
from omero.rtypes import rbool, rint

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, make_pair, make_user, rows
from tests.fixtures.omero_pixels import engine, image_by_hand, opened, service

KEPT = "select t.sizeX, t.sizeY, t.mimeType from Thumbnail t where t.pixels.id = :id order by t.id"


@pytest.fixture
def shown(client: Any, pixels_id: int) -> int:
    """Pixels with settings."""
    with engine(client, pixels_id):
        return pixels_id


@pytest.mark.parametrize("wanted", [True, False])
def test_an_import_makes_settings_and_a_thumbnail_if_it_shall(client: Any, three: Path, *, wanted: bool) -> None:
    for pixels in InPlace(client, [three], None, doThumbnails=rbool(wanted)).run().pixels:
        assert rows(client, KEPT, id=pixels.id.val) == [[96, 48, "image/jpeg"]] * wanted
        found = rows(client, "select r.defaultZ from RenderingDef r where r.pixels.id = :id", id=pixels.id.val)
        assert found == [[0]] * wanted


def test_settings_are_made_where_there_are_none(client: Any, pixels_id: int) -> None:
    with service(client, "ThumbnailStore") as store:
        assert store.setPixelsId(pixels_id) is False
        store.resetDefaults()
        assert store.setPixelsId(pixels_id) is True
        assert opened(store.getThumbnailByLongestSide(rint(96))).size == (96, 48)
        with pytest.raises(omero.ApiUsageException):
            store.resetDefaults()


def test_thumbnails_have_the_size_that_is_asked_for(client: Any, shown: int) -> None:
    with service(client, "ThumbnailStore") as store:
        store.setPixelsId(shown)
        assert opened(store.getThumbnail(rint(20), rint(30))).size == (20, 30)
        assert opened(store.getThumbnail(None, None)).size == (48, 48)
        assert opened(store.getThumbnailByLongestSide(rint(64))).size == (64, 32)
        assert rows(client, KEPT, id=shown) == [[x, y, "image/jpeg"] for x, y in ((20, 30), (48, 48), (64, 32))]
        assert store.thumbnailExists(rint(64), rint(32)) is True
        assert store.thumbnailExists(rint(65), rint(32)) is False
        assert store.isInProgress() is False


def test_direct_thumbnails_are_not_kept(client: Any, shown: int) -> None:
    with service(client, "ThumbnailStore") as store:
        store.setPixelsId(shown)
        assert opened(store.getThumbnailDirect(rint(20), rint(30))).size == (20, 30)
        assert opened(store.getThumbnailByLongestSideDirect(rint(40))).size == (40, 20)
        first = store.getThumbnailForSectionByLongestSideDirect(0, 0, rint(40))
        assert first != store.getThumbnailForSectionByLongestSideDirect(2, 0, rint(40))
    assert rows(client, KEPT, id=shown) == []


def test_a_thumbnail_follows_the_settings(client: Any, shown: int) -> None:
    with service(client, "ThumbnailStore") as store:
        store.setPixelsId(shown)
        before = store.getThumbnailByLongestSide(rint(96))
        assert store.getThumbnailByLongestSide(rint(96)) == before
    with engine(client, shown) as rendering:
        rendering.setRGBA(0, 0, 0, 255, 255)
        rendering.saveCurrentSettings()
    with service(client, "ThumbnailStore") as store:
        store.setPixelsId(shown)
        after = store.getThumbnailByLongestSide(rint(96))
    assert after != before
    assert len(rows(client, KEPT, id=shown)) == 1


def test_thumbnails_of_many_come_in_one_call(client: Any, pixels_id: int) -> None:
    others = [image_by_hand(client), image_by_hand(client)]
    with service(client, "ThumbnailStore") as store:
        found = store.getThumbnailByLongestSideSet(rint(96), [pixels_id, *others])
        assert {key: opened(value).size for key, value in found.items()} == dict.fromkeys([pixels_id, *others], (96, 48))
        assert opened(store.getThumbnailSet(rint(10), rint(10), [pixels_id])[pixels_id]).size == (10, 10)
        with pytest.raises(omero.ResourceError, match="Error retrieving Pixels id:99999999"):
            store.getThumbnailByLongestSideSet(rint(96), [pixels_id, 99999999])


def test_an_image_without_planes_has_a_thumbnail_too(client: Any) -> None:
    pixels_id = image_by_hand(client)
    with service(client, "ThumbnailStore") as store:
        assert store.setPixelsId(pixels_id) is False
        store.resetDefaults()
        store.setPixelsId(pixels_id)
        picture = opened(store.getThumbnailByLongestSide(rint(96)))
    assert picture.size == (96, 48)
    least, greatest = picture.convert("L").getextrema()
    assert least == greatest


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda store, _: store.getThumbnail(rint(96), rint(96)), omero.ApiUsageException),
        (lambda store, _: store.setPixelsId(99999999), omero.ResourceError),
        (lambda store, pixels: (store.setPixelsId(pixels), store.getThumbnail(rint(-1), rint(96))), omero.ApiUsageException),
        (lambda store, pixels: (store.setPixelsId(pixels), store.setRenderingDefId(99999999)), omero.ValidationException),
        (lambda store, _: store.getRenderingDefId(), omero.ApiUsageException),
    ],
)
def test_what_cannot_be_is_refused(client: Any, shown: int, call: Callable[[Any, int], Any], error: type[Exception]) -> None:
    with service(client, "ThumbnailStore") as store, pytest.raises(error):
        call(store, shown)


def test_a_colleague_sees_the_owners_thumbnail_and_a_stranger_none(devserver: OmeroServer, colleague: Any, shown: int) -> None:
    with service(colleague, "ThumbnailStore") as store:
        assert store.setPixelsId(shown) is True
        assert opened(store.getThumbnailByLongestSide(rint(96))).size == (96, 48)
    stranger = make_user(devserver)
    with (
        devserver.client(stranger.name, PASSWORD) as client,
        service(client, "ThumbnailStore") as store,
        pytest.raises(omero.ResourceError),
    ):
        store.setPixelsId(shown)


def test_a_colleague_with_settings_of_his_own_has_a_thumbnail_of_his_own(colleague: Any, shown: int) -> None:
    with engine(colleague, shown) as rendering:
        rendering.setRGBA(0, 0, 0, 255, 255)
        own = rendering.saveAsNewSettings()
    with service(colleague, "ThumbnailStore") as store:
        store.setPixelsId(shown)
        assert store.getRenderingDefId() == own
        brightest = np.asarray(opened(store.getThumbnailByLongestSide(rint(96)))).max(axis=(0, 1)).tolist()
        assert brightest[2] > brightest[0] + 100


def test_in_a_read_only_group_others_see_thumbnails_and_keep_none(devserver: OmeroServer, stack: Path) -> None:
    owner, reader = make_pair(devserver, "rwr---")
    with devserver.client(owner, PASSWORD) as client:
        pixels_id = InPlace(client, [stack], None).run().pixels[0].id.val
        with devserver.client(reader, PASSWORD) as other, service(other, "ThumbnailStore") as store:
            assert store.setPixelsId(pixels_id) is False
            with pytest.raises(omero.ResourceError):
                store.getThumbnailByLongestSide(rint(96))
            with pytest.raises(omero.ApiUsageException):
                store.resetDefaults()
            with engine(client, pixels_id):
                pass
            assert store.setPixelsId(pixels_id) is True
            assert opened(store.getThumbnailByLongestSide(rint(96))).size == (96, 48)
        assert rows(client, KEPT, id=pixels_id) == []
