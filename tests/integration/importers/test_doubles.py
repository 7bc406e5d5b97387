# SPDX-License-Identifier: GPL-2.0-or-later
"""Key-values that two live workers have written: one annotation stays on each object, and none is ever without."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.importers.annotating import annotate, annotations_on
from omero_adi_plugin.importers.doubles import remove_doubled_key_values
from omero_adi_plugin.importers.protocol import ImportedFileset, KeyValues
from tests.fixtures.filesets import made
from tests.fixtures.laboratory import Lab

NAMESPACE = "omeroadi.import"


@pytest.fixture
def order() -> str:
    return str(uuid.uuid4())


def add(lab: Lab, order: str, images: tuple[int, ...]) -> None:
    """Write key-values as a worker does that has not been told of others."""
    item = KeyValues(images=images, plates=(), values=(("Filepath", "/data/a.tif"),))
    annotate(lab.session, [item], namespace=NAMESPACE, uuid=order, fresh=True)


def on(lab: Lab, order: str, images: tuple[int, ...]) -> dict[int, list[int]]:
    return annotations_on(lab.session, "Image", images, namespace=NAMESPACE, uuid=order)


def remove(lab: Lab, order: str, *filesets: ImportedFileset, check: Callable[[], None] = lambda: None) -> int:
    families = [each.images for each in filesets]
    return remove_doubled_key_values(lab.session, "Image", families, namespace=NAMESPACE, uuid=order, check=check)


def test_of_two_annotations_of_an_order_the_older_stays_on_all_images(lab: Lab, order: str) -> None:
    doubled, single = made(lab.session, images=3), made(lab.session, images=1)
    for images in (doubled.images, doubled.images, single.images):
        add(lab, order, images)
    older, newer = on(lab, order, doubled.images)[doubled.images[0]]
    kept = on(lab, order, single.images)
    assert older < newer
    assert remove(lab, order, doubled, single) == 1
    assert on(lab, order, doubled.images) == {image: [older] for image in doubled.images}
    assert on(lab, order, single.images) == kept
    assert lab.session.query("select a.id from MapAnnotation a where a.id = :id", id=newer) == []
    assert remove(lab, order, doubled, single) == 0


def test_an_image_that_only_the_surplus_one_is_on_gets_the_other_before_that_goes(lab: Lab, order: str) -> None:
    fileset = made(lab.session, images=3)
    first, second, third = fileset.images
    add(lab, order, (first, second))
    add(lab, order, (second, third))
    add(lab, order, (second,))
    assert remove(lab, order, fileset) == 2
    assert len({tuple(annotations) for annotations in on(lab, order, fileset.images).values()}) == 1
    assert set(on(lab, order, fileset.images)) == set(fileset.images)


def test_what_others_wrote_stays(lab: Lab, order: str) -> None:
    another, fileset = str(uuid.uuid4()), made(lab.session, images=1)
    for each in (order, another):
        add(lab, each, fileset.images)
    assert remove(lab, order, fileset) == 0
    assert len(lab.key_values(fileset.images[0])) == 2


def test_nothing_is_changed_when_the_lease_is_gone(lab: Lab, order: str) -> None:
    def lost() -> None:
        raise LeaseLost(uuid=order)

    fileset = made(lab.session, images=2)
    for _ in range(2):
        add(lab, order, fileset.images)
    with pytest.raises(LeaseLost):
        remove(lab, order, fileset, check=lost)
    assert [len(annotations) for annotations in on(lab, order, fileset.images).values()] == [2, 2]
