# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi verify`: what is not as it was imported is named, what is as it was is not, and nothing is changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.importers.markers import delete_fileset
from tests.fixtures.importing import delete
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking


@pytest.fixture
def imported(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> str:
    """An order of two files, which has completed."""
    order = tracking.order(lab, samples.image("a.ome.tif"), samples.three_images("b.ome.tif"))
    done = services.run(*ONCE)
    assert tracking.stages(order)[-1] == "Import Completed", done.stderr
    return order


def verified(services: Services, *words: str, status: int) -> dict[str, Any]:
    done = services.run("verify", *words, "--json")
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def kinds(report: dict[str, Any]) -> list[tuple[str, str | None]]:
    """What was found, of which entry."""
    return [(each["kind"], each["entry"] and Path(each["entry"]).name) for each in report["findings"]]


def link_of(tracking: Tracking, lab: Lab, order: str, name: str, managed_repository: Path) -> Path:
    """Where the managed repository has the link to a file."""
    hql = "select f.path, f.name from FilesetEntry e join e.originalFile f where e.fileset.id = :id"
    [[path, file]] = lab.session.query(hql, id=fileset_of(tracking, order, name))
    return managed_repository / path.strip("/") / file


def fileset_of(tracking: Tracking, order: str, name: str) -> int:
    [[fileset]] = tracking.sql("SELECT fileset FROM adi_file WHERE uuid = %s AND entry LIKE %s", order, f"%{name}")
    return int(fileset)


def test_nothing_is_said_of_what_is_as_it_was_imported(services: Services, imported: str) -> None:
    done = services.run("verify")
    assert (done.returncode, done.stdout) == (0, "1 order, 2 filesets, 2 files looked at: all is as it was imported\n")
    assert done.stderr == "2/2 filesets looked at\n"
    report = verified(services, imported, status=0)
    assert report == {"orders": 1, "filesets": 2, "files": 2, "left_out": 0, "wrong": 0, "findings": []}


def test_what_a_person_did_in_omero_is_named(lab: Lab, tracking: Tracking, services: Services, imported: str) -> None:
    delete_fileset(lab.session, fileset_of(tracking, imported, "a.ome.tif"))
    images = [
        image for [image] in lab.session.query("select i.id from Image i where i.details.owner.id = :id", id=lab.session.user_id)
    ]
    [[link]] = lab.session.query("select l.id from DatasetImageLink l where l.child.id = :id", id=images[0])
    delete(lab.session, "DatasetImageLink", [link])
    values = lab.session.query(
        "select l.id from ImageAnnotationLink l join l.child a where l.parent.id = :id and a.ns = 'omeroadi.import'", id=images[1]
    )
    delete(lab.session, "ImageAnnotationLink", [link for [link] in values])
    report = verified(services, status=os.EX_DATAERR)
    assert kinds(report) == [("moved", "b.ome.tif"), ("key-values missing", "b.ome.tif"), ("fileset gone", "a.ome.tif")]
    assert (report["wrong"], [each["wrong"] for each in report["findings"]]) == (2, [False, True, True])
    words = [each["finding"] for each in report["findings"]]
    assert f"1 of the 3 images of Fileset {fileset_of(tracking, imported, 'b.ome.tif')}" in words[0]
    assert words[0].endswith(f"are not in Dataset:{lab.dataset} any more, and in no other.")
    shown = services.run("verify", imported)
    assert shown.returncode == os.EX_DATAERR
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert [(row[0], row[1]) for row in rows[1:-1]] == [
        ("wrong", "key-values missing"),
        ("wrong", "fileset gone"),
        ("note", "moved"),
    ]
    assert rows[2][5].endswith(f"If it should be there, `omero adi orders retry {imported} --again` imports it again.")
    assert shown.stderr.endswith("2 findings to see to, listed above with what to do.\n")


def test_what_it_says_of_key_values_is_true(lab: Lab, tracking: Tracking, services: Services, imported: str) -> None:
    values = lab.session.query(
        "select l.id from ImageAnnotationLink l join l.child a where a.ns = 'omeroadi.import' and a.details.owner.id = :user",
        user=lab.session.user_id,
    )
    delete(lab.session, "ImageAnnotationLink", [link for [link] in values])
    report = verified(services, status=os.EX_DATAERR)
    assert [each["remedy"] for each in report["findings"]] == [
        f"`omero adi orders retry {imported}` writes them again and imports nothing."
    ] * 2
    before = lab.images()
    services.run("orders", "retry", imported)
    services.run(*ONCE)
    verified(services, status=0)
    assert lab.images() == before


def test_each_fault_of_a_file_is_named_with_its_link(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples, managed_repository: Path
) -> None:
    names = ("missing.ome.tif", "dangling.ome.tif", "shorter.ome.tif", "replaced.ome.tif", "whole.ome.tif")
    order = tracking.order(lab, *(samples.image(name) for name in names))
    services.run(*ONCE)
    links = {name: link_of(tracking, lab, order, name, managed_repository) for name in names}
    source = {name: link.readlink() for name, link in links.items()}
    links["missing.ome.tif"].unlink()
    source["dangling.ome.tif"].unlink()
    whole = source["shorter.ome.tif"].read_bytes()
    source["shorter.ome.tif"].write_bytes(whole[:-1])
    content = source["replaced.ome.tif"].read_bytes()
    links["replaced.ome.tif"].unlink()
    links["replaced.ome.tif"].write_bytes(content)
    report = verified(services, status=os.EX_DATAERR)
    found = {Path(each["entry"]).name: each for each in report["findings"]}
    assert {name: (each["kind"], each["wrong"]) for name, each in found.items()} == {
        "missing.ome.tif": ("link missing", True),
        "dangling.ome.tif": ("link dangling", True),
        "shorter.ome.tif": ("other size", True),
        "replaced.ome.tif": ("no link", False),
    }
    assert all(each["file"] == str(links[name]) for name, each in found.items())
    assert str(source["dangling.ome.tif"]) in found["dangling.ome.tif"]["finding"]
    assert str(source["missing.ome.tif"]) in found["missing.ome.tif"]["finding"]
    assert f"has {len(whole) - 1} bytes; when it was imported there were {len(whole)}." in found["shorter.ome.tif"]["finding"]


def test_when_the_storage_is_away_no_file_is_said_to_be(services: Services, imported: str, data_folder: Path) -> None:
    data_folder.rename(data_folder.with_name("elsewhere"))
    done = services.run("verify")
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert f"'{data_folder}', in which files to import lie, is not there" in done.stderr


def test_an_order_that_has_not_ended_is_left_out(tracking: Tracking, services: Services, imported: str) -> None:
    services.run("orders", "retry", imported)
    assert verified(services, status=0) == {"orders": 0, "filesets": 0, "files": 0, "left_out": 1, "wrong": 0, "findings": []}
    done = services.run("verify", imported)
    assert (done.returncode, done.stdout) == (os.EX_TEMPFAIL, "")
    assert f"Order '{imported}' has not ended." in done.stderr
    assert services.run("verify", "nonsense").returncode == os.EX_DATAERR
