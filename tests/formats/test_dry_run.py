# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi import --dry-run` foresees exactly what the import does, and `--skip-existing` what it leaves alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.orders import FileStep
from tests.formats import fakes, holding, real, sets
from tests.formats.bench import Bench
from tests.formats.table import Table

IMAGES = [row.ordered for row in fakes.IMAGES]
FILES = [*real.FILES, *sets.SETS]
PLATES = [*(row.ordered for row in fakes.PLATES), *sets.PLATES]


class Foreseen:
    """What a dry run of tables says."""

    def __init__(self, bench: Bench, *tables: Table, options: Sequence[str] = ()) -> None:
        filesets = bench.lab.markers()
        orders = bench.tracking.sql("SELECT count(*) FROM imports")
        paths = [path for table in tables for path in table.paths]
        self.status, self.told = bench.foresee(*paths, into=tables[0].done.into, options=options)
        assert bench.lab.markers() == filesets  # nothing was imported
        assert bench.tracking.sql("SELECT count(*) FROM imports") == orders  # nor ordered

    def fileset(self, path: str) -> dict[str, Any]:
        """The only fileset of an entry."""
        [entry] = [entry for entry in self.told["entries"] if entry["entry"] == path]
        assert (entry["failures"], entry["left_out"]) == ([], [])
        [fileset] = entry["filesets"]
        return dict(fileset)


@pytest.fixture(scope="module")
def images(bench: Bench, fake_images: Table, real_files: Table) -> Foreseen:
    return Foreseen(bench, fake_images, real_files)


@pytest.fixture(scope="module")
def plates(bench: Bench, fake_plates: Table) -> Foreseen:
    return Foreseen(bench, fake_plates)


@pytest.fixture(scope="module")
def files_again(bench: Bench, real_files: Table) -> Foreseen:
    return Foreseen(bench, real_files, options=["--skip-existing"])


def check(bench: Bench, table: Table, foreseen: Foreseen, row: str) -> None:
    """What was foreseen of a row is what the ledger and OMERO say of it, and what its maker says."""
    told = foreseen.fileset(str(table.folder / table.rows[row].ordered))
    line, expected = table.line(row), table.rows[row]
    held = holding.files(bench.lab, table.fileset(row))
    assert told["key"] == line.key
    assert told["images"] == len(line.images) == len(expected.pictures)
    assert told["plates"] == len(line.plates) == len(expected.plates)
    assert sorted(told["files"]) == sorted(held)
    assert told["bytes"] == sum(held.values())
    assert told["format"] == expected.format
    assert told["there"] is False


@pytest.mark.parametrize("row", IMAGES)
def test_fakes(bench: Bench, fake_images: Table, images: Foreseen, row: str) -> None:
    check(bench, fake_images, images, row)


@pytest.mark.parametrize("row", PLATES)
def test_plates(bench: Bench, fake_plates: Table, plates: Foreseen, row: str) -> None:
    check(bench, fake_plates, plates, row)


@pytest.mark.parametrize("row", FILES)
def test_real_files(bench: Bench, real_files: Table, images: Foreseen, row: str) -> None:
    check(bench, real_files, images, row)


def test_the_totals_are_those_of_the_order(bench: Bench, fake_plates: Table, plates: Foreseen) -> None:
    done = fake_plates.done
    assert plates.status == os.EX_OK
    assert (plates.told["user"], plates.told["group"], plates.told["target"]) == (bench.lab.user, bench.lab.group, str(done.into))
    assert plates.told["route"] == "inplace"
    assert plates.told["bioformats"]
    names = [name for row in fake_plates.rows for name in fake_plates.files(row)]
    assert plates.told["totals"] == {
        "filesets": len(done.lines),
        "files": len(names),
        "images": len(done.images()),
        "plates": sum(len(line.plates) for line in done.lines),
        "bytes": sum(Path(name).stat().st_size for name in names),
        "there": 0,
        "failures": 0,
        "left_out": 0,
    }


def test_a_person_reads_the_same(bench: Bench, fake_plates: Table, plates: Foreseen) -> None:
    done = bench.services.run(*bench.dry(*fake_plates.paths, into=fake_plates.done.into))
    assert done.returncode == os.EX_OK, done.stderr
    heads, *rows, total = [line.split("\t") for line in done.stdout.splitlines()]
    assert heads[:3] == ["files", "images", "plates"]
    told = {row[-1]: (int(row[0]), int(row[1]), int(row[2]), row[4], row[5]) for row in rows}
    assert told == {
        fileset["key"]: (len(fileset["files"]), fileset["images"], fileset["plates"], fileset["format"], "inplace")
        for fileset in (plates.fileset(path) for path in fake_plates.paths)
    }
    totals = plates.told["totals"]
    counted = f"{totals['filesets']} filesets, {totals['images']} images, {totals['plates']} plates, "
    assert total[0].startswith(counted)
    assert total[0].endswith("nothing was imported")


def test_what_is_there_already_is_foreseen_too(real_files: Table, files_again: Foreseen) -> None:
    assert files_again.status == os.EX_OK
    filesets = [files_again.fileset(path) for path in real_files.paths]
    assert all(fileset["there"] for fileset in filesets)
    totals = files_again.told["totals"]
    assert (totals["filesets"], totals["images"], totals["there"]) == (0, 0, len(real_files.rows))


@pytest.mark.parametrize("table", ["fake_images", "fake_plates", "real_files"])
def test_a_second_time_nothing_is_imported(bench: Bench, request: pytest.FixtureRequest, table: str) -> None:
    first: Table = request.getfixturevalue(table)
    into = first.done.into
    before = holding.in_dataset(bench.lab, into), holding.in_screen(bench.lab, into)
    again = bench.skip_existing(*first.paths, into=into)
    assert (again.status.state, again.status.stage) == ("completed", "Import Completed")
    count = len(first.rows)
    assert again.status.description == f"{count} files were in the target already, and were not imported again."
    assert {line.step for line in again.lines} == {FileStep.SKIPPED}
    assert {line.key: (line.fileset, line.images, line.plates) for line in again.lines} == {
        line.key: (line.fileset, line.images, line.plates) for line in first.done.lines
    }
    assert (holding.in_dataset(bench.lab, into), holding.in_screen(bench.lab, into)) == before
    assert not [key for uuid, key in bench.lab.markers() if uuid == again.uuid]
