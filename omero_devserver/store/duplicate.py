# SPDX-License-Identifier: GPL-2.0-or-later
"""Duplicate: copies of objects with all below them.

Copies belong to the caller, in the group of what they are copies of. References among what is copied become references among
the copies. Imported files are not copied: a request that comes upon them is refused, unless it leaves them out.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES, Kind, find_class
from omero_devserver.model.tables import columns_of, targets_of
from omero_devserver.store.errors import GraphFailed, NotCopied
from omero_devserver.store.kinship import Kinship

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.items import Item
    from omero_devserver.store.rows import Rows

_OWN = ("id", "owner_id", "group_id", "creation_id", "update_id", "external_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Classes that a request does not copy: copies refer to `referenced` rows as the originals do, and to no `ignored` ones."""

    referenced: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    def ignores(self, name: str) -> bool:
        """Whether copies refer to no rows of an entity."""
        return any(find_class(kept).name in ENTITIES[name].bases for kept in self.ignored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicated:
    """What was made: ids of copies by full class name, and by root the copy's id of each original."""

    objects: Mapping[str, Sequence[int]]
    copies: Mapping[str, Mapping[int, int]]


class Duplicate:
    """One request; `access` looks at all groups, as graph requests do."""

    def __init__(self, rows: Rows, access: Access, kept: Kept) -> None:
        self._rows, self._access, self._kept = rows, access, kept

    def run(self, targets: Mapping[str, Sequence[int]], *, event: int | None, dry_run: bool) -> Duplicated:
        """Copy objects and all below them, or say of what there would be copies (then ids are those of the originals).

        event: the row that says when the copies were made.

        Raises
        ------
        GraphFailed
            A target is missing, or in a group that the caller may not add to.
        NotCopied
            Imported files are among what would be copied.
        """
        stops = [*self._kept.referenced, *self._kept.ignored]
        family = Kinship(self._rows, self._access).descendants(targets, stop_before=stops)
        self._check(targets, family)
        if dry_run:
            return Duplicated(
                objects=_by_class(family, {root: {i: i for i in items} for root, items in family.items()}), copies={}
            )
        copies = self._new_ids(family)
        for root, items in family.items():
            for item in items.values():
                self._copy(root, item, copies, event)
        return Duplicated(objects=_by_class(family, copies), copies=copies)

    def _check(self, targets: Mapping[str, Sequence[int]], family: Mapping[str, Mapping[int, Item]]) -> None:
        for name, ids in targets.items():
            entity = find_class(name)
            for row_id in ids:
                if row_id not in family.get(entity.root, {}):
                    raise GraphFailed(f"cannot read {entity.full_name}[{row_id}]")
        caller = self._access.caller
        for items in family.values():
            for item in items.values():
                if item.group not in caller.member_of and not (caller.admin and "WriteOwned" in caller.privileges):
                    raise GraphFailed(f"not permitted to duplicate {item.full_name}")
        for row in self._rows.rows_by_id("OriginalFile", family.get("OriginalFile", {})):
            if row["c_repo"] is not None:
                raise NotCopied(path=row["c_path"] + row["c_name"])

    def _new_ids(self, family: Mapping[str, Mapping[int, Item]]) -> dict[str, dict[int, int]]:
        copies: dict[str, dict[int, int]] = {}
        for root, items in family.items():
            found = self._rows.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", f"t_{root}")
            first = int(found[0][0]) + 1 if found else 1
            copies[root] = {row_id: first + at for at, row_id in enumerate(sorted(items))}
        return copies

    def _copy(self, root: str, item: Item, copies: Mapping[str, Mapping[int, int]], event: int | None) -> None:
        row = self._rows.rows(f"SELECT * FROM t_{root} WHERE id = ?", item.id)[0]
        values = {name: row[name] for name in columns_of(root) if name not in _OWN}
        for column, target in targets_of(root).items():
            if values[column] is not None:
                values[column] = copies.get(target, {}).get(values[column], self._left(target, values[column]))
        for f in item.entity.fields.values():
            if f.kind is Kind.REF and not f.nullable and values[f"r_{f.name}"] is None:
                raise GraphFailed(f"cannot duplicate {item} without its {f.name}")
        new = copies[root][item.id]
        external = None if row["external_id"] is None else self._copy_external(row["external_id"], item.group, event)
        owner = None if item.entity.system else self._access.caller.user
        self._rows.insert(
            item.entity.name,
            **{**values, "id": new, "owner_id": owner, "group_id": item.group, "external_id": external},
            creation_id=event,
            update_id=event,
        )
        self._rows.execute(
            "INSERT INTO map_value (root, object, field, position, name, value)"
            " SELECT root, ?, field, position, name, value FROM map_value WHERE object = ? AND root = ?",
            new,
            item.id,
            root,
        )

    def _left(self, root: str, row_id: int) -> int | None:
        """Tell what a copy refers to where the original refers to something that is not copied."""
        found = self._rows.rows(f"SELECT cls FROM t_{root} WHERE id = ?", row_id)
        return None if found and self._kept.ignores(found[0][0]) else row_id

    def _copy_external(self, external: int, group: int | None, event: int | None) -> int:
        row = self._rows.rows("SELECT * FROM t_ExternalInfo WHERE id = ?", external)[0]
        values = {name: row[name] for name in columns_of("ExternalInfo") if name not in _OWN}
        owner = self._access.caller.user
        return self._rows.insert("ExternalInfo", **values, owner_id=owner, group_id=group, creation_id=event, update_id=event)


def _by_class(family: Mapping[str, Mapping[int, Item]], copies: Mapping[str, Mapping[int, int]]) -> dict[str, list[int]]:
    objects: dict[str, list[int]] = defaultdict(list)
    for root, items in family.items():
        for row_id, item in sorted(items.items()):
            objects[item.entity.full_name].append(copies[root][row_id])
    return dict(objects)
