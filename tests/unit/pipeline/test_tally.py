# SPDX-License-Identifier: GPL-2.0-or-later
"""How the entries of an order are counted off."""

from __future__ import annotations

import pytest

from omero_adi_plugin.errors import EntryFailed, FileGrowing, FileMissing
from omero_adi_plugin.pipeline.failures import EntriesFailed
from omero_adi_plugin.pipeline.tally import Tally


def fail(tally: Tally, entry: str) -> EntryFailed:
    """As the pipeline does: raised, caught, noted."""
    try:
        try:
            open(entry)  # noqa: PTH123, SIM115 (it is not there)
        except OSError as error:
            raise FileMissing(path=entry) from error
    except EntryFailed as failure:
        tally.fail(entry, failure)
        tally.end(entry)
        return failure
    pytest.fail(f"{entry} is there")


def test_a_failure_holds_nothing_of_the_work_that_it_ended() -> None:
    failure = fail(Tally(entries=1), "/nowhere/1.tif")
    assert (failure.__traceback__, failure.__cause__, failure.__context__) == (None, None, None)


def test_an_entry_of_which_all_parts_failed_is_not_one_of_which_some_are_in_omero() -> None:
    tally = Tally(entries=2)
    for entry, parts in (("/nowhere/all", 2), ("/nowhere/some", 3)):
        tally.expect(entry, parts)
        fail(tally, entry)
        fail(tally, entry)
    tally.end("/nowhere/some")
    assert tally.done == 2
    with pytest.raises(EntriesFailed) as caught:
        tally.outcome()
    assert (caught.value.bad, caught.value.partly) == (2, 1)


def test_what_is_worth_another_attempt_comes_before_what_is_not() -> None:
    tally = Tally(entries=2)
    fail(tally, "/nowhere/1.tif")
    tally.put_off(FileGrowing(path="/nowhere/2.tif"))
    with pytest.raises(FileGrowing):
        tally.outcome()
