# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that tifffile and Pillow wrote, in a Dataset: types, colours, layouts, stacks, pyramids, sets."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.formats import holding, real, sets, table
from tests.formats.bench import Bench
from tests.formats.table import Table

ROWS = [*real.FILES, *sets.SETS]


def test_all_of_them_go_in(bench: Bench, real_files: Table) -> None:
    done = real_files.done
    assert {line.entry: line.error for line in done.lines if line.error} == {}
    assert (done.status.state, done.status.stage, done.status.description) == ("completed", "Import Completed", None)
    count = sum(len(row.pictures) for row in real_files.rows.values())
    assert holding.in_dataset(bench.lab, done.into) == Counter(done.images())
    assert len(done.images()) == count
    assert holding.containers(bench.lab, done.images()) == count  # and nowhere else
    assert bench.lab.images_with(done.uuid) == done.images()


def test_no_pixel_is_copied(bench: Bench, real_files: Table) -> None:
    files = [file for row in real_files.rows for file in real_files.files(row)]
    assert bench.linked(real_files.folder) == dict.fromkeys(files, 1)


@pytest.mark.parametrize("row", ROWS)
def test_what_comes_of_each(bench: Bench, real_files: Table, row: str) -> None:
    table.check_ledger(real_files, row)
    table.check_files(bench, real_files, row)
    table.check_images(bench, real_files, row)
    table.check_key_values(bench, real_files, row)


@pytest.mark.parametrize("row", ROWS)
def test_the_planes_of_each(bench: Bench, real_files: Table, row: str) -> None:
    table.check_planes(bench, real_files, row)
