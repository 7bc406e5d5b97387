# SPDX-License-Identifier: GPL-2.0-or-later
"""Made: what `importFileset` has made. It does not say so itself, but the marker that it saved is on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import unwrap

from omero_adi_plugin.ice import translated
from omero_adi_plugin.orders import MARKER_NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.importers.protocol import Session
    from omero_adi_plugin.importers.repository import ManagedRepository
    from omero_adi_plugin.orders import Marker

_OUT_OF_ORDER = 1000
"""By how much the id of a newer fileset may be smaller: OMERO gives ids out in blocks."""

_PLACES = (
    "select s.id, e.clientPath, f.path, f.name from FilesetEntry e join e.fileset s join e.originalFile f "
    "join s.annotationLinks l join l.child a "
    "where s.id > :above and s.details.owner.id = :user and l.details.owner.id = :user "
    "and a.ns = :namespace and a.textValue = :marker"
)
"""Bounded from below, because the texts of annotations have no index: the database would look through all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFileset:
    """A fileset that importFileset has just made, and where its files have to be, by client path."""

    id: int
    locations: dict[str, Path]


class Finder:
    """Looks up what was made, in one request each; for use from several threads."""

    def __init__(self, session: Session, repository: ManagedRepository) -> None:
        self._session, self._repository = session, repository
        self._lock = threading.Lock()
        self._newest: int | None = None
        with translated("asking OMERO", session.where):
            self._queries = session.factory.getQueryService()

    def find(self, marker: Marker) -> MadeFileset | None:
        """Return the newest fileset of the user that carries the marker, None if there is none."""
        with self._lock:
            if self._newest is None:
                ids = self._ask("select max(s.id) from Fileset s")
                self._newest = next((identity for row in ids for identity in row if identity is not None), 0)
            newest = self._newest
        rows = self._places(marker, max(newest - _OUT_OF_ORDER, 0)) or self._places(marker, 0)
        if not rows:
            return None
        found = max(row[0] for row in rows)
        self._newest = max(newest, found)  # if another thread has set a greater one meanwhile, that does no harm
        places = {path: self._repository.location(folder, name) for of, path, folder, name in rows if of == found}
        return MadeFileset(id=found, locations=places)

    def _places(self, marker: Marker, above: int) -> list[list[Any]]:
        return self._ask(_PLACES, above=above, user=self._session.user_id, namespace=MARKER_NAMESPACE, marker=str(marker))

    def _ask(self, hql: str, **parameters: int | str) -> list[list[Any]]:
        values = omero.sys.ParametersI()
        for name, value in parameters.items():
            (values.addLong if isinstance(value, int) else values.addString)(name, value)
        with translated("asking OMERO", self._session.where):
            return [[unwrap(value) for value in row] for row in self._queries.projection(hql, values)]
