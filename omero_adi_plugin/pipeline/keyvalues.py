# SPDX-License-Identifier: GPL-2.0-or-later
"""Key-values: what is written on every imported Image or Plate, so that it can be found and its origin is known.

Keys and their meaning are fixed (contract, part 7): other programs find an order's objects by a value equal to its uuid.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Order

LISTED = 10
"""Of more files than this only the first ones are listed, with their number."""


def key_values(order: Order, *, entry: str, imported_from: str) -> dict[str, str]:
    """Return the key-values for what one entry became.

    Parameters
    ----------
    order : Order
        The order.
    entry : str
        The path of the order, as the producer wrote it.
    imported_from : str
        The path that OMERO's links really point to.
    """
    files = [each.path for each in order.entries]
    names = [each.name for each in order.entries if each.name is not None]
    return {
        "UUID": order.uuid,
        "Filepath": entry,
        "Group": order.group,
        "Username": order.user,
        "DestinationID": str(order.target.id),
        "DestinationType": str(order.target.kind),
        "Files": _listed(files),
        "FileNames": _listed(names),
        "Imported_from": imported_from,
        "Import_Timestamp": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
    }


def _listed(paths: list[str]) -> str:
    if len(paths) <= LISTED:
        return json.dumps(paths, ensure_ascii=False)
    return f"{json.dumps(paths[:LISTED], ensure_ascii=False)} and {len(paths) - LISTED} more, {len(paths)} in all"
