# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients as they are: BlitzGateway and ezomero."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ezomero
import numpy as np
import omero
import pytest
import tifffile
from omero.gateway import BlitzGateway

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, new_dataset


@pytest.fixture
def gateway(devserver: OmeroServer, user: User) -> Iterator[Any]:
    gateway = BlitzGateway(user.name, PASSWORD, host=devserver.host, port=devserver.ssl_port, secure=True)
    assert gateway.connect()
    yield gateway
    gateway.close()


def test_the_gateway_finds_what_was_imported(gateway: Any, client: Any, three: Path) -> None:
    dataset = new_dataset(client)
    InPlace(client, [three], dataset).run()
    images = list(gateway.getObject("Dataset", dataset).listChildren())
    assert sorted(image.getName() for image in images) == [f"three.ome.tif [part {number}]" for number in range(3)]
    by_name = {image.getName(): image for image in images}
    last = by_name["three.ome.tif [part 2]"]
    assert (last.getPrimaryPixels().getPlane(0, 1, 0) == 21).all()
    assert last.getChannelLabels() == ["DAPI", "GFP"]
    assert [image.getFileset().getId() for image in images] == [images[0].getFileset().getId()] * 3
    assert images[0].countImportedImageFiles() == 1
    assert [owner.getName() for owner in [images[0].getOwner()]] == [gateway.getUser().getName()]


def test_annotations_through_the_gateway(gateway: Any, client: Any, one: Path) -> None:
    image = gateway.getObject("Image", InPlace(client, [one], None).run().objects[0].id.val)
    note = omero.gateway.MapAnnotationWrapper(gateway)
    note.setNs("test/ns")
    note.setValue([["key", "value"], ["key", "again"]])
    note.save()
    image.linkAnnotation(note)
    assert [tuple(pair) for pair in image.getAnnotation("test/ns").getValue()] == [("key", "value"), ("key", "again")]
    gateway.deleteObjects("Image", [image.getId()], wait=True)
    assert gateway.getObject("Image", image.getId()) is None


def test_deleting_a_dataset_keeps_its_images_unless_they_are_wanted_gone(gateway: Any, client: Any, one: Path) -> None:
    for children in (False, True):
        dataset = new_dataset(client)
        image = InPlace(client, [one], dataset).run().objects[0].id.val
        gateway.deleteObjects("Dataset", [dataset], deleteChildren=children, wait=True)
        assert gateway.getObject("Dataset", dataset) is None
        assert (gateway.getObject("Image", image) is None) == children


def test_ezomero(gateway: Any, client: Any, one: Path, user: User, capsys: pytest.CaptureFixture[str]) -> None:
    project = ezomero.post_project(gateway, "project")
    dataset = ezomero.post_dataset(gateway, "dataset", project_id=project, description="described")
    screen = ezomero.post_screen(gateway, "screen")
    assert gateway.getObject("Screen", screen).getName() == "screen"
    image = InPlace(client, [one], dataset).run().objects[0].id.val
    assert ezomero.get_image_ids(gateway, dataset=dataset) == [image]
    assert ezomero.get_dataset_ids(gateway, project=project) == [dataset]
    note = ezomero.post_map_annotation(gateway, "Image", image, {"a": "1", "b": ""}, ns="test/ezomero")
    assert ezomero.get_map_annotation(gateway, note) == {"a": "1", "b": ""}
    assert ezomero.get_map_annotation_ids(gateway, "Image", image, ns="test/ezomero") == [note]
    _, array = ezomero.get_image(gateway, image)
    assert (np.squeeze(array) == tifffile.imread(one)).all()
    assert ezomero.get_image(gateway, 999_999) == (None, None)
    assert ezomero.get_group_id(gateway, user.group) == user.group_id
    assert ezomero.get_user_id(gateway, user.name) == user.id
    assert ezomero.get_group_id(gateway, "no such group") is None
    assert ezomero.set_group(gateway, user.other_group_id) is False
    assert ezomero.link_images_to_dataset(gateway, [image], ezomero.post_dataset(gateway, "second")) is None
    capsys.readouterr()
