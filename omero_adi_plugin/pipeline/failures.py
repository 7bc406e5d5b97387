# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures: what is said of an order of which some entries could not be imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors import OrderFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.errors import AdiError

_QUOTED = 3
"""How many failed entries an order's last sentence quotes at most, if there is room; all are in the ledger."""

_ROOM = 400
"""How many characters they may take together, unless it is a single one: what follows them must not be cut off."""


class EntriesFailed(OrderFailed):
    """Some entries, `bad` of `entries`, could not be imported; all others are in OMERO."""

    def __init__(self, *, failures: Sequence[AdiError], bad: int, entries: int) -> None:
        quoted = [str(failure) for failure in failures[:_QUOTED]]
        while len(quoted) > 1 and len(" ".join(quoted)) > _ROOM:
            quoted.pop()
        more = len(failures) - len(quoted)
        rest = f" And {more} more: `omero adi orders show` lists them." if more else ""
        super().__init__(_how_many(bad, entries) + " ".join(quoted) + rest)
        self.failures, self.bad, self.entries = tuple(failures), bad, entries


def _how_many(bad: int, entries: int) -> str:
    if entries == 1:
        return ""
    if bad == entries:
        return f"None of the {entries} files could be imported. "
    return f"{bad} of {entries} files could not be imported, the others are in OMERO. "
