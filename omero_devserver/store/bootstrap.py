# SPDX-License-Identifier: GPL-2.0-or-later
"""Bootstrap: the rows that an empty OMERO database has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_devserver.store.enumerations import BITS, ENUMERATIONS
from omero_devserver.store.people import (
    GUEST,
    GUEST_GROUP,
    PRIVATE,
    ROOT,
    SYSTEM_GROUP,
    USER_GROUP,
    WORLD_READ_ONLY,
    People,
)

if TYPE_CHECKING:
    from omero_devserver.store.rows import Rows


def fill_empty(rows: Rows, *, root_password: str) -> None:
    """Add users root and guest, groups system, user and guest, and all enumerations, unless they are there."""
    with rows.transaction():
        if rows.rows("SELECT 1 FROM t_Experimenter LIMIT 1"):
            return
        for entity, values in ENUMERATIONS.items():
            for value in values:
                extra = {"c_bitSize": BITS[value]} if entity == "PixelsType" else {}
                rows.insert(entity, c_value=value, **extra)
        rows.insert("Node", id=0, c_uuid="00000000-0000-0000-0000-000000000000", c_conn="NONE", c_up=0)
        for group, name, permissions in (
            (SYSTEM_GROUP, "system", PRIVATE),
            (USER_GROUP, "user", WORLD_READ_ONLY),
            (GUEST_GROUP, "guest", PRIVATE),
        ):
            rows.insert("ExperimenterGroup", id=group, c_name=name, permissions=permissions, c_ldap=0)
        for user, name in ((ROOT, "root"), (GUEST, "guest")):
            first, last = ("root", "root") if user == ROOT else ("Guest", "Account")
            rows.insert("Experimenter", id=user, c_omeName=name, c_firstName=first, c_lastName=last, c_ldap=0)
        people = People(rows)
        people.add_member(ROOT, SYSTEM_GROUP, owner=True)
        people.add_member(ROOT, USER_GROUP)
        people.add_member(GUEST, GUEST_GROUP)
        people.set_password(ROOT, root_password)
        people.set_password(GUEST, "guest")
