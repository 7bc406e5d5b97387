# SPDX-License-Identifier: GPL-2.0-or-later
"""Grouping: which files of an order are read together and become one Fileset in OMERO.

Whichever file of a set is opened first, the set is the same; a file that a set has is not opened again. Where sets have files
in common, it is done as OMERO's own importer does it (its class `ImportCandidates`): a set that lies within another one is not
imported by itself, and of two that only share some files, a description that both need, both are. The filesets of an earlier
entry are given away already, so they stay; who plans several entries does well to begin with those that describe others
(`opening_order`).
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import (
    EntryFailed,
    FileBroken,
    FormatUnknown,
    NameImpossible,
    NothingToImport,
    PathOutsideRoots,
    ZarrUnsupported,
    quoted,
)
from omero_adi_plugin.importers.claims import Claim, Claims
from omero_adi_plugin.importers.endings import NO_IMAGES, SURE_IMAGES, ending_of
from omero_adi_plugin.importers.plans import EntryPlan, FilesetPlan, LeftOut
from omero_adi_plugin.importers.walking import ZARR_METADATA, Walk
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.plans import AdmittedFile, FileReader, Gate, Reading
    from omero_adi_plugin.orders import Entry

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Draft:
    """What is known so far of an entry that is being planned.

    claims:   all that were made for it; filesets has those of them that can be imported.
    unclear:  files that are empty or that no reader knows, of which it is not clear yet whether they should be images.
    files:    how many were looked at.
    taken_by: an earlier entry that has some of the files.
    """

    entry: Entry
    claims: set[Claim] = field(default_factory=set)
    filesets: dict[Claim, FilesetPlan] = field(default_factory=dict)
    failures: dict[tuple[type, str], EntryFailed] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    unclear: list[FileBroken | FormatUnknown] = field(default_factory=list)
    files: int = 0
    taken_by: str | None = None

    def fail(self, failure: EntryFailed) -> None:
        """Note why something cannot be imported, once: a broken file may be met by itself and as part of its set."""
        self.failures.setdefault((type(failure), str(failure)), failure)

    def leave_out(self, path: str, why: str) -> None:
        """Note that a file is not to be imported, and need not be."""
        self.left_out.append(LeftOut(path=path, why=why))


class Grouping:
    """Groups the entries of one order; a `plans.Planner`.

    Parameters
    ----------
    gate : Gate
        Is asked before a file or folder is looked at.
    reader : FileReader
        Says what is in a file.
    """

    def __init__(self, *, gate: Gate, reader: FileReader) -> None:
        self._gate, self._reader = gate, reader
        self._claims = Claims()

    def take(self, entry: str, paths: Sequence[str]) -> None:
        """Note that an entry was seen to in an earlier attempt, and that these files are its; they need not be there any more."""
        sources = []
        for path in paths:
            with suppress(EntryFailed):  # moved out of the roots meanwhile, say
                sources.append(self._gate.source(path))
        self._claims.make(Claim(entry=entry, files=tuple(sources), names=(entry, *paths)))

    def plan(self, entry: Entry) -> EntryPlan:
        """Say what is to become of a file, or of the files in a folder.

        The entry's name is for the images if all of it becomes one fileset; else each fileset keeps the name of its file. A
        file of a folder that no reader knows, or that is empty, is left out, unless its name says that it should be an image.
        The plan of a folder may have failures only. An entry whose files all belong to filesets of earlier entries has neither
        filesets nor failures.

        Raises
        ------
        EntryFailed
            Nothing of it can be imported: the file is refused, or part of a set that is; the folder cannot be looked into, or
            holds nothing to import (`NothingToImport`), or is an OME-Zarr (`ZarrUnsupported`).
        EntryNotReady, ImportInterrupted
            Not at the moment; then its files are free for other entries.
        """
        claim = self._claims.of(entry.path)
        if claim is not None:
            return _part_of(claim, entry)
        draft = _Draft(entry)
        try:
            file = self._admit(entry.path)
            return self._folder(draft) if file is None else self._file(draft, file)
        except EntryFailed:
            raise  # what was found out about its files stays known
        except BaseException:
            for made in draft.claims:
                self._claims.drop(made)
            raise

    def _admit(self, path: str) -> AdmittedFile | None:
        """Return what the gate knows of a file, None for a folder that may be looked into."""
        try:
            return self._gate.admit(path)
        except (PathOutsideRoots, NameImpossible):
            raise  # and nobody looks what it is
        except EntryFailed:
            if not os.path.isdir(path):  # noqa: PTH112 (paths are text here)
                raise
        self._gate.admit_folder(path)
        return None

    def _file(self, draft: _Draft, file: AdmittedFile) -> EntryPlan:
        path = PurePath(draft.entry.path)
        if path.name in ZARR_METADATA:
            raise ZarrUnsupported(path=str(path.parent))
        claim = self._claims.of(file.source) or self._group(draft, file)
        return _part_of(claim, draft.entry) if claim else EntryPlan(entry=draft.entry, filesets=_named(draft))

    def _folder(self, draft: _Draft) -> EntryPlan:
        walk = Walk(draft.entry.path, gate=self._gate)
        for path in walk:
            draft.files += 1
            try:
                self._candidate(draft, path)
            except EntryFailed as failure:
                draft.fail(failure)
        self._clear_up(draft)
        for unseen in walk.failures:
            draft.fail(unseen)
        draft.left_out += walk.left_out
        if not draft.filesets and not draft.failures and draft.taken_by is None:
            raise NothingToImport(path=draft.entry.path, why=_why_nothing(draft))
        if not draft.filesets and draft.taken_by is not None:
            event(_LOG, logging.DEBUG, "entry.part_of_another", entry=draft.entry.path, other=draft.taken_by)
        return EntryPlan(
            entry=draft.entry,
            filesets=_named(draft),
            failures=tuple(draft.failures.values()),
            left_out=tuple(draft.left_out),
        )

    def _candidate(self, draft: _Draft, path: str) -> None:
        """Look at one file of a folder."""
        claim = self._claims.of(path)
        if claim is not None:
            _met(draft, claim, path)
            return
        try:
            file = self._gate.admit(path)
        except FormatUnknown as odd:  # a pipe, say
            draft.leave_out(path, odd.why)
            return
        except FileBroken as broken:
            if not _is_empty(path):
                raise
            draft.unclear.append(broken)
            return
        claim = self._claims.of(file.source)
        if claim is not None:
            _met(draft, claim, path, by_another_name=True)
            return
        try:
            claim = self._group(draft, file)
        except FormatUnknown as unknown:
            draft.unclear.append(unknown)
            return
        if claim is not None:
            _met(draft, claim, path)

    def _clear_up(self, draft: _Draft) -> None:
        """Tell images that came to harm from what is no image: a copy that broke off may be nothing but zeros."""
        images = SURE_IMAGES | {ending_of(plan.files[0].path) for plan in draft.filesets.values()} - NO_IMAGES
        for unclear in draft.unclear:
            ending = ending_of(unclear.path)
            only_tiff = isinstance(unclear, FormatUnknown) and self._reader.version is None
            if ending in images or (only_tiff and ending not in NO_IMAGES):
                draft.fail(unclear)
            else:
                draft.leave_out(unclear.path, unclear.why)

    def _group(self, draft: _Draft, file: AdmittedFile) -> Claim | None:
        """Read a file and add its fileset to the draft; or return the claim that already has all of it."""
        try:
            reading = self._reader.read(file)
        except FileBroken as broken:
            if broken.members:  # of a set with a file too few, 10,000 would each be opened and fail
                self._refuse(draft, file, broken.members, broken)
            raise
        files = self._admit_all(draft, file, reading)
        sources = dict.fromkeys(each.source for each in files)
        claim = self._claims.around(sources.keys())
        if claim is not None:
            return claim
        for inner in self._claims.within(sources.keys()):
            if inner in draft.claims:
                self._claims.drop(inner)
                draft.claims.remove(inner)
                draft.filesets.pop(inner, None)
        free = (each.path for each in files if not (self._claims.of(each.path) or self._claims.of(each.source)))
        plan = FilesetPlan(
            entry=draft.entry,
            key=min(free, key=os.fsencode, default=file.path),
            files=files,
            reader=reading.reader,
            format=reading.format,
            images=reading.images,
            plates=reading.plates,
            name=None,
        )
        names = dict.fromkeys(name for name in (*(each.path for each in files), file.path, file.source) if name not in sources)
        claim = Claim(entry=draft.entry.path, files=tuple(sources), names=tuple(names))
        self._claim(draft, claim)
        draft.filesets[claim] = plan
        return None

    def _admit_all(self, draft: _Draft, file: AdmittedFile, reading: Reading) -> tuple[AdmittedFile, ...]:
        """Return all files of a set; if one is refused, so is the set, and its others are not opened again."""
        used = tuple(dict.fromkeys(reading.used))
        try:
            return tuple(file if path == file.path else self._gate.admit(path) for path in used)
        except EntryFailed as refused:
            failed = refused
            if isinstance(refused, FormatUnknown):
                why = f"{quoted(refused.path)} belongs to it, and {refused.why}"
                failed = FileBroken(path=file.path, why=why, members=used)
            elif isinstance(refused, FileBroken):
                failed = FileBroken(path=refused.path, why=refused.why, members=used)
            self._refuse(draft, file, used, failed)
            raise failed from refused

    def _refuse(self, draft: _Draft, file: AdmittedFile, members: Sequence[str], failure: EntryFailed) -> None:
        """Have a set fail once, for all of its files."""
        claim = Claim(entry=draft.entry.path, files=tuple({*members, file.source}), names=(file.path,), failure=failure)
        self._claim(draft, claim)

    def _claim(self, draft: _Draft, claim: Claim) -> None:
        self._claims.make(claim)
        draft.claims.add(claim)


def _part_of(claim: Claim, entry: Entry) -> EntryPlan:
    """Return the plan of an entry whose files another fileset has."""
    if claim.failure is not None:
        raise claim.failure
    event(_LOG, logging.DEBUG, "entry.part_of_another", entry=entry.path, other=claim.entry)
    return EntryPlan(entry=entry, filesets=())


def _met(draft: _Draft, claim: Claim, path: str, *, by_another_name: bool = False) -> None:
    """Note that a file of a folder is taken; a file of a fileset of this entry needs no word, a link to it does."""
    if claim.failure is not None:
        draft.fail(claim.failure)
    elif claim not in draft.claims:
        draft.taken_by = claim.entry
        draft.leave_out(path, f"it belongs to what is imported for {quoted(claim.entry)}")
    elif by_another_name:
        draft.leave_out(path, "it is the same file as one that is imported under another name")


def _named(draft: _Draft) -> tuple[FilesetPlan, ...]:
    """Return the filesets of an entry; the entry's name is the name of one, not of many."""
    plans = tuple(draft.filesets.values())
    return (replace(plans[0], name=draft.entry.name),) if len(plans) == 1 and not draft.failures else plans


def _why_nothing(draft: _Draft) -> str:
    seen = f"{draft.files} files were looked at" if draft.files != 1 else "one file was looked at"
    if not draft.left_out:
        return f"{seen}, not counting hidden ones"
    first = draft.left_out[0]
    return f"{seen}; of the first, {quoted(first.path)}, it is to be said: {first.why}"


def _is_empty(path: str) -> bool:
    try:
        return os.stat(path).st_size == 0  # noqa: PTH116 (paths are text here)
    except OSError:
        return False
