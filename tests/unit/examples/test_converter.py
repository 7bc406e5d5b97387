# SPDX-License-Identifier: GPL-2.0-or-later
"""The example of a converter, outside a container: what it says, and what it makes. `tests/long` has it in one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

CONVERTER = Path(__file__).parents[3] / "examples" / "converter" / "converter.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("kept", "alt"):
        (tmp_path / name).mkdir()
    return tmp_path


def convert(folder: Path, array: npt.ArrayLike, *more: str, alt: bool = True) -> subprocess.CompletedProcess[str]:
    source = folder / "cells.npy"
    np.save(source, array)
    command = [sys.executable, "-W", "error", str(CONVERTER), "--inputfile", str(source), *more]
    command += ["--outputfolder", str(folder / "kept")]
    if alt:
        command += ["--altoutputfolder", str(folder / "alt")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_its_last_line_says_what_it_has_made(folder: Path) -> None:
    stack = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8)
    done = convert(folder, stack, "--pixel-size", "0.2")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert (first["name"], second["name"]) == ("cells", "cells, projection")
    assert first["keyvalues"] == [{"Planes": 4, "Pixel type": "uint16"}]
    np.testing.assert_array_equal(tifffile.imread(first["alt_path"]), stack)
    np.testing.assert_array_equal(tifffile.imread(second["alt_path"]), stack.max(axis=0))
    with tifffile.TiffFile(first["alt_path"]) as file:
        assert file.is_ome
        assert 'PhysicalSizeX="0.2"' in str(file.ome_metadata)
    assert list((folder / "kept").iterdir()) == []


def test_without_an_alternative_folder_it_writes_beside_the_source(folder: Path) -> None:
    done = convert(folder, np.ones((6, 8), np.int64), alt=False)
    assert done.returncode == 0, done.stderr
    items = json.loads(done.stdout.splitlines()[-1])
    assert [item["full_path"] for item in items] == [
        str(folder / "kept" / name) for name in ("cells.ome.tiff", "cells-projection.ome.tiff")
    ]
    assert tifffile.imread(items[0]["full_path"]).dtype == np.float64


@pytest.mark.parametrize("array", [np.array(["a text"]), np.zeros((0, 3)), np.array([{"a": "pickle"}], dtype=object)])
def test_what_it_cannot_convert_it_says_in_a_sentence(folder: Path, array: npt.ArrayLike) -> None:
    done = convert(folder, array)
    assert done.returncode == 1
    assert done.stderr.startswith("cells.npy ")
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)
    assert list((folder / "alt").iterdir()) == []
