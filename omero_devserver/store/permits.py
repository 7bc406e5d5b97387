# SPDX-License-Identifier: GPL-2.0-or-later
"""Permits: whether a caller may make or change a row, and whose and in which group a new one is.

The rules and their texts are those recorded on a real server (facts 6 and 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_devserver.model.schema import ENTITIES
from omero_devserver.store import refusals
from omero_devserver.store.people import USER_GROUP

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from omero_devserver.model.schema import Entity
    from omero_devserver.store.access import Access
    from omero_devserver.store.rows import Rows


class Permits:
    """The rules for one caller; what they do not allow is raised as OMERO's exception."""

    def __init__(self, rows: Rows, access: Access) -> None:
        self._rows, self._access, self._caller = rows, access, access.caller

    def group_of_new(self, obj: Any, entity: Entity, row_id: int) -> int | None:
        """Group of a new row; None while only what it links to could tell."""
        caller = self._caller
        given = _detail_id(obj, "_group")
        if caller.privileged:
            return given if given is not None else (caller.group if caller.group >= 0 else None)
        if given is not None and given != caller.group and not caller.admin:
            target = f"ome.model.meta.ExperimenterGroup:Id_{given}"
            raise refusals.security(
                f"You are not authorized to set the ExperimenterGroup for {refusals.named(entity, row_id)} to {target}"
            )
        if given is not None:
            self._require("ExperimenterGroup", given)
        group = given if given is not None else caller.group
        return None if group < 0 else group

    def may_create(self, entity: Entity, row_id: int, group: int | None) -> None:
        """Check whether a row of a group may be made; its group is None if the call has none (``omero.group=-1``)."""
        caller = self._caller
        if group is None:
            raise refusals.no_context()
        if caller.privileged or group in caller.member_of or (caller.admin and "WriteOwned" in caller.privileges):
            return
        raise refusals.security(f"You are not authorized to create {refusals.named(entity, row_id)}")

    def owner_of_new(self, obj: Any, entity: Entity, row_id: int) -> int:
        """Owner of a new row: the caller, unless an administrator names another."""
        caller = self._caller
        given = _detail_id(obj, "_owner")
        if given is None or given == caller.user:
            return caller.user
        if not caller.privileged and not (caller.admin and "WriteOwned" in caller.privileges):
            target = f"ome.model.meta.Experimenter:Id_{given}"
            raise refusals.security(
                f"You are not authorized to set the Experimenter for {refusals.named(entity, row_id)} to {target}"
            )
        self._require("Experimenter", given)
        return given

    def check_details(self, obj: Any, entity: Entity, row: sqlite3.Row) -> None:
        """Owner and group of a row change by Chown2 and Chgrp2, not by saving it."""
        for name, column, kind in (("_group", "group_id", "ExperimenterGroup"), ("_owner", "owner_id", "Experimenter")):
            given = _detail_id(obj, name)
            if given is not None and row[column] is not None and given != row[column]:
                raise refusals.security(
                    f"You are not authorized to set the {kind} for {refusals.named(entity, row['id'])} "
                    f"to ome.model.meta.{kind}:Id_{given}"
                )

    def may_change(self, obj: Any, entity: Entity, row: sqlite3.Row) -> None:
        """Check whether a row may be changed, and whether the caller's copy of it is as it is now."""
        caller = self._caller
        group = row["group_id"]
        value = obj._value.val if entity.enumeration and obj._value is not None else ""
        if not caller.privileged and not entity.system and group is not None:
            if caller.group < 0:
                raise refusals.no_context()
            if group not in (caller.group, USER_GROUP):  # as OmeroInterceptor.managedGroup
                raise refusals.security(f"Currently logged into group {caller.group}. Cannot alter object in group {group}")
        if not self._access.rights_to(entity, row).edit:
            if group is not None and self._access.is_private(group) and row["owner_id"] != caller.user:
                raise refusals.group_security(f"{refusals.named(entity, row['id'])}-modification violates group-security.")
            raise refusals.security(f"Updating {refusals.named(entity, row['id'], value)} not allowed.")
        given = _detail_id(obj, "_updateEvent")
        if given is not None and row["update_id"] is not None and given != row["update_id"]:
            raise refusals.stale(entity, row["id"], now=row["update_id"], given=given)

    def may_name(self, values: Mapping[str, object], changes: Mapping[str, object]) -> None:
        """Check what is to be path and name of a file that is there: they lead nowhere else unless an administrator says so.

        The rule is that of OMERO's OmeroInterceptor.onFlushDirty, and so is its text.
        """
        parts = f"{values['c_path']}{values['c_name']}".split("/")
        if not self._caller.admin and not {"c_path", "c_name"}.isdisjoint(changes) and not {".", ".."}.isdisjoint(parts):
            raise refusals.security("only administrators may introduce non-canonical OriginalFile path or name")

    def _require(self, kind: str, row_id: int) -> None:
        """Refuse an owner or a group that does not exist."""
        if self._rows.row(ENTITIES[kind], row_id) is None:
            raise refusals.missing(ENTITIES[kind], row_id)


def _detail_id(obj: Any, name: str) -> int | None:
    detail = None if obj._details is None else getattr(obj._details, name)
    return None if detail is None or detail._id is None else int(detail._id.val)
