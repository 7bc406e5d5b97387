# SPDX-License-Identifier: GPL-2.0-or-later
"""Failures: what is said of an order of which some entries, or all that were left, could not be imported."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import AdiError, OrderFailed, TargetMissing, TargetVanished
from omero_adi_plugin.importers.markers import in_no_container
from omero_adi_plugin.orders import TargetKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.sessions import OmeroSession

_QUOTED = 3
"""How many failed entries an order's last sentence quotes at most, if there is room; all are in the ledger."""

_ROOM = 400
"""How many characters they may take together, unless it is a single one: what follows them must not be cut off."""


class EntriesFailed(OrderFailed):
    """Something of `bad` of the order's `entries` could not be imported; all else is in OMERO, also of `partly` of those."""

    def __init__(self, *, failures: Sequence[AdiError], bad: int, entries: int, partly: int = 0) -> None:
        super().__init__(_how_many(bad, entries, partly) + _why(failures, "`omero adi orders show` lists them"))
        self.failures, self.bad, self.entries, self.partly = tuple(failures), bad, entries, partly


class EntriesUnfit(OrderFailed):
    """Of an order that was only looked at, something of `bad` of its `entries` could not be imported."""

    def __init__(self, *, failures: Sequence[AdiError], bad: int, entries: int) -> None:
        amount = f"{bad} of {entries} files and folders could not" if entries > 1 else "It could not"
        first = f"{amount} be imported completely. "
        super().__init__(first + _why(failures, "they are listed above"))
        self.failures, self.bad, self.entries = tuple(failures), bad, entries


def given_up(order: Order, error: OrderFailed, complete: Sequence[MarkedFileset], *, session: OmeroSession) -> OrderFailed:
    """Return what to say of an order of which filesets are in OMERO, for good, when nothing more of it will be imported.

    Parameters
    ----------
    error : OrderFailed
        What ended it.
    complete : sequence of MarkedFileset
        What OMERO holds of it.
    """
    if not (complete and isinstance(error, TargetMissing)):
        return error
    kind = order.target.kind
    ids = [each for found in complete for each in (found.plates if kind is TargetKind.SCREEN else found.images)]
    with suppress(AdiError):
        loose = in_no_container(session, kind, ids)
        if loose:
            return TargetVanished(target=str(order.target), kind=kind, ids=loose)
    return error


def _how_many(bad: int, entries: int, partly: int) -> str:
    if entries == 1:
        return "Not all of it could be imported, the rest is in OMERO. " if partly else ""
    if partly:  # folders: of a file all is imported, or nothing
        return f"{bad} of {entries} files and folders could not be imported completely, all the rest is in OMERO. "
    if bad == entries:
        return f"None of the {entries} files could be imported. "
    return f"{bad} of {entries} files could not be imported, the others are in OMERO. "


def _why(failures: Sequence[AdiError], where: str) -> str:
    quoted = [str(failure) for failure in failures[:_QUOTED]]
    while len(quoted) > 1 and len(" ".join(quoted)) > _ROOM:
        quoted.pop()
    more = len(failures) - len(quoted)
    return " ".join(quoted) + (f" And {more} more: {where}." if more else "")
