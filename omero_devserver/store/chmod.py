# SPDX-License-Identifier: GPL-2.0-or-later
"""Chmod: a group's permissions, and what a group loses that becomes private.

In a private group nobody sees the data of others, so nothing may tie data of different users together: links, others'
rendering settings, thumbnails and regions are deleted; where rows cannot be parted the change is refused.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES
from omero_devserver.model.tables import table
from omero_devserver.store.delete import erase
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.gather import Item, by_class
from omero_devserver.store.graphrules import NAMED, PARTS, Tie
from omero_devserver.store.transfer import Transferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.rows import Rows

_GROUP_READ = 4 << 4
#: What of one user cannot be without that of another.
_INSEPARABLE = (
    Tie("Image", "imagingEnvironment"),
    Tie("Image", "instrument"),
    Tie("Image", "stageLabel"),
    Tie("Image", "experiment"),
    Tie("WellSample", "image"),
    Tie("Reagent", "screen"),
    Tie("Channel", "logicalChannel"),
)
#: What a user has of another's image.
_OF_OTHERS = (Tie("RenderingDef", "pixels"), Tie("Thumbnail", "pixels"), Tie("Roi", "image"))
#: Annotations that are nothing without what they are on.
_HANGING_ON = ("BasicAnnotation", "CommentAnnotation", "ListAnnotation", "MapAnnotation", "XmlAnnotation")


class Chmod:
    """One Chmod2."""

    def __init__(self, rows: Rows, access: Access, permissions: int) -> None:
        self._rows, self._access, self._permissions = rows, access, permissions
        self._dropped: dict[str, dict[int, Item]] = defaultdict(dict)

    def run(self, groups: Sequence[int], *, dry_run: bool) -> Transferred:
        """Change the permissions of groups, or say what would change.

        Raises
        ------
        GraphFailed
            A group is missing or not the caller's to change, or cannot become private.
        """
        with self._rows.transaction():
            changed = {"ExperimenterGroup": {group: self._group(group) for group in groups}}
            for group in groups:
                if not self._permissions & _GROUP_READ and not self._access.is_private(group):
                    self._part_users(group)
            deletion = erase(self._rows, self._dropped, dry_run=dry_run)
            for group in groups if not dry_run else ():
                self._rows.execute("UPDATE t_ExperimenterGroup SET permissions = ? WHERE id = ?", self._permissions, group)
            return Transferred(included=by_class(changed), deleted=deletion.objects, files=deletion.files)

    def _group(self, group: int) -> Item:
        entity = ENTITIES["ExperimenterGroup"]
        if not self._rows.rows("SELECT 1 FROM t_ExperimenterGroup WHERE id = ?", group):
            raise GraphFailed(f"cannot read {entity.full_name}[{group}]")
        caller, item = self._access.caller, Item(group, entity, None, None)
        if not (caller.admin and "ModifyGroup" in caller.privileges) and group not in caller.leader_of:
            raise GraphFailed(f"not permitted to change permissions on {item.full_name}")
        return item

    def _part_users(self, group: int) -> None:
        for tie in _INSEPARABLE:
            for item, other in self._crossing(tie, group):
                raise GraphFailed(f"cannot downgrade to private as {item} uses differently owned {other}")
        for entity in [entity for entity in ENTITIES.values() if entity.link and not entity.system]:
            self._drop(self._crossing_links(entity.name, group))
        for tie in _OF_OTHERS:
            self._drop(item for item, _ in self._crossing(tie, group))
        self._drop(self._orphaned_annotations())

    def _crossing(self, tie: Tie, group: int) -> Iterator[tuple[Item, Item]]:
        """Rows that refer to what another user owns, with that."""
        for row in self._rows.rows(
            "SELECT a.id, a.cls, a.owner_id, b.id AS b_id, b.cls AS b_cls, b.owner_id AS b_owner"
            f" FROM {table(tie.entity)} a JOIN {table(tie.target)} b ON b.id = a.r_{tie.reference}"
            " WHERE a.group_id = ? AND a.owner_id <> b.owner_id",
            group,
        ):
            yield (
                Item(row["id"], ENTITIES[row["cls"]], row["owner_id"], group),
                Item(row["b_id"], ENTITIES[row["b_cls"]], row["b_owner"], group),
            )

    def _crossing_links(self, name: str, group: int) -> Iterator[Item]:
        """Links between what different users own."""
        parent, child = Tie(name, "parent").target, Tie(name, "child").target
        for row in self._rows.rows(
            f"SELECT l.id, l.cls, l.owner_id FROM t_{name} l JOIN {table(parent)} p ON p.id = l.r_parent"
            f" JOIN {table(child)} c ON c.id = l.r_child WHERE l.group_id = ? AND p.owner_id <> c.owner_id",
            group,
        ):
            yield Item(row["id"], ENTITIES[row["cls"]], row["owner_id"], group)

    def _orphaned_annotations(self) -> list[Item]:
        """Find annotations that were on something until now."""
        links = {name: items for name, items in self._dropped.items() if name.endswith("AnnotationLink") and ENTITIES[name].link}
        loose: dict[int, Item] = {}
        for name, items in links.items():
            for link in items:
                for row in self._rows.rows(
                    f"SELECT a.id, a.cls, a.owner_id, a.group_id FROM t_{name} l JOIN t_Annotation a ON a.id = l.r_child"
                    " WHERE l.id = ?",
                    link,
                ):
                    item = Item(row["id"], ENTITIES[row["cls"]], row["owner_id"], row["group_id"])
                    if not set(_HANGING_ON).isdisjoint(item.entity.bases):
                        loose[item.id] = item
        return [item for item in loose.values() if not self._still_linked(item)]

    def _still_linked(self, annotation: Item) -> bool:
        for entity in ENTITIES.values():
            if entity.link and entity.name.endswith("AnnotationLink"):
                found = self._rows.rows(f"SELECT id FROM {table(entity)} WHERE r_child = ?", annotation.id)
                if any(row[0] not in self._dropped[entity.root] for row in found):
                    return True
        return False

    def _drop(self, items: Iterable[Item]) -> None:
        """Delete rows with their parts."""
        for item in items:
            self._dropped[item.entity.root][item.id] = item
            for tie in PARTS.get(item.entity.root, ()):
                self._drop(
                    self._related(
                        f"SELECT id, cls, owner_id, group_id FROM {table(tie.entity)} WHERE r_{tie.reference} = ?", item
                    )
                )
            for tie in NAMED.get(item.entity.root, ()):
                self._drop(
                    self._related(
                        f"SELECT b.id, b.cls, b.owner_id, b.group_id FROM {table(tie.entity)} a"
                        f" JOIN {table(tie.target)} b ON b.id = a.r_{tie.reference} WHERE a.id = ?",
                        item,
                    )
                )

    def _related(self, sql: str, item: Item) -> list[Item]:
        return [Item(row["id"], ENTITIES[row["cls"]], row["owner_id"], row["group_id"]) for row in self._rows.rows(sql, item.id)]
