# SPDX-License-Identifier: GPL-2.0-or-later
"""What the target holds already is recognised by all of its files' paths and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from omero.model import DatasetI
from omero.rtypes import rstring

from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.existing import held
from omero_adi_plugin.importers.plans import AdmittedFile, FilesetPlan
from omero_adi_plugin.orders import Entry, Target, TargetKind
from tests.fixtures.filesets import made

if TYPE_CHECKING:
    from tests.fixtures.laboratory import Lab


def plan(files: dict[str, int]) -> FilesetPlan:
    """A plan of files by their path; the key is that of the smallest one."""
    key = min(files)
    admitted = tuple(AdmittedFile(path=path, source=path, bytes=size, mtime_ns=0) for path, size in files.items())
    entry = Entry(path=key)
    return FilesetPlan(entry=entry, key=key, files=admitted, reader="r", format="f", images=1, plates=0, name=None)


def dataset(lab: Lab) -> Target:
    return Target(kind=TargetKind.DATASET, id=lab.dataset)


def test_a_file_of_the_same_path_and_size_in_the_dataset_is_held(lab: Lab) -> None:
    there = made(lab.session, files={"data/ü 100%.tif": 7}, images=3, dataset=lab.dataset)
    assert held(lab.session, dataset(lab), [plan({"/data/ü 100%.tif": 7})]) == {"/data/ü 100%.tif": there}


def test_another_size_or_another_path_is_not(lab: Lab) -> None:
    made(lab.session, files={"data/a.tif": 7}, dataset=lab.dataset)
    made(lab.session, files={"data/seen by nobody yet.tif": None}, dataset=lab.dataset)
    others = [plan({"/data/a.tif": 8}), plan({"/data/A.tif": 7}), plan({"/a.tif": 7}), plan({"/data/seen by nobody yet.tif": 0})]
    assert held(lab.session, dataset(lab), others) == {}


def test_what_lies_elsewhere_is_not_held(lab: Lab) -> None:
    made(lab.session, files={"data/a.tif": 7})
    made(lab.session, files={"data/a.tif": 7}, plate=True, screen=lab.screen)
    another = DatasetI()
    another.setName(rstring("another"))
    update = lab.session.factory.getUpdateService()
    made(lab.session, files={"data/a.tif": 7}, dataset=update.saveAndReturnObject(another).getId().getValue())
    assert held(lab.session, dataset(lab), [plan({"/data/a.tif": 7})]) == {}


@pytest.mark.parametrize(
    "files",
    [{"/data/1": 1}, {"/data/1": 1, "/data/2": 2, "/data/3": 3}, {"/data/1": 1, "/data/2": 3}, {"/data/1": 1, "/data/3": 2}],
)
def test_all_files_of_a_fileset_must_be_the_same(lab: Lab, files: dict[str, int]) -> None:
    there = made(lab.session, files={"data/1": 1, "data/2": 2}, dataset=lab.dataset)
    assert held(lab.session, dataset(lab), [plan({"/data/2": 2, "/data/1": 1})]) == {"/data/1": there}
    assert held(lab.session, dataset(lab), [plan(files)]) == {}


def test_a_half_that_an_import_left_is_not_held(lab: Lab) -> None:
    made(lab.session, files={"data/a.tif": 7}, images=3, half=True, dataset=lab.dataset)
    assert held(lab.session, dataset(lab), [plan({"/data/a.tif": 7})]) == {}
    whole = made(lab.session, files={"data/a.tif": 7}, images=3, dataset=lab.dataset)
    assert held(lab.session, dataset(lab), [plan({"/data/a.tif": 7})]) == {"/data/a.tif": whole}


def test_of_several_the_first_one_is_taken(lab: Lab) -> None:
    first, *_ = [made(lab.session, files={"data/a.tif": 7}, dataset=lab.dataset) for _ in range(3)]
    assert held(lab.session, dataset(lab), [plan({"/data/a.tif": 7})]) == {"/data/a.tif": first}


def test_a_plate_is_held_by_its_screen(lab: Lab) -> None:
    there = made(lab.session, files={"data/p.xml": 7, "data/w1.tif": 8}, images=4, plate=True, screen=lab.screen)
    wanted = [plan({"/data/p.xml": 7, "/data/w1.tif": 8}), plan({"/data/q.xml": 7})]
    assert held(lab.session, Target(kind=TargetKind.SCREEN, id=lab.screen), wanted) == {"/data/p.xml": there}


def test_an_order_of_more_filesets_than_one_question_takes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "IDS", 2)
    monkeypatch.setattr(batches, "OBJECTS", 2)
    there = {f"/data/{n}.tif": made(lab.session, files={f"data/{n}.tif": n}, dataset=lab.dataset) for n in range(1, 6)}
    plans = [plan({path: n}) for n, path in enumerate(["/data/0.tif", *there, "/data/6.tif"])]
    assert held(lab.session, dataset(lab), plans) == there


def test_nothing_is_held_by_an_empty_target_and_nothing_is_asked_for_nothing(lab: Lab) -> None:
    assert held(lab.session, dataset(lab), [plan({"/data/a.tif": 7})]) == {}
    assert held(lab.session, dataset(lab), []) == {}
