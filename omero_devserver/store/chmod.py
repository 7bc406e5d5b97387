# SPDX-License-Identifier: GPL-2.0-or-later
"""Chmod: a group's permissions, and what a group loses that becomes private.

In a private group nobody sees the data of others, so nothing may tie data of different users together: links, others'
rendering settings, thumbnails and regions are deleted; where rows cannot be parted the change is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES
from omero_devserver.model.tables import table
from omero_devserver.store.delete import erase
from omero_devserver.store.dropped import Dropped
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.graphrules import Tie
from omero_devserver.store.items import Item, by_class
from omero_devserver.store.transfer import Transferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class Chmod:
    """One Chmod2."""

    def __init__(self, rows: Rows, access: Access, permissions: int) -> None:
        self._rows, self._access, self._permissions = rows, access, permissions
        self._dropped = Dropped(rows)

    def run(self, groups: Sequence[int], *, dry_run: bool) -> Transferred:
        """Change the permissions of groups, or say what would change.

        Raises
        ------
        GraphFailed
            A group is missing or not the caller's to change, or cannot become private.
        """
        changed = {"ExperimenterGroup": {group: self._group(group) for group in groups}}
        for group in groups:
            if not self._permissions & _GROUP_READ and not self._access.is_private(group):
                self._part_users(group)
        deletion = erase(self._rows, self._dropped.items, dry_run=dry_run)
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
            self._dropped.add(self._crossing_links(entity.name, group))
        for tie in _OF_OTHERS:
            self._dropped.add(item for item, _ in self._crossing(tie, group))
        self._dropped.add_orphans()

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
