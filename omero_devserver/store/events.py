# SPDX-License-Identifier: GPL-2.0-or-later
"""Events: who made or changed rows, when, and in which group."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.rows import Rows


def new_event(rows: Rows, caller: Caller, group: int) -> int:
    """Add the row of something that a caller does now; returns its id."""
    found = rows.rows("SELECT id FROM t_EventType WHERE c_value = ?", caller.event_type)
    return rows.insert(
        "Event",
        r_experimenter=caller.user,
        r_experimenterGroup=group,
        r_type=found[0][0] if found else None,
        r_session=caller.session,
        c_time=int(time.time() * 1000),
    )
