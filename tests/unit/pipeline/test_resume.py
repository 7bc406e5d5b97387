# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done with a fileset after a crash: the ledger says what we know, OMERO says what is."""

import pytest

from omero_adi_plugin.errors import FilesetGone
from omero_adi_plugin.importers.protocol import MarkedFileset
from omero_adi_plugin.orders import FileStep, LedgerFile, Marker, Route
from omero_adi_plugin.pipeline.resume import Adopt, ImportAnew, decide


def line(step: FileStep, fileset: int | None = None) -> LedgerFile:
    return LedgerFile(entry="/data/a.tif", key="/data/a.tif", route=Route.INPLACE, step=step, fileset=fileset)


def found(fileset: int, *, complete: bool, attempt: int = 1) -> MarkedFileset:
    marker = Marker(uuid="u", attempt=attempt, key="/data/a.tif")
    return MarkedFileset(fileset=fileset, marker=marker, images=(1,), plates=(), complete=complete, linked=True)


@pytest.mark.parametrize("known", [None, line(FileStep.PLANNED), line(FileStep.CREATED, 7), line(FileStep.FAILED)])
def test_nothing_found_is_imported(known: LedgerFile | None) -> None:
    assert decide(line=known, found=[]) == ImportAnew(halves=())


def test_a_complete_fileset_is_adopted_even_if_the_ledger_never_heard_of_it() -> None:
    whole = found(7, complete=True)
    assert decide(line=None, found=[whole]) == Adopt(found=whole)
    assert decide(line=line(FileStep.VERIFYING, 7), found=[found(6, complete=False), whole]) == Adopt(found=whole)


def test_halves_are_deleted_before_a_new_import() -> None:
    halves = (found(7, complete=False), found(8, complete=False, attempt=2))
    assert decide(line=line(FileStep.VERIFYING, 8), found=halves) == ImportAnew(halves=halves)


def test_of_several_complete_ones_the_ledgers_is_taken_else_the_oldest() -> None:
    both = [found(9, complete=True), found(7, complete=True)]
    assert decide(line=line(FileStep.VERIFYING, 9), found=both) == Adopt(found=both[0])
    assert decide(line=line(FileStep.PLANNED), found=both) == Adopt(found=both[1])


def test_what_was_imported_and_cannot_be_seen_is_never_imported_again_by_itself() -> None:
    for others in ([], [found(8, complete=True)]):
        with pytest.raises(FilesetGone, match="Fileset 7"):
            decide(line=line(FileStep.ANNOTATED, 7), found=others)


def test_what_the_server_once_called_done_is_adopted_even_if_it_looks_incomplete() -> None:
    half = found(7, complete=False)
    assert decide(line=line(FileStep.IMPORTED, 7), found=[half]) == Adopt(found=half)
