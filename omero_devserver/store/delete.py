# SPDX-License-Identifier: GPL-2.0-or-later
"""Delete: Delete2, from its targets to the last orphan.

What goes is gathered first (`gather`), then what remains is checked, and only then anything is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from omero_devserver.model.schema import ENTITIES, ROOTS, Entity, rows_that_refer_to
from omero_devserver.model.tables import table
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.gather import Gathering
from omero_devserver.store.graphrules import HANGING_ON, OF_IMPORTS, UNCHECKED, WITH_THEIR_OWNER, Tie
from omero_devserver.store.items import Item, Items, by_class

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.graphrules import ChildOption
    from omero_devserver.store.rows import Rows

#: Candidates that the caller must have the right to delete.
_IF_DELETABLE = frozenset(
    {"Dataset", "Experiment", "Folder", "Image", "Plate", "Reagent", "Roi", "ListAnnotation", "MapAnnotation", "XmlAnnotation"}
)


class DeletedFile(NamedTuple):
    """An OriginalFile that is gone from the database: where its file lies."""

    repository: str | None
    path: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What was deleted, or would be: ids by full class name, and the files whose rows are among them."""

    objects: Mapping[str, Sequence[int]]
    files: Sequence[DeletedFile]


class Delete(Gathering):
    """One request; `access` looks at all groups, as graph requests do."""

    verb = "delete"

    def __init__(
        self, rows: Rows, access: Access, options: Sequence[ChildOption] = (), *, stop_at: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(rows, access, options, stop_at=stop_at)
        self._verdicts: dict[tuple[str, int | None, int | None], bool] = {}

    def run(self, targets: Mapping[str, Sequence[int]], *, dry_run: bool) -> Deletion:
        """Delete, or say what would be deleted.

        Raises
        ------
        GraphFailed
            A target is missing or not the caller's to delete, or something that would remain needs what would go.
        """
        self.gather(targets)
        self._check_tags()
        self._check_rights()
        return erase(self._rows, self.chosen, dry_run=dry_run)

    def _check_target(self, item: Item) -> None:
        if item.entity.system or not self._deletable(item):
            raise GraphFailed(f"not permitted to delete {item.full_name}")

    def _deletable(self, item: Item) -> bool:
        if item.entity.name == "OriginalFile":
            row = self._rows.row(item.entity, item.id)
            return row is not None and self._access.rights_to(item.entity, row).delete
        key = (item.entity.name, item.owner, item.group)
        if key not in self._verdicts:
            self._verdicts[key] = self._access.rights(item.entity, item.owner, item.group).delete
        return self._verdicts[key]

    def _takes_part(self, part: Item, whole: Item) -> bool:
        return True

    def _considers(self, child: Item, whole: Item, tie: Tie) -> bool:
        kinds = child.entity.bases
        if tie.name == "JobOriginalFileLink":
            return whole.entity.name in OF_IMPORTS and whole.owner == child.owner
        if not WITH_THEIR_OWNER.isdisjoint(kinds):
            # The link alone is gone: a tag or a file that somebody took off remains.
            return not whole.entity.link and whole.owner == child.owner and self._deletable(child)
        return _IF_DELETABLE.isdisjoint(kinds) or self._deletable(child)

    def _check_tags(self) -> None:
        """Refuse a tag on what the caller may not delete (a target; others are not taken then)."""
        tags = {item.id: item for item in self.chosen["Annotation"].values() if item.entity.name == "TagAnnotation"}
        for entity in ENTITIES.values() if tags else ():
            if not entity.link or not entity.name.endswith("AnnotationLink"):
                continue
            tie = Tie(entity.name, "parent")
            tagging = {link.id: tag for link, tag in self._items.referring(Tie(entity.name, "child"), tags)}
            for tagged, link in self._items.named(tie, tagging):
                if tagged.id not in self.chosen[tie.target.root] and not self._deletable(tagged):
                    raise GraphFailed(f"may not delete {tags[tagging[link]]} while {tagged} remains")

    def _check_rights(self) -> None:
        """Refuse if something goes along that is not the caller's to delete."""
        for root, items in self.chosen.items():
            for item in items.values() if root not in UNCHECKED else ():
                unchecked = item.entity.link or item.entity.system or not HANGING_ON.isdisjoint(item.entity.bases)
                if not unchecked and not self._deletable(item):
                    raise GraphFailed(f"not permitted to delete {item.full_name}")


def erase(rows: Rows, chosen: Mapping[str, Mapping[int, Item]], *, dry_run: bool = False) -> Deletion:
    """Delete exactly the chosen rows, with their external infos; references of others to them become empty.

    Raises
    ------
    GraphFailed
        A remaining row cannot be without one that would go.
    """
    loose = _loose_ends(rows, chosen)
    external = _external_infos(rows, chosen)
    objects = by_class(chosen)
    if external:
        objects[ENTITIES["ExternalInfo"].full_name] = list(external)
    deletion = Deletion(objects=objects, files=_files(rows, chosen.get("OriginalFile", ())))
    if not dry_run:
        _write(rows, chosen, loose, external)
    return deletion


def _loose_ends(rows: Rows, chosen: Mapping[str, Mapping[int, Item]]) -> list[tuple[Entity, str, list[int]]]:
    """List references of remaining rows to gone ones that can be emptied; one that cannot is a refusal."""
    loose = []
    for root, gone in chosen.items():
        for entity, reference in rows_that_refer_to(root) if gone else ():
            found = rows.rows(
                f"SELECT id, cls, r_{reference.name} AS target FROM {table(entity)}"
                f" WHERE r_{reference.name} IN (SELECT value FROM json_each(?)) ORDER BY id",
                json.dumps(list(gone)),
            )
            also_gone = chosen.get(entity.root, {})
            remaining = [row for row in found if row["id"] not in also_gone and row["cls"] in entity.subs]
            if remaining and not reference.nullable:
                row = remaining[0]
                raise GraphFailed(f"may not delete {gone[row['target']]} while {row['cls']}[{row['id']}] remains")
            if remaining:
                loose.append((entity, reference.name, [row["id"] for row in remaining]))
    return loose


def _external_infos(rows: Rows, chosen: Mapping[str, Mapping[int, Item]]) -> list[int]:
    """External infos that only gone rows have."""
    ids = Items(rows).external_infos(chosen)
    if not ids:
        return []
    for root in ROOTS:
        found = rows.rows(
            f"SELECT id, external_id FROM t_{root} WHERE external_id IN (SELECT value FROM json_each(?))",
            json.dumps(list(ids)),
        )
        ids.difference_update(row["external_id"] for row in found if row["id"] not in chosen.get(root, ()))
    return sorted(ids)


def _files(rows: Rows, ids: Collection[int]) -> list[DeletedFile]:
    return [
        DeletedFile(repository=row["c_repo"], path=row["c_path"], name=row["c_name"])
        for row in rows.rows_by_id("OriginalFile", ids)
    ]


def _write(
    rows: Rows, chosen: Mapping[str, Mapping[int, Item]], loose: Iterable[tuple[Entity, str, list[int]]], external: Sequence[int]
) -> None:
    for entity, reference, ids in loose:
        rows.execute(
            f"UPDATE {table(entity)} SET r_{reference} = NULL WHERE id IN (SELECT value FROM json_each(?))", json.dumps(ids)
        )
    everything = {root: list(gone) for root, gone in chosen.items()}
    everything["ExternalInfo"] = [*everything.get("ExternalInfo", []), *external]
    # Parts were found after what they belong to. To delete them before it spares the database to look for them.
    for root, ids in reversed(everything.items()):
        marks = json.dumps(ids)
        rows.execute(f"DELETE FROM t_{root} WHERE id IN (SELECT value FROM json_each(?))", marks)
        rows.execute("DELETE FROM map_value WHERE object IN (SELECT value FROM json_each(?)) AND root = ?", marks, root)
