# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts for people, launched on a Processor as OMERO.web does it; and what they tell while a service imports."""

from __future__ import annotations

import runpy
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omero.model
import pytest
from omero.rtypes import unwrap

from omero_adi_plugin._version import __version__
from tests.fixtures.laboratory import Lab
from tests.fixtures.office import SCRIPTS, Office, answer_of, ordered
from tests.fixtures.samples import Samples
from tests.fixtures.waiting import wait_until

IMPORT, STATUS, CHANGE = "Import_Files.py", "Import_Status.py", "Retry_Or_Cancel_Import.py"


@pytest.fixture(scope="module", autouse=True)
def installed(open_office: Office) -> None:
    """Let the first Processor start, and the parameters of all scripts be found out, before the first test."""
    with open_office.server.client() as root:
        service = root.sf.getScriptService()
        for name in (IMPORT, STATUS, CHANGE):
            service.getParams(open_office.script(service, name))


@pytest.fixture
def client(office: Office, lab: Lab) -> Iterator[Any]:
    with office.joined(lab.user) as client:
        yield client


def test_a_refusal_is_a_message_and_a_failure_of_the_script(office: Office, lab: Lab, client: Any) -> None:
    answer = office.launch(client, IMPORT, Data_Type="Dataset", IDs=str(lab.dataset), Paths="/etc/passwd", Wait_For_Images="on")
    assert (answer.status, set(answer.outputs), answer.stderr) == (1, {"Message"}, "")
    assert answer.message.startswith("'/etc/passwd' lies outside ")
    assert office.tracking.sql("SELECT * FROM imports WHERE user_name = %s", lab.user) == []


def test_whoever_ends_a_waiting_script_leaves_the_order_to_go_on(office: Office, lab: Lab, samples: Samples, client: Any) -> None:
    form = {"Data_Type": "Dataset", "IDs": str(lab.dataset), "Paths": samples.image(), "One_Order": "on", "Wait_For_Images": "on"}
    mine = "SELECT uuid FROM imports WHERE user_name = %s"
    with office.service_at_work(), office.begun(client, IMPORT, **form) as process:
        [[uuid]] = wait_until(lambda: office.tracking.sql(mine, lab.user), what="the order")
        process.cancel()
        answer = answer_of(client, process)
    assert answer.status != 0
    assert answer.stderr == ""
    message = unwrap(answer.outputs.get("Message"))
    assert message in {None, f"Order {uuid} is placed, and carried out by itself."}
    assert office.tracking.stages(uuid) == ["Import Pending"]


def test_a_table_is_attached(office: Office, lab: Lab, client: Any) -> None:
    uuid = office.tracking.order(lab, "/data/a.tif")
    answer = office.launch(client, STATUS, State="all", Limit="50")
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.message.startswith(f"1 order: 1 waiting.\n• {uuid}, Dataset:{lab.dataset}, waiting.")
    annotation = answer.outputs["File_Annotation"].getValue()
    assert (annotation.file.name.val, annotation.file.mimetype.val) == ("import_orders.csv", "text/csv")


def test_anothers_order_is_refused(office: Office, lab: Lab, client: Any) -> None:
    with office.lab(group=lab.group) as other:
        uuid = office.tracking.order(other, "/data/a.tif")
    answer = office.launch(client, CHANGE, Action="Cancel", Orders=uuid)
    assert (answer.status, answer.stderr) == (1, "")
    assert answer.message == f"There is no order '{uuid}'. \"Import Status\" shows the newest ones."
    assert office.tracking.stages(uuid) == ["Import Pending"]


def test_where_nothing_is_set_up_the_sentence_is_for_an_administrator(office: Office, lab: Lab, client: Any) -> None:
    settings = office.settings.read_text()
    office.settings.unlink()
    try:
        answer = office.launch(client, STATUS, State="all")
    finally:
        office.settings.write_text(settings)
    assert (answer.status, set(answer.outputs), answer.stderr) == (1, {"Message"}, "")
    assert "$OMERODIR/etc/omero-adi.yml" in answer.message


@pytest.mark.parametrize("name", [IMPORT, STATUS, CHANGE])
def test_the_dialog_in_omero_web_says_what_it_must(office: Office, client: Any, name: str) -> None:
    service = client.sf.getScriptService()
    parameters = service.getParams(office.script(service, name))
    assert (parameters.name, parameters.version) == (name, __version__)
    assert parameters.authors
    assert parameters.description
    assert "\n" not in parameters.description  # OMERO.web would break the line there
    groupings = [each.grouping for each in parameters.inputs.values()]
    assert len(set(groupings)) == len(groupings)
    for word, each in parameters.inputs.items():
        assert each.description, word
        assert word[0].isupper(), word
    assert "ingest" not in (SCRIPTS / name).read_text()


@pytest.mark.parametrize("name", [IMPORT, STATUS, CHANGE])
def test_where_our_package_is_not_installed_the_message_names_the_host(
    client: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "omero_adi_plugin.dialogs", None)  # so Python finds nothing of that name
    script = runpy.run_path(str(SCRIPTS / name), run_name="script")
    assert script["dialog"](client) is False
    message = unwrap(client.getOutput("Message"))
    assert message.startswith(f"The Processor on {socket.gethostname()} cannot ")
    assert "omero-adi-plugin has to be installed there" in message


# --- from here on a service is at work, that takes every order


@pytest.fixture
def service(open_office: Office) -> None:
    """The one service of this file, from its first use on."""
    if not open_office.services.running:
        open_office.start_service()


def test_images_come_back_while_a_service_imports(office: Office, lab: Lab, samples: Samples, client: Any, service: None) -> None:
    samples.three_images("three.ome.tif")
    form = {"Data_Type": "Dataset", "IDs": str(lab.dataset), "Paths": f"{samples.folder.name}/*.ome.tif"}
    answer = office.launch(client, IMPORT, **form, One_Order="on", Wait_For_Images="on")
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.message == "1 of 1 file imported: 3 images in Dataset 'my images'."
    assert sorted(image.id.val for image in answer.objects(omero.model.ImageI)) == lab.images()
    assert all(image.name.val.startswith("three.ome.tif") for image in answer.objects(omero.model.ImageI))
    assert office.tracking.stages(answer.text("Order"))[-1] == "Import Completed"


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
