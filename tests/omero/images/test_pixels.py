# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixels: planes and their parts through RawPixelsStore, of imported images and of written ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import Ice
import numpy as np
import omero
import pytest
import tifffile
from numpy.typing import NDArray
from omero.rtypes import rint

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, make_user, rows
from tests.fixtures.omero_pixels import SHAPE, VALUES, image_by_hand, plane, service


def numbers(content: bytes, *shape: int, dtype: str = ">u2") -> NDArray[Any]:
    return np.frombuffer(content, dtype).reshape(shape)


def test_planes_come_in_parts(client: Any, pixels_id: int) -> None:
    _, size_z, height, width = SHAPE
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        assert (numbers(store.getPlane(2, 1, 0), height, width) == VALUES[1, 2]).all()
        assert (numbers(store.getTile(1, 0, 0, 4, 2, 8, 3), 3, 8) == VALUES[0, 1, 2:5, 4:12]).all()
        assert (numbers(store.getRow(3, 1, 1, 0), width) == VALUES[1, 1, 3]).all()
        assert (numbers(store.getCol(5, 1, 1, 0), height) == VALUES[1, 1, :, 5]).all()
        assert (numbers(store.getStack(1, 0), size_z, height, width) == VALUES[1]).all()
        assert (numbers(store.getTimepoint(0), *SHAPE) == VALUES).all()
        cube = store.getHypercube([4, 2, 0, 1, 0], [8, 4, 3, 1, 1], [2, 1, 2, 1, 1])
        assert (numbers(cube, 1, 2, 4, 4) == VALUES[1:2, 0:3:2, 2:6, 4:12:2]).all()


def test_sizes_are_told_in_bytes(client: Any, pixels_id: int) -> None:
    size_c, size_z, height, width = SHAPE
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        assert store.getPixelsId() == pixels_id
        assert (store.getByteWidth(), store.isSigned(), store.isFloat()) == (2, False, False)
        assert store.getRowSize() == 2 * width
        assert store.getPlaneSize() == 2 * width * height
        assert store.getStackSize() == 2 * width * height * size_z
        assert store.getTotalSize() == 2 * width * height * size_z * size_c
        assert store.getTileSize() == [width, height]
        assert store.requiresPixelsPyramid() is False
        assert (store.getResolutionLevels(), store.getResolutionLevel()) == (1, 0)
        assert [(one.sizeX, one.sizeY) for one in store.getResolutionDescriptions()] == [(width, height)]


def test_parts_and_sizes_are_those_of_the_chosen_resolution(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    full = np.arange(2 * 64 * 128, dtype="u2").reshape(2, 64, 128)
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(full, subifds=1, tile=(32, 32), photometric="minisblack", metadata={"axes": "ZYX"})
        writer.write(full[:, ::2, ::2], subfiletype=1, tile=(32, 32), photometric="minisblack", metadata=None)
    pixels = InPlace(client, [path], None).run().pixels[0].id.val
    small = full[:, ::2, ::2]
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels, False)
        assert store.getResolutionLevels() == 2
        store.setResolutionLevel(0)
        assert (numbers(store.getStack(0, 0), 2, 32, 64) == small).all()
        assert (numbers(store.getTimepoint(0), 2, 32, 64) == small).all()
        assert (store.getStackSize(), store.getTimepointSize()) == (2 * small.size, 2 * small.size)
        assert (numbers(store.getRow(31, 1, 0, 0), 64) == small[1, 31]).all()
        assert (numbers(store.getCol(63, 1, 0, 0), 32) == small[1, :, 63]).all()
        assert (numbers(store.getPlaneRegion(1, 0, 0, 3, 64), 3) == small[1, 1, :3]).all()
        assert (numbers(store.getHypercube([2, 1, 1, 0, 0], [4, 3, 1, 1, 1], [1] * 5), 3, 4) == small[1, 1:4, 2:6]).all()
        with pytest.raises(omero.ApiUsageException):
            store.getRow(32, 0, 0, 0)


@pytest.mark.parametrize(
    ("dtype", "signed", "floating"), [("i1", True, False), ("i2", True, False), ("u4", False, False), ("f4", True, True)]
)
def test_every_type_is_big_endian(client: Any, tmp_path: Path, dtype: str, *, signed: bool, floating: bool) -> None:
    values = np.arange(-3, 9).reshape(3, 4).astype(dtype)
    path = tmp_path / "typed.tif"
    tifffile.imwrite(path, values, photometric="minisblack")
    pixels = InPlace(client, [path], None).run().pixels[0].id.val
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels, False)
        assert (numbers(store.getPlane(0, 0, 0), 3, 4, dtype=">" + dtype) == values).all()
        assert (store.isSigned(), store.isFloat()) == (signed, floating)


def test_values_are_counted(client: Any, pixels_id: int) -> None:
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        assert store.findMinMax([0, 1]) == {0: [100, 131], 1: [1100, 1131]}  # the middle section
        assert store.getHistogram([0, 1], 4, False, plane()) == {0: [128] * 4, 1: [128] * 4}
        part = store.getHistogram([0], 32, False, plane(region=(0, 0, 2, 16)))
        assert part[0][:3] == [16, 16, 0]
        whole = store.getHistogram([0], 2, True, plane())
        assert whole[0] == [512, 0]  # of 0 to 231


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda store: store.getPlane(3, 0, 0), omero.ApiUsageException),
        (lambda store: store.getPlane(0, 2, 0), omero.ApiUsageException),
        (lambda store: store.getPlane(0, 0, 1), omero.ApiUsageException),
        (lambda store: store.getPlane(-1, 0, 0), omero.ServerError),
        (lambda store: store.getRow(16, 0, 0, 0), omero.ServerError),
        (lambda store: store.getHypercube([0, 0, 0, 0, 0], [33, 1, 1, 1, 1], [1, 1, 1, 1, 1]), omero.ServerError),
        (lambda store: store.getHypercube([0], [1], [1]), omero.ServerError),
        (lambda store: store.getTile(0, 0, 0, 20, 0, 20, 4), omero.InternalException),
        (lambda store: store.setResolutionLevel(1), omero.ApiUsageException),
        (lambda store: store.setPlane(b"\1" * 1024, 0, 0, 0), omero.InternalException),
    ],
)
def test_what_is_not_there_is_refused(client: Any, pixels_id: int, call: Callable[[Any], Any], error: type[Exception]) -> None:
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        with pytest.raises(error):
            call(store)
        assert len(store.getPlane(0, 0, 0)) == 1024


def test_a_store_wants_pixels_first_and_nothing_after_its_close(client: Any, pixels_id: int) -> None:
    store = client.sf.createRawPixelsStore()
    with pytest.raises(omero.ApiUsageException, match="not been properly initialized"):
        store.getPlane(0, 0, 0)
    store.setPixelsId(pixels_id, False)
    store.close()
    with pytest.raises(Ice.ObjectNotExistException):
        store.getPlaneSize()


def test_members_of_the_group_read_and_others_do_not(devserver: OmeroServer, colleague: Any, pixels_id: int) -> None:
    with service(colleague, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        assert len(store.getPlane(0, 0, 0)) == 1024
    stranger: User = make_user(devserver)
    with (
        devserver.client(stranger.name, PASSWORD) as client,
        service(client, "RawPixelsStore") as store,
        pytest.raises(omero.ValidationException, match=f"Cannot read pixels id={pixels_id}"),
    ):
        store.setPixelsId(pixels_id, False)


def test_written_planes_are_kept_with_their_hash(client: Any) -> None:
    pixels_id = image_by_hand(client)
    values = np.arange(16 * 32, dtype=">u2").reshape(16, 32)
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        store.setPlane(values.tobytes(), 0, 0, 0)
        store.setRow(values[0].tobytes(), 3, 0, 0, 0)
        store.save()
    values[3] = values[0]
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, True)
        assert store.getPlane(0, 0, 0) == values.tobytes()
    digest = hashlib.sha1(values.tobytes(), usedforsecurity=False).hexdigest()
    assert rows(client, "select p.sha1 from Pixels p where p.id = :id", id=pixels_id) == [[digest]]


def test_a_tile_is_written_where_it_belongs(client: Any) -> None:
    pixels_id = image_by_hand(client, size=(8, 4), kind="uint8")
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        store.setPlane(bytes(32), 0, 0, 0)
        store.setTile(b"\7" * 6, 0, 0, 0, 5, 1, 3, 2)
        with pytest.raises(omero.ApiUsageException):
            store.setTile(b"\7" * 21, 0, 0, 0, 0, 0, -1, -1)
        shown = numbers(store.getPlane(0, 0, 0), 4, 8, dtype="u1")
    assert shown.nonzero()[0].tolist() == [1, 1, 1, 2, 2, 2]
    assert shown.nonzero()[1].tolist() == [5, 6, 7, 5, 6, 7]


def test_a_refused_plane_changes_nothing(client: Any, stack: Path) -> None:
    pixels_id = InPlace(client, [stack], None).run().pixels[0].id.val
    hql = "select p.sha1 from Pixels p where p.id = :id"
    before = rows(client, hql, id=pixels_id)
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        with pytest.raises(omero.InternalException):
            store.setPlane(bytes(1024), 0, 0, 0)
        assert store.save() is None
    assert rows(client, hql, id=pixels_id) == before


def test_a_plane_of_the_wrong_size_is_refused(client: Any) -> None:
    pixels_id = image_by_hand(client)
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(pixels_id, False)
        with pytest.raises(omero.ResourceError):
            store.setPlane(bytes(5000), 0, 0, 0)


def test_a_projection_becomes_an_image(client: Any, pixels_id: int) -> None:
    service_of = client.sf.getProjectionService()
    maximum = omero.constants.projection.ProjectionType.MAXIMUMINTENSITY
    plane_of = service_of.projectStack(pixels_id, None, maximum, 0, 1, 1, 0, 2)
    assert (numbers(plane_of, *SHAPE[2:]) == VALUES[1, 2]).all()
    wide = client.sf.getTypesService().getEnumeration("PixelsType", "uint32")
    image = service_of.projectPixels(pixels_id, wide, maximum, 0, 0, [1], 1, 0, 1, "highest")
    ((made, *told),) = rows(
        client, "select p.id, p.sizeZ, p.sizeC, p.pixelsType.value from Pixels p where p.image.id = :id", id=image
    )
    assert told == [1, 1, "uint32"]
    extremes = "select c.statsInfo.globalMin, c.statsInfo.globalMax from Channel c where c.pixels.id = :id"
    assert rows(client, extremes, id=made) == [[1100, 1131]]
    with service(client, "RawPixelsStore") as store:
        store.setPixelsId(made, False)
        assert (numbers(store.getPlane(0, 0, 0), *SHAPE[2:], dtype=">u4") == VALUES[1, 1]).all()
    with pytest.raises(omero.ValidationException):
        service_of.projectStack(pixels_id, None, maximum, 0, 1, 1, 0, 3)


def test_an_image_is_made_in_the_likeness_of_another(client: Any, pixels_id: int) -> None:
    image = rows(client, "select p.image.id from Pixels p where p.id = :id", id=pixels_id)[0][0]
    pixels = client.sf.getPixelsService()
    copy = pixels.copyAndResizeImage(image, rint(8), None, rint(1), None, [1], "copy", True).val
    found = rows(
        client,
        "select p.sizeX, p.sizeY, p.sizeZ, p.sizeC, p.pixelsType.value from Pixels p where p.image.id = :id",
        id=copy,
    )
    assert found == [[8, SHAPE[2], 1, 1, "uint16"]]
    assert rows(client, "select i.name from Image i where i.id = :id", id=copy) == [["copy"]]
    assert rows(client, "select c.statsInfo.globalMax from Channel c where c.pixels.image.id = :id", id=copy) == [[1231]]
    with pytest.raises(omero.ValidationException):
        pixels.copyAndResizeImage(image, None, None, None, None, [2], "copy", False)
