# SPDX-License-Identifier: GPL-2.0-or-later
"""Give: Chown2, rows that go to another user.

Facts: the recordings of a real server (facts 10), and where those are silent OMERO's rules (`graphrules`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_devserver.store.errors import GraphFailed, NoGroupOwned, NoSuchUser
from omero_devserver.store.people import READ_ANNOTATE, READ_ONLY, READ_WRITE
from omero_devserver.store.transfer import OF_EACH_USER, Transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.graphrules import ChildOption, Tie
    from omero_devserver.store.items import Item
    from omero_devserver.store.rows import Rows


class Give(Transfer):
    """One Chown2; `access` looks at all groups, as graph requests do.

    Raises
    ------
    NoGroupOwned
        The caller is neither an administrator who may give nor the owner of a group.
    NoSuchUser
        Nobody has that id.
    """

    verb = "give"
    column = "owner_id"

    def __init__(
        self, rows: Rows, access: Access, options: Sequence[ChildOption], user: int, *, stop_at: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(rows, access, options, user, stop_at=stop_at)
        caller = access.caller
        self._owns_all = caller.admin and "Chown" in caller.privileges
        if not self._owns_all and not caller.leader_of:
            raise NoGroupOwned
        if not rows.rows("SELECT 1 FROM t_Experimenter WHERE id = ?", user):
            raise NoSuchUser(user=user)
        found = rows.rows("SELECT r_parent FROM t_GroupExperimenterMap WHERE r_child = ?", user)
        self._groups_of_new_owner = {row[0] for row in found}

    def _check_target(self, item: Item) -> None:
        if self._owns_all or item.owner == self._to:
            return
        if item.group not in self._access.caller.leader_of:
            raise GraphFailed(f"user {self._access.caller.user} is not an owner of group {item.group}")
        if item.group not in self._groups_of_new_owner:
            raise GraphFailed(f"user {self._to} is not a member of group {item.group}")

    def _takes_part(self, part: Item, whole: Item) -> bool:
        if part.entity.name == "FileAnnotation":
            return False
        return part.entity.name not in OF_EACH_USER or self._private(part)

    def _considers(self, child: Item, whole: Item, tie: Tie) -> bool:
        if tie.name == "Roi":
            return child.owner == whole.owner and self._access.permissions(child.group) != READ_ANNOTATE
        return super()._considers(child, whole, tie)

    def _considers_annotation(self, annotation: Item, annotated: Item) -> bool:
        """Where all may annotate, annotations are left to who wrote them."""
        shared = self._access.permissions(annotation.group) in (READ_ANNOTATE, READ_WRITE)
        return annotation.owner == annotated.owner and not shared

    def _goes_along(self, link: Item, ends: tuple[Item, Item]) -> bool:
        return link.owner in {end.owner for end in ends}

    def _parts_company(self, link: Item, remaining: Item) -> bool:
        if link.entity.name.endswith("AnnotationLink"):
            return self._private(link)
        return self._private(link) or self._access.permissions(link.group) in (READ_ONLY, READ_ANNOTATE)

    def _stays_together(self, shared: Item) -> bool:
        return self._private(shared)

    def _private(self, item: Item) -> bool:
        return item.group is not None and self._access.is_private(item.group)
