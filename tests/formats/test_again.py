# SPDX-License-Identifier: GPL-2.0-or-later
"""An order that is done again imports nothing a second time, whatever the format."""

from __future__ import annotations

import pytest

from tests.formats import fakes, holding, sets
from tests.formats.bench import Bench, aged
from tests.formats.table import Table, check_carried, check_files, check_images, check_key_values, check_ledger


@pytest.mark.parametrize("ledger", ["kept", "lost"])
@pytest.mark.parametrize("table", ["fake_images", "fake_plates", "real_files", "mixed"])
def test_nothing_is_doubled(bench: Bench, request: pytest.FixtureRequest, table: str, ledger: str) -> None:
    first: Table = request.getfixturevalue(table)
    done, into = first.done, first.done.into
    before = holding.in_dataset(bench.lab, into), holding.in_screen(bench.lab, into), bench.lab.markers()
    links = bench.linked(first.folder)
    if ledger == "lost":  # as if the worker had died before it wrote down what OMERO has, which then is to see that all is there
        bench.tracking.sql("DELETE FROM adi_file WHERE uuid = %s", done.uuid)
    again = bench.again(done)
    assert again.status.attempt > done.status.attempt
    assert (again.status.state, again.status.description) == (done.status.state, done.status.description)
    assert sorted(again.lines, key=lambda line: line.key) == sorted(done.lines, key=lambda line: line.key)
    assert (holding.in_dataset(bench.lab, into), holding.in_screen(bench.lab, into), bench.lab.markers()) == before
    assert bench.linked(first.folder) == links
    plates = [plate for line in done.lines for plate in line.plates]
    check_carried(bench, done, "Plate" if plates else "Image", plates or done.images())


def test_what_has_become_whole_meanwhile_goes_in_then(bench: Bench) -> None:
    folder = bench.folder("whole")
    row = sets.companion("late", sizes=(2, 1, 1))(folder)
    last, away = folder / row.files[-1], folder / "away"
    last.rename(away)
    one = fakes.fake("one")
    fakes.write(folder, [one])
    aged(folder)
    first = bench.carry_out(folder / row.ordered, folder / one.ordered)
    assert first.status.state == "failed"
    assert [len(line.images) for line in first.of(folder / row.ordered)] == [0]
    away.rename(last)
    second = bench.again(first)
    assert (second.status.state, second.status.description) == ("completed", None)
    imported = Table(folder=folder, rows={"late": row, "one": one}, done=second)
    for name in imported.rows:
        check_ledger(imported, name)
        check_files(bench, imported, name)
        check_images(bench, imported, name)
        check_key_values(bench, imported, name)
    assert imported.line("one").images == tuple(first.images())
