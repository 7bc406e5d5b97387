# SPDX-License-Identifier: GPL-2.0-or-later
"""Move: Chgrp2, rows that go to another group.

Facts: the recordings of a real server (facts 10), and where those are silent OMERO's rules (`graphrules`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_devserver.store.errors import GraphFailed, NotInGroup
from omero_devserver.store.graphrules import HANGING_ON
from omero_devserver.store.transfer import OF_EACH_USER, Transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.graphrules import ChildOption
    from omero_devserver.store.items import Item
    from omero_devserver.store.rows import Rows


class Move(Transfer):
    """One Chgrp2; `access` looks at all groups, as graph requests do.

    Raises
    ------
    NotInGroup
        The destination is no group of the caller's.
    """

    verb = "move"
    column = "group_id"

    def __init__(
        self, rows: Rows, access: Access, options: Sequence[ChildOption], group: int, *, stop_at: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(rows, access, options, group, stop_at=stop_at)
        caller = access.caller
        self._owns_all = caller.admin and "Chgrp" in caller.privileges
        known = rows.rows("SELECT 1 FROM t_ExperimenterGroup WHERE id = ?", group)
        if not known or not (self._owns_all or group in caller.member_of):
            raise NotInGroup(group=group)
        self._to_private = access.is_private(group)

    def _check_target(self, item: Item) -> None:
        if not self._owns_all and item.owner != self._access.caller.user:
            raise GraphFailed(f"does not own {item.full_name}")

    def _takes_part(self, part: Item, whole: Item) -> bool:
        if part.entity.name == "FileAnnotation":
            return False  # the file goes with the annotation, not the other way round
        if part.entity.name in OF_EACH_USER and self._to_private and part.owner != whole.owner:
            self._dropped.add([part])
            return False
        return True

    def _considers_content(self, content: Item, container: Item) -> bool:
        if content.entity.name == "Roi":
            return True  # of whomever: see `_takes`
        rights = self._access.rights(content.entity, content.owner, content.group)
        return super()._considers_content(content, container) or (not self._to_private and (rights.delete or rights.chgrp))

    def _takes(self, item: Item) -> bool:
        """Others' annotations and regions go along where others can see them; else those that nobody would miss are deleted."""
        kinds = {"Annotation", "Roi"}.intersection(item.entity.bases)
        if not kinds or item.owner in self._hangs_on[item.entity.root, item.id]:
            return True
        if "Roi" in kinds:
            if self._to_private:
                self._dropped.add([item])
            return not self._to_private
        deletable = self._access.rights(item.entity, item.owner, item.group).delete
        if deletable and not self._to_private:
            return True
        if deletable or not HANGING_ON.isdisjoint(item.entity.bases):
            self._dropped.add([item])
        return False

    def _parts_company(self, link: Item, remaining: Item) -> bool:
        return not remaining.entity.system

    def _stays_together(self, shared: Item) -> bool:
        return not shared.entity.system
