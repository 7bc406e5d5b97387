# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that cannot come to a good end: nothing half is left, and what is left is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import omero.cmd
import pytest
import tifffile

from omero_adi_plugin.errors import FileGrowing, TargetVanished
from omero_adi_plugin.importers.handles import finished
from omero_adi_plugin.orders import FileStep
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.intake import Intake
from tests.endtoend.test_takeover import carried_out_until_killed
from tests.fixtures.attempts import attempts_of
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import wait_until


def delete_dataset_alone(lab: Lab) -> None:
    keep = [omero.cmd.graphs.ChildOption(excludeType=["Image"])]
    handle = lab.session.factory.submit(omero.cmd.Delete2(targetObjects={"Dataset": [lab.dataset]}, childOptions=keep))
    finished(lab.session, handle, doing="deleting", patience_seconds=30)


@pytest.mark.usefixtures("without_java")
def test_images_that_a_vanished_dataset_leaves_alone_are_named(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    first, second = samples.image("first.ome.tif"), samples.image("second.ome.tif")
    order = tracking.order(lab, first, second)
    tracking.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name) SELECT uuid, id, user_name, group_name FROM imports"
    )
    tracking.sql("DELETE FROM adi_inbox")

    def vanish(progress: Progress) -> None:
        if progress.entry == second and progress.step is FileStep.PLANNED:
            delete_dataset_alone(lab)

    settings = Settings.load(services.config, parallel_filesets_per_worker=1)
    with attempts_of(settings) as attempts:
        claim = attempts.queue.claim(owner="this test")
        assert claim is not None
        error = attempts.carry_out(claim, on_progress=vanish)
    [[image]] = lab.session.query("select i.id from Image i where i.details.owner.id = :user", user=lab.session.user_id)
    assert isinstance(error, TargetVanished)
    assert error.ids == (image,)
    assert len(lab.key_values(image)) == 1, "nobody finds it by its order"
    assert tracking.description(order) == str(error)
    assert f"Dataset:{lab.dataset} went away during the import" in str(error)
    assert lab.markers() == Counter({(order, first): 1}), "the second file's fileset was left"


@pytest.mark.usefixtures("without_java")
def test_a_file_that_is_never_ready_fails_its_order_also_beside_one_that_was_imported_long_ago(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    good, growing = samples.image("good.ome.tif"), samples.image("growing.ome.tif")
    order = tracking.order(lab, good, growing)
    settings = Settings.load(services.config, failures_allowed=3, settle_seconds=1)

    def grow(progress: Progress) -> None:
        if progress.entry == growing and progress.step is FileStep.PLANNED:
            with Path(growing).open("ab") as file:
                file.write(b"more")

    failures = []
    with attempts_of(settings) as attempts:
        assert Intake(attempts.database, pending_days=10).take_in() == 1
        for _ in range(settings.failures_allowed):
            tracking.sql("UPDATE adi_order SET run_after = now()")
            claim = attempts.queue.claim(owner="this test")
            assert claim is not None
            failures.append(claim.failures)
            assert isinstance(attempts.carry_out(claim, on_progress=grow), FileGrowing)
    assert failures == [0, 1, 2], "what was imported once is no progress of every further attempt"
    assert tracking.stages(order)[-1] == "Import Failed"
    assert lab.markers() == Counter({(order, good): 1})


@pytest.mark.usefixtures("without_java")
def test_the_half_of_a_file_that_is_gone_is_deleted_when_its_order_fails(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    file = samples.three_images()
    order = tracking.order(lab, file)
    carried_out_until_killed(services, tracking, step="created")
    assert lab.markers() == Counter({(order, file): 1})
    Path(file).unlink()
    services.start(max_workers=1)
    tracking.wait(order)
    assert "does not exist" in tracking.description(order)
    assert not lab.markers()


def test_a_file_of_a_set_that_was_imported_is_no_file_of_its_own_at_a_retry(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    one, other = multi_file_ome_tiff(samples.folder)
    broken = samples.broken()
    order = tracking.order(lab, one, broken, other)
    services.start(max_workers=1)
    tracking.wait(order)
    assert lab.markers() == Counter({(order, one): 1})
    Path(one).unlink()  # so that the other one could not be read any more
    tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", order)
    tracking.wait(order)
    assert lab.markers() == Counter({(order, one): 1})
    assert "1 of 3 files could not be imported" in tracking.description(order)


def multi_file_ome_tiff(folder: Path) -> tuple[str, str]:
    """An image of two time points in two files, each of which names the other."""
    names = ("t0.ome.tif", "t1.ome.tif")
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{number}" for number in range(2)]
    data = "".join(
        f'<TiffData FirstT="{number}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{uuids[number]}</UUID></TiffData>'
        for number, name in enumerate(names)
    )
    pixels = 'DimensionOrder="XYCZT" ID="Pixels:0" SizeC="1" SizeT="2" SizeX="16" SizeY="16" SizeZ="1" Type="uint8"'
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    for number, name in enumerate(names):
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{schema}" UUID="{uuids[number]}"><Image ID="Image:0">'
            f'<Pixels {pixels}><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(folder / name, np.full((16, 16), number, "u1"), description=text, metadata=None)
    return str(folder / names[0]), str(folder / names[1])


def test_what_is_whole_and_in_no_container_is_not_swept_away(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    file = samples.three_images()
    order = tracking.order(lab, file)
    carried_out_until_killed(services, tracking, step="imported")
    assert tracking.sql("SELECT step FROM adi_file") == [("verifying",)]
    delete_dataset_alone(lab)
    services.start(max_workers=1, sweep_seconds=1, poll_seconds=1)
    tracking.wait(order)
    assert "went away" in tracking.description(order)
    wait_until(lambda: tracking.sql("SELECT 1 FROM adi_order WHERE unswept_since IS NOT NULL") == [], what="the later sweep")
    assert lab.markers() == Counter({(order, file): 1})
    assert tracking.sql("SELECT step, cardinality(images) FROM adi_file") == [("imported", 3)]
