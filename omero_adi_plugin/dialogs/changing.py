# SPDX-License-Identifier: GPL-2.0-or-later
"""Changing: "Retry Or Cancel Import" orders again, or calls off, what its user has ordered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from omero_adi_plugin.dialogs.run import Said
from omero_adi_plugin.dialogs.status import reachable
from omero_adi_plugin.dialogs.wording import counted, for_people
from omero_adi_plugin.errors import OrderBusy, OrderEnded, OrderNotFound, UsageError
from omero_adi_plugin.tracking import operating
from omero_adi_plugin.tracking.pausing import standing_pause

if TYPE_CHECKING:
    from omero_adi_plugin.dialogs.run import Desk

RETRY, CANCEL = "Retry", "Cancel"
"""What can be done, as the dialog calls it."""

MOST_ORDERS = 100
"""With so many at once, as "Import Files" may have placed."""


def retry_or_cancel(desk: Desk) -> Said:
    """Order again, or call off, the orders that the dialog's parameters name; each by itself, whatever comes of the others."""
    uuids = list(dict.fromkeys(filter(None, re.split(r"[\s,;]+", desk.text("Orders")))))
    if not 1 <= len(uuids) <= MOST_ORDERS:
        raise UsageError(f'Name the orders by their numbers, 1 to {MOST_ORDERS} of them: "Import Status" shows them.')
    action = {RETRY: _retry, CANCEL: _cancel}.get(desk.text("Action"))
    if action is None:
        raise UsageError(f"Choose what is to be done: {RETRY} or {CANCEL}.")
    refused = 0
    for uuid in uuids:
        try:
            words = action(desk, reachable(desk, uuid).uuid)
        except (OrderNotFound, OrderBusy, OrderEnded) as error:
            refused += 1
            words = for_people(str(error))
        desk.note(f"{desk.done} {words}".strip())
    pause = standing_pause(desk.database)
    amount = f"{counted(refused, 'order')} of {len(uuids)} refused. " if refused and len(uuids) > 1 else ""
    return Said(message=f"{amount}{desk.done}{f' {for_people(pause.sentence)}' if pause else ''}", good=not refused)


def _retry(desk: Desk, uuid: str) -> str:
    done = operating.retry(desk.database, uuid, who=desk.person.who, again=desk.flag("Import_Again", default=False))
    return f"Order {uuid} {'was waiting, and gets its next attempt at once' if done.waited else 'is ordered again'}."


def _cancel(desk: Desk, uuid: str) -> str:
    done = operating.cancel(desk.database, uuid, who=desk.person.who)
    if done.ended:
        return f"Order {uuid} is cancelled."
    if done.owner:
        return f"Order {uuid} is being carried out, and ends at the next safe point."
    return f"Order {uuid} was begun before: what is half imported is removed, and it ends then."
