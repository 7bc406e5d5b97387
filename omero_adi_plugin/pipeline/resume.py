# SPDX-License-Identifier: GPL-2.0-or-later
"""Resume: what to do with a fileset of an order, given what the ledger says and what OMERO holds.

The ledger says what we know; OMERO says what is. Nothing here asks anybody: it is a decision about values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import FilesetGone
from omero_adi_plugin.orders import FileStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.orders import LedgerFile

KNOWN_COMPLETE = frozenset({FileStep.IMPORTED, FileStep.ANNOTATED})
"""Steps at which the ledger has had the server's word that every image is in OMERO."""

ENDED = frozenset({FileStep.ANNOTATED, FileStep.SKIPPED})
"""Steps after which nothing is to be done any more."""

SETTLED = KNOWN_COMPLETE | {FileStep.SKIPPED}
"""Steps after which the files need not be there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """The fileset is in OMERO, completely: take it as ours."""

    found: MarkedFileset


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportAnew:
    """Import the fileset, after its halves of earlier attempts, if any, were deleted."""

    halves: tuple[MarkedFileset, ...]


def decide(*, line: LedgerFile | None, found: Sequence[MarkedFileset]) -> Adopt | ImportAnew:
    """Say what to do with one fileset of an order.

    Parameters
    ----------
    line : LedgerFile or None
        What the ledger says of it.
    found : sequence of MarkedFileset
        The filesets in OMERO that carry its marker, of whichever attempt.

    Returns
    -------
    Adopt or ImportAnew
        A complete fileset is adopted, the one that the ledger names before others. One that the ledger knows to be complete
        is adopted even if it looks otherwise: somebody may have changed it since.

    Raises
    ------
    FilesetGone
        It was imported completely, and cannot be seen any more.
    """
    if line is not None and line.step in KNOWN_COMPLETE and line.fileset is not None:
        for fileset in found:
            if fileset.fileset == line.fileset:
                return Adopt(found=fileset)
        raise FilesetGone(path=line.entry, fileset=line.fileset)
    complete = [fileset for fileset in found if fileset.complete]
    if not complete:
        return ImportAnew(halves=tuple(found))
    named = [fileset for fileset in complete if line is not None and fileset.fileset == line.fileset]
    return Adopt(found=min(named or complete, key=lambda fileset: fileset.fileset))
