# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files become one fileset, whichever of them is met first; and that nothing is lost, or taken twice, on the way."""

from __future__ import annotations

import itertools
import logging
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import (
    EntryFailed,
    FileBroken,
    FileGrowing,
    FileMissing,
    FormatUnknown,
    ImportInterrupted,
    NameImpossible,
    NothingToImport,
    PathOutsideRoots,
    ReaderFailed,
    ZarrUnsupported,
)
from omero_adi_plugin.importers import ahead
from omero_adi_plugin.importers.ahead import AHEAD
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.importers.plans import AdmittedFile, EntryPlan, FilesetPlan, Reading
from omero_adi_plugin.importers.reading.tiff import TIFF, TiffReader
from omero_adi_plugin.orders import Entry
from omero_adi_plugin.pipeline.gate import FileGate
from tests.fixtures.gates import gate_of

STACK = np.arange(5 * 16 * 16, dtype="u2").reshape(5, 16, 16)


class ListReader:
    """A reader for tests of the grouping alone: a file's text says how it is to be read.

    Each line names a file beside it that it is read with; `?` no reader knows it, `!` it is broken, `~` the reader hangs,
    `%` the file system is away.
    """

    version = "0 (lists)"

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.announced: list[list[str]] = []

    def read_ahead(self, files: Sequence[AdmittedFile]) -> None:
        self.announced.append([Path(file.path).name for file in files])

    def read(self, file: AdmittedFile) -> Reading:
        self.opened.append(Path(file.path).name)
        folder, used = Path(file.path).parent, [file.path]
        for line in Path(file.path).read_text(encoding="utf-8").splitlines():
            match line:
                case "?":
                    raise FormatUnknown(path=file.path, why="no reader knows this format")
                case "!":
                    raise FileBroken(path=file.path, why="its pages are torn")
                case "~":
                    raise ReaderFailed(path=file.path, why="opening it took longer than 60 s")
                case "%":
                    raise ImportInterrupted(path=file.path, words="its file system does not answer")
                case _ if line != ".":
                    used.append(str(folder / line))
        return Reading(used=tuple(used), reader="list", format="List", images=len(used), plates=0)

    def close(self) -> None:
        pass


@pytest.fixture
def lists() -> ListReader:
    return ListReader()


@pytest.fixture
def grouping(tmp_path: Path, lists: ListReader) -> Grouping:
    return Grouping(gate=gate_of(tmp_path), reader=lists)


def put(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) or ".", encoding="utf-8")
    return path


def plan(grouping: Grouping, path: Path, name: str | None = None) -> EntryPlan:
    return grouping.plan(Entry(path=str(path), name=name))


def names(fileset: FilesetPlan) -> list[str]:
    return [Path(file.path).name for file in fileset.files]


def sets(plan: EntryPlan) -> list[set[str]]:
    return [set(names(fileset)) for fileset in plan.filesets]


def aged(path: Path, seconds: float) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


# --- files that are still being written


def test_what_cannot_be_read_and_is_still_being_written_is_not_broken(tmp_path: Path) -> None:
    for lines in (("!",), ("?",), ()):
        path = put(tmp_path / "a.tif", *lines)
        if not lines:
            path.write_bytes(b"")
        grouping = Grouping(gate=gate_of(tmp_path, settle_seconds=3600), reader=ListReader())
        with pytest.raises(FileGrowing) as growing:
            plan(grouping, path)
        assert growing.value.path == str(path)
        aged(path, 4000)
        with pytest.raises((FileBroken, FormatUnknown)):
            plan(grouping, path)
    put(path, "!")
    with pytest.raises(FileBroken):  # files are taken as they are
        plan(Grouping(gate=gate_of(tmp_path), reader=ListReader()), path)


def test_files_of_a_folder_that_are_still_being_written_keep_none_of_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name, line in (("good.x", "."), ("broken.x", "!"), ("zeros.tif", "?")):
        aged(put(folder / name, line), 4000)
    for name, line in (("growing.x", "!"), ("new.tif", "?"), ("notes.txt", "?"), ("new.x", ".")):
        put(folder / name, line)
    (folder / "done.flag").touch()
    found = plan(Grouping(gate=gate_of(tmp_path, settle_seconds=3600), reader=ListReader()), folder, "a name")
    assert sets(found) == [{"good.x"}, {"new.x"}]
    assert sorted(Path(failure.path).name for failure in found.growing) == ["growing.x", "new.tif"]
    assert sorted(Path(failure.path).name for failure in found.failures) == ["broken.x", "zeros.tif"]  # type: ignore[attr-defined]
    assert sorted(Path(left.path).name for left in found.left_out) == ["done.flag", "notes.txt"]


def test_a_set_is_not_broken_while_one_of_its_files_is_still_being_written(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    index = aged(put(folder / "a.index", "z0.tif", "z1.tif"), 4000)
    aged(put(folder / "z0.tif"), 4000)
    (folder / "z1.tif").write_bytes(b"II*\0")  # without its directory, yet
    grouping = Grouping(gate=gate_of(tmp_path, settle_seconds=3600), reader=ListReader())
    found = plan(grouping, folder)
    assert (found.filesets, found.failures, len(found.growing)) == ((), (), 1)
    for path in (index, folder / "z0.tif"):
        with pytest.raises(FileGrowing):
            plan(grouping, path)
    aged(folder / "z1.tif", 4000)
    (failure,) = plan(Grouping(gate=gate_of(tmp_path, settle_seconds=3600), reader=ListReader()), folder).failures
    assert isinstance(failure, FileBroken)


# --- one file


def test_all_that_is_known_of_a_file_is_in_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, STACK)
    (found,) = plan(Grouping(gate=gate_of(tmp_path), reader=TiffReader("")), path, "as the producer calls it").filesets
    assert (found.images, found.plates, found.reader, found.format) == (1, 0, TIFF, "Tagged Image File Format")
    assert (found.key, found.bytes, found.name) == (str(path), path.stat().st_size, "as the producer calls it")
    assert [file.source for file in found.files] == [str(path)]


def test_a_file_is_what_the_reader_says_it_is(tmp_path: Path, grouping: Grouping) -> None:
    for path, error in (
        (put(tmp_path / "a", "?"), FormatUnknown),
        (put(tmp_path / "b", "!"), FileBroken),
        (put(tmp_path / "c", "~"), ReaderFailed),
        (put(tmp_path / "d", "%"), ImportInterrupted),
        (tmp_path / "gone", FileMissing),
        (tmp_path.parent, PathOutsideRoots),
        (tmp_path / "a\ud800", NameImpossible),
    ):
        with pytest.raises(error):
            plan(grouping, path)


def test_the_key_of_a_set_is_its_smallest_name_by_bytes(tmp_path: Path) -> None:
    members = ["z.x", "É.x", "E\u0301.x", "a.x"]
    for member in members:
        put(tmp_path / member, *(other for other in members if other != member))
    for member in members:
        (found,) = plan(Grouping(gate=gate_of(tmp_path), reader=ListReader()), tmp_path / member).filesets
        assert found.key == str(tmp_path / "E\u0301.x")
        assert names(found)[0] == member  # the one to open, as the reader says
        assert len(found.files) == 4


def test_a_file_that_the_reader_names_twice_is_one(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "b")
    (found,) = plan(grouping, put(tmp_path / "a", "b", "b", "a")).filesets
    assert names(found) == ["a", "b"]


def test_a_set_with_a_file_that_is_refused_is_refused_and_never_opened_again(
    tmp_path: Path, grouping: Grouping, lists: ListReader
) -> None:
    put(tmp_path / "d" / "a.x", "b.x", "c.x")
    put(tmp_path / "d" / "b.x", "a.x", "c.x")
    (tmp_path / "d" / "c.x").symlink_to(tmp_path / "gone")
    with pytest.raises(FileMissing) as caught:
        plan(grouping, tmp_path / "d" / "b.x")
    assert caught.value.path == str(tmp_path / "d" / "c.x")
    with pytest.raises(FileMissing):
        plan(grouping, tmp_path / "d" / "a.x")
    found = plan(grouping, tmp_path / "d")
    assert [str(failure) for failure in found.failures] == [str(caught.value)]
    assert not found.filesets
    assert lists.opened == ["b.x"]


def test_a_file_of_a_set_that_is_a_folder_breaks_the_set(tmp_path: Path, grouping: Grouping) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(FileBroken, match=r"'.*/b' belongs to it, and it is a folder"):
        plan(grouping, put(tmp_path / "a", "b"))


# --- entries that have files in common


@pytest.mark.parametrize("first", ["a.x", "b.x", "c.x"])
def test_an_entry_of_a_set_that_another_has_brought_is_nothing_of_its_own(
    tmp_path: Path, grouping: Grouping, lists: ListReader, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "omero_adi_plugin")
    members = {"a.x", "b.x", "c.x"}
    for member in members:
        put(tmp_path / member, *members - {member})
    assert sets(plan(grouping, tmp_path / first)) == [members]
    for other in members:
        assert plan(grouping, tmp_path / other) == EntryPlan(entry=Entry(path=str(tmp_path / other)), filesets=())
    assert lists.opened == [first]
    told = [record for record in caplog.records if record.message == "entry.part_of_another"]
    assert {(record.facts["entry"], record.facts["other"]) for record in told} == {  # type: ignore[attr-defined]
        (str(tmp_path / member), str(tmp_path / first)) for member in members
    }


def test_a_folder_whose_files_others_have_brought_is_nothing_of_its_own(
    tmp_path: Path, grouping: Grouping, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "omero_adi_plugin")
    put(tmp_path / "d" / "a.x", "b.x")
    put(tmp_path / "d" / "b.x", "a.x")
    assert len(plan(grouping, tmp_path / "d" / "b.x").filesets) == 1
    found = plan(grouping, tmp_path / "d")
    assert (found.filesets, found.failures) == ((), ())
    assert [Path(each.path).name for each in found.left_out] == ["a.x", "b.x"]
    assert [record.message for record in caplog.records].count("entry.part_of_another") == 1
    put(tmp_path / "d" / "c.x")
    assert sets(plan(grouping, tmp_path / "d")) == [{"c.x"}]


def test_a_file_under_two_names_is_imported_once(tmp_path: Path, grouping: Grouping, lists: ListReader) -> None:
    real = put(tmp_path / "d" / "real.x")
    (tmp_path / "d" / "a-link.x").symlink_to(real)
    (tmp_path / "way").symlink_to(tmp_path / "d")
    found = plan(grouping, tmp_path / "d")
    assert sets(found) == [{"real.x"}]
    assert [(Path(each.path).name, "another name" in each.why) for each in found.left_out] == [("a-link.x", True)]
    for path in (real, tmp_path / "way" / "real.x", tmp_path / "d" / ".." / "d" / "real.x"):
        assert plan(grouping, path).filesets == ()
    assert lists.opened == ["real.x"]
    assert plan(grouping, tmp_path / "d" / "a-link.x").filesets == ()


def test_an_interrupted_entry_leaves_its_files_to_the_others(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "d" / "a.x", "b.x")
    put(tmp_path / "d" / "b.x", "a.x")
    away = put(tmp_path / "d" / "c.x", "%")
    with pytest.raises(ImportInterrupted):
        plan(grouping, tmp_path / "d")
    assert sets(plan(grouping, tmp_path / "d" / "b.x")) == [{"a.x", "b.x"}]
    put(away)
    assert sets(plan(grouping, tmp_path / "d")) == [{"c.x"}]


# --- folders


def test_a_folder_becomes_one_fileset_for_each_set(tmp_path: Path, grouping: Grouping, lists: ListReader) -> None:
    put(tmp_path / "d" / "alone.x")
    put(tmp_path / "d" / "sub" / "a.x", "b.x")
    put(tmp_path / "d" / "sub" / "b.x", "a.x")
    put(tmp_path / "d" / "notes.txt", "?")
    put(tmp_path / "d" / "bad.x", "!")
    put(tmp_path / "d" / "slow.x", "~")
    found = plan(grouping, tmp_path / "d", "a name")
    assert sets(found) == [{"alone.x"}, {"a.x", "b.x"}]
    assert {fileset.entry.path for fileset in found.filesets} == {str(tmp_path / "d")}
    assert {(type(failure), Path(failure.path).name) for failure in found.failures} == {  # type: ignore[attr-defined]
        (FileBroken, "bad.x"),
        (ReaderFailed, "slow.x"),
    }
    assert [(Path(each.path).name, each.why) for each in found.left_out] == [("notes.txt", "no reader knows this format")]
    assert "b.x" not in lists.opened


def test_a_given_name_is_for_one_fileset(tmp_path: Path) -> None:
    put(tmp_path / "d" / "a.x")
    put(tmp_path / "d" / "no.txt", "?")

    def given() -> list[str | None]:
        found = plan(Grouping(gate=gate_of(tmp_path), reader=ListReader()), tmp_path / "d", "mine")
        return [fileset.name for fileset in found.filesets]

    assert given() == ["mine"]
    bad = put(tmp_path / "d" / "b.x", "!")
    assert given() == [None]  # there would be two, had all gone well
    put(bad)
    assert given() == [None, None]


def test_a_set_within_another_is_no_fileset_of_its_own(tmp_path: Path) -> None:
    """A picture of a screen is readable by itself; its index, met later, has it and all others."""
    pictures = {f"{number}.tif" for number in range(5)}
    for order in ("0-index.x", "z-index.tif"):  # opened before, opened after all pictures
        folder = tmp_path / order.partition("-")[0]
        for picture in pictures:
            put(folder / picture)
        put(folder / order, *sorted(pictures))
        lists = ListReader()
        found = plan(Grouping(gate=gate_of(tmp_path), reader=lists), folder)
        assert sets(found) == [pictures | {order}]
        assert found.filesets[0].key == str(folder / min(pictures | {order}))
        assert found.left_out == ()
        assert len(lists.opened) == (1 if order == "0-index.x" else 6)


def test_sets_that_share_a_description_are_two(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "d" / "a.lei")
    put(tmp_path / "d" / "b.tif", "a.lei")
    put(tmp_path / "d" / "c.tif", "a.lei")
    found = plan(grouping, tmp_path / "d")
    assert sets(found) == [{"a.lei", "b.tif"}, {"a.lei", "c.tif"}]
    assert len({fileset.key for fileset in found.filesets}) == 2


def test_a_set_around_files_of_an_earlier_entry_is_imported_as_well(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "a.tif")
    put(tmp_path / "b.tif")
    put(tmp_path / "set.pattern", "a.tif", "b.tif")
    keys = [plan(grouping, tmp_path / name).filesets[0].key for name in ("a.tif", "set.pattern")]
    assert keys == [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    assert plan(grouping, tmp_path / "b.tif").filesets == ()


def test_the_order_of_opening_changes_nothing(tmp_path: Path) -> None:
    """Whatever the sets are, as long as each member leads to its whole set: random sets, opened as single entries."""
    rolls = random.Random(20261127)  # noqa: S311 (repeatable)
    members = [f"{number:02}.x" for number in range(24)]
    rolls.shuffle(members)
    cuts = sorted({0, 24, *rolls.sample(range(1, 24), 6)})
    groups = [set(members[start:end]) for start, end in itertools.pairwise(cuts)]
    for group in groups:
        for member in group:
            put(tmp_path / member, *sorted(group - {member}))
    for _ in range(10):
        rolls.shuffle(members)
        grouping = Grouping(gate=gate_of(tmp_path), reader=ListReader())
        found = [fileset for member in members for fileset in plan(grouping, tmp_path / member).filesets]
        assert sorted((fileset.key, sorted(names(fileset))) for fileset in found) == sorted(
            (str(tmp_path / min(group)), sorted(group)) for group in groups
        )


def test_a_folder_without_images_says_how_many_files_it_has_and_why(tmp_path: Path, grouping: Grouping) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(NothingToImport, match="0 files were looked at"):
        plan(grouping, tmp_path / "d")
    put(tmp_path / "d" / "1.txt", "?")
    put(tmp_path / "d" / "2.txt", "?")
    put(tmp_path / "d" / "metadata.csv", "key,value")
    with pytest.raises(NothingToImport, match=r"2 files were looked at; .*1\.txt.*no reader knows this format") as caught:
        plan(grouping, tmp_path / "d")
    assert caught.value.path == str(tmp_path / "d")


def test_a_folder_with_broken_files_only_says_of_each_why(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "d" / "1.x", "!")
    put(tmp_path / "d" / "2.x", "!")
    found = plan(grouping, tmp_path / "d")
    assert not found.filesets
    assert [type(failure) for failure in found.failures] == [FileBroken, FileBroken]


def test_what_should_be_an_image_by_its_name_is_a_failure_when_it_is_empty_or_unknown(tmp_path: Path, grouping: Grouping) -> None:
    """A copy that broke off may leave a file of zeros behind; a folder is not done while such a one lies in it."""
    put(tmp_path / "d" / "a.x")
    put(tmp_path / "d" / "a.xml", "b.dat")
    put(tmp_path / "d" / "b.dat")
    for name in ("empty.x", "empty.flag", "empty.TIF", "EMPTY"):
        (tmp_path / "d" / name).touch()
    for name in ("zeros.x", "zeros.nd2", "zeros.dat", "zeros.xml"):
        put(tmp_path / "d" / name, "?")
    found = plan(grouping, tmp_path / "d")
    assert sets(found) == [{"a.x"}, {"a.xml", "b.dat"}]
    assert {(type(failure), Path(failure.path).name) for failure in found.failures} == {  # type: ignore[attr-defined]
        (FileBroken, "empty.x"),
        (FileBroken, "empty.TIF"),
        (FormatUnknown, "zeros.x"),
        (FormatUnknown, "zeros.nd2"),
    }
    assert {Path(each.path).name for each in found.left_out} == {"empty.flag", "EMPTY", "zeros.dat", "zeros.xml"}


def test_a_pipe_in_a_folder_is_left_out(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "d" / "a.x")
    os.mkfifo(tmp_path / "d" / "pipe")
    found = plan(grouping, tmp_path / "d")
    assert [each.path for each in found.left_out] == [str(tmp_path / "d" / "pipe")]
    assert not found.failures


def test_zarr_is_refused_by_folder_by_its_metadata_file_and_below_a_folder(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "d" / "a.x")
    put(tmp_path / "d" / "tomo.ome.zarr" / ".zattrs", "{}")
    put(tmp_path / "d" / "nameless" / "zarr.json", "{}")
    for path in ("tomo.ome.zarr", "tomo.ome.zarr/.zattrs", "tomo.ome.zarr/", "nameless", "nameless/zarr.json"):
        with pytest.raises(ZarrUnsupported) as caught:
            grouping.plan(Entry(path=f"{tmp_path}/d/{path}"))
        assert Path(caught.value.path).name == path.partition("/")[0]
    found = plan(grouping, tmp_path / "d")
    assert sets(found) == [{"a.x"}]
    assert [type(failure) for failure in found.failures] == [ZarrUnsupported, ZarrUnsupported]


def test_without_bioformats_only_what_is_surely_no_image_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    tifffile.imwrite(tmp_path / "d" / "a.tif", STACK)
    tifffile.imwrite(tmp_path / "d" / "half.tif", STACK)
    os.truncate(tmp_path / "d" / "half.tif", 1000)
    for name in ("b.weird", "c.xml"):
        put(tmp_path / "d" / name)
    found = plan(Grouping(gate=gate_of(tmp_path), reader=TiffReader("no Java is installed")), tmp_path / "d")
    assert sets(found) == [{"a.tif"}]
    assert {(type(failure), Path(failure.path).name) for failure in found.failures} == {  # type: ignore[attr-defined]
        (FormatUnknown, "b.weird"),
        (FileBroken, "half.tif"),
    }
    assert [Path(each.path).name for each in found.left_out] == ["c.xml"]


# --- size


def test_a_plate_of_20_000_files_is_parsed_once(tmp_path: Path, grouping: Grouping, lists: ListReader) -> None:
    pictures = [f"{number:05}.tif" for number in range(20_000)]
    index = put(tmp_path / "d" / "Index.xml", *pictures)
    source = put(tmp_path / "picture.tif")
    for picture in pictures:
        os.link(source, tmp_path / "d" / picture)
    (found,) = plan(grouping, tmp_path / "d").filesets
    assert len(found.files) == 20_001
    assert lists.opened == ["Index.xml"]
    assert plan(grouping, index).filesets == ()
    assert plan(grouping, tmp_path / "d" / pictures[-1]).filesets == ()
    assert lists.opened == ["Index.xml"]


def test_nothing_but_our_own_errors_comes_out_of_a_folder_of_nonsense(tmp_path: Path) -> None:
    rolls = random.Random(7)  # noqa: S311 (repeatable)
    whole = tmp_path / "whole.tif"
    tifffile.imwrite(whole, STACK, ome=True)
    for number in range(200):
        content = bytearray(whole.read_bytes())
        for _ in range(rolls.randint(1, 12)):
            content[rolls.randrange(len(content))] = rolls.choice((0, 1, 127, 128, 255))
        path = tmp_path / "d" / f"{number}.tif"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    found = plan(Grouping(gate=gate_of(tmp_path), reader=TiffReader("")), tmp_path / "d")
    assert len(found.filesets) + len(found.failures) == 200
    assert all(isinstance(failure, EntryFailed) for failure in found.failures)
    assert found.failures


# --- several files that are looked at in one go


@pytest.fixture
def admitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files the gate was asked about."""
    asked: list[str] = []
    admit = FileGate.admit

    def watched(self: FileGate, path: str) -> AdmittedFile:
        asked.append(Path(path).name)
        return admit(self, path)

    monkeypatch.setattr(FileGate, "admit", watched)
    return asked


def coming(grouping: Grouping, *paths: Path) -> Iterator[Path]:
    return (Path(entry.path) for entry in grouping.ahead([Entry(path=str(path), name=None) for path in paths]))


def test_entries_are_looked_at_in_one_go_and_once(
    tmp_path: Path, grouping: Grouping, lists: ListReader, admitted: list[str]
) -> None:
    paths = [put(tmp_path / f"{number:02}.tif") for number in range(AHEAD + 2)]
    for path in coming(grouping, *paths):
        assert sets(plan(grouping, path)) == [{path.name}]
    names = [path.name for path in paths]
    assert lists.announced == [names[:AHEAD], names[AHEAD:]]
    assert lists.opened == admitted == names


def test_the_files_of_a_folder_are_looked_at_in_one_go_and_once(
    tmp_path: Path, grouping: Grouping, lists: ListReader, admitted: list[str]
) -> None:
    names = [put(tmp_path / "d" / f"{number}.tif").name for number in range(4)]
    assert len(plan(grouping, tmp_path / "d").filesets) == 4
    assert lists.announced == [names]
    assert admitted == ["d", *names]


def test_what_a_set_has_is_not_looked_at(tmp_path: Path, grouping: Grouping, lists: ListReader, admitted: list[str]) -> None:
    index = put(tmp_path / "index.xml", "a.tif", "b.tif")
    for name in ("a.tif", "b.tif"):
        put(tmp_path / name)
    more = [put(tmp_path / "c.tif"), put(tmp_path / "d.tif")]
    (link := tmp_path / "link.tif").symlink_to(tmp_path / "b.tif")
    plan(grouping, index)
    admitted.clear()
    list(coming(grouping, tmp_path / "a.tif", *more, link))
    assert admitted == ["c.tif", "d.tif", "link.tif"]
    assert lists.announced == [["c.tif", "d.tif"]]


def test_what_is_refused_is_refused_when_it_is_planned_and_reported_once(
    tmp_path: Path, lists: ListReader, caplog: pytest.LogCaptureFixture
) -> None:
    inside, outside = put(tmp_path / "in" / "a.tif"), put(tmp_path / "out" / "b.tif")
    grouping = Grouping(gate=gate_of(tmp_path / "in"), reader=lists)
    first, second, third = coming(grouping, outside, tmp_path / "in" / "none.tif", inside)
    with pytest.raises(PathOutsideRoots):
        plan(grouping, first)
    with pytest.raises(FileMissing):
        plan(grouping, second)
    assert len(plan(grouping, third).filesets) == 1
    assert [record.getMessage() for record in caplog.records].count("security.path_outside_roots") == 1
    assert lists.opened == ["a.tif"]


def test_a_folder_among_the_entries_is_planned_as_one(tmp_path: Path, grouping: Grouping) -> None:
    put(tmp_path / "d" / "b.tif")
    entries = [put(tmp_path / "a.tif"), tmp_path / "d", put(tmp_path / "c.tif")]
    assert [sets(plan(grouping, entry)) for entry in coming(grouping, *entries)] == [[{"a.tif"}], [{"b.tif"}], [{"c.tif"}]]


def test_what_was_seen_long_ago_is_looked_at_again(
    tmp_path: Path, grouping: Grouping, lists: ListReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "SEEN_SECONDS", -1.0)
    paths = [put(tmp_path / name) for name in ("a.tif", "b.tif")]
    first, second = coming(grouping, *paths)
    put(second, "a.tif", "?")
    first.unlink()
    with pytest.raises(FileMissing):
        plan(grouping, first)
    with pytest.raises(FormatUnknown):
        plan(grouping, second)


def test_a_file_system_that_goes_away_under_the_look_is_met_by_whoever_needs_it(
    tmp_path: Path, lists: ListReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [put(tmp_path / name) for name in ("a.tif", "b.tif", "c.tif")]
    gate = gate_of(tmp_path)
    admit = gate.admit

    def away(path: str) -> AdmittedFile:
        if path.endswith("b.tif"):
            raise ImportInterrupted(path=path, words="its file system does not answer")
        return admit(path)

    monkeypatch.setattr(gate, "admit", away)  # no such mount can be made in a test
    grouping = Grouping(gate=gate, reader=lists)
    first, second, third = coming(grouping, *paths)
    assert len(plan(grouping, first).filesets) == len(plan(grouping, third).filesets) == 1
    with pytest.raises(ImportInterrupted):
        plan(grouping, second)


def test_one_file_is_not_announced(tmp_path: Path, grouping: Grouping, lists: ListReader) -> None:
    (path,) = coming(grouping, put(tmp_path / "a.tif"))
    assert len(plan(grouping, path).filesets) == 1
    assert lists.announced == []  # should it hang, it would cost its patience twice


def test_a_folder_does_not_make_the_entries_behind_it_be_looked_at_again(
    tmp_path: Path, grouping: Grouping, lists: ListReader, admitted: list[str]
) -> None:
    for name in ("b.tif", "c.tif"):
        put(tmp_path / "d" / name)
    for path in coming(grouping, tmp_path / "d", put(tmp_path / "x.tif"), put(tmp_path / "y.tif")):
        plan(grouping, path)
    assert lists.announced == [["x.tif", "y.tif"], ["b.tif", "c.tif"]]
    assert sorted(admitted) == ["b.tif", "c.tif", "d", "d", "x.tif", "y.tif"]


def test_a_refused_file_of_a_set_is_reported_once(tmp_path: Path, lists: ListReader, caplog: pytest.LogCaptureFixture) -> None:
    outside = put(tmp_path / "out" / "b.tif")
    (link := tmp_path / "in" / "b.tif").parent.mkdir()
    link.symlink_to(outside)
    grouping = Grouping(gate=gate_of(tmp_path / "in"), reader=lists)
    for path in coming(grouping, put(tmp_path / "in" / "a.tif", "b.tif"), link):
        with pytest.raises(EntryFailed):
            plan(grouping, path)
    assert [record.getMessage() for record in caplog.records].count("security.path_outside_roots") == 1


def test_an_entry_that_is_named_twice_is_looked_at_once(
    tmp_path: Path, grouping: Grouping, lists: ListReader, admitted: list[str]
) -> None:
    path = put(tmp_path / "a.tif")
    assert [len(plan(grouping, each).filesets) for each in coming(grouping, path, path)] == [1, 0]
    assert lists.opened == admitted == ["a.tif"]
