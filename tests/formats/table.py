# SPDX-License-Identifier: GPL-2.0-or-later
"""A table of files that were imported in one order, and what is to be true of each of them, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omero_adi_plugin.orders import FileStep, LedgerFile, Route, TargetKind
from tests.formats import holding
from tests.formats.bad import Bad
from tests.formats.bench import Bench, Done, aged
from tests.formats.expected import Expected


@dataclass(frozen=True, kw_only=True)
class Table:
    """What was ordered below `folder`, what must have come of each row, and the order that did it."""

    folder: Path
    rows: dict[str, Expected]
    done: Done

    @property
    def paths(self) -> list[str]:
        """What was ordered."""
        return [str(self.folder / row.ordered) for row in self.rows.values()]

    def files(self, row: str) -> list[str]:
        """All files that a row is made of."""
        return [str(self.folder / name) for name in self.rows[row].files]

    def line(self, row: str) -> LedgerFile:
        """The one line of the ledger for a row."""
        [line] = self.done.of(self.folder / self.rows[row].ordered)
        return line

    def fileset(self, row: str) -> int:
        fileset = self.line(row).fileset
        assert fileset is not None
        return fileset


@dataclass(frozen=True, kw_only=True)
class Mixed(Table):
    """An order of many files, of which some cannot be imported; `foreseen` is what a dry run has said before."""

    refused: dict[str, Bad]
    ordered: list[str]
    foreseen: tuple[int, dict[str, Any]]


def imported(bench: Bench, folder: Path, rows: dict[str, Expected], kind: TargetKind) -> Table:
    """Import files, all in one order."""
    aged(folder)
    paths = [folder / row.ordered for row in rows.values()]
    return Table(folder=folder, rows=rows, done=bench.carry_out(*paths, into=bench.new(kind)))


def check_ledger(table: Table, row: str) -> None:
    """One line, which says how it went, under the smallest path of the fileset."""
    line = table.line(row)
    assert (line.step, line.route, line.error) == (FileStep.ANNOTATED, Route.INPLACE, None)
    assert line.key == min(table.files(row), key=str.encode)
    assert len(line.images) == len(table.rows[row].pictures)
    assert len(line.plates) == len(table.rows[row].plates)


def check_files(bench: Bench, table: Table, row: str) -> None:
    """The fileset has the files, all of them, with their sizes."""
    held = holding.files(bench.lab, table.fileset(row))
    assert held == {path: Path(path).stat().st_size for path in table.files(row)}


def check_images(bench: Bench, table: Table, row: str) -> None:
    """The images are those of the ledger, in the order of their series, and each is what its maker says."""
    expected, line = table.rows[row], table.line(row)
    held = holding.images(bench.lab, table.fileset(row))
    assert [image.image for image in held] == list(line.images)
    assert [image.series for image in held] == list(range(len(held)))
    assert [image.sizes for image in held] == [picture.sizes for picture in expected.pictures]
    assert [image.kind for image in held] == [picture.kind for picture in expected.pictures]
    for image, picture in zip(held, expected.pictures, strict=True):
        if picture.name is not None:
            assert image.name == picture.name
        if picture.lengths is not None:
            assert image.lengths == picture.lengths
        if picture.channels is not None:
            assert holding.channels(bench.lab, image.pixels) == picture.channels


def check_key_values(bench: Bench, table: Table, row: str) -> None:
    """Each image or, in a Screen, each plate carries the key-values of its order, exactly once; nothing else does."""
    line, files = table.line(row), table.files(row)
    kind, ids = ("Plate", line.plates) if line.plates else ("Image", line.images)
    for values in check_carried(bench, table.done, kind, ids):
        assert values["Filepath"] in files
        assert values["Imported_from"] in files
    if line.plates:
        assert not holding.annotation_links(bench.lab, "Image", line.images, namespace=bench.settings.annotation_namespace)


def check_carried(bench: Bench, done: Done, kind: str, ids: Sequence[int]) -> list[dict[str, str]]:
    """Each of these objects carries key-values of an order exactly once; returns them."""
    namespace, lab = bench.settings.annotation_namespace, bench.lab
    assert holding.annotation_links(lab, kind, ids, namespace=namespace) == dict.fromkeys(ids, 1)
    carried = holding.key_values(lab, kind, ids, namespace=namespace)
    assert carried.keys() == set(ids)
    for [values] in carried.values():
        assert values["UUID"] == done.uuid
        assert (values["Group"], values["Username"]) == (lab.group, lab.user)
        assert (values["DestinationType"], values["DestinationID"]) == (str(done.into.kind), str(done.into.id))
    return [values for [values] in carried.values()]


def check_planes(bench: Bench, table: Table, row: str) -> None:
    """What OMERO shows is what was written, value by value."""
    held = holding.images(bench.lab, table.fileset(row))
    for image, picture in zip(held, table.rows[row].pictures, strict=True):
        values, levels = holding.values(bench.lab, image)
        np.testing.assert_array_equal(values, picture.values, err_msg=f"{row}, {image.name}")
        assert levels == picture.levels
