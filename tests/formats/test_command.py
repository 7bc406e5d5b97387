# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person at a terminal is told, whatever the format."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_adi_plugin.orders import TargetKind
from tests.formats import bad, fakes, holding
from tests.formats.bench import Bench, aged


@pytest.fixture
def folder(bench: Bench) -> Path:
    return bench.folder("command")


def test_a_second_time_it_says_that_nothing_was_imported(bench: Bench, folder: Path) -> None:
    rows = (fakes.fake("three", "&series=3", 3), fakes.fake("one"), fakes.fake("new"))
    fakes.write(folder, rows)
    aged(folder)
    paths = [folder / row.ordered for row in rows]
    first = bench.carry_out(*paths[:2])
    command = ["import", "--into", str(first.into), "--for", bench.lab.user, "--in-group", bench.lab.group, "--skip-existing"]
    done = bench.services.run(*command, *paths[:2])
    assert done.returncode == os.EX_OK, done.stderr
    assert "2 files were in the target already, and were not imported again." in done.stderr
    assert "nothing imported" in done.stdout
    assert holding.in_dataset(bench.lab, first.into) == dict.fromkeys(first.images(), 1)
    done = bench.services.run(*command, *paths)
    assert "1 fileset, 1 image" in done.stdout
    assert len(holding.in_dataset(bench.lab, first.into)) == len(first.images()) + 1


def test_a_dry_run_names_all_that_cannot_be_imported(bench: Bench, folder: Path) -> None:
    refused = {name: write(folder) for name, write in bad.BAD.items()}
    row = fakes.fake("one")
    fakes.write(folder, [row])
    aged(folder)
    paths = [folder / row.ordered, *(folder / each.path for each in refused.values())]
    done = bench.services.run(*bench.dry(*paths, into=bench.new(TargetKind.DATASET)))
    assert done.returncode == os.EX_DATAERR
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    said = [row[-1] for row in rows if row[-2:-1] == ["cannot be imported"]]
    assert len(said) == len(refused)
    for each in refused.values():
        assert any(str(folder / each.path) in sentence and each.words in sentence for sentence in said), (each, said)
    assert rows[-1][0].startswith("1 filesets, 1 images, 0 plates")
    assert f"{len(refused)} of {len(paths)} files and folders could not be imported completely" in done.stderr
