# SPDX-License-Identifier: GPL-2.0-or-later
"""Linking: whether a row may refer to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import omero.model

from omero_devserver.store import refusals
from omero_devserver.store.people import SYSTEM_GROUP, USER_GROUP

if TYPE_CHECKING:
    import sqlite3

    from omero_devserver.model.schema import Entity
    from omero_devserver.store.access import Access

#: What members of a read-annotate group may add to each other's data, besides annotations
#: (OMERO's source: ome.security.basic.OmeroInterceptor asks the linked class for its "annotate" restriction).
_LIKE_ANNOTATIONS = frozenset({"Roi", "RenderingDef", "Thumbnail"})


class Linking:
    """The rules for one caller; texts as recorded on a real server."""

    def __init__(self, access: Access) -> None:
        self._access, self._caller = access, access.caller

    def check(self, *, entity: Entity, row_id: int, group: int | None, target: Entity, row: sqlite3.Row) -> None:
        """Check one reference.

        Parameters
        ----------
        entity, row_id, group
            The row that refers; its group is None if the call has none (``omero.group=-1``).
        target, row
            What it refers to.

        Raises
        ------
        omero.SecurityViolation
            The caller cannot read the target, or may not link to it; its subclasses where groups are the reason.
        """
        caller, there = self._caller, row["group_id"]
        if caller.privileged or target.system or there is None:
            return
        if not self._access.can_read(target, row):
            raise refusals.unreadable(target, row["id"])
        if group is None:
            raise refusals.security(f"Group is ------. Cannot link to object: {refusals.named(target, row['id'])}")
        if there in (SYSTEM_GROUP, USER_GROUP) and there != group:
            return  # open to links from everywhere
        if there != group:
            raise self._mixed(entity, row_id, group, target, row)
        if self._access.is_private(there) and row["owner_id"] != caller.user:
            raise refusals.read_only_group(target, row["id"])
        rights = self._access.rights_to(target, row)
        annotating = entity.name.endswith("AnnotationLink") or entity.name in _LIKE_ANNOTATIONS
        if not (rights.annotate if annotating else rights.link):
            permissions = omero.model.PermissionsI(self._access.permissions(there))
            raise refusals.security(f"Group is {permissions}. Cannot link to object: {refusals.named(target, row['id'])}")

    def _mixed(
        self, entity: Entity, row_id: int, group: int | None, target: Entity, row: sqlite3.Row
    ) -> omero.GroupSecurityViolation:
        kind = "ome.model.meta.ExperimenterGroup:Id_"
        return refusals.group_security(
            f"MIXED GROUP: {refusals.named(entity, row_id)}(group={kind}{group}) and "
            f"{refusals.named(target, row['id'])}(group={kind}{row['group_id']}) cannot be linked."
        )
