# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of Bio-Formats' test format in a Dataset: series, sizes, types, colours, resolutions."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.formats import fakes, holding, table
from tests.formats.bench import Bench
from tests.formats.table import Table

ROWS = [row.ordered for row in fakes.IMAGES]


def test_all_of_them_go_in(bench: Bench, fake_images: Table) -> None:
    done = fake_images.done
    assert {line.entry: line.error for line in done.lines if line.error} == {}
    assert (done.status.state, done.status.stage, done.status.description) == ("completed", "Import Completed", None)
    count = sum(len(row.pictures) for row in fakes.IMAGES)
    assert holding.in_dataset(bench.lab, done.into) == Counter(done.images())
    assert len(done.images()) == count
    assert holding.containers(bench.lab, done.images()) == count  # and nowhere else
    assert bench.lab.images_with(done.uuid) == done.images()


def test_no_pixel_is_copied(bench: Bench, fake_images: Table) -> None:
    files = [file for row in fake_images.rows for file in fake_images.files(row)]
    assert bench.linked(fake_images.folder) == dict.fromkeys(files, 1)


@pytest.mark.parametrize("row", ROWS)
def test_what_comes_of_each(bench: Bench, fake_images: Table, row: str) -> None:
    table.check_ledger(fake_images, row)
    table.check_files(bench, fake_images, row)
    table.check_images(bench, fake_images, row)
    table.check_key_values(bench, fake_images, row)


@pytest.mark.parametrize("row", ROWS)
def test_the_planes_of_each(bench: Bench, fake_images: Table, row: str) -> None:
    table.check_planes(bench, fake_images, row)
