# SPDX-License-Identifier: GPL-2.0-or-later
"""Dropped: rows that a request deletes although it is none to delete, as they can neither go along nor stay."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES
from omero_devserver.store.graphrules import LINKS, NAMED, PARTS, Tie
from omero_devserver.store.items import Item, Items

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from omero_devserver.store.rows import Rows

#: Annotations that are nothing without what they are on.
_NOTHING_ALONE = frozenset({"BasicAnnotation", "CommentAnnotation", "ListAnnotation", "MapAnnotation", "XmlAnnotation"})
_ANNOTATING = tuple(e for e in ENTITIES.values() if e.link and e.name.endswith("AnnotationLink"))


class Dropped:
    """What one request drops; `items` holds it, by root and id."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self._found = rows, Items(rows)
        self.items: dict[str, dict[int, Item]] = defaultdict(dict)

    def add(self, items: Iterable[Item]) -> None:
        """Drop rows, with their parts and all links to and from them."""
        waiting = [(item.entity.root, [item]) for item in items]
        while waiting:
            root, some = waiting.pop()
            new = {item.id: item for item in some if item.id not in self.items[root]}
            self.items[root].update(new)
            waiting += [
                (tie.entity.root, [item for item, _ in self._found.referring(tie, new)])
                for tie in (*PARTS.get(root, ()), *LINKS.get(root, ()))
            ]
            waiting += [(tie.target.root, [item for item, _ in self._found.named(tie, new)]) for tie in NAMED.get(root, ())]

    def add_alone(self, link: Item) -> None:
        """Drop a link, and nothing else."""
        self.items[link.entity.root][link.id] = link

    def add_orphans(self, kept: Collection[int] = ()) -> None:
        """Drop the annotations that were on something until now, but those of the `kept` ids; and so on, with theirs."""
        while orphans := self._orphans(kept):
            self.add(orphans)

    def _orphans(self, kept: Collection[int]) -> list[Item]:
        loose: dict[int, Item] = {}
        for entity in _ANNOTATING:
            for item, _ in self._found.named(Tie(entity.name, "child"), self.items.get(entity.root, ())):
                known = item.id in self.items["Annotation"] or item.id in kept
                if not known and not _NOTHING_ALONE.isdisjoint(item.entity.bases):
                    loose[item.id] = item
        for entity in _ANNOTATING if loose else ():
            for annotation in self._held(entity.root, loose):
                loose.pop(annotation, None)
        return list(loose.values())

    def _held(self, root: str, annotations: Collection[int]) -> list[int]:
        """Those of some annotations that a link of this root keeps."""
        found = self._rows.rows(
            f"SELECT id, r_child FROM t_{root} WHERE r_child IN (SELECT value FROM json_each(?))", json.dumps(list(annotations))
        )
        return [row["r_child"] for row in found if row["id"] not in self.items[root]]
