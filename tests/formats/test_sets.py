# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that belong together come out the same whichever of them is ordered, and once however many of them are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from omero_adi_plugin.orders import FileStep, TargetKind
from tests.formats import fakes, holding, sets, table
from tests.formats.bench import Bench, aged
from tests.formats.expected import Expected
from tests.formats.table import Table

PAIR = fakes.set_of_two("pair")
MEMBERS = {
    "companion": ("small.companion.ome", "small_z0_c0_t0.ome.tif", "small_z1_c0_t0.ome.tif"),
    "without-companion": ("only_z0_c0_t0.ome.tif", "only_z0_c0_t1.ome.tif", "only_z0_c0_t2.ome.tif"),
    "ini": PAIR.files,
}


def write(folder: Path, kind: str) -> Expected:
    if kind == "companion":
        row = sets.companion("small", sizes=(2, 1, 1))(folder)
    elif kind == "without-companion":
        row = sets.without_companion("only", sizes=(1, 1, 3))(folder)
    else:
        fakes.write(folder, [PAIR])
        row = replace(PAIR, pictures=tuple(replace(picture, name=None) for picture in PAIR.pictures))
    aged(folder)
    assert row.files == MEMBERS[kind]
    return row


@pytest.mark.parametrize(("kind", "member"), [(kind, member) for kind, files in MEMBERS.items() for member in files])
def test_any_of_its_files_brings_the_whole_set(bench: Bench, kind: str, member: str) -> None:
    folder = bench.folder(kind)
    row = replace(write(folder, kind), ordered=member)
    imported = table.imported(bench, folder, {kind: row}, TargetKind.DATASET)
    assert imported.done.status.state == "completed", imported.done.lines
    table.check_ledger(imported, kind)
    table.check_files(bench, imported, kind)
    table.check_images(bench, imported, kind)
    table.check_key_values(bench, imported, kind)
    table.check_planes(bench, imported, kind)
    names = {image.name.partition(" [")[0] for image in holding.images(bench.lab, imported.fileset(kind))}
    assert names <= set(row.files)  # called after a file of the set


@pytest.mark.parametrize("kind", MEMBERS)
def test_all_of_its_files_bring_it_once(bench: Bench, kind: str) -> None:
    folder = bench.folder(kind)
    row = write(folder, kind)
    orders = [bench.carry_out(*(folder / file for file in files)) for files in _orders(row.files)]
    for done in orders:
        assert (done.status.state, done.status.description) == ("completed", None)
        [line] = done.lines  # those that came later are part of it
        assert (line.step, line.key) == (FileStep.ANNOTATED, min((str(folder / file) for file in row.files), key=str.encode))
        assert len(line.images) == len(row.pictures)
        assert holding.in_dataset(bench.lab, done.into) == dict.fromkeys(line.images, 1)


def _orders(files: Sequence[str]) -> list[tuple[str, ...]]:
    """All orders of two files, some of three."""
    return list(permutations(files))[::2] if len(files) > 2 else list(permutations(files))


def test_a_pattern_takes_the_pictures_that_it_names_wherever_it_stands_in_the_order(bench: Bench) -> None:
    folder = bench.folder("pattern")
    row = sets.pattern("dish", sizes=(2, 2))(folder)
    aged(folder)
    done = bench.carry_out(*(folder / file for file in reversed(row.files)))
    assert (done.status.state, done.status.description) == ("completed", None)
    [line] = done.lines
    assert line.entry == str(folder / row.ordered)
    imported = Table(folder=folder, rows={"dish": row}, done=done)
    table.check_images(bench, imported, "dish")
    table.check_planes(bench, imported, "dish")


def test_a_plate_of_several_files_goes_into_a_screen_from_any_of_them(bench: Bench) -> None:
    for member in ("rack.companion.ome", "rack_1.ome.tif"):
        folder = bench.folder("rack")
        row = replace(sets.plate("rack", columns=2)(folder), ordered=member)
        imported = table.imported(bench, folder, {"rack": row}, TargetKind.SCREEN)
        assert imported.done.status.state == "completed", imported.done.lines
        table.check_ledger(imported, "rack")
        table.check_files(bench, imported, "rack")
        table.check_key_values(bench, imported, "rack")
        [[plate, name, *_]] = holding.plates(bench.lab, imported.fileset("rack"))
        assert name == "rack"
        assert holding.in_screen(bench.lab, imported.done.into) == {plate: 1}


def test_a_file_that_is_named_twice_is_imported_once(bench: Bench) -> None:
    folder = bench.folder("twice")
    row = fakes.fake("twice")
    fakes.write(folder, [row])
    aged(folder)
    path = folder / row.ordered
    (folder / "link.fake").symlink_to(path)
    done = bench.carry_out(
        path, path, f"{folder}/../{folder.name}/{row.ordered}", folder / "link.fake", names=["a", "b", "c", "d"]
    )
    assert done.status.state == "completed", done.lines
    [line] = done.lines
    [image] = holding.images(bench.lab, Table(folder=folder, rows={"twice": row}, done=done).fileset("twice"))
    assert (line.entry, image.image, image.name) == (str(path), *line.images, "a")


def test_what_was_ordered_before_is_imported_again_by_another_order(bench: Bench) -> None:
    folder = bench.folder("again")
    row = fakes.fake("again")
    fakes.write(folder, [row])
    aged(folder)
    first = bench.carry_out(folder / row.ordered)
    second = bench.carry_out(folder / row.ordered, into=first.into)
    assert len({*first.images(), *second.images()}) == 2
    assert holding.in_dataset(bench.lab, first.into) == dict.fromkeys([*first.images(), *second.images()], 1)
