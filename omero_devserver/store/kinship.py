# SPDX-License-Identifier: GPL-2.0-or-later
"""Kinship: what contains what, at any depth (FindParents, FindChildren and what builds on them)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES, find_class
from omero_devserver.model.tables import table
from omero_devserver.store.graphrules import CONTAINED, CONTENTS, LINKS, NAMED, PARTS, SHARED, Tie
from omero_devserver.store.items import Item, by_class

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.rows import Rows

    Family = dict[str, dict[int, Item]]

#: Ties that run from a row up to its container, and from a container down to what it names.
_UP = tuple(dict.fromkeys(tie for ties in (PARTS, CONTAINED) for found in ties.values() for tie in found))
_DOWN = tuple(
    dict.fromkeys(
        [tie for found in NAMED.values() for tie in found]
        + [tie for found in SHARED.values() for tie in found if not tie.entity.link]
    )
)
_LINKS = tuple(dict.fromkeys(tie.name for ties in CONTENTS.values() for tie in ties))


class Kinship:
    """The families of one caller's objects; what it may not read is not found."""

    def __init__(self, rows: Rows, access: Access) -> None:
        self._rows, self._access = rows, access

    def children(
        self, targets: Mapping[str, Sequence[int]], kinds: Sequence[str], *, stop_before: Sequence[str]
    ) -> dict[str, list[int]]:
        """Ids of the wanted kinds below the targets, by full class name."""
        return _of_kinds(self.descendants(targets, stop_before=stop_before), targets, kinds)

    def parents(
        self, targets: Mapping[str, Sequence[int]], kinds: Sequence[str], *, stop_before: Sequence[str]
    ) -> dict[str, list[int]]:
        """Ids of the wanted kinds above the targets, by full class name."""
        return _of_kinds(self._walk(targets, stop_before, down=False), targets, kinds)

    def descendants(self, targets: Mapping[str, Sequence[int]], *, stop_before: Sequence[str] = ()) -> Family:
        """List everything below the targets, links and the targets themselves included, by root and id."""
        return self._walk(targets, stop_before, down=True)

    def _walk(self, targets: Mapping[str, Sequence[int]], stop_before: Sequence[str], *, down: bool) -> Family:
        closed = frozenset(sub for name in stop_before for sub in find_class(name).subs)
        found: Family = {}
        waiting = [(find_class(name).root, list(ids)) for name, ids in targets.items()]
        while waiting:
            root, ids = waiting.pop()
            known = found.setdefault(root, {})
            new = {
                item.id: item
                for item in self._readable(root, [i for i in ids if i not in known])
                if item.entity.name not in closed
            }
            known.update(new)
            if new:
                waiting.extend(self._below(root, new) if down else self._above(root, new))
        return found

    def _below(self, root: str, ids: Collection[int]) -> Iterator[tuple[str, list[int]]]:
        for tie in _UP:
            if tie.target.root == root:
                yield tie.entity.root, self._column("id", tie, f"r_{tie.reference}", ids)
        for tie in _DOWN:
            if tie.entity.root == root:
                yield tie.target.root, self._column(f"r_{tie.reference}", tie, "id", ids)
        for tie in CONTENTS.get(root, ()):
            yield tie.name, self._column("id", tie, "r_parent", ids)
        if root in _LINKS:
            child = Tie(root, "child")
            yield child.target.root, self._column("r_child", child, "id", ids)

    def _above(self, root: str, ids: Collection[int]) -> Iterator[tuple[str, list[int]]]:
        for tie in _UP:
            if tie.entity.root == root:
                yield tie.target.root, self._column(f"r_{tie.reference}", tie, "id", ids)
        for tie in _DOWN:
            if tie.target.root == root:
                yield tie.entity.root, self._column("id", tie, f"r_{tie.reference}", ids)
        for tie in LINKS.get(root, ()):
            if tie.reference == "child" and tie.name in _LINKS:
                yield tie.name, self._column("id", tie, "r_child", ids)
        if root in _LINKS:
            parent = Tie(root, "parent")
            yield parent.target.root, self._column("r_parent", parent, "id", ids)

    def _column(self, wanted: str, tie: Tie, given: str, ids: Collection[int]) -> list[int]:
        found = self._rows.rows(
            f"SELECT DISTINCT {wanted} FROM {table(tie.entity)} WHERE {given} IN (SELECT value FROM json_each(?))"
            f" AND {wanted} IS NOT NULL",
            json.dumps(list(ids)),
        )
        return [row[0] for row in found]

    def _readable(self, root: str, ids: Collection[int]) -> Iterator[Item]:
        rows: list[sqlite3.Row] = list(self._rows.rows_by_id(root, ids)) if ids else []
        for row in rows:
            entity = ENTITIES[row["cls"]]
            if self._access.can_read(entity, row):
                yield Item(row["id"], entity, row["owner_id"], row["group_id"])


def _of_kinds(family: Family, targets: Mapping[str, Sequence[int]], kinds: Sequence[str]) -> dict[str, list[int]]:
    wanted = frozenset(sub for kind in kinds for sub in find_class(kind).subs)
    named = {find_class(name).root: set(ids) for name, ids in targets.items()}
    return by_class(
        {
            root: kept
            for root, items in family.items()
            if (kept := {i: item for i, item in items.items() if item.entity.name in wanted and i not in named.get(root, ())})
        }
    )
