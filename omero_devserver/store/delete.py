# SPDX-License-Identifier: GPL-2.0-or-later
"""Delete: Delete2, from its targets to the last orphan.

First what must go with the targets is gathered, then, round by round, what nothing holds any more; then what remains is
checked, and only then anything is written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from omero_devserver.model.schema import ENTITIES, ROOTS, Entity, find_class, rows_that_refer_to
from omero_devserver.model.tables import table
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.graphrules import HOLDERS, LAST_TAKES, ONLY_IF_DELETABLE, OWNED, ChildOption

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.rows import Rows


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


class Delete:
    """One request; `access` looks at all groups, as graph requests do."""

    def __init__(self, rows: Rows, access: Access, options: Sequence[ChildOption]) -> None:
        self._rows, self._access, self._options = rows, access, options
        self._gone: dict[str, dict[int, Entity]] = defaultdict(dict)

    def run(self, targets: Mapping[str, Sequence[int]], *, dry_run: bool) -> Deletion:
        """Delete, or say what would be deleted.

        Raises
        ------
        GraphFailed
            A target is missing or not the caller's to delete, or something that would remain needs what would go.
        """
        with self._rows.transaction():
            for name, ids in targets.items():
                self._add_targets(find_class(name), ids)
            while self._take_orphans():
                pass
            self._check_filesets()
            loose = self._loose_ends()
            external = self._external_infos()
            deletion = Deletion(objects=self._by_class(external), files=self._files())
            if not dry_run:
                self._write(loose, external)
            return deletion

    def _add_targets(self, entity: Entity, ids: Sequence[int]) -> None:
        found = {row["id"]: row for row in self._rows.rows_by_id(entity.root, ids) if row["cls"] in entity.subs}
        for row_id in ids:
            row = found.get(row_id)
            if row is None or not self._access.can_read(entity, row):
                raise GraphFailed(f"cannot read {entity.full_name}[{row_id}]")
            exact = ENTITIES[row["cls"]]
            if entity.system or not self._access.rights_to(exact, row).delete:
                raise GraphFailed(f"not permitted to delete {exact.full_name}[{row_id}]")
        self._add(entity.root, found.values())

    def _add(self, root: str, rows: Iterable[sqlite3.Row]) -> None:
        """Take rows, and all that they own."""
        gone = self._gone[root]
        new = {row["id"]: ENTITIES[row["cls"]] for row in rows if row["id"] not in gone}
        gone.update(new)
        if not new:
            return
        for entity, reference in OWNED.get(root, ()):
            self._add(entity.root, self._referring(entity, reference, new))

    def _referring(self, entity: Entity, reference: str, ids: Iterable[int]) -> list[sqlite3.Row]:
        return self._rows.rows(
            f"SELECT id, cls, r_{reference} AS target FROM {table(entity)}"
            f" WHERE r_{reference} IN (SELECT value FROM json_each(?))",
            json.dumps(list(ids)),
        )

    # Orphans

    def _take_orphans(self) -> bool:
        """Take what nothing holds any more; returns whether there was any."""
        taken = False
        for root, pairs in LAST_TAKES.items():
            candidates = {row["id"]: row for row in self._candidates(root, pairs)}
            if root == "Image":
                candidates = self._whole_filesets(candidates)
            if candidates:
                self._add(root, candidates.values())
                taken = True
        return taken

    def _candidates(self, root: str, pairs: Iterable[tuple[Entity, str]]) -> list[sqlite3.Row]:
        ids: set[int] = set()
        for entity, reference in pairs:
            gone = [i for i, exact in self._gone[entity.root].items() if entity.name in exact.bases]
            if entity.name == "WellSample":
                gone = self._samples_without_plate(gone)
            found = self._rows.rows(
                f"SELECT DISTINCT r_{reference} FROM {table(entity)}"
                f" WHERE id IN (SELECT value FROM json_each(?)) AND r_{reference} IS NOT NULL",
                json.dumps(gone),
            )
            ids.update(row[0] for row in found)
        ids.difference_update(self._gone[root])
        held = self._held(root, ids) if ids else set()
        return [row for row in self._rows.rows_by_id(root, ids) if self._may_go(row, held=row["id"] in held)]

    def _samples_without_plate(self, samples: Sequence[int]) -> list[int]:
        """Of gone samples, those that went with their plate or acquisition: with a well alone, images stay (recorded)."""
        found = self._rows.rows(
            "SELECT s.id, s.r_plateAcquisition AS run, w.r_plate AS plate FROM t_WellSample s JOIN t_Well w ON w.id = s.r_well"
            " WHERE s.id IN (SELECT value FROM json_each(?))",
            json.dumps(list(samples)),
        )
        return [r["id"] for r in found if r["run"] in self._gone["PlateAcquisition"] or r["plate"] in self._gone["Plate"]]

    def _held(self, root: str, ids: set[int]) -> set[int]:
        held: set[int] = set()
        for entity, reference in HOLDERS[root]:
            gone = self._gone[entity.root]
            held.update(row["target"] for row in self._referring(entity, reference, ids) if row["id"] not in gone)
        return held

    def _may_go(self, row: sqlite3.Row, *, held: bool) -> bool:
        entity = ENTITIES[row["cls"]]
        if any(option.includes(entity) for option in self._options):
            return True
        namespace = row["c_ns"] if "Annotation" in entity.bases else None
        if held or any(option.excludes(entity, namespace) for option in self._options):
            return False
        return entity.name not in ONLY_IF_DELETABLE or self._access.rights_to(entity, row).delete

    def _whole_filesets(self, images: Mapping[int, sqlite3.Row]) -> dict[int, sqlite3.Row]:
        """Of images that could go, those whose fileset could go as a whole."""
        filesets = {row["r_fileset"] for row in images.values() if row["r_fileset"] is not None}
        fileset = ENTITIES["Fileset"]
        if any(option.excludes(fileset, None) for option in self._options):
            broken = filesets
        else:
            image = ENTITIES["Image"]
            broken = {
                row["target"]
                for row in self._referring(image, "fileset", filesets)
                if row["id"] not in images and row["id"] not in self._gone["Image"]
            }
        included = any(option.includes(ENTITIES["Image"]) for option in self._options)
        return {i: row for i, row in images.items() if included or row["r_fileset"] not in broken}

    # What remains

    def _check_filesets(self) -> None:
        images = self._gone["Image"]
        for row in sorted(self._rows.rows_by_id("Image", images), key=lambda row: row["id"]):
            if row["r_fileset"] is None:
                continue
            for mate in self._referring(ENTITIES["Image"], "fileset", [row["r_fileset"]]):
                if mate["id"] not in images:
                    raise GraphFailed(
                        f"within Fileset[{row['r_fileset']}] may not delete Image[{row['id']}] while Image[{mate['id']}] remains"
                    )

    def _loose_ends(self) -> list[tuple[Entity, str, list[int]]]:
        """List references of remaining rows to gone ones that can be emptied; one that cannot is a refusal."""
        loose = []
        for root, gone in self._gone.items():
            for entity, reference in rows_that_refer_to(root):
                remaining = [
                    row
                    for row in self._referring(entity, reference.name, gone)
                    if row["id"] not in self._gone[entity.root] and row["cls"] in entity.subs
                ]
                if remaining and not reference.nullable:
                    row = remaining[0]
                    raise GraphFailed(
                        f"may not delete {gone[row['target']].name}[{row['target']}] while {row['cls']}[{row['id']}] remains"
                    )
                if remaining:
                    loose.append((entity, reference.name, [row["id"] for row in remaining]))
        return loose

    def _external_infos(self) -> list[int]:
        """External infos that only gone rows have."""
        ids: set[int] = set()
        for root, gone in self._gone.items():
            ids.update(row["external_id"] for row in self._rows.rows_by_id(root, gone) if row["external_id"] is not None)
        if not ids:
            return []
        for root in ROOTS:
            found = self._rows.rows(
                f"SELECT id, external_id FROM t_{root} WHERE external_id IN (SELECT value FROM json_each(?))",
                json.dumps(list(ids)),
            )
            ids.difference_update(row["external_id"] for row in found if row["id"] not in self._gone[root])
        return sorted(ids)

    def _by_class(self, external: Sequence[int]) -> dict[str, list[int]]:
        objects: dict[str, list[int]] = defaultdict(list)
        for gone in self._gone.values():
            for row_id, entity in sorted(gone.items()):
                objects[entity.full_name].append(row_id)
        if external:
            objects[ENTITIES["ExternalInfo"].full_name] = list(external)
        return dict(objects)

    def _files(self) -> list[DeletedFile]:
        return [
            DeletedFile(repository=row["c_repo"], path=row["c_path"], name=row["c_name"])
            for row in self._rows.rows_by_id("OriginalFile", self._gone["OriginalFile"])
        ]

    def _write(self, loose: Iterable[tuple[Entity, str, list[int]]], external: Sequence[int]) -> None:
        for entity, reference, ids in loose:
            self._rows.execute(
                f"UPDATE {table(entity)} SET r_{reference} = NULL WHERE id IN (SELECT value FROM json_each(?))", json.dumps(ids)
            )
        everything = {**{root: list(gone) for root, gone in self._gone.items()}, "ExternalInfo": list(external)}
        for root, ids in everything.items():
            marks = json.dumps(ids)
            self._rows.execute(f"DELETE FROM t_{root} WHERE id IN (SELECT value FROM json_each(?))", marks)
            self._rows.execute("DELETE FROM map_value WHERE root = ? AND object IN (SELECT value FROM json_each(?))", root, marks)
