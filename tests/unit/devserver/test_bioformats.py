# SPDX-License-Identifier: GPL-2.0-or-later
"""Bio-Formats in this process: few readers open whatever is asked for, threads that do not meet, failures that stay small."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from omero_devserver.formats import bioformats, java, readers
from omero_devserver.formats.values import Unreadable

AT_ONCE = """
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from omero_devserver.formats import java, readers

def slowly(library, start=java._start):
    time.sleep(0.5)  # so that all are there before the first is through
    start(library)

java._start = slowly

def read(number):
    with readers.opened(Path(f"{number}&sizeX=8&sizeY=8.fake")) as files:
        return files.found().format

workers = ThreadPoolExecutor(8)
print(sorted(set(workers.map(read, range(16)))))
"""


def fake(folder: Path, name: str) -> Path:
    path = folder / name
    path.touch()
    return path


@pytest.fixture(scope="module", autouse=True)
def there_is_a_bio_formats() -> None:
    java.check()  # `make setup` gets it


def test_any_number_of_images_is_open_with_few_readers(tmp_path: Path) -> None:
    paths = [fake(tmp_path, f"{number}&sizeX=32&sizeY=32&series=3.fake") for number in range(40)]
    opened = [bioformats.Files(path) for path in paths]
    stacks = [files.planes(2) for files in opened]
    assert len(bioformats._open) <= bioformats.OPEN_READERS
    for stack in stacks:  # each had its reader taken away, and gets another
        assert stack.plane(0, 0, 0)[5, 5] == 2
    assert len(bioformats._open) <= bioformats.OPEN_READERS
    for files in opened:
        files.close()
    assert len(bioformats._open) == 0


def test_what_was_closed_says_so(tmp_path: Path) -> None:
    files = bioformats.Files(fake(tmp_path, "a&sizeX=8&sizeY=8.fake"))
    stack = files.planes(0)
    files.close()
    with pytest.raises(Unreadable, match="has been closed"):
        stack.plane(0, 0, 0)


class Stubborn:
    """A reader that Java cannot close."""

    def close(self) -> None:
        java.loci().formats.FormatTools.pixelTypeFromString("none")  # raises an exception of Java


def test_a_reader_that_does_not_close_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = fake(tmp_path, "a&sizeX=8&sizeY=8.fake")
    with readers.opened(path) as files:
        assert isinstance(files, bioformats.Files)
        files._reader = Stubborn()
    assert f"{path} does not close" in caplog.text
    assert files._reader is None


def test_threads_that_read_different_images_of_one_file_get_their_own(tmp_path: Path) -> None:
    files = bioformats.Files(fake(tmp_path, "a&sizeX=64&sizeY=32&series=8&sizeZ=5.fake"))
    stacks = [files.planes(series) for series in range(8)]
    with ThreadPoolExecutor(8) as workers:
        read = list(workers.map(lambda n: stacks[n % 8].plane(n % 5, 0, 0)[5, [5, 25]].tolist(), range(400)))
    files.close()
    assert read == [[n % 8, n % 5] for n in range(400)]


def test_a_picture_that_is_not_there_is_an_index_error(tmp_path: Path) -> None:
    with readers.opened(fake(tmp_path, "a&sizeX=8&sizeY=8.fake")) as files, pytest.raises(IndexError):
        files.planes(1)


def test_a_plane_larger_than_the_memory_is_an_error_and_its_tiles_are_not(tmp_path: Path) -> None:
    with readers.opened(fake(tmp_path, "a&sizeX=40000&sizeY=40000.fake")) as files:
        stack = files.planes(0)
        with pytest.raises(Unreadable, match="Java heap space"):
            stack.plane(0, 0, 0)
        tile = stack.tile(0, 0, 0, 300, 20000, 4, 2)
    assert tile.tolist() == [[300 % 256 + column for column in range(4)]] * 2


def test_smaller_resolutions_are_levels_of_the_same_image(tmp_path: Path) -> None:
    with readers.opened(fake(tmp_path, "a&sizeX=64&sizeY=32&resolutions=3.fake")) as files:
        assert len(files.found().pictures) == 1
        stack = files.planes(0)
        assert stack.levels == ((64, 32), (32, 16), (16, 8))
        assert stack.plane(0, 0, 0, level=2).shape == (8, 16)
        assert stack.plane(0, 0, 0).shape == (32, 64)


def test_a_name_that_is_no_text_is_unreadable(tmp_path: Path) -> None:
    with readers.opened(fake(tmp_path, os.fsdecode(b"\xff&sizeX=8&sizeY=8.fake"))) as files, pytest.raises(Unreadable):
        files.found()


def test_indexed_colours_are_resolved(tmp_path: Path) -> None:
    with readers.opened(fake(tmp_path, "a&sizeX=20&sizeY=20&indexed=true.fake")) as files:
        assert len(files.found().pictures[0].channels) == 3
        assert files.planes(0).size_c == 3


@pytest.mark.parametrize("kind", ["int8", "uint16", "int32", "float", "double", "bit"])
@pytest.mark.parametrize("little", ["true", "false"])
def test_every_type_of_pixel_is_read_in_either_byte_order(tmp_path: Path, kind: str, little: str) -> None:
    name = f"a&sizeX=32&sizeY=16&pixelType={kind}&little={little}.fake"
    with readers.opened(fake(tmp_path, name)) as files:
        assert files.found().pictures[0].pixels_type == kind
        stack = files.planes(0)
        expected = {"float": "float32", "double": "float64", "bit": "uint8"}.get(kind, kind)
        assert stack.dtype == np.dtype(expected)
        row = stack.plane(0, 0, 0)[15]
    if kind != "bit":
        assert (np.diff(row.astype("f8")) > 0).all()  # a fake is a ramp


def test_java_starts_once_when_all_threads_are_first_and_ends_with_the_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(java.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("['Fake']\n", "", 0)
