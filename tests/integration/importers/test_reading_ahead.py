# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are opened before they are asked about: the answers are those of files that are opened one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import FileBroken, FileMissing, FormatUnknown, ImportInterrupted, NameImpossible, ReaderFailed
from omero_adi_plugin.importers.reading import bioformats
from omero_adi_plugin.importers.reading.bioformats import BioformatsReader
from omero_adi_plugin.importers.reading.jars import NoBioformats, find
from omero_adi_plugin.importers.reading.process import LONGEST_QUESTION, ReaderProcess
from tests.fixtures.companions import companion_set
from tests.fixtures.reading import Trap, admitted, bioformats_reader, children, takes_all_memory, trap
from tests.fixtures.waiting import wait_until

__all__ = ["trap"]

SLOW = "slow&plates=1&plateRows=32&plateCols=48&fields=4&plateAcqs=1.fake"
"""More than a second, where one file after the other is opened for a quarter of one."""


@pytest.fixture(scope="module")
def reader() -> Iterator[BioformatsReader]:
    with bioformats_reader() as reader:
        yield reader


@pytest.fixture(scope="module")
def child() -> Iterator[ReaderProcess]:
    found = find(None)
    assert not isinstance(found, NoBioformats), f"the set-up should have seen to it: {found.why}"
    with ThreadPoolExecutor(1) as spawner:
        child = ReaderProcess(found, heap_mb=256, spawner=spawner)
        try:
            yield child
        finally:
            child.close()


def fakes(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}&series={number + 1}.fake" for number in range(count)]
    for path in paths:
        path.touch()
    return paths


def tiffs(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.tif" for number in range(count)]
    for path in paths:
        tifffile.imwrite(path, np.zeros((8, 8), "u1"))
    return paths


def ask_ahead(child: ReaderProcess, *paths: Path) -> list[int | None]:
    """Return how many images each file is said to have, None if it was not opened."""
    answers = child.ask_ahead([str(path) for path in paths], patience_seconds=60)
    return [answer.get("images") for answer in answers]


def ask_ahead_of_all(child: ReaderProcess, *paths: Path) -> list[int | None]:
    """The same, again until the last one is not left to another question: where the first of a kind takes long, the rest is."""
    answers: list[int | None] = []

    def is_answered() -> bool:
        answers[:] = ask_ahead(child, *paths)
        return answers[-1] is not None

    wait_until(is_answered, what="an answer for the last of these files")
    return answers


def test_what_was_read_ahead_is_not_opened_again(reader: BioformatsReader, tmp_path: Path) -> None:
    files = [admitted(path) for path in tiffs(tmp_path, 3)]
    one_by_one = [reader.read(file) for file in files]
    reader.read_ahead(files)
    for file in files:
        Path(file.path).unlink()
    assert [reader.read(file) for file in files] == one_by_one


def test_an_answer_is_good_for_one_question(reader: BioformatsReader, tmp_path: Path) -> None:
    files = [admitted(path) for path in tiffs(tmp_path, 2)]
    reader.read_ahead(files)
    assert reader.read(files[0]).images == 1
    Path(files[0].path).unlink()
    with pytest.raises(FileMissing):
        reader.read(files[0])


def test_a_file_that_has_changed_is_opened_again(reader: BioformatsReader, tmp_path: Path) -> None:
    first, second = tiffs(tmp_path, 2)
    reader.read_ahead([admitted(first), admitted(second)])
    second.write_bytes(b"II*\0\x08\0\0\0")
    with pytest.raises(FileBroken):
        reader.read(admitted(second))


def test_an_old_answer_is_forgotten(reader: BioformatsReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bioformats, "ANSWER_SECONDS", 0.0)
    first, second = (admitted(path) for path in tiffs(tmp_path, 2))
    reader.read_ahead([first, second])
    Path(second.path).unlink()
    with pytest.raises(FileMissing):
        reader.read(second)


def test_what_is_broken_is_opened_again_as_its_set_may_have_come(reader: BioformatsReader, tmp_path: Path) -> None:
    _, first, second, _ = companion_set(tmp_path)
    second.rename(tmp_path / "away")
    files = [admitted(first), admitted(*fakes(tmp_path, 1))]
    reader.read_ahead(files)
    (tmp_path / "away").rename(second)
    assert len(reader.read(files[0]).used) == 4


def test_failures_are_told_when_the_file_is_read(reader: BioformatsReader, tmp_path: Path) -> None:
    (good,) = fakes(tmp_path, 1)
    text, torn, odd = tmp_path / "a.txt", tmp_path / "b.tif", tmp_path / "c\udcff.tif"
    text.write_text("no image")
    torn.write_bytes(b"II*\0\x08\0\0\0")
    odd.write_bytes(b"II*\0")
    reader.read_ahead([admitted(path) for path in (text, torn, odd, good)])
    for path, error in ((text, FormatUnknown), (torn, FileBroken), (odd, NameImpossible)):
        with pytest.raises(error) as failed:
            reader.read(admitted(path))
        assert vars(failed.value)["path"] == str(path)
    assert reader.read(admitted(good)).images == 1


def test_the_files_of_a_set_are_not_opened_one_by_one(child: ReaderProcess, tmp_path: Path) -> None:
    index = tmp_path / "set.pattern"
    index.write_text("<0-2>&sizeX=8.fake")
    members = [tmp_path / f"{number}&sizeX=8.fake" for number in range(3)]
    for path in members:
        path.touch()
    (other,) = fakes(tmp_path, 1)
    assert ask_ahead_of_all(child, index, *members, other) == [1, None, None, None, 1]


def test_of_a_set_that_is_not_whole_one_file_is_opened(child: ReaderProcess, tmp_path: Path) -> None:
    _, first, second, third = companion_set(tmp_path)
    second.unlink()
    told, nothing = child.ask_ahead([str(first), str(third)], patience_seconds=60)
    assert told["failure"] == "broken"
    assert nothing == {}


def test_nobody_waits_for_files_that_take_long(child: ReaderProcess, tmp_path: Path) -> None:
    slow = tmp_path / SLOW
    slow.touch()
    assert ask_ahead(child, slow, *fakes(tmp_path, 2)) == [32 * 48 * 4, None, None]


def test_a_question_fits_into_the_pipe(child: ReaderProcess, tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(12):
        folder /= "ä" * 100  # six bytes each in the question
        folder.mkdir()
    paths = fakes(folder, 12)
    answers = ask_ahead_of_all(child, *paths)
    assert answers == list(range(1, len(answers) + 1))
    assert (
        LONGEST_QUESTION / 2 < sum(len(str(path).encode("unicode_escape")) for path in paths[: len(answers)]) < LONGEST_QUESTION
    )


def test_a_file_that_hangs_is_found_out_by_itself(tmp_path: Path, trap: Trap, caplog: pytest.LogCaptureFixture) -> None:
    first, before, after = fakes(tmp_path, 3)
    caplog.set_level(logging.WARNING)
    with bioformats_reader(patience_seconds=3) as reader:
        reader.read(admitted(first))  # from then on a file takes a moment, so that a child that is not asked about each gets on
        reader.read_ahead([admitted(path) for path in (before, trap.path, after)])
        assert children() == []
        assert [record.getMessage() for record in caplog.records] == ["reader.ended"]
        assert [reader.read(admitted(path)).images for path in (before, after)] == [2, 3]
        with pytest.raises(ReaderFailed, match="took longer than 3 s"):
            reader.read(admitted(trap.path))


def test_a_file_that_takes_all_memory_is_found_out_by_itself(tmp_path: Path) -> None:
    first, before, after = fakes(tmp_path, 3)
    huge = takes_all_memory(tmp_path / "huge.tif")
    with bioformats_reader(heap_mb=64) as reader:
        reader.read(admitted(first))  # see above
        reader.read_ahead([admitted(path) for path in (before, huge, after)])
        assert children() == []
        assert [reader.read(admitted(path)).images for path in (before, after)] == [2, 3]
        with pytest.raises(ReaderFailed, match="more than 64 MB of memory"):
            reader.read(admitted(huge))


def test_a_reader_that_is_closed_reads_nothing_ahead(tmp_path: Path) -> None:
    known, other = (admitted(path) for path in fakes(tmp_path, 2))
    with bioformats_reader() as reader:
        reader.read_ahead([known])
        reader.close()
        reader.read_ahead([other])
        assert children() == []
        for file in (known, other):
            with pytest.raises(ImportInterrupted):
                reader.read(file)


def test_names_that_nobody_can_open_are_no_question(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = tmp_path / "c\udcff.tif"
    odd.touch()
    caplog.set_level(logging.INFO)
    with bioformats_reader() as reader:
        reader.read_ahead([admitted(odd)])
        assert children() == []
        assert reader.read(admitted(*fakes(tmp_path, 1))).images == 1
    assert not caplog.records  # of a child that has ended over an empty question
