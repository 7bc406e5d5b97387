# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person reads about an order of which some files could not be imported."""

import pickle

from omero_adi_plugin.errors import FileMissing
from omero_adi_plugin.pipeline.run import EntriesFailed


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


def test_when_no_file_could_be_imported_it_does_not_speak_of_others() -> None:
    text = str(failed(2, 2))
    assert text.startswith("None of the 2 files could be imported. ")
    assert "others" not in text


def test_it_travels_between_processes() -> None:
    assert str(pickle.loads(pickle.dumps(failed(2, 3)))) == str(failed(2, 3))  # noqa: S301 (our own bytes)
