# SPDX-License-Identifier: GPL-2.0-or-later
"""Skipping: which files of an order are left alone, because its target holds them already (`skip_existing`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors import NameImpossible
from omero_adi_plugin.importers.ahead import AHEAD as LOOKED_AHEAD
from omero_adi_plugin.importers.existing import held, paths_held, still_held
from omero_adi_plugin.pipeline.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import ImportedFileset
    from omero_adi_plugin.orders import Entry, Target
    from omero_adi_plugin.sessions import OmeroSession

AHEAD = 32 * LOOKED_AHEAD
"""Entries that are asked about at once: for each question OMERO looks through all that the target holds. A multiple of what is
looked at in one go, so that the next ones are not asked about before the last of these are planned."""


class Skipping:
    """What the target of one order holds from elsewhere.

    Parameters
    ----------
    session : OmeroSession
        Of the order's user.
    target : Target
        The order's.
    wanted : bool
        Whether anything is to be left alone.
    """

    def __init__(self, session: OmeroSession, target: Target, *, wanted: bool) -> None:
        self._session, self._target, self._wanted = session, target, wanted
        self._absent: frozenset[str] = frozenset()

    def ahead(self, entries: Sequence[Entry], *, of_interest: Callable[[Entry], bool] = lambda _: True) -> Iterator[Entry]:
        """Give the entries one after the other, and ask about those of interest, many at once, before they are planned."""
        for start in range(0, len(entries), AHEAD):
            some = entries[start : start + AHEAD]
            if self._wanted:
                paths = frozenset(entry.path for entry in some if of_interest(entry) and _possible(entry.path))
                self._absent = paths - paths_held(self._session, self._target, sorted(paths))
            yield from some

    def held(self, plans: Sequence[FilesetPlan]) -> dict[str, ImportedFileset]:
        """Return what the target holds already of filesets that nothing of this order is in OMERO of, by key."""
        if not self._wanted:
            return {}
        open_ = [plan for plan in plans if len(plan.files) > 1 or plan.files[0].path not in self._absent]
        return held(self._session, self._target, open_) if open_ else {}

    def gone(self, filesets: Sequence[int]) -> frozenset[int]:
        """Return those of the filesets that an earlier attempt found in the target, and that are not in it any more."""
        return frozenset(filesets) - still_held(self._session, self._target, filesets)


def _possible(path: str) -> bool:
    """Tell whether OMERO can be asked about a path; an order may hold any nonsense."""
    try:
        check_name(path)
    except NameImpossible:
        return False
    return True
