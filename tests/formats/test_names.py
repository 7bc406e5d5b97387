# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that the user gives, as OMERO shows them (recorded on a real server, facts 1), and what `metadata.csv` adds."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_adi_plugin.orders import TargetKind
from tests.formats import fakes, holding, real
from tests.formats.bench import Bench, Done, aged
from tests.formats.expected import Expected

SERIES, PLATE = fakes.fake("s", "&series=3", 3), fakes.shelf("p", "plates=1", plates=1, rows=1, columns=2, fields=1, runs=1)
PLATES = fakes.shelf("q", "plates=2", plates=2, rows=1, columns=1, fields=1, runs=1)


@pytest.fixture
def folder(bench: Bench) -> Path:
    return bench.folder("names")


def written(folder: Path, *rows: Expected) -> list[Path]:
    fakes.write(folder, rows)
    aged(folder)
    return [folder / row.ordered for row in rows]


def names(bench: Bench, done: Done) -> list[list[str]]:
    """Of each fileset, in the order of its entry, the names of its images."""
    return [[image.name for image in holding.images(bench.lab, line.fileset)] for line in done.lines if line.fileset is not None]


def test_one_image_is_called_as_the_user_says(bench: Bench, folder: Path) -> None:
    first, second = real.FILES["three"](folder), fakes.fake("one")
    paths = [folder / first.ordered, *written(folder, second)]
    done = bench.carry_out(*paths, names=["a long name: 'é' / 50 %", "cells"])
    assert done.status.state == "completed", done.lines
    by_entry = {line.entry: line.fileset for line in done.lines}
    shown = [image.name for path in paths for image in holding.images(bench.lab, by_entry[str(path)] or 0)]
    assert shown == [*(f"a long name: 'é' / 50 % [{name}]" for name in ("left", "right", "both")), "cells"]


def test_several_images_are_told_apart_behind_the_name(bench: Bench, folder: Path) -> None:
    done = bench.carry_out(*written(folder, SERIES), names=["mine"])
    assert names(bench, done) == [["mine [s]", "mine [s 2]", "mine [s 3]"]]


def test_a_plate_is_called_so_and_its_images_too(bench: Bench, folder: Path) -> None:
    done = bench.carry_out(*written(folder, PLATE), into=bench.new(TargetKind.SCREEN), names=["mine"])
    assert names(bench, done) == [["mine [p]", "mine [p 2]"]]
    [line] = done.lines
    [[_, name, *_]] = holding.plates(bench.lab, line.fileset or 0)
    assert name == "mine"


def test_a_list_of_another_length_means_no_names(bench: Bench, folder: Path) -> None:
    [path] = written(folder, SERIES)
    done = bench.carry_out(path, names=["a", "b"])
    assert names(bench, done) == [[f"{path.name} [{name}]" for name in ("s", "s 2", "s 3")]]


def test_the_name_of_a_folder_is_for_its_only_fileset(bench: Bench, folder: Path) -> None:
    for rows in ([SERIES], [SERIES, fakes.fake("one")]):
        inner = folder / f"with-{len(rows)}"
        inner.mkdir()
        written(inner, *rows)
        shown = names(bench, bench.carry_out(inner, names=["mine"]))
        own = [[picture.name for picture in row.pictures] for row in rows]
        assert sorted(shown) == sorted(own if len(rows) > 1 else [["mine [s]", "mine [s 2]", "mine [s 3]"]])


def test_the_order_says_which_names_it_gave(bench: Bench, folder: Path) -> None:
    one = fakes.fake("one")
    done = bench.carry_out(*written(folder, one), names=["mine"])
    [[values]] = holding.key_values(bench.lab, "Image", done.images(), namespace=bench.settings.annotation_namespace).values()
    assert (values["Files"], values["FileNames"]) == (f'["{folder / one.ordered}"]', '["mine"]')


def test_metadata_csv_beside_a_file_is_on_each_of_its_images(bench: Bench, folder: Path) -> None:
    (folder / "metadata.csv").write_bytes(
        '\ufeffkey,value\r\nstain,DAPI\r\nnote,"a, b"\r\nwrong row\r\ndye,von außen\r\n'.encode()
    )
    processed = folder / ".processed"
    processed.mkdir()
    (processed / "metadata.csv").write_text("stain,GFP\nwell,A1\n")
    rows = (SERIES, fakes.fake("one"))
    done = bench.carry_out(*written(folder, *rows))
    assert done.status.state == "completed", done.lines
    found = holding.key_values(bench.lab, "Image", done.images(), namespace=bench.settings.annotation_namespace)
    assert len(found) == 4
    for [values] in found.values():
        own = {key: value for key, value in values.items() if key.startswith("csv_")}
        assert own == {"csv_stain": "GFP", "csv_note": "a, b", "csv_dye": "von außen", "csv_well": "A1"}


def test_metadata_csv_of_each_folder_is_for_the_plates_in_it(bench: Bench, folder: Path) -> None:
    for name, row in (("left", PLATE), ("right", PLATES)):
        (folder / name).mkdir()
        (folder / name / "metadata.csv").write_text(f"side,{name}\n")
        written(folder / name, row)
    done = bench.carry_out(folder, into=bench.new(TargetKind.SCREEN))
    assert done.status.state == "completed", done.lines
    plates = [plate for line in done.lines for plate in line.plates]
    found = holding.key_values(bench.lab, "Plate", plates, namespace=bench.settings.annotation_namespace)
    sides = {line.key.removeprefix(f"{folder}/").partition("/")[0]: line.plates for line in done.lines}
    assert {side: len(ids) for side, ids in sides.items()} == {"left": 1, "right": 2}
    for side, ids in sides.items():
        assert [values["csv_side"] for plate in ids for values in found[plate]] == [side] * len(ids)
