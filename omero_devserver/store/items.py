# SPDX-License-Identifier: GPL-2.0-or-later
"""Items: rows as graph requests see them, and how they are found by the ties between them; in sets, never one by one."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from omero_devserver.model.schema import ENTITIES, Entity
from omero_devserver.model.tables import table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Mapping

    from omero_devserver.store.graphrules import Tie
    from omero_devserver.store.rows import Rows


class Item(NamedTuple):
    """One row: what it is and whose."""

    id: int
    entity: Entity
    owner: int | None
    group: int | None

    def __str__(self) -> str:
        """Name it as messages do."""
        return f"{self.entity.name}[{self.id}]"

    @property
    def full_name(self) -> str:
        """Name it as messages about rights do."""
        return f"{self.entity.full_name}[{self.id}]"


class Items:
    """All rows of one store; whoever may see them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def of(self, root: str, ids: Collection[int]) -> Iterator[Item]:
        """Rows of a table, in no order; missing ids are left out."""
        for row in self._rows.rows(
            f"SELECT id, cls, owner_id, group_id FROM t_{root} WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps(list(ids)),
        ):
            yield item_of(row)

    def referring(self, tie: Tie, ids: Collection[int]) -> list[tuple[Item, int]]:
        """Rows that refer to others by a tie, each with the id of what it refers to."""
        return [(item_of(row), row["target"]) for row in self.refer_rows(tie, ids, "NULL")] if ids else []

    def refer_rows(self, tie: Tie, ids: Collection[int], other: str) -> list[sqlite3.Row]:
        """Like `referring`, as plain rows with `target`, and what column `other` has of each."""
        return self._rows.rows(
            f"SELECT id, cls, owner_id, group_id, r_{tie.reference} AS target, {other} AS other FROM {table(tie.entity)}"
            f" WHERE r_{tie.reference} IN (SELECT value FROM json_each(?)){_of_class(tie.entity)}",
            json.dumps(list(ids)),
        )

    def named(self, tie: Tie, ids: Collection[int]) -> list[tuple[Item, int]]:
        """Rows that those of some ids refer to by a tie, each with the id of what refers to it."""
        if not ids:
            return []
        found = self._rows.rows(
            f"SELECT id, r_{tie.reference} AS target FROM {table(tie.entity)} WHERE id IN (SELECT value FROM json_each(?))"
            f" AND r_{tie.reference} IS NOT NULL{_of_class(tie.entity)}",
            json.dumps(list(ids)),
        )
        targets = {item.id: item for item in self.of(tie.target.root, {row["target"] for row in found})}
        return [(targets[row["target"]], row["id"]) for row in found if row["target"] in targets]

    def external_infos(self, chosen: Mapping[str, Collection[int]]) -> set[int]:
        """Ids of the external infos that rows have, given by root and id."""
        ids: set[int] = set()
        for root, some in chosen.items():
            found = self._rows.rows(
                f"SELECT external_id FROM t_{root} WHERE id IN (SELECT value FROM json_each(?)) AND external_id IS NOT NULL",
                json.dumps(list(some)),
            )
            ids.update(row[0] for row in found)
        return ids


def by_class(chosen: Mapping[str, Mapping[int, Item]]) -> dict[str, list[int]]:
    """Ids by full class name, as responses have them."""
    objects: dict[str, list[int]] = defaultdict(list)
    for items in chosen.values():
        for row_id, item in sorted(items.items()):
            objects[item.entity.full_name].append(row_id)
    return dict(objects)


def _of_class(entity: Entity) -> str:
    """Condition that narrows the table of a hierarchy to an entity; "" where it holds nothing else."""
    if entity.name == entity.root:
        return ""
    names = ", ".join(f"'{name}'" for name in sorted(entity.subs))
    return f" AND cls IN ({names})"


def item_of(row: sqlite3.Row) -> Item:
    """Make an item of a row that has these columns."""
    return Item(row["id"], ENTITIES[row["cls"]], row["owner_id"], row["group_id"])
