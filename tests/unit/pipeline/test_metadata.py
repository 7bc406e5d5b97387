# SPDX-License-Identifier: GPL-2.0-or-later
"""metadata.csv: what people write there comes through, and what nobody can use is named and stops nothing."""

from __future__ import annotations

import logging
import os
import random
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.errors import FileBroken, ImportInterrupted, PathOutsideRoots, SourceUnreadable
from omero_adi_plugin.pipeline.metadata import LARGEST_BYTES, MOST_PAIRS, MOST_REPORTED, MetadataFiles, parse
from tests.fixtures.rights import not_root


class Place:
    """A folder with an original in it; what is reported of its metadata files is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.original = folder, str(folder / "a.tif")
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.located: list[str] = []

    def locate(self, path: str) -> str:
        self.located.append(path)
        place = os.path.realpath(path)
        if not place.startswith(f"{self.folder}/"):
            raise PathOutsideRoots(path=path, root=str(self.folder))
        return place

    def write(self, data: str | bytes, name: str = "metadata.csv") -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def files(self) -> MetadataFiles:
        return MetadataFiles(locate=self.locate, processed=".processed", order="u-1")

    def pairs(self) -> list[tuple[str, str]]:
        return list(self.files().of(self.original))

    def skipped(self) -> str:
        """Why the one file was skipped; it must be the only report."""
        ((name, facts),) = self.reports
        assert (name, facts["file"], facts["order"]) == ("metadata.skipped", str(self.folder / "metadata.csv"), "u-1")
        return str(facts["why"])


class Keeping(logging.Handler):
    """Keeps what is logged in a place."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    def emit(self, record: logging.LogRecord) -> None:
        assert record.levelno == logging.WARNING  # so that it goes to the order's log of errors as well
        self.place.reports.append((record.getMessage(), record.__dict__["facts"]))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(Path(os.path.realpath(tmp_path)))
    handler, log = Keeping(place), logging.getLogger("omero_adi_plugin.pipeline.metadata")
    log.addHandler(handler)
    yield place
    log.removeHandler(handler)


def skipped(text: str) -> list[tuple[int, str]]:
    return [(row.line, row.why) for row in parse(text)[1]]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("\n\n", []),
        ("a,b", [("a", "b")]),
        ("key,value\na,b\n", [("a", "b")]),
        ("\n Key , VALUE \na,b\n", [("a", "b")]),
        ("a,b\nkey,value\n", [("a", "b"), ("key", "value")]),
        ("key,value\nkey,value\n", [("key", "value")]),
        ("value,key\n", [("value", "key")]),
        ("a,b\r\nc,d\r\n", [("a", "b"), ("c", "d")]),
        ("a,b\rc,d\r", [("a", "b"), ("c", "d")]),
        ('a,"b,c"\n', [("a", "b,c")]),
        ('a, "b,c"\n', [("a", "b,c")]),
        ('"a ""quoted""",5" pipe\n', [('a "quoted"', '5" pipe')]),
        ('a,"one\r\ntwo\n\nthree"\nb,c\n', [("a", "one\r\ntwo\n\nthree"), ("b", "c")]),
        ("a,\n", [("a", "")]),
        ("a,1\nb,2\na,3\na,3\n", [("a", "1"), ("b", "2"), ("a", "3"), ("a", "3")]),
        (" a ,\tb \n", [("a", "b")]),
        ("\n , \n,\n,,,\na,b\n,", [("a", "b")]),
        ("größe,µm 𝄞\u2028x\x0by\n", [("größe", "µm 𝄞\u2028x\x0by")]),
    ],
)
def test_rows_become_pairs(text: str, pairs: list[tuple[str, str]]) -> None:
    assert [*parse(text)[0]] == pairs
    assert skipped(text) == []


@pytest.mark.parametrize(
    ("text", "pairs", "lines", "why"),
    [
        ("a\nb,c\n", [("b", "c")], [1], "it has 1 column, not a key and a value parted by a comma"),
        ("key,value\n\na,b,c\nd,e", [("d", "e")], [3], "it has 3 columns, not a key and a value parted by a comma"),
        ("a;b\nc;d\n", [], [1, 2], "it has 1 column, not a key and a value parted by a comma"),
        ('a,"1\n2"\nb\n', [("a", "1\n2")], [3], "it has 1 column, not a key and a value parted by a comma"),
        (",b\nc,d\n", [("c", "d")], [1], "it has no key"),
        ('a,b\nc,"d\ne,f\n', [("a", "b")], [2], "its quotes do not fit together (unexpected end of data)"),
        ('"a"x,b\nc,d\n', [("c", "d")], [1], "its quotes do not fit together (',' expected after '\"')"),
    ],
)
def test_a_row_that_is_no_pair_is_named_and_the_others_count(
    text: str, pairs: list[tuple[str, str]], lines: list[int], why: str
) -> None:
    assert [*parse(text)[0]] == pairs
    assert skipped(text) == [(line, why) for line in lines]


def test_a_value_longer_than_the_csv_module_takes_costs_its_row_alone() -> None:
    text = f"a,{'x' * 140_000}\nb,c\n"
    assert parse(text)[0] in {(("b", "c"),), (("a", "x" * 140_000), ("b", "c"))}


def test_no_more_rows_are_used_than_people_can_look_at() -> None:
    text = "".join(f"k{number},v\n" for number in range(MOST_PAIRS + 5))
    pairs, ((line, why),) = parse(text)[0], skipped(text)
    assert len(pairs) == MOST_PAIRS
    assert (line, str(MOST_PAIRS) in why) == (MOST_PAIRS + 1, True)


def test_any_text_is_parsed_and_nothing_that_was_written_is_lost() -> None:
    pick = random.Random(7)  # noqa: S311 (the same nonsense every time)
    for _ in range(3000):
        text = "".join(pick.choice('ab,,"\n\r ;é\x00\ufeff') for _ in range(pick.randrange(30)))
        pairs, rows = parse(text)
        assert all(key for key, _ in pairs)
        assert pairs or rows or not set(text) - set(' ,\n\r"')
    for _ in range(300):
        wanted = tuple((f"k{n}", "".join(pick.choice('ab,"\n é;') for _ in range(9)).strip()) for n in range(4))
        text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in pair) for pair in wanted)
        assert parse(text) == (wanted, ())


def test_without_a_file_there_is_nothing_and_nothing_to_report(place: Place) -> None:
    assert place.pairs() == []
    (place.folder / ".processed").write_text("no folder")
    assert place.pairs() == []
    (place.folder / "metadata.csv").symlink_to("nowhere")
    assert place.pairs() == []
    for gone in ("below", "x" * 300):
        assert place.files().of(f"{place.folder}/{gone}/a.tif") == ()
    assert place.reports == []


def test_the_file_in_processed_wins_key_by_key(place: Place) -> None:
    place.write("a,1\nb,2\na,3\nc,4\n")
    place.write("a,5\nd,6\na,7\n", ".processed/metadata.csv")
    assert place.pairs() == [("b", "2"), ("c", "4"), ("a", "5"), ("d", "6"), ("a", "7")]
    (place.folder / "metadata.csv").unlink()
    assert place.pairs() == [("a", "5"), ("d", "6"), ("a", "7")]


def test_each_folder_is_read_once(place: Place) -> None:
    place.write("a,1\nwrong\n")
    files = place.files()
    for number in range(5):
        assert files.of(f"{place.folder}/{number}.tif") == (("a", "1"),)
    assert len(place.located) == 2
    assert len(place.reports) == 1
    assert files.of(f"{place.folder}/below/a.tif") == ()


def test_a_mark_at_the_beginning_of_utf_8_is_no_part_of_the_key(place: Place) -> None:
    place.write(b"\xef\xbb\xbfkey,value\r\n\xc3\xa4,1\r\n")
    assert place.pairs() == [("ä", "1")]


@pytest.mark.parametrize(
    ("letter", "encoding"), [("ä", "utf-16"), ("ä", "utf-16-le"), ("a", "utf-16-le"), ("ä", "utf-32"), ("ä", "latin-1")]
)
def test_another_encoding_is_said_and_skipped(place: Place, letter: str, encoding: str) -> None:
    place.write(f"key,value\n{letter},1\n".encode(encoding))
    assert place.pairs() == []
    assert "UTF-8" in place.skipped()


def test_what_is_much_too_large_is_skipped_whole(place: Place) -> None:
    place.write(b"a,b\n" * (LARGEST_BYTES // 4))
    assert len(place.pairs()) == MOST_PAIRS
    place.reports.clear()
    place.write(b"a,b\n" * (LARGEST_BYTES // 4) + b"c")
    assert place.pairs() == []
    assert "larger than 1 MB" in place.skipped()


def test_of_a_table_of_something_else_only_the_first_rows_are_reported(place: Place) -> None:
    place.write("x,y,z\n" * 100)
    place.pairs()
    assert [facts["line"] for name, facts in place.reports if name == "metadata.row_skipped"] == [*range(1, MOST_REPORTED + 1)]
    file = str(place.folder / "metadata.csv")
    assert place.reports[-1] == (
        "metadata.rows_skipped",
        {"order": "u-1", "file": file, "rows": 100, "after_line": MOST_REPORTED},
    )


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _ring(path: Path) -> None:
    path.symlink_to(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket has 108 bytes at most
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [_folder, _pipe, _ring, _socket])
def test_what_is_no_file_is_said_and_skipped(place: Place, make: Callable[[Path], None]) -> None:
    make(place.folder / "metadata.csv")
    assert place.pairs() == []
    assert place.skipped() == "it is no ordinary file"


def test_a_link_out_of_the_roots_is_not_followed(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "metadata.csv"
    secret.write_text("secret,1\n")
    (place.folder / "metadata.csv").symlink_to(secret)
    assert place.pairs() == []
    assert "lies outside" in place.skipped()


def test_a_folder_that_became_a_link_out_of_the_roots_meanwhile_is_noticed(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere")
    (secret / "metadata.csv").write_text("secret,1\n")
    below = place.folder / "below"
    below.symlink_to(secret)

    def stale(path: str) -> str:  # located while `below` was a folder
        return path if path.startswith(str(below)) else place.locate(path)

    assert MetadataFiles(locate=stale, processed=".processed").of(str(below / "a.tif")) == ()
    assert [facts["why"] for _, facts in place.reports if "lies outside" in facts["why"]]


def test_a_link_within_the_roots_is_followed(place: Place) -> None:
    place.write("a,1\n", "shared.csv")
    (place.folder / "metadata.csv").symlink_to("shared.csv")
    assert place.pairs() == [("a", "1")]


@pytest.fixture
def open_place(place: Place) -> Iterator[Place]:
    """The same, in a folder that everybody may look into."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o755)
        place.folder, place.original = Path(folder), f"{folder}/a.tif"
        yield place


def test_a_file_that_may_not_be_read_is_an_error_each_time(open_place: Place) -> None:
    open_place.write("a,1\n").chmod(0)
    files = open_place.files()
    for _ in range(2):
        with not_root(), pytest.raises(SourceUnreadable) as caught:
            files.of(open_place.original)
        assert caught.value.path == str(open_place.folder / "metadata.csv")
    (open_place.folder / "metadata.csv").chmod(0o644)
    with not_root():
        assert files.of(open_place.original) == (("a", "1"),)


def test_a_closed_folder_of_converters_that_may_hold_no_file_at_all_is_said_and_skipped(open_place: Place) -> None:
    open_place.write("a,1\n").chmod(0o644)
    open_place.write("a,2\n", ".processed/metadata.csv")
    (open_place.folder / ".processed").chmod(0)
    with not_root():
        assert open_place.pairs() == [("a", "1")]
    (open_place.folder / ".processed").chmod(0o755)
    ((name, facts),) = open_place.reports
    assert (name, facts["file"]) == ("metadata.skipped", f"{open_place.folder}/.processed/metadata.csv")


@pytest.mark.parametrize(("number", "error"), [(116, ImportInterrupted), (5, FileBroken)])
def test_a_disk_that_fails_fails_it(place: Place, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]) -> None:
    place.write("a,1\n")

    def failing(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(error):
        place.pairs()
