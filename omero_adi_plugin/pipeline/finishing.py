# SPDX-License-Identifier: GPL-2.0-or-later
"""Finishing: what is still to be done when filesets are in OMERO, for many of them at once: their ids, key-values, the ledger."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ImportInterrupted
from omero_adi_plugin.importers.annotating import annotate
from omero_adi_plugin.importers.contents import contents
from omero_adi_plugin.importers.protocol import ImportedFileset, KeyValues
from omero_adi_plugin.importers.relinking import renew_links
from omero_adi_plugin.orders import FileStep, TargetKind
from omero_adi_plugin.pipeline.keyvalues import key_values

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.pipeline.files import Files
    from omero_adi_plugin.pipeline.keyvalues import Provenance
    from omero_adi_plugin.pipeline.metadata import MetadataFiles
    from omero_adi_plugin.pipeline.progress import Guard
    from omero_adi_plugin.pipeline.record import Piece, Record
    from omero_adi_plugin.sessions import OmeroSession

BATCH = 25
"""Filesets that are finished together: two requests for all of them, so that more would gain next to nothing."""

ADOPTED = 500
"""The same for those that were there already, of which hardly one lacks anything: they may be 100,000 after a restart."""

BATCH_SECONDS = 2.0
"""How long the first of them waits for others at most: whoever looks into OMERO is to see key-values soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A fileset that is in OMERO, completely.

    imported: its ids, as far as they are known; None: to be asked for.
    fresh:    imported just now, so that it cannot carry key-values yet.
    renewed:  its links are known to lead to where its files are kept.
    """

    piece: Piece
    fileset: int
    imported: ImportedFileset | None = None
    fresh: bool
    renewed: bool = False


class Finishing:
    """Collects filesets of one order, and finishes them together.

    Parameters
    ----------
    order : Order
        The order.
    session : OmeroSession
        Of the order's user.
    record : Record
        Where it is written down.
    guard : Guard
        Asked before OMERO is changed.
    namespace : str
        Of the key-values.
    metadata : MetadataFiles
        What people wrote down beside their files.
    provenance : Provenance
        What has imported them.
    files : Files
        Where they come from.
    """

    def __init__(
        self,
        order: Order,
        *,
        session: OmeroSession,
        record: Record,
        guard: Guard,
        namespace: str,
        metadata: MetadataFiles,
        provenance: Provenance,
        files: Files,
    ) -> None:
        self._order, self._session, self._record, self._guard = order, session, record, guard
        self._namespace, self._metadata, self._provenance, self._files = namespace, metadata, provenance, files
        self._landed: list[Landed] = []
        self._fresh, self._since = 0, 0.0

    def add(self, landed: Landed) -> None:
        """Take a fileset up."""
        if not self._landed:
            self._since = time.monotonic()
        self._landed.append(landed)
        self._fresh += landed.fresh

    @property
    def due(self) -> bool:
        """Whether those that were taken up should not wait for more."""
        waited = time.monotonic() - self._since
        full = self._fresh >= BATCH or len(self._landed) >= ADOPTED
        return full or (bool(self._landed) and waited >= BATCH_SECONDS)

    def finish(self) -> list[tuple[Piece, ImportedFileset]]:
        """Put key-values on all that were taken up, and write them down; return them.

        Raises
        ------
        ImportInterrupted
            Somebody has deleted images meanwhile.
        ConnectionBroken, ServerTrouble, OmeroDown, LeaseLost, DatabaseDown
            And whatever else the guard, OMERO and the ledger raise. What is in OMERO is found again by its marker.
        """
        landed, self._landed, self._fresh = self._landed, [], 0
        if not landed:
            return []
        self._guard.check()
        ids = self._ids(landed)
        finished = [(each.piece, ids[each.fileset]) for each in landed]
        for fresh in (True, False):
            items = [self._values(each.piece, ids[each.fileset]) for each in landed if each.fresh is fresh]
            if items:
                annotate(self._session, items, namespace=self._namespace, uuid=self._order.uuid, fresh=fresh)
        self._renew_links(landed)
        self._record.write_imported(FileStep.ANNOTATED, finished)
        reached(Point.ANNOTATED_WRITTEN)
        return finished

    def _renew_links(self, landed: list[Landed]) -> None:
        """Have the links lead to where the files are kept, of all that was imported from elsewhere."""
        places = {
            each.fileset: self._files.links(each.piece.made)
            for each in landed
            if each.piece.made is not None and each.piece.made.temps and not each.renewed
        }
        if places:
            renew_links(self._session, places)

    def _ids(self, landed: list[Landed]) -> dict[int, ImportedFileset]:
        known = {each.fileset: each.imported for each in landed if each.imported is not None}
        unknown = [each for each in landed if each.imported is None]
        asked = contents(self._session, [each.fileset for each in unknown]) if unknown else {}
        for each in unknown:
            if each.fileset not in asked:
                raise ImportInterrupted(path=each.piece.entry, words=f"Fileset {each.fileset} is not there any more")
        return known | asked

    def _values(self, piece: Piece, imported: ImportedFileset) -> KeyValues:
        return KeyValues(
            images=imported.images,
            plates=imported.plates if self._order.target.kind is TargetKind.SCREEN else (),
            values=key_values(
                self._order,
                entry=piece.original,
                imported_from=piece.source,
                provenance=self._provenance,
                metadata=self._metadata.of(piece.original, late=self._files.metadata(piece.entry)),
                said=() if piece.made is None else piece.made.keyvalues,
            ),
        )
