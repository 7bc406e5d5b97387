# SPDX-License-Identifier: GPL-2.0-or-later
"""One order of more than 60 files of all kinds, and what cannot be imported beside them."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from omero_adi_plugin.orders import FileStep
from tests.formats import bad, holding, table
from tests.formats.bench import Bench
from tests.formats.table import Mixed


def test_what_can_be_imported_goes_in_once(bench: Bench, mixed: Mixed) -> None:
    assert len(mixed.ordered) > 60
    done = mixed.done
    assert (done.status.state, done.status.stage, done.status.attempt) == ("failed", "Import Failed", 1)
    good = {line.key: line for line in done.lines if line.step is FileStep.ANNOTATED}
    assert good.keys() == {min(mixed.files(row), key=str.encode) for row in mixed.rows}
    assert len(done.images()) == sum(len(row.pictures) for row in mixed.rows.values())
    assert holding.in_dataset(bench.lab, done.into) == Counter(done.images())
    assert holding.containers(bench.lab, done.images()) == len(done.images())
    markers = {key: count for (uuid, key), count in bench.lab.markers().items() if uuid == done.uuid}
    assert markers == dict.fromkeys(good, 1)  # nothing is left of what failed
    assert bench.linked(mixed.folder) == dict.fromkeys((file for row in mixed.rows for file in mixed.files(row)), 1)


def test_each_of_them_is_what_it_should_be(bench: Bench, mixed: Mixed) -> None:
    by_key = {line.key: line for line in mixed.done.lines}
    for row, expected in mixed.rows.items():
        line = by_key[min(mixed.files(row), key=str.encode)]
        assert line.fileset is not None
        held = holding.images(bench.lab, line.fileset)
        assert [image.image for image in held] == list(line.images), row
        assert [image.sizes for image in held] == [picture.sizes for picture in expected.pictures], row
        assert set(holding.files(bench.lab, line.fileset)) == set(mixed.files(row)), row
    table.check_carried(bench, mixed.done, "Image", mixed.done.images())


@pytest.mark.parametrize("name", bad.BAD)
def test_of_each_of_the_others_a_sentence_says_why_not(mixed: Mixed, name: str) -> None:
    refused = mixed.refused[name]
    path = str(mixed.folder / refused.path)
    [line] = mixed.done.of(path)
    assert (line.step, line.fileset, line.images) == (FileStep.FAILED, None, ())
    assert line.error is not None
    assert path in line.error
    assert refused.words in line.error
    assert "order" in line.error.rpartition(".")[0].rpartition(".")[2]  # the last sentence says what to do


def test_the_orders_own_sentence_counts_them(mixed: Mixed) -> None:
    entries = len(set(mixed.ordered))
    assert mixed.done.status.description is not None
    assert mixed.done.status.description.startswith(f"{len(mixed.refused)} of {entries} files could not be imported, the others")
    assert len(mixed.done.status.description) <= 500


def test_a_dry_run_foresaw_all_of_it(mixed: Mixed) -> None:
    status, told = mixed.foreseen
    assert status == os.EX_DATAERR
    assert Counter(entry["entry"] for entry in told["entries"]) == dict.fromkeys(mixed.ordered, 1)
    foreseen = {fileset["key"]: fileset for entry in told["entries"] for fileset in entry["filesets"]}
    done = {line.key: line for line in mixed.done.lines if line.fileset is not None}
    assert {key: each["images"] for key, each in foreseen.items()} == {key: len(line.images) for key, line in done.items()}
    assert {key: _entry(told, key) for key in foreseen} == {key: line.entry for key, line in done.items()}
    said = {failure["why"]: failure["error"] for entry in told["entries"] for failure in entry["failures"]}
    assert set(said) == {line.error for line in mixed.done.lines if line.error}
    assert Counter(said.values()) == Counter(each.error for each in mixed.refused.values())


def _entry(told: dict[str, list[dict[str, list[dict[str, str]]]]], key: str) -> object:
    [entry] = [entry["entry"] for entry in told["entries"] if any(fileset["key"] == key for fileset in entry["filesets"])]
    return entry


def test_ordered_again_with_skip_existing_nothing_more_is_imported(bench: Bench, mixed: Mixed) -> None:
    before = holding.in_dataset(bench.lab, mixed.done.into)
    again = bench.skip_existing(*mixed.ordered, into=mixed.done.into)
    assert holding.in_dataset(bench.lab, mixed.done.into) == before
    skipped = {line.key: line for line in again.lines if line.step is FileStep.SKIPPED}
    first = {line.key: line for line in mixed.done.lines if line.fileset is not None}
    assert {key: (line.fileset, line.images) for key, line in skipped.items()} == {
        key: (line.fileset, line.images) for key, line in first.items()
    }
    assert not [key for uuid, key in bench.lab.markers() if uuid == again.uuid]
    assert {line.error for line in again.lines if line.error} == {line.error for line in mixed.done.lines if line.error}
