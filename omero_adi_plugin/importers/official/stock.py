# SPDX-License-Identifier: GPL-2.0-or-later
"""Stock: what OMERO holds of an order at one moment, whichever way it came in, by what was to be imported."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from omero_adi_plugin.importers.markers import find_marked
from omero_adi_plugin.importers.official.holdings import holdings

if TYPE_CHECKING:
    from collections.abc import Container

    from omero_adi_plugin.importers.official.holdings import Holding
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import MarkedFileset, Session
    from omero_adi_plugin.orders import Target


class Stock:
    """Filesets of an order.

    Parameters
    ----------
    found : iterable of MarkedFileset
        Those that our own importer has made.
    held : iterable of Holding
        Those that OMERO's importer has made.
    """

    def __init__(self, found: tuple[MarkedFileset, ...] = (), held: tuple[Holding, ...] = ()) -> None:
        self._all = {each.fileset: each for each in [*found, *(holding.found for holding in held)]}
        self._by_key: dict[str, list[MarkedFileset]] = defaultdict(list)
        self._by_path: dict[str, list[Holding]] = defaultdict(list)
        for fileset in found:
            self._by_key[fileset.marker.key].append(fileset)
        for holding in held:
            for path in holding.paths:
                self._by_path[path].append(holding)

    @classmethod
    def taken(cls, session: Session, *, uuid: str, target: Target, statistics: bool) -> Stock:
        """Return what OMERO holds now; the arguments are those of `markers.find_marked`."""
        return cls(
            find_marked(session, uuid=uuid, target=target, statistics=statistics),
            holdings(session, uuid=uuid, target=target, statistics=statistics),
        )

    def get(self, fileset: int | None) -> list[MarkedFileset]:
        """Return the fileset of an id, if it is the order's and there."""
        return [self._all[fileset]] if fileset in self._all else []

    def at(self, path: str) -> list[MarkedFileset]:
        """Return what OMERO's importer has made of a file, and of others perhaps."""
        return [holding.found for holding in self._by_path.get(path, ())]

    def of(self, plan: FilesetPlan) -> list[MarkedFileset]:
        """Return what there is of a fileset that was to be imported, complete or not.

        OMERO's importer groups files by itself: a fileset of just these files is meant, else one that has the file to open.
        """
        return [*self._by_key.get(plan.key, ()), *(self._same(plan) or self._around(plan))]

    def doubles(self, plan: FilesetPlan, *, kept: Container[int]) -> list[MarkedFileset]:
        """Return the complete filesets of just these files that nobody has taken up, where one of them is kept."""
        same = [*self._by_key.get(plan.key, ()), *self._same(plan)]
        if not any(each.fileset in kept for each in same):
            return []
        return [each for each in same if each.complete and each.fileset not in kept]

    def complete(self) -> list[MarkedFileset]:
        """Return what is in OMERO for good."""
        return [each for each in self._all.values() if each.complete]

    def halves(self, *, kept: Container[int]) -> list[MarkedFileset]:
        """Return what is not complete, and not kept all the same."""
        return [each for each in self._all.values() if not each.complete and each.fileset not in kept]

    def surplus(self, named: Container[int], *, attempt: int) -> list[MarkedFileset]:
        """Return what is in the way of what an order has come to: halves, and what is there twice.

        Twice is what another one stands for that the ledger names, and that is there: of two a person may have deleted that.

        Parameters
        ----------
        named : container of int
            The filesets that the order's ledger knows to be in OMERO.
        attempt : int
            What a later one has made is left alone.
        """
        doubled = {holding.found.fileset for of in self._by_path.values() for holding in of if self._is_double(holding, named)}
        for of_key in self._by_key.values():
            if any(each.fileset in named for each in of_key):
                doubled |= {each.fileset for each in of_key}
        return [
            each
            for each in self._all.values()
            if each.fileset not in named and each.marker.attempt <= attempt and (not each.complete or each.fileset in doubled)
        ]

    def unknown(self, named: Container[int], keys: Container[str], *, attempt: int) -> list[MarkedFileset]:
        """Return the complete filesets that our own importer has made and of which the ledger has never known one to be complete.

        Parameters
        ----------
        named, attempt : container of int, int
            As in `surplus`.
        keys : container of str
            Of those of which the ledger has.
        """
        made = (each for of_key in self._by_key.values() for each in of_key if each.fileset not in named)
        return [each for each in made if each.complete and each.marker.key not in keys and each.marker.attempt <= attempt]

    def loose(self, *, kept: Container[int]) -> list[MarkedFileset]:
        """Return what is kept, and not in the order's target."""
        return [each for each in self._all.values() if not each.linked and each.fileset in kept]

    def _same(self, plan: FilesetPlan) -> list[MarkedFileset]:
        sources = {file.source for file in plan.files}
        return [holding.found for holding in self._by_path.get(plan.files[0].source, ()) if holding.paths == sources]

    def _is_double(self, holding: Holding, named: Container[int]) -> bool:
        others = (other for path in holding.paths for other in self._by_path[path])
        return any(other.found.fileset in named and other.paths == holding.paths for other in others)

    def _around(self, plan: FilesetPlan) -> list[MarkedFileset]:
        return self.at(plan.files[0].source)
