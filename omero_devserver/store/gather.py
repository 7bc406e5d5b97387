# SPDX-License-Identifier: GPL-2.0-or-later
"""Gathering: the rows that a graph request is about, from its targets to the last that nothing else holds.

What goes along in any case is taken at once. What could go, as an image with its Dataset, is a candidate; round by round
those candidates are taken that no remaining row holds, until there are none left.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import defaultdict
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES, Entity, find_class
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.graphrules import CONTAINED, CONTENTS, HOLDERS, LINKS, NAMED, PARTS, SHARED, Tie
from omero_devserver.store.items import Item, Items, item_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.graphrules import ChildOption
    from omero_devserver.store.rows import Rows


class Gathering(ABC):
    """What one request takes; `chosen` holds it, by root and id.

    What differs between deleting, moving and giving is in the methods that subclasses have.
    """

    #: What the request does, as its refusals say it.
    verb = ""

    def __init__(
        self, rows: Rows, access: Access, options: Sequence[ChildOption] = (), *, stop_at: frozenset[str] = frozenset()
    ) -> None:
        self._rows, self._access, self._options = rows, access, options
        self._items = Items(rows)
        self._stop_at = frozenset(name for stop in stop_at for name in find_class(stop).subs)
        self.chosen: dict[str, dict[int, Item]] = defaultdict(dict)
        self._fresh: list[tuple[str, list[Item]]] = []
        self._candidates: dict[str, dict[int, Item]] = defaultdict(dict)
        self._forced: set[tuple[str, int]] = set()

    def gather(self, targets: Mapping[str, Sequence[int]], *, whole: bool = True) -> None:
        """Take the targets and all that goes with them.

        whole: filesets must not be split; without it, who asks only looks.

        Raises
        ------
        GraphFailed
            A target is missing or not the caller's to touch, or a fileset would be split.
        """
        for name, ids in targets.items():
            self._add_targets(find_class(name), ids)
        self._spread()
        while self._take_free():
            self._spread()
        if whole:
            self._check_filesets()

    # What subclasses decide

    @abstractmethod
    def _check_target(self, item: Item) -> None:
        """Raise GraphFailed if the caller may not touch a target."""

    @abstractmethod
    def _takes_part(self, part: Item, whole: Item) -> bool:
        """Whether a part goes with its whole."""

    @abstractmethod
    def _considers(self, child: Item, whole: Item, tie: Tie) -> bool:
        """Whether a row could go because one that holds it goes; `tie` says how it hangs on that."""

    def _takes_links(self, tie: Tie) -> bool:
        """Whether a link goes when only one of its ends does."""
        return True

    # Taking

    def _add_targets(self, entity: Entity, ids: Sequence[int]) -> None:
        found = {row["id"]: row for row in self._rows.rows_by_id(entity.root, ids) if row["cls"] in entity.subs}
        for row_id in ids:
            if row_id not in found or not self._access.can_read(entity, found[row_id]):
                raise GraphFailed(f"cannot read {entity.full_name}[{row_id}]")
            self._check_target(item_of(found[row_id]))
        self._add(entity.root, [item_of(row) for row in found.values()])

    def _add(self, root: str, items: Iterable[Item]) -> None:
        chosen = self.chosen[root]
        new = [item for item in items if item.id not in chosen]
        chosen.update((item.id, item) for item in new)
        for item in new:
            self._candidates[root].pop(item.id, None)
        spreading = [item for item in new if item.entity.name not in self._stop_at]
        if spreading:
            self._fresh.append((root, spreading))

    def _spread(self) -> None:
        """Take what goes along with what was taken, and note what could."""
        while self._fresh:
            root, items = self._fresh.pop()
            by_id = {item.id: item for item in items}
            for tie in PARTS.get(root, ()):
                pairs = self._items.referring(tie, by_id)
                self._add(tie.entity.root, [part for part, whole in pairs if self._takes_part(part, by_id[whole])])
            for tie in NAMED.get(root, ()):
                self._add(tie.target.root, [part for part, user in self._items.named(tie, by_id)])
            for tie in LINKS.get(root, ()):
                if self._takes_links(tie):
                    self._add(tie.entity.root, [link for link, _ in self._items.referring(tie, by_id)])
            self._note_candidates(root, by_id)

    def _note_candidates(self, root: str, by_id: Mapping[int, Item]) -> None:
        for tie in SHARED.get(root, ()):
            self._consider(tie, [(child, by_id[user]) for child, user in self._items.named(tie, by_id)])
        for tie in CONTAINED.get(root, ()):
            self._consider(tie, [(child, by_id[whole]) for child, whole in self._items.referring(tie, by_id)])
        for tie in CONTENTS.get(root, ()):
            links = {link.id: by_id[parent] for link, parent in self._items.referring(tie, by_id)}
            downwards = Tie(tie.name, "child")
            self._consider(downwards, [(child, links[link]) for child, link in self._items.named(downwards, links)])

    def _consider(self, tie: Tie, pairs: Iterable[tuple[Item, Item]]) -> None:
        """Note rows that could go; options may keep them, or have them go in any case."""
        considered = [
            child
            for child, whole in pairs
            if child.id not in self.chosen[child.entity.root] and self._considers(child, whole, tie)
        ]
        namespaces = self._namespaces(considered)
        for child in considered:
            root = child.entity.root
            verdict = self._option(child, namespaces.get(child.id))
            if verdict is not False:
                self._candidates[root][child.id] = child
            if verdict:
                self._forced.add((root, child.id))

    def _namespaces(self, items: Iterable[Item]) -> dict[int, str | None]:
        """Namespaces of those that are annotations, if an option asks for any."""
        if not any(option.include_ns or option.exclude_ns for option in self._options):
            return {}
        found = self._rows.rows(
            "SELECT id, c_ns FROM t_Annotation WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps([item.id for item in items if "Annotation" in item.entity.bases]),
        )
        return {row["id"]: row["c_ns"] for row in found}

    def _option(self, item: Item, namespace: str | None = None) -> bool | None:
        for option in self._options:
            if option.includes(item.entity, namespace):
                return True
            if option.excludes(item.entity, namespace):
                return False
        return None

    # Candidates

    def _take_free(self) -> bool:
        """Take the candidates that nothing holds any more; returns whether there was any."""
        taken = False
        for root in list(self._candidates):
            candidates = self._candidates[root]
            held = self._held(root, candidates) if candidates else set()
            free = {i: item for i, item in candidates.items() if i not in held or (root, i) in self._forced}
            if root == "Image":
                free = self._whole_filesets(free)
            if free:
                self._add(root, [item for item in free.values() if self._takes(item)])
                for row_id in free:
                    candidates.pop(row_id, None)
                taken = True
        return taken

    def _takes(self, item: Item) -> bool:
        """Whether a row that nothing holds goes; overridden where it may go in another way."""
        return True

    def _held(self, root: str, ids: Collection[int]) -> set[int]:
        held: set[int] = set()
        for tie in HOLDERS.get(root, ()):
            gone = self.chosen[tie.entity.root]
            by_link = tie.entity.link and tie.reference == "child"
            for row in self._items.refer_rows(tie, ids, "r_parent" if by_link else "NULL"):
                parents = self.chosen[ENTITIES[tie.entity.fields["parent"].type].root] if by_link else {}
                if row["id"] not in gone and not (by_link and row["other"] in parents):
                    held.add(row["target"])
        return held

    def _whole_filesets(self, images: Mapping[int, Item]) -> dict[int, Item]:
        """Of images that could go, those whose fileset could go as a whole; a fileset that is kept keeps its images."""
        filesets = dict(self._fileset_of(images))
        kept = {
            fileset.id
            for fileset in self._items.of("Fileset", set(filesets.values()))
            if self._option(fileset) is False and fileset.id not in self.chosen["Fileset"]
        }
        mates = self._items.referring(Tie("Image", "fileset"), set(filesets.values()))
        kept |= {fileset for mate, fileset in mates if mate.id not in images and mate.id not in self.chosen["Image"]}
        return {i: item for i, item in images.items() if filesets.get(i) not in kept or ("Image", i) in self._forced}

    def _check_filesets(self) -> None:
        images = self.chosen["Image"]
        filesets = self._fileset_of(images)
        mates: dict[int, int] = {}
        for mate, fileset in self._items.referring(Tie("Image", "fileset"), {fileset for _, fileset in filesets}):
            if mate.id not in images:
                mates.setdefault(fileset, mate.id)
        for image, fileset in sorted(filesets):
            if fileset in mates:
                raise GraphFailed(
                    f"within Fileset[{fileset}] may not {self.verb} Image[{image}] while Image[{mates[fileset]}] remains"
                )

    def _fileset_of(self, images: Collection[int]) -> list[tuple[int, int]]:
        found = self._rows.rows(
            "SELECT id, r_fileset FROM t_Image WHERE id IN (SELECT value FROM json_each(?)) AND r_fileset IS NOT NULL",
            json.dumps(list(images)),
        )
        return [(row[0], row[1]) for row in found]
