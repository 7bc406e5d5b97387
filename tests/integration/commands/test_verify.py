# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi verify`: what is not as it was imported is named, what is as it was is not, and nothing is changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import omero.all
import pytest

from omero_adi_plugin.importers.annotating import annotate
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.importers.protocol import KeyValues
from omero_adi_plugin.orders import Claim, FileStep, LedgerFile, Marker, Route, Target, TargetKind
from omero_adi_plugin.pipeline.verifying import verify
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking import inventory, operating
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.filesets import delete, made, mark, submit
from tests.fixtures.inside import Inside
from tests.fixtures.laboratory import Lab, make_group, make_user
from tests.fixtures.runs import Runs


def completed(runs: Runs, *files: str) -> Claim:
    claim = runs.order(*files)
    runs.run(claim)
    runs.queue.complete(claim.lease)
    return claim


@pytest.fixture
def claim(runs: Runs) -> Claim:
    """An order of two files, one of them with three images, which has completed."""
    return completed(runs, runs.samples.image("a.ome.tif"), runs.samples.three_images("b.ome.tif"))


def verified(inside: Inside, *words: str, status: int) -> dict[str, Any]:
    done = inside("verify", *words, "--json")
    assert done.status == status, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def kinds(report: dict[str, Any]) -> list[tuple[str, str | None]]:
    """What was found, of which entry."""
    return [(each["kind"], each["entry"] and Path(each["entry"]).name) for each in report["findings"]]


def filesets(runs: Runs, claim: Claim) -> dict[str, int]:
    """The filesets of an order by the names of their files."""
    lines = Ledger(runs.database, claim.lease).files()
    return {Path(line.entry).name: line.fileset for line in lines if line.fileset is not None}


def links(runs: Runs, claim: Claim, repository: Path) -> dict[str, Path]:
    """The links in the managed repository, by their names."""
    ids = list(filesets(runs, claim).values())
    hql = "select f.path, f.name from FilesetEntry e join e.originalFile f where e.fileset.id in (:ids)"
    return {name: repository / path.strip("/") / name for path, name in runs.lab.session.query(hql, ids=ids)}


def annotation_links(lab: Lab, *images: int) -> list[int]:
    hql = "select l.id from ImageAnnotationLink l join l.child a where a.ns = 'omeroadi.import' and l.parent.id in (:ids)"
    return [link for [link] in lab.session.query(hql, ids=list(images))]


def test_nothing_is_said_of_what_is_as_it_was_imported(inside: Inside, claim: Claim) -> None:
    done = inside("verify")
    assert (done.status, done.stdout) == (0, "1 order, 2 filesets, 2 files looked at: all is as it was imported\n")
    assert done.stderr == "2/2 filesets looked at\n"
    report = verified(inside, claim.lease.order, status=0)
    assert report == {"orders": 1, "filesets": 2, "files": 2, "left_out": 0, "wrong": 0, "findings": []}


def test_what_a_person_did_in_omero_is_named(runs: Runs, inside: Inside, claim: Claim) -> None:
    lab, ids = runs.lab, filesets(runs, claim)
    first, second, _ = [
        image
        for [image] in lab.session.query("select i.id from Image i where i.fileset.id = :id order by i.id", id=ids["b.ome.tif"])
    ]
    delete_fileset(lab.session, ids["a.ome.tif"])
    [[link]] = lab.session.query("select l.id from DatasetImageLink l where l.child.id = :id", id=first)
    delete(lab.session, "DatasetImageLink", [link])
    delete(lab.session, "ImageAnnotationLink", annotation_links(lab, second))
    report = verified(inside, status=os.EX_DATAERR)
    assert kinds(report) == [("moved", "b.ome.tif"), ("key-values missing", "b.ome.tif"), ("fileset gone", "a.ome.tif")]
    assert (report["wrong"], [each["wrong"] for each in report["findings"]]) == (2, [False, True, True])
    moved = f"Not in Dataset:{lab.dataset} any more: 1 of 3 images of Fileset {ids['b.ome.tif']}; now in no Dataset."
    assert report["findings"][0]["finding"] == moved
    shown = inside("verify", claim.lease.order)
    assert shown.status == os.EX_DATAERR
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert [(row[0], row[1]) for row in rows[1:-1]] == [
        ("wrong", "key-values missing"),
        ("wrong", "fileset gone"),
        ("note", "moved"),
    ]
    assert rows[2][4].endswith(f"`omero adi orders retry {claim.lease.order} --again` imports it again.")
    assert rows[-1] == ["1 order, 2 filesets, 1 file looked at: 2 findings to see to, 1 to know of"]
    assert shown.stderr.endswith("2 findings to see to, listed above with what to do.")


def test_what_was_moved_to_another_group_or_given_away_is_no_fault(
    runs: Runs, inside: Inside, claim: Claim, logins: Logins
) -> None:
    service, ids = logins.service(), filesets(runs, claim)
    admin = service.factory.getAdminService()
    group = make_group(admin)
    heir = make_user(admin, runs.lab.group)
    number = admin.lookupGroup(group).getId().getValue()
    admin.addGroups(admin.lookupExperimenter(runs.lab.user), [admin.lookupGroup(group)])
    submit(service, omero.cmd.Chgrp2(targetObjects={"Fileset": [ids["a.ome.tif"]]}, groupId=number))
    owner = admin.lookupExperimenter(heir).getId().getValue()
    submit(service, omero.cmd.Chown2(targetObjects={"Fileset": [ids["b.ome.tif"]]}, userId=owner))
    report = verified(inside, status=0)
    assert [pair for pair in kinds(report) if pair[0] != "moved"] == [("other group", "a.ome.tif"), ("out of sight", "b.ome.tif")]
    assert f"'{heir}'" in report["findings"][-1]["finding"]


def test_of_a_user_who_has_left_what_is_there_is_looked_at_all_the_same(
    runs: Runs, inside: Inside, claim: Claim, logins: Logins
) -> None:
    admin = logins.service().factory.getAdminService()
    user, group = admin.lookupExperimenter(runs.lab.user), admin.lookupGroup(runs.lab.group)
    admin.addGroups(user, [admin.lookupGroup(make_group(admin))])
    admin.removeGroups(user, [group])
    report = verified(inside, status=0)
    assert kinds(report) == [("user", None)]
    assert report["files"] == 2
    refused = inside("orders", "undo", claim.lease.order, "--yes")
    assert (refused.status, refused.stdout) == (os.EX_NOPERM, "")
    assert refused.stderr.startswith("Nothing was removed: ")


def test_each_fault_of_a_file_is_named_with_its_link(runs: Runs, inside: Inside, managed_repository: Path) -> None:
    names = ("missing.ome.tif", "dangling.ome.tif", "shorter.ome.tif", "replaced.ome.tif", "whole.ome.tif")
    claim = completed(runs, *(runs.samples.image(name) for name in names))
    link = links(runs, claim, managed_repository)
    source = {name: link[name].readlink() for name in names}
    content = source["whole.ome.tif"].read_bytes()
    link["missing.ome.tif"].unlink()
    source["dangling.ome.tif"].unlink()
    source["shorter.ome.tif"].write_bytes(content[:-1])
    link["replaced.ome.tif"].unlink()
    link["replaced.ome.tif"].write_bytes(source["replaced.ome.tif"].read_bytes())
    report = verified(inside, status=os.EX_DATAERR)
    found = {Path(each["entry"]).name: each for each in report["findings"]}
    assert {name: (each["kind"], each["wrong"]) for name, each in found.items()} == {
        "missing.ome.tif": ("link missing", True),
        "dangling.ome.tif": ("link dangling", True),
        "shorter.ome.tif": ("other size", True),
        "replaced.ome.tif": ("no link", False),
    }
    assert all(each["file"] == str(link[name]) for name, each in found.items())
    assert str(source["dangling.ome.tif"]) in found["dangling.ome.tif"]["finding"]
    assert str(source["missing.ome.tif"]) in found["missing.ome.tif"]["finding"]
    assert f"has {len(content) - 1} bytes" in found["shorter.ome.tif"]["finding"]


def test_an_id_that_names_something_else_by_now_is_no_import_of_the_order(runs: Runs, inside: Inside, claim: Claim) -> None:
    ids = filesets(runs, claim)
    with runs.database.begin() as connection:
        statement = "UPDATE adi_file SET fileset = %s WHERE uuid = %s AND fileset = %s"
        connection.exec_driver_sql(statement, (ids["b.ome.tif"], claim.lease.order, ids["a.ome.tif"]))
    report = verified(inside, status=os.EX_DATAERR)
    assert kinds(report) == [("other id", "a.ome.tif")]
    assert f"It is Fileset {ids['a.ome.tif']} in OMERO, not {ids['b.ome.tif']}" in report["findings"][0]["finding"]
    delete_fileset(runs.lab.session, ids["a.ome.tif"])
    assert kinds(verified(inside, status=os.EX_DATAERR)) == [("id taken", "a.ome.tif")]


def test_who_deletes_a_marker_is_told_that_another_import_would_double(runs: Runs, inside: Inside, claim: Claim) -> None:
    hql = "select l.id from FilesetAnnotationLink l join l.child a where l.parent.id = :id and a.ns = 'omero-adi/order'"
    [links_of] = runs.lab.session.query(hql, id=filesets(runs, claim)["a.ome.tif"])
    delete(runs.lab.session, "FilesetAnnotationLink", links_of)
    report = verified(inside, status=os.EX_DATAERR)
    assert kinds(report) == [("marker missing", "a.ome.tif")]
    assert "`--again` would import it twice" in report["findings"][0]["remedy"]


def test_when_the_storage_is_away_no_file_is_said_to_be(inside: Inside, claim: Claim, data_folder: Path) -> None:
    data_folder.rename(data_folder.with_name("elsewhere"))
    data_folder.mkdir()  # a mount point without its mount
    done = inside("verify")
    assert (done.status, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert f"'{data_folder}', in which files to import lie, is empty" in done.stderr


def test_what_changes_meanwhile_is_no_finding(runs: Runs, logins: Logins, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    def ordered_again(done: int, total: int) -> None:
        assert total == 2
        if done == 1:
            operating.retry(runs.database, claim.lease.order, who="bob@desk")

    monkeypatch.setattr(inventory, "LINES", 1)
    delete_fileset(runs.lab.session, filesets(runs, claim)["b.ome.tif"])
    done = verify(runs.database, logins, settings=runs.settings, uuid=None, on_progress=ordered_again)
    assert (done.orders, done.filesets, done.left_out, done.findings) == (1, 2, 1, [])


def test_an_order_that_has_not_ended_is_left_out(runs: Runs, inside: Inside, claim: Claim) -> None:
    uuid = claim.lease.order
    operating.retry(runs.database, uuid, who="bob@desk")
    assert verified(inside, status=0) == {"orders": 0, "filesets": 0, "files": 0, "left_out": 1, "wrong": 0, "findings": []}
    done = inside("verify", uuid)
    assert (done.status, done.stdout) == (os.EX_TEMPFAIL, "")
    assert f"Order '{uuid}' has not ended." in done.stderr
    assert inside("verify", "nonsense").status == os.EX_DATAERR


def test_of_what_went_into_a_screen_the_plates_count(runs: Runs, inside: Inside, managed_repository: Path) -> None:
    lab, source = runs.lab, runs.samples.image("plate.ome.tif")
    target = Target(kind=TargetKind.SCREEN, id=lab.screen)
    claim = submit_claimed(runs.database, runs.queue, user=lab.user, group=lab.group, target=target, files=[source], owner="me:1")
    folder = managed_repository / lab.user
    folder.mkdir()
    (folder / "plate.ome.tif").symlink_to(source)
    size = Path(source).stat().st_size
    plate = made(lab.session, files={f"{lab.user}/plate.ome.tif": size}, images=2, plate=True, screen=lab.screen)
    mark(lab.session, plate.fileset, Marker(uuid=claim.lease.order, attempt=1, key=source))
    values = KeyValues(images=plate.images, plates=plate.plates, values=())
    annotate(lab.session, [values], namespace="omeroadi.import", uuid=claim.lease.order, fresh=True)
    there: dict[str, Any] = {"fileset": plate.fileset, "images": plate.images, "plates": plate.plates}
    line = LedgerFile(entry=source, key=source, route=Route.INPLACE, step=FileStep.ANNOTATED, **there)
    Ledger(runs.database, claim.lease).record(line)
    runs.queue.complete(claim.lease)
    assert verified(inside, status=0)["findings"] == []
    links = lab.session.query("select l.id from ScreenPlateLink l where l.child.id = :id", id=plate.plates[0])
    delete(lab.session, "ScreenPlateLink", links[0])
    values_on = lab.session.query("select l.id from PlateAnnotationLink l where l.parent.id = :id", id=plate.plates[0])
    delete(lab.session, "PlateAnnotationLink", values_on[0])
    report = verified(inside, status=os.EX_DATAERR)
    assert kinds(report) == [("moved", "plate.ome.tif"), ("key-values missing", "plate.ome.tif")]
    assert report["findings"][0]["finding"].endswith(f"1 of 1 plates of Fileset {plate.fileset}; now in no Screen.")
    done = json.loads(inside("orders", "undo", claim.lease.order, "--yes", "--json").stdout)
    assert (done["removed"], done["plates"], done["images"]) == ([plate.fileset], 1, 2)
    assert lab.session.query("select p.id from Plate p where p.id = :id", id=plate.plates[0]) == []
