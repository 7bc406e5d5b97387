# SPDX-License-Identifier: GPL-2.0-or-later
"""Plates in a Screen: wells, fields, runs, several plates of a file, several screens of a file."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.formats import fakes, holding, sets, table
from tests.formats.bench import Bench
from tests.formats.table import Table

ROWS = [*(row.ordered for row in fakes.PLATES), *sets.PLATES]


def test_all_of_them_go_in(bench: Bench, fake_plates: Table) -> None:
    done, rows = fake_plates.done, fake_plates.rows.values()
    assert {line.entry: line.error for line in done.lines if line.error} == {}
    assert (done.status.state, done.status.stage, done.status.description) == ("completed", "Import Completed", None)
    ids = [plate for line in done.lines for plate in line.plates]
    assert holding.in_screen(bench.lab, done.into) == Counter(ids)
    assert len(ids) == sum(len(row.plates) for row in rows)
    assert len(done.images()) == len(set(done.images())) == sum(len(row.pictures) for row in rows)
    assert holding.containers(bench.lab, done.images()) == 0  # the plate is in the Screen, its images are in the plate


def test_no_pixel_is_copied(bench: Bench, fake_plates: Table) -> None:
    files = [file for row in fake_plates.rows for file in fake_plates.files(row)]
    assert bench.linked(fake_plates.folder) == dict.fromkeys(files, 1)


@pytest.mark.parametrize("row", ROWS)
def test_what_comes_of_each(bench: Bench, fake_plates: Table, row: str) -> None:
    table.check_ledger(fake_plates, row)
    table.check_files(bench, fake_plates, row)
    table.check_images(bench, fake_plates, row)
    table.check_key_values(bench, fake_plates, row)


@pytest.mark.parametrize("row", ROWS)
def test_where_the_images_of_a_plate_are(bench: Bench, fake_plates: Table, row: str) -> None:
    expected = fake_plates.rows[row].plates
    held = holding.plates(bench.lab, fake_plates.fileset(row))
    assert sorted(plate for plate, *_ in held) == sorted(fake_plates.line(row).plates)
    assert [tuple(of) for _, *of in held] == [(plate.name, plate.rows, plate.columns) for plate in expected]
    seen: list[int] = []
    for (plate, *_), wanted in zip(held, expected, strict=True):
        places = holding.places(bench.lab, plate)
        wells = Counter((row, column) for _, row, column, _ in places)
        per_well = wanted.fields * max(wanted.runs, 1)
        assert wells == {(row, column): per_well for row in range(wanted.rows) for column in range(wanted.columns)}
        if wanted.runs:  # what a real server does where the file tells of no run was not recorded
            runs = Counter(run for *_, run in places)
            assert sorted(runs.values()) == [wanted.rows * wanted.columns * wanted.fields] * wanted.runs
        order = [(row, column) for _, row, column, _ in places]
        assert order == sorted(order)  # the series of these files go from well to well
        seen += [series for series, *_ in places]
    assert sorted(seen) == list(range(len(fake_plates.rows[row].pictures)))


@pytest.mark.parametrize("row", ROWS)
def test_the_planes_of_each(bench: Bench, fake_plates: Table, row: str) -> None:
    table.check_planes(bench, fake_plates, row)
