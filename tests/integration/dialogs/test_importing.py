# SPDX-License-Identifier: GPL-2.0-or-later
"""Import Files: what is ordered and what is not, and what came of it; in this process, on a real session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omero.model
import pytest

from omero_adi_plugin.dialogs.importing import FOLLOW_UP, NOBODY
from omero_adi_plugin.dialogs.request import Place, Request
from omero_adi_plugin.dialogs.results import outcome_of
from omero_adi_plugin.dialogs.run import Desk, Said
from omero_adi_plugin.dialogs.wording import BUG, NOT_AGAIN
from omero_adi_plugin.orders import FileStep, LedgerFile, Route, Target, TargetKind
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking import pausing
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.views import OrderStatus
from tests.fixtures.laboratory import Lab
from tests.fixtures.office import Office, ordered
from tests.fixtures.roles import PASSWORD as ROLE_PASSWORD
from tests.fixtures.samples import Samples


def rows(office: Office) -> list[tuple[object, ...]]:
    return office.tracking.sql("SELECT uuid FROM imports")


def test_what_is_ordered_is_what_stands_in_the_form(office: Office, lab: Lab, samples: Samples) -> None:
    b, a = samples.image("b.ome.tif"), samples.image("a10.ome.tif")
    with office.service_at_work():
        answer = ordered(office, lab, f"{b}; {samples.folder}/a*.tif")
    assert answer.good
    uuid = answer.text("Order")
    assert answer.message == f"Order {uuid} is placed, and carried out by itself. {FOLLOW_UP}"
    found = office.tracking.sql(
        "SELECT group_name, user_name, destination_type, destination_id, stage, files, preprocessing_id FROM imports"
        " WHERE uuid = %s",
        uuid,
    )
    assert found == [(lab.group, lab.user, "Dataset", str(lab.dataset), "Import Pending", f'["{b}", "{a}"]', None)]
    [[who]] = office.tracking.sql("SELECT who FROM adi_action WHERE uuid = %s AND action = 'ordered'", uuid)
    assert who == f"{lab.user}@OMERO.web"


def test_each_path_may_have_an_order_of_its_own(office: Office, lab: Lab, samples: Samples) -> None:
    paths = [samples.image("a2.ome.tif"), samples.image("a10.ome.tif")]
    answer = ordered(office, lab, f"{samples.folder}/*.ome.tif", One_Order=False)
    uuids = answer.text("Orders").split(", ")
    files = [office.tracking.sql("SELECT files FROM imports WHERE uuid = %s", uuid)[0][0] for uuid in uuids]
    assert files == [f'["{path}"]' for path in paths]
    assert answer.message.startswith("2 orders are placed, and carried out by themselves.")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"IDs": [3, 4]}, "Choose one Dataset to import into: 2 are chosen."),
        ({"IDs": [999999]}, "There is no Dataset 999999 that you can see."),
        ({"Data_Type": "Screen", "IDs": [999999]}, "There is no Screen 999999 that you can see."),
        ({"Paths": " ; "}, "No file is named."),
        ({"Paths": "nothing/*.tif"}, "On the server there is nothing called 'nothing/*.tif'. It was looked for as "),
        ({"Paths": "C:\\data\\a.tif"}, "That is how Windows writes paths"),
        ({"Paths": "/etc/passwd"}, "'/etc/passwd' lies outside "),
        ({"Paths": "/etc/nosuch"}, "'/etc/nosuch' lies outside "),
        ({"Paths": "../../../../etc/passw*"}, "lies outside "),
        ({"Converter_Parameters": "a=b"}, "There are parameters for a converter, and no converter."),
        ({"Converter": "lab/convert:1", "Converter_Parameters": "a"}, "'a' is no parameter for a converter."),
        ({"Converter": "lab/convert:1", "Converter_Parameters": "a=b; --a=c"}, "'a' for the converter is given twice."),
        ({"Converter": "lab/convert:1"}, "The converter 'lab/convert:1' may not run here."),
        ({"Converter": "lab/../convert"}, "'lab/../convert', which is no name of an image"),
        ({"Converter": "lab/c", "Converter_Parameters": "inputfile=/etc/passwd"}, "The converter 'lab/c' may not run here."),
    ],
)
def test_what_cannot_succeed_is_not_ordered(
    office: Office, lab: Lab, samples: Samples, given: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(office)
    answer = ordered(office, lab, samples.image(), **given, capsys=capsys)
    assert not answer.good
    assert sentence in answer.message
    assert set(answer.outputs) == {"Message"}
    assert answer.stderr == ""
    assert rows(office) == before


def test_files_come_from_the_roots_of_the_targets_group(office: Office, lab: Lab, samples: Samples) -> None:
    before = office.settings.read_text()
    path = Path(samples.image("mine.ome.tif"))
    try:
        office.settings.write_text(f"{before}group_roots: {{{lab.group}: [{samples.folder}], '*': [{office.data}/others]}}\n")
        assert ordered(office, lab, "mine.ome.tif").good
        assert ordered(office, lab, str(path)).good
        with office.lab() as other:
            assert "lies outside" in ordered(office, other, str(path)).message
    finally:
        office.settings.write_text(before)


def test_into_another_group_of_ones_own_the_order_is_for_that_group(office: Office, lab: Lab, samples: Samples) -> None:
    admin = office.logins.service().factory.getAdminService()
    with office.lab() as other:
        person = admin.lookupExperimenter(other.user)
        admin.addGroups(person, [admin.lookupGroup(lab.group)])
        answer = ordered(office, lab, samples.image(), user=other.user)
        assert "belongs to somebody else" in answer.message  # read-annotate: hers to see only
        mine = omero.model.DatasetI()
        mine.name = omero.rtypes.rstring("of the other")
        with office.joined(other.user) as client:
            context = {"omero.group": str(lab.session.group_id)}
            dataset = client.sf.getUpdateService().saveAndReturnObject(mine, context).id.val
        answer = ordered(office, lab, samples.image(), user=other.user, IDs=[dataset])
        assert answer.good, answer.message
        found = office.tracking.sql("SELECT group_name, user_name FROM imports WHERE uuid = %s", answer.text("Order"))
        assert found == [(lab.group, other.user)]


def test_an_administrator_orders_nothing_into_a_group_of_others(office: Office, lab: Lab, samples: Samples) -> None:
    answer = ordered(office, lab, samples.image(), user="root")
    assert not answer.good
    assert f"The user 'root' is not a member of the group '{lab.group}'" in answer.message


@pytest.fixture
def allowed(office: Office) -> Iterator[None]:
    before = office.settings.read_text()
    office.settings.write_text(f"{before}containers: {{allow: ['docker.io/lab/*']}}\n")
    yield
    office.settings.write_text(before)


@pytest.mark.parametrize("wrong", ["inputfile=/etc/passwd", "--outputfolder=/data", " = 1"])
def test_a_converter_is_told_nothing_that_is_not_for_an_order_to_say(
    office: Office, lab: Lab, samples: Samples, allowed: None, wrong: str
) -> None:
    before = rows(office)
    assert not ordered(office, lab, samples.image(), Converter="lab/convert:1", Converter_Parameters=wrong).good
    assert rows(office) == before


def test_a_preprocessing_row_has_what_the_form_says(office: Office, lab: Lab, samples: Samples, allowed: None) -> None:
    answer = ordered(office, lab, samples.image(), Converter="lab/convert:1", Converter_Parameters="--mode=a=b; channels = 2")
    columns = "p.container, p.input_file, p.output_folder, p.alt_output_folder, p.extra_params"
    found = office.tracking.sql(
        f"SELECT {columns} FROM imports i JOIN imports_preprocessing p ON p.id = i.preprocessing_id WHERE i.uuid = %s",
        answer.text("Order"),
    )
    assert found == [("lab/convert:1", "{Files}", "/data", "/out", {"mode": "a=b", "channels": "2"})]


def test_while_imports_are_paused_nobody_waits(office: Office, lab: Lab, samples: Samples) -> None:
    database = Database(office.tracking.url, name="a test")
    try:
        pausing.pause(database, who="ada@home")
        answer = ordered(office, lab, samples.image(), Wait_For_Images=True)
        assert answer.good
        assert "by ada@home" in answer.message
        assert "`omero adi" not in answer.message
    finally:
        pausing.resume(database, who="ada@home")
        database.close()


@pytest.fixture
def without_database(office: Office) -> Iterator[None]:
    before = office.settings.read_text()
    office.settings.write_text(f"ingest_tracking_db: postgresql://adi:hush-hush@127.0.0.1:1/adi\nbase_dir: {office.data}\n")
    yield
    office.settings.write_text(before)


def test_without_the_database_nothing_secret_is_said(
    office: Office, lab: Lab, samples: Samples, without_database: None, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = ordered(office, lab, samples.image(), capsys=capsys)
    assert answer.message.startswith("The database of the import service does not answer.")
    assert not answer.good
    assert "127.0.0.1" not in answer.message + answer.stderr
    assert "hush-hush" not in answer.message + answer.stderr


def test_where_no_service_is_at_work_nobody_waits(office: Office, lab: Lab, samples: Samples) -> None:
    answer = ordered(office, lab, samples.image(), Wait_For_Images=True)
    assert answer.good
    assert answer.message == f"Order {answer.text('Order')} is placed, and carried out by itself. {NOBODY}"


def test_plates_come_back_with_their_screen(office: Office, lab: Lab) -> None:
    plate = omero.model.PlateI()
    plate.name = omero.rtypes.rstring("of wells")
    number = lab.session.factory.getUpdateService().saveAndReturnObject(plate).id.val
    place = Place(target=Target(kind=TargetKind.SCREEN, id=lab.screen), name="my plates", group=lab.group)
    skipped = LedgerFile(entry="/b", key="b", route=Route.INPLACE, step=FileStep.SKIPPED, plates=(number + 1,))
    file = LedgerFile(entry="/a", key="a", route=Route.INPLACE, step=FileStep.ANNOTATED, images=(1, 2), plates=(number,))
    report = OrderStatus(
        uuid="x",
        state=OrderState.COMPLETED,
        stage="Import Completed",
        description="One file was in the target already, and was not imported again.",
        user=lab.user,
        group=lab.group,
        target=str(place.target),
        attempt=1,
        next_try=None,
        lease_owner=None,
        lease_until=None,
        files=(file, skipped),
    )
    request = Request(place=place, orders=(("/a", "/b"),))
    answer = office.ask(lambda desk: outcome_of(desk, request, [report], ["x"]), lab.user)
    assert answer.message == f"2 of 2 files imported: 1 plate in Screen 'my plates'. {report.description}"
    assert [plate.name.val for plate in answer.objects(omero.model.PlateI)] == ["of wells"]
    assert [screen.id.val for screen in answer.objects(omero.model.ScreenI)] == [lab.screen]


def test_what_was_placed_stands_whatever_comes_then(office: Office, lab: Lab, samples: Samples) -> None:
    paths = f"{samples.image('a.ome.tif')};{samples.image('b.ome.tif')}"
    office.server.disturb.fail("ISession.setOutput", exception="omero.DatabaseBusyException", message="busy")
    try:
        answer = ordered(office, lab, paths, One_Order=False)
    finally:
        office.server.disturb.clear()
    assert not answer.good
    assert answer.message.startswith("1 of 2 orders are placed, and carried out by themselves. OMERO reported an error ")
    assert answer.message.endswith(NOT_AGAIN)
    assert len(office.tracking.sql("SELECT 1 FROM imports WHERE user_name = %s", lab.user)) == 1


def test_a_bug_is_told_without_what_is_secret(office: Office, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(desk: Desk) -> Said:
        desk.note("Order 1 is placed.")
        raise RuntimeError(desk.settings.ingest_tracking_db.get_secret_value(), ROLE_PASSWORD)

    answer = office.ask(broken, lab.user, capsys=capsys)
    assert not answer.good
    assert answer.message == f"Order 1 is placed. {BUG}"
    assert "RuntimeError" in answer.stderr
    assert ROLE_PASSWORD not in answer.stderr
    assert "postgresql" not in answer.stderr
