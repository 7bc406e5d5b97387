# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders as an entry of an order: all images in them, and a word about the rest."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from omero_adi_plugin.orders import FileStep, TargetKind
from tests.formats import bad, fakes, holding, real, sets, table
from tests.formats.bench import Bench, Done, aged
from tests.formats.expected import Expected

FAKES = (fakes.fake("one"), fakes.fake("three", "&series=3", 3), fakes.set_of_two("described"))
REAL = ("uint16-big", "rgb-planar", "three", "imagej-uint16", "pyramid", "tiled")
JUNK = (
    ".hidden.tif",
    "._one.fake",
    "Thumbs.db",
    ".DS_Store",
    "desktop.ini",
    "__MACOSX/copy.tif",
    ".processed/made.tif",
    "@eaDir/a.tif",
)


@pytest.fixture
def folder(bench: Bench) -> Path:
    return bench.folder("folder")


def filled(folder: Path) -> dict[str, Expected]:
    """Write files of many kinds into a folder and those in it; returns what must come of them, by key."""
    rows: dict[str, Expected] = {}
    places = [folder, folder / "day 1", folder / "day 1" / "naïve", folder / "sets"]
    for place in places[1:]:
        place.mkdir()
    fakes.write(places[0], FAKES)
    rows |= {_key(places[0], row): row for row in FAKES}
    for number, name in enumerate(REAL):
        place = places[number % 3]
        row = real.FILES[name](place)
        rows[_key(place, row)] = row
    for write in sets.SETS.values():
        row = write(places[3])
        rows[_key(places[3], row)] = row
    for name in JUNK:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"II*\0 whatever this is, it is not to be looked at")
    (folder / "metadata.csv").write_text("stain,DAPI\n")
    (folder / "readme.txt").write_text("what was done that day\n")
    aged(folder)
    return rows


def _key(place: Path, row: Expected) -> str:
    return min((str(place / file) for file in row.files), key=str.encode)


def check(bench: Bench, done: Done, rows: dict[str, Expected]) -> None:
    """All of a folder is in OMERO, each fileset once, and nothing else."""
    lines = {line.key: line for line in done.lines if line.step is FileStep.ANNOTATED}
    assert lines.keys() == rows.keys()
    for key, row in rows.items():
        held = holding.images(bench.lab, lines[key].fileset or 0)
        assert [image.image for image in held] == list(lines[key].images)
        assert [(image.sizes, image.kind) for image in held] == [(each.sizes, each.kind) for each in row.pictures]
        assert len(holding.files(bench.lab, lines[key].fileset or 0)) == len(row.files)
    assert holding.in_dataset(bench.lab, done.into) == Counter(done.images())
    table.check_carried(bench, done, "Image", done.images())


def test_everything_below_it_goes_in_and_junk_does_not(bench: Bench, folder: Path) -> None:
    rows = filled(folder)
    into = bench.new(TargetKind.DATASET)
    status, told = bench.foresee(folder, into=into)
    assert status == os.EX_OK
    [entry] = told["entries"]
    assert entry["failures"] == []
    assert [left["path"] for left in entry["left_out"]] == [str(folder / "readme.txt")]
    done = bench.carry_out(folder, into=into)
    assert (done.status.state, done.status.description) == ("completed", None)
    check(bench, done, rows)
    assert {line.entry for line in done.lines} == {str(folder)}
    assert {each["key"]: (each["images"], sorted(each["files"])) for each in entry["filesets"]} == {
        line.key: (len(line.images), sorted(holding.files(bench.lab, line.fileset or 0))) for line in done.lines
    }
    again = bench.skip_existing(folder, into=into)
    assert again.status.description == f"{len(rows)} files were in the target already, and were not imported again."
    assert holding.in_dataset(bench.lab, into) == Counter(done.images())


def test_what_is_bad_in_it_is_named_and_the_rest_goes_in(bench: Bench, folder: Path) -> None:
    rows = filled(folder)
    refused = {name: write(folder) for name, write in bad.BAD.items() if name != "missing"}
    # what is no image need not be one, in a folder; a set that is not complete is named once
    counts = {"unknown": 0, "no-images": 0, "incomplete": 1}
    aged(folder)
    into = bench.new(TargetKind.DATASET)
    status, told = bench.foresee(folder, into=into)
    done = bench.carry_out(folder, into=into)
    assert (done.status.state, status) == ("failed", os.EX_DATAERR)
    check(bench, done, rows)
    errors = [line.error for line in done.lines if line.error is not None]
    for name, each in refused.items():
        about = [error for error in errors if each.words in error and Path(each.path).stem.partition(".")[0] in error]
        assert len(about) == counts.get(name, 1), (name, errors)
    assert len(errors) == len(refused) - len(counts) + sum(counts.values())
    assert {line.entry for line in done.lines} == {str(folder)}
    [entry] = told["entries"]
    assert sorted(failure["why"] for failure in entry["failures"]) == sorted(errors)
    assert [left["path"] for left in entry["left_out"]] == [
        str(folder / name) for name in ("notes.xyz", "readme.txt", "papers/letter.xyz")
    ]
    assert done.status.description is not None
    assert len(done.status.description) <= 500


@pytest.mark.parametrize("first", ["folder", "file"])
def test_a_folder_and_a_file_of_it_are_not_imported_twice(bench: Bench, folder: Path, first: str) -> None:
    rows = filled(folder)
    inside = [folder / FAKES[1].ordered, folder / "sets" / sets.SETS["companion"](folder / "sets").files[-1]]
    aged(folder)
    done = bench.carry_out(*([folder, *inside] if first == "folder" else [*inside, folder]))
    assert (done.status.state, done.status.description) == ("completed", None)
    check(bench, done, rows)


def test_a_folder_of_a_zarr_is_refused(bench: Bench, folder: Path) -> None:
    refused = bad.BAD["zarr"](folder)
    (folder / "plain" / "0").mkdir(parents=True)
    (folder / "plain" / "zarr.json").write_text("{}")
    for path in (folder / refused.path, folder / "plain", f"{folder / refused.path}/"):
        done = bench.carry_out(path)
        assert done.status.state == "failed"
        [line] = done.lines
        assert line.error is not None
        assert "is an OME-Zarr, and this version does not register OME-Zarr" in line.error


def test_plates_below_a_folder_go_into_a_screen_and_images_do_not(bench: Bench, folder: Path) -> None:
    plates = fakes.PLATES[:3]
    fakes.write(folder, [*plates, FAKES[0]])
    row = sets.plate("tray", columns=2)(folder)
    aged(folder)
    done = bench.carry_out(folder, into=bench.new(TargetKind.SCREEN))
    assert done.status.state == "failed"
    good = [line for line in done.lines if line.step is FileStep.ANNOTATED]
    assert {line.key for line in good} == {_key(folder, each) for each in (*plates, row)}
    assert holding.in_screen(bench.lab, done.into) == Counter(plate for line in good for plate in line.plates)
    [failed] = [line for line in done.lines if line.step is FileStep.FAILED]
    assert failed.error is not None
    assert FAKES[0].ordered in failed.error
    assert "Images go into a Dataset, plates into a Screen" in failed.error
