# SPDX-License-Identifier: GPL-2.0-or-later
"""Import Files: what it tells when it has waited, while a service imports; in this process, on a real session."""

from __future__ import annotations

from pathlib import Path

import omero.model
import pytest

from tests.fixtures.laboratory import Lab
from tests.fixtures.office import Office, ordered
from tests.fixtures.samples import Samples


@pytest.fixture
def service(open_office: Office) -> None:
    """The one service of this file, from its first use on."""
    if not open_office.services.running:
        open_office.start_service()


def test_the_images_come_back_with_their_names(office: Office, lab: Lab, samples: Samples, service: None) -> None:
    paths = [samples.three_images("three.ome.tif"), samples.image("one.ome.tif")]
    answer = ordered(office, lab, ";".join(paths), Wait_For_Images=True)
    assert answer.message == "2 of 2 files imported: 4 images in Dataset 'my images'."
    assert answer.good
    found = answer.objects(omero.model.ImageI)
    assert [image.name.val for image in found] == [*(f"three.ome.tif [Image{number}]" for number in range(3)), "one.ome.tif"]
    assert sorted(image.id.val for image in found) == lab.images()
    [dataset] = answer.objects(omero.model.DatasetI)
    assert (dataset.id.val, dataset.name.val) == (lab.dataset, "my images")


def test_what_failed_is_said_and_what_went_in_is_shown(office: Office, lab: Lab, samples: Samples, service: None) -> None:
    good, bad = samples.image("good.ome.tif"), str(samples.folder / "bad.tif")
    Path(bad).write_bytes(b"no image at all")
    answer = ordered(office, lab, f"{good}\n{bad}", Wait_For_Images=True)
    assert not answer.good
    assert answer.message.startswith("The import failed. 1 of 2 files could not be imported, the others are in OMERO.")
    assert "bad.tif" in answer.message
    assert answer.message.endswith("There is 1 image in Dataset 'my images'.")
    assert [image.name.val for image in answer.objects(omero.model.ImageI)] == ["good.ome.tif"]


def test_of_several_orders_each_failure_is_told(office: Office, lab: Lab, samples: Samples, service: None) -> None:
    good, bad = samples.image("good.ome.tif"), str(samples.folder / "bad.tif")
    Path(bad).write_bytes(b"no image at all")
    answer = ordered(office, lab, f"{good};{bad}", Wait_For_Images=True, One_Order=False)
    assert not answer.good
    [_, uuid] = answer.text("Orders").split(", ")
    assert answer.message.startswith(f"1 of 2 orders completed: 1 image in Dataset 'my images'. Order {uuid} failed: ")
