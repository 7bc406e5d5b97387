# SPDX-License-Identifier: GPL-2.0-or-later
"""Drafts: what is known of an entry while it is being planned."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import FileBroken, FileGrowing, FormatUnknown, quoted
from omero_adi_plugin.importers.plans import EntryPlan, FilesetPlan, LeftOut

if TYPE_CHECKING:
    from omero_adi_plugin.errors import EntryFailed
    from omero_adi_plugin.importers.claims import Claim
    from omero_adi_plugin.orders import Entry

OF_CONTENT = (FileBroken, FormatUnknown)
"""What is said of a file by what is in it so far: that may be otherwise when all of it is there."""


@dataclass(slots=True)
class Draft:
    """What is known so far of an entry that is being planned.

    claims:   all that were made for it; filesets has those of them that can be imported.
    growing:  files, by path, that cannot be read and are still being written.
    unclear:  files that are empty or that no reader knows, of which it is not clear yet whether they should be images; and
              whether they are still being written.
    files:    how many were looked at.
    taken_by: the entry that has some of the files already; the same one, if an earlier attempt has imported them.
    earlier:  what an earlier attempt has imported of it.
    """

    entry: Entry
    claims: set[Claim] = field(default_factory=set)
    filesets: dict[Claim, FilesetPlan] = field(default_factory=dict)
    failures: dict[tuple[type, str], EntryFailed] = field(default_factory=dict)
    growing: dict[str, FileGrowing] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    unclear: list[tuple[FileBroken | FormatUnknown, bool]] = field(default_factory=list)
    files: int = 0
    taken_by: str | None = None
    earlier: set[Claim] = field(default_factory=set)

    def fail(self, failure: EntryFailed | FileGrowing) -> None:
        """Note why something cannot be imported, once: a broken file may be met by itself and as part of its set."""
        if isinstance(failure, FileGrowing):
            self.growing.setdefault(failure.path, failure)
        else:
            self.failures.setdefault((type(failure), str(failure)), failure)

    def leave_out(self, path: str, why: str) -> None:
        """Note that a file is not to be imported, and need not be."""
        self.left_out.append(LeftOut(path=path, why=why))

    def met(self, claim: Claim, path: str, *, by_another_name: bool = False) -> None:
        """Note that a file of a folder is taken; a file of a fileset of this entry needs no word, a link to it does."""
        if claim.failure is not None:
            self.fail(claim.failure)
        elif claim not in self.claims:
            self.taken_by = claim.entry
            if self.is_earlier(claim):
                self.earlier.add(claim)
            else:
                self.leave_out(path, f"it belongs to what is imported for {quoted(claim.entry)}")
        elif by_another_name:
            self.leave_out(path, "it is the same file as one that is imported under another name")

    def is_earlier(self, claim: Claim) -> bool:
        """Tell whether an earlier attempt has imported these files for the same entry."""
        return claim.entry == self.entry.path and claim.failure is None and claim not in self.claims

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found that is, or should be, an image."""
        return not (self.filesets or self.failures or self.growing or self.taken_by is not None)

    def why_nothing(self) -> str:
        """Return why an empty draft is empty, as the end of a sentence."""
        seen = f"{self.files} files were looked at" if self.files != 1 else "one file was looked at"
        if not self.left_out:
            return f"{seen}, not counting hidden ones"
        first = self.left_out[0]
        return f"{seen}; of the first, {quoted(first.path)}, it is to be said: {first.why}"

    def plan(self) -> EntryPlan:
        """Return the plan; the entry's name is the name of one fileset, not of many."""
        filesets = tuple(self.filesets.values())
        if len(filesets) == 1 and not (self.failures or self.growing or self.earlier):
            filesets = (replace(filesets[0], name=self.entry.name),)
        return EntryPlan(
            entry=self.entry,
            filesets=filesets,
            failures=tuple(self.failures.values()),
            growing=tuple(self.growing.values()),
            left_out=tuple(self.left_out),
        )
