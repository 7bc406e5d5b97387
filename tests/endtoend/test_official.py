# SPDX-License-Identifier: GPL-2.0-or-later
"""`importer: omero`, from the order to its end, with a stand-in for OMERO's importer in Java."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from omero_adi_plugin.orders import MARKER_NAMESPACE
from tests.fixtures.laboratory import Lab
from tests.fixtures.official import StandIn
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, alive
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")


@pytest.fixture
def official(services: Services, stand_in: StandIn) -> Services:
    """Services with the setting on."""
    change(services, importer="omero", skip_minmax=True, settle_seconds=0)
    return services


def change(services: Services, **settings: object) -> None:
    services.config.write_text(yaml.safe_dump(yaml.safe_load(services.config.read_text()) | settings))


def filesets(lab: Lab) -> list[str]:
    hql = "select e.clientPath from FilesetEntry e where e.fileset.details.owner.id = :user"
    return sorted(Path(path).name for (path,) in lab.session.query(hql, user=lab.session.user_id))


def loose(lab: Lab) -> list[str]:
    hql = (
        "select a.textValue from CommentAnnotation a where a.ns = :ns and a.details.owner.id = :user "
        "and not exists (select l.id from ImageAnnotationLink l where l.child.id = a.id)"
    )
    return [text for (text,) in lab.session.query(hql, ns=MARKER_NAMESPACE, user=lab.session.user_id)]


def test_an_order_goes_in_by_one_call(
    lab: Lab, tracking: Tracking, official: Services, stand_in: StandIn, samples: Samples
) -> None:
    files = [samples.image(), samples.three_images()]
    into = ["--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group]
    done = official.run("import", *files, *into, "--json")
    assert done.returncode == os.EX_OK, done.stderr
    report = json.loads(done.stdout)
    assert [(file["entry"], file["route"], file["step"]) for file in report["files"]] == [
        (path, "omero", "annotated") for path in files
    ]
    assert lab.images_with(report["uuid"]) == lab.images()
    assert len(lab.images()) == 4
    assert [{"Import_Route": "omero"}.items() <= values.items() for values in lab.key_values(lab.images()[0])] == [True]
    [call] = stand_in.calls
    key = call["words"][call["words"].index("-k") + 1]
    logs = official.log.read_text() + official.log.with_name(f"cli.{report['uuid']}.logs").read_text()
    assert "event=importer.log" in logs
    assert key not in call["command"] + logs + done.stdout + done.stderr


def test_a_bad_file_is_named_and_the_others_are_there(
    lab: Lab, tracking: Tracking, official: Services, stand_in: StandIn, samples: Samples
) -> None:
    stand_in.does(refuses={"bad.ome.tif": {"FILE_EXCEPTION": "loci.formats.FormatException: Invalid TIFF file"}})
    into = ["--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group]
    done = official.run("import", samples.image("bad.ome.tif"), samples.image(), *into)
    assert done.returncode == os.EX_DATAERR
    assert "bad.ome.tif' is damaged or was not copied completely: Invalid TIFF file" in done.stderr
    assert filesets(lab) == ["image.ome.tif"]


@pytest.mark.parametrize("point", ["created", "verifying"])
def test_killed_with_its_importer_the_next_service_brings_each_file_in_once(
    point: str, lab: Lab, tracking: Tracking, official: Services, stand_in: StandIn, samples: Samples
) -> None:
    stand_in.does(at=[point, "b.ome.tif"], do="hang")
    uuid = tracking.order(lab, *(samples.image(name) for name in ("a.ome.tif", "b.ome.tif", "c.ome.tif")))
    service = official.start(max_workers=1)
    stand_in.wait()
    official.kill(service)
    [call] = stand_in.calls
    wait_until(lambda: not alive(call["pid"]), what="the death of the importer")
    stand_in.does()
    change(official, importer="inplace")  # an order goes on as it was begun
    official.start(max_workers=1, sweep_seconds=1, poll_seconds=1)
    tracking.wait(uuid)
    assert tracking.stages(uuid)[-1] == "Import Completed", tracking.description(uuid)
    assert filesets(lab) == ["a.ome.tif", "b.ome.tif", "c.ome.tif"]
    assert len(lab.images_with(uuid)) == len(lab.images()) == 3
    assert all(len(lab.key_values(image)) == 1 for image in lab.images())
    wait_until(lambda: tracking.sql("SELECT 1 FROM adi_order WHERE unswept_since IS NOT NULL") == [], what="the later sweep")
    assert loose(lab) == []
