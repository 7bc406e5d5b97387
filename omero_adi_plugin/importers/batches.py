# SPDX-License-Identifier: GPL-2.0-or-later
"""Batches: questions and saves about many objects, in parts that OMERO can take.

A list of 40,000 ids costs the session its connection, one of 5,000 is fine, and 1,000 links take 1.7 s (real server, recorded).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_adi_plugin.ice import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import Session

IDS = 5000
"""How many ids are asked for at once."""

OBJECTS = 1000
"""How many objects are saved at once."""


def ask(session: Session, hql: str, ids: Sequence[int], **parameters: object) -> list[list[Any]]:
    """Return the rows of a query with `(:ids)`, over all groups of the user; no rows for no ids.

    An order within the query holds within a batch: ids of which each decides its own rows are what this is for.
    """
    rows: list[list[Any]] = []
    for start in range(0, len(ids), IDS):
        rows += session.query(hql, all_groups=True, ids=list(ids[start : start + IDS]), **parameters)
    return rows


def save(session: Session, objects: Sequence[Any], *, doing: str) -> None:
    """Save objects. If it ends in between, those of whole batches are there: the caller asks first what is missing."""
    for start in range(0, len(objects), OBJECTS):
        with translated(doing, session.where):
            session.factory.getUpdateService().saveAndReturnArray(list(objects[start : start + OBJECTS]))
