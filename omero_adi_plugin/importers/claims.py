# SPDX-License-Identifier: GPL-2.0-or-later
"""Claims: which files of an order are taken, and by which fileset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from omero_adi_plugin.errors import EntryFailed, FileGrowing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claim:
    """Files that belong together.

    entry:   the path of the order that they were found by.
    files:   the files themselves, links resolved.
    names:   what they are called as well, where that is not the same.
    failure: why they cannot be imported, None if they can.
    """

    entry: str
    files: tuple[str, ...]
    names: tuple[str, ...]
    failure: EntryFailed | FileGrowing | None = None


class Claims:
    """The claims of one order. A file stays with the first claim on it; looking up costs the same however many there are."""

    def __init__(self) -> None:
        self._by_name: dict[str, Claim] = {}

    def of(self, path: str) -> Claim | None:
        """Return the claim that a file is taken by, under any name that has been seen."""
        return self._by_name.get(path)

    def make(self, claim: Claim) -> None:
        """Take those of the files that nobody has yet."""
        for name in claim.files + claim.names:
            self._by_name.setdefault(name, claim)

    def drop(self, claim: Claim) -> None:
        """Let the files of a claim be taken by others."""
        for name in claim.files + claim.names:
            if self._by_name.get(name) is claim:
                del self._by_name[name]

    def around(self, files: AbstractSet[str]) -> Claim | None:
        """Return a claim that has all of these files (links resolved), None if there is none."""
        return next((claim for claim, common in self._common(files).items() if common == len(files)), None)

    def within(self, files: AbstractSet[str]) -> list[Claim]:
        """Return the claims that have no files but these (links resolved)."""
        return [claim for claim, common in self._common(files).items() if common == len(claim.files)]

    def _common(self, files: AbstractSet[str]) -> Counter[Claim]:
        return Counter(claim for file in files if (claim := self._by_name.get(file)))
