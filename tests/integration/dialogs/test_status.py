# SPDX-License-Identifier: GPL-2.0-or-later
"""Import Status: who sees which orders, what is said of them, and the table; in this process, on a real session."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import omero.model
import pytest

from omero_adi_plugin.dialogs.importing import import_files
from omero_adi_plugin.dialogs.sheet import NAMESPACE, as_csv
from omero_adi_plugin.dialogs.status import import_status
from omero_adi_plugin.orders import FileStep, LedgerFile, Route, Target, TargetKind
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.administrators import add_administrator
from tests.fixtures.laboratory import Lab
from tests.fixtures.office import Answer, Office

FAILED = "The order's last word: =1+1"


@pytest.fixture
def database(office: Office) -> Iterator[Database]:
    database = Database(office.tracking.url, name="a test")
    yield database
    database.close()


def insert(office: Office, lab: Lab, *, stage: str = "Import Pending", description: str | None = None) -> str:
    """An order as another program has left it, so that no service needs to run."""
    return office.tracking.order(lab, "/data/a.tif", stage=stage, description=description)


def table(office: Office, answer: Answer) -> list[dict[str, str]]:
    """The attached table, as OMERO.web would give it to a person."""
    [annotation] = answer.objects(omero.model.FileAnnotationI)
    assert annotation.ns.val == NAMESPACE
    assert annotation.file.mimetype.val == "text/csv"  # OMERO.web takes for granted that it is loaded
    with office.server.client() as root:
        context = {"omero.group": str(annotation.details.group.id.val)}
        store = root.sf.createRawFileStore(context)
        store.setFileId(annotation.file.id.val, context)
        content = bytes(store.read(0, store.size(context), context))
        store.close()
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def tables_of(lab: Lab) -> list[Any]:
    return lab.session.query(
        "select a.id, f.id from FileAnnotation a join a.file f where a.ns = :ns", all_groups=True, ns=NAMESPACE
    )


def test_ones_own_orders_are_listed_newest_first(office: Office, lab: Lab) -> None:
    with office.lab() as other:
        insert(office, other)
    first, second = insert(office, lab, stage="Import Failed", description=FAILED), insert(office, lab)
    answer = office.ask(import_status, lab.user)
    assert answer.good
    assert answer.message == (
        f"2 orders: 1 waiting, 1 failed.\n• {second}, Dataset:{lab.dataset}, waiting.\n"
        f"• {first}, Dataset:{lab.dataset}, failed: {FAILED}"
    )
    rows = table(office, answer)
    assert [row["Order"] for row in rows] == [second, first]
    assert (rows[1]["State"], rows[1]["User"], rows[1]["Group"]) == ("failed", lab.user, lab.group)
    assert rows[1]["Ordered"].startswith("20")


def test_of_a_state_and_as_many_as_asked_for(office: Office, lab: Lab) -> None:
    uuids = [insert(office, lab, stage="Import Failed") for _ in range(3)]
    insert(office, lab)
    answer = office.ask(import_status, lab.user, State="failed", Limit=2)
    assert [row["Order"] for row in table(office, answer)] == [uuids[2], uuids[1]]
    assert office.ask(import_status, lab.user, State="cancelled").message == "There are no such orders."


def test_a_new_table_replaces_the_last_one_and_nobody_elses(office: Office, lab: Lab) -> None:
    with office.lab(group=lab.group) as other:
        for each in (lab, other):
            insert(office, each)
        theirs = office.ask(import_status, other.user).objects(omero.model.FileAnnotationI)[0]
        earlier = office.ask(import_status, lab.user).objects(omero.model.FileAnnotationI)[0]
        newer = office.ask(import_status, lab.user).objects(omero.model.FileAnnotationI)[0]
        assert sorted(tables_of(lab)) == sorted([[each.id.val, each.file.id.val] for each in (theirs, newer)])
        assert earlier.id.val != newer.id.val
        hql = "select f.id from OriginalFile f where f.id = :id"
        assert lab.session.query(hql, id=earlier.file.id.val) == []


@pytest.mark.parametrize("call", ["IUpdate.saveAndReturnObject", "RawFileStore.write"])
def test_what_is_known_is_told_without_the_table_too(office: Office, lab: Lab, call: str) -> None:
    uuid = insert(office, lab)
    office.server.disturb.fail(call, exception="omero.DatabaseBusyException", message="busy")
    try:
        answer = office.ask(import_status, lab.user)
    finally:
        office.server.disturb.clear()
    assert not answer.good
    assert set(answer.outputs) == {"Message"}
    assert f"• {uuid}, Dataset:{lab.dataset}, waiting." in answer.message
    assert "The table could not be attached. OMERO reported an error while attaching the table: DatabaseBusy" in answer.message
    office.ask(import_status, lab.user)
    assert len(tables_of(lab)) == 1  # the half one is gone


def test_administrators_see_all_orders_or_those_of_one_user(office: Office, lab: Lab) -> None:
    uuid = insert(office, lab)
    with office.lab() as other:
        theirs = insert(office, other)
    for admin in ("root", add_administrator(office.server, [])):
        everything = office.ask(import_status, admin).message
        assert uuid in everything
        assert f"{theirs} of {other.user}" in everything
        some = office.ask(import_status, admin, User=other.user).message
        assert theirs in some
        assert uuid not in some


def test_a_table_that_others_can_read_has_no_orders_of_other_groups(office: Office, lab: Lab) -> None:
    admin = office.logins.service().factory.getAdminService()
    name = add_administrator(office.server, ["Sudo"])
    admin.addGroups(admin.lookupExperimenter(name), [admin.lookupGroup(lab.group)])
    admin.setDefaultGroup(admin.lookupExperimenter(name), admin.lookupGroup(lab.group))
    uuid = insert(office, lab)
    with office.lab() as other:
        theirs = insert(office, other)
    answer = office.ask(import_status, name)
    assert theirs in answer.message
    assert "Not in the attached table" in answer.message
    listed = [row["Order"] for row in table(office, answer)]
    assert uuid in listed
    assert theirs not in listed


@pytest.mark.parametrize("given", [{"User": "root"}, {"Limit": 0}, {"Limit": 501}])
def test_what_makes_no_sense_is_refused(office: Office, lab: Lab, given: dict[str, Any]) -> None:
    answer = office.ask(import_status, lab.user, **given)
    assert not answer.good
    assert set(answer.outputs) == {"Message"}


def test_one_order_is_told_with_its_files(office: Office, lab: Lab, database: Database) -> None:
    claim = submit_claimed(
        database,
        Queue(database, lease_seconds=60),
        user=lab.user,
        group=lab.group,
        target=Target(kind=TargetKind.DATASET, id=lab.dataset),
        files=["/data/a.tif", "/data/b.tif"],
        owner="host:1",
    )
    ledger = Ledger(database, claim.lease)
    good = LedgerFile(entry="/data/a.tif", key="a", route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=7, images=(8, 9))
    bad = LedgerFile(entry="/data/b.tif", key="b", route=Route.INPLACE, step=FileStep.FAILED, error="-- broken")
    ledger.record(good, bad)
    answer = office.ask(import_status, lab.user, Order=f" {claim.lease.order} ")
    assert answer.good
    assert (
        f"Order {claim.lease.order} of {lab.user} into Dataset:{lab.dataset} of group '{lab.group}': running since "
        in answer.message
    )
    assert "2 sets of files: 1 annotated, 1 failed." in answer.message
    assert [(row["Entry"], row["Images"], row["Message"]) for row in table(office, answer)] == [
        ("/data/a.tif", "8 9", ""),
        ("/data/b.tif", "", "'-- broken"),
    ]


def test_anothers_order_is_told_apart_from_none_by_nothing(office: Office, lab: Lab) -> None:
    with office.lab(group=lab.group) as other:
        theirs, none = insert(office, other), str(uuid4())
    told = [office.ask(import_status, lab.user, Order=uuid) for uuid in (theirs, none)]
    assert [answer.message.replace(uuid, "X") for answer, uuid in zip(told, (theirs, none), strict=True)] == [
        "There is no order 'X'. \"Import Status\" shows the newest ones."
    ] * 2
    assert not told[0].good
    assert office.ask(import_status, "root", Order=theirs).good


def test_advice_names_what_is_in_the_menu(office: Office, lab: Lab) -> None:
    uuid = insert(office, lab, stage="Import Failed")
    message = office.ask(import_status, lab.user, Order=uuid).message
    assert '"Retry Or Cancel Import" orders it again' in message
    assert "omero adi" not in message


def test_who_may_wait_no_longer_is_told_that_the_order_goes_on(office: Office, lab: Lab) -> None:
    # no service runs here, and this process is older than the time for which a script of so short a life waits
    path = office.data / "a.ome.tif"
    path.touch()
    given = {"Data_Type": "Dataset", "IDs": [lab.dataset], "Paths": path.name, "Wait_For_Images": True}
    with office.service_at_work():
        answer = office.ask(import_files, lab.user, life_seconds=5, **given)
    assert answer.good
    uuid = answer.text("Order")
    assert answer.message == (
        f'Order {uuid}: still under way when this script had to end. It goes on by itself, and "Import Status" tells more.'
    )
    assert office.tracking.stages(uuid) == ["Import Pending"]


def test_no_cell_of_a_table_is_a_formula() -> None:
    cells = ["=1+1", "+1", "-1", "@x", "\t=1", "plain", 'with "quotes", commas\nand lines', None]
    [row] = csv.reader(io.StringIO(as_csv(["a"], [cells]).decode("utf-8-sig").partition("\r\n")[2], newline=""))
    assert row == ["'=1+1", "'+1", "'-1", "'@x", "'\t=1", "plain", 'with "quotes", commas\nand lines', ""]
