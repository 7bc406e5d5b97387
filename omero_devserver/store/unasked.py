# SPDX-License-Identifier: GPL-2.0-or-later
"""Unasked: what comes loaded with a row although no query fetches it.

A real server checks whether what is read may be downloaded (``BinaryAccessPolicy`` in OMERO's source). To do so it looks
whether an image is one of a plate and what a file is part of, and so the collections `Image.wellSamples` and
`OriginalFile.filesetEntries` are loaded wherever their owners are (recorded: the strings "seen 075" to "seen 077" and "seen
095" of the queries that clients send). The region of a shape, and in a look at all groups the owner, are loaded too ("seen
088", "seen 001").
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES
from omero_devserver.model.tables import table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from omero_devserver.store.access import Access
    from omero_devserver.store.rows import Rows

_COLLECTIONS = {"Image": "wellSamples", "OriginalFile": "filesetEntries"}
_REFERENCES = {"Shape": ("r_roi", "Roi")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCollection:
    """A collection of one row: root table and id of its owner, the field, root table and ids of its elements."""

    root: str
    owner: int
    field: str
    element_root: str
    elements: tuple[int, ...]


def references(found: Iterable[tuple[str, sqlite3.Row]], access: Access) -> dict[str, set[int]]:
    """Tell which rows are loaded along as references of others, by root table.

    Parameters
    ----------
    found : iterable of (str, sqlite3.Row)
        Root table and row of what is loaded.
    access : Access
        The caller's.
    """
    wanted: dict[str, set[int]] = defaultdict(set)
    with_owners = access.caller.group < 0 and not access.caller.privileged
    for root, row in found:
        if row["group_id"] is not None:
            wanted["ExperimenterGroup"].add(row["group_id"])
        if with_owners and row["owner_id"] is not None:
            wanted["Experimenter"].add(row["owner_id"])
        if root in _REFERENCES:
            column, target = _REFERENCES[root]
            if row[column] is not None:
                wanted[target].add(row[column])
    return wanted


def collections(found: Iterable[tuple[str, sqlite3.Row]], rows: Rows, access: Access) -> list[LoadedCollection]:
    """List the collections that are loaded along, with those of their elements that the caller may see."""
    owners: dict[str, list[int]] = {root: [] for root in _COLLECTIONS}
    for root, row in found:
        if root in owners and not (root == "OriginalFile" and (row["c_name"] or "").endswith(".txt")):
            owners[root].append(row["id"])
    return [one for root, ids in owners.items() if ids for one in _of(root, ids, rows, access)]


def _of(root: str, owners: list[int], rows: Rows, access: Access) -> list[LoadedCollection]:
    field = ENTITIES[root].fields[_COLLECTIONS[root]]
    element = ENTITIES[field.type]
    back, condition = f"r_{field.inverse}", access.row_filter("e", element)
    elements: dict[int, list[int]] = {owner: [] for owner in owners}
    for row in rows.rows(
        f"SELECT e.id, e.{back} AS owner FROM {table(element)} AS e WHERE e.{back} IN (SELECT value FROM json_each(?))"
        f"{f' AND {condition}' if condition else ''} ORDER BY e.id",
        json.dumps(owners),
    ):
        elements[row["owner"]].append(row["id"])
    return [
        LoadedCollection(root=root, owner=owner, field=field.name, element_root=element.root, elements=tuple(ids))
        for owner, ids in elements.items()
    ]
