# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person reads about an order of which some files could not be imported."""

import pickle

from omero_adi_plugin.errors import FileMissing
from omero_adi_plugin.pipeline.failures import EntriesFailed, EntriesUnfit
from omero_adi_plugin.tracking.audit import DESCRIPTION_LENGTH


def failed(bad: int, entries: int) -> EntriesFailed:
    return EntriesFailed(failures=[FileMissing(path=f"/data/{n}.tif") for n in range(bad)], bad=bad, entries=entries)


def test_one_file_is_told_of_by_its_own_sentence() -> None:
    assert str(failed(1, 1)) == str(FileMissing(path="/data/0.tif"))


def test_of_several_files_it_says_how_many_and_quotes_the_first_three() -> None:
    text = str(failed(5, 9))
    assert text.startswith("5 of 9 files could not be imported, the others are in OMERO. '/data/0.tif' does not exist")
    assert "/data/2.tif" in text
    assert "/data/3.tif" not in text
    assert "2 more" in text


def test_long_paths_leave_room_for_how_many_there_are_and_what_to_do() -> None:
    failures = [FileMissing(path=f"/data/{'long-' * 2000}{n}.tif") for n in range(4)]
    text = str(EntriesFailed(failures=failures, bad=4, entries=4))
    assert len(text) <= DESCRIPTION_LENGTH
    assert "long-0.tif' does not exist" in text
    assert "order again. And 3 more: `omero adi orders show` lists them." in text


def test_a_path_that_would_break_a_line_or_steer_a_terminal_is_shown_with_escapes() -> None:
    text = str(FileMissing(path="/data/\x1b[2J\n\udcff ü.tif"))
    assert "'/data/\\x1b[2J\\n\\udcff ü.tif'" in text
    assert text.isprintable()


def test_when_no_file_could_be_imported_it_does_not_speak_of_others() -> None:
    text = str(failed(2, 2))
    assert text.startswith("None of the 2 files could be imported. ")
    assert "others" not in text


def test_a_folder_of_which_a_part_is_imported_is_not_said_to_be_left_out() -> None:
    failures = [FileMissing(path="/data/a/1.tif"), FileMissing(path="/data/b/1.tif")]
    text = str(EntriesFailed(failures=failures, bad=2, entries=2, partly=1))
    assert text.startswith("2 of 2 files and folders could not be imported completely, all the rest is in OMERO. ")
    text = str(EntriesFailed(failures=failures, bad=1, entries=1, partly=1))
    assert text.startswith("Not all of it could be imported, the rest is in OMERO. ")


def test_of_an_order_that_was_only_looked_at_nothing_is_said_to_be_in_omero() -> None:
    failures = [FileMissing(path=f"/data/{number}.tif") for number in range(9)]
    text = str(EntriesUnfit(failures=failures, bad=9, entries=12))
    assert text.startswith("9 of 12 files and folders could not be imported completely. '/data/0.tif' does not exist")
    assert text.endswith("more: they are listed above.")
    assert "OMERO." not in text


def test_it_travels_between_processes() -> None:
    assert str(pickle.loads(pickle.dumps(failed(2, 3)))) == str(failed(2, 3))  # noqa: S301 (our own bytes)
