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
from pathlib import PurePath
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import (
    EntryFailed,
    FileBroken,
    FileGrowing,
    FormatUnknown,
    NameImpossible,
    NothingToImport,
    PathOutsideRoots,
    ZarrUnsupported,
    quoted,
)
from omero_adi_plugin.importers.ahead import Ahead
from omero_adi_plugin.importers.claims import Claim, Claims
from omero_adi_plugin.importers.drafts import OF_CONTENT, Draft
from omero_adi_plugin.importers.endings import NO_IMAGES, SURE_IMAGES, ending_of
from omero_adi_plugin.importers.plans import EntryPlan, FilesetPlan
from omero_adi_plugin.importers.walking import PROCESSED, ZARR_METADATA, Walk
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from omero_adi_plugin.importers.plans import AdmittedFile, FileReader, Gate, Reading
    from omero_adi_plugin.orders import Entry

_LOG = logging.getLogger(__name__)


class Grouping:
    """Groups the entries of one order; a `plans.Planner`.

    Parameters
    ----------
    gate : Gate
        Is asked before a file or folder is looked at.
    reader : FileReader
        Says what is in a file.
    watch : callable, optional
        Called for each file and folder that is looked at; what it raises ends the planning.
    processed : str
        What folders are called with what converters have made: nothing of it is taken when the folder around is ordered.
    """

    def __init__(
        self, *, gate: Gate, reader: FileReader, watch: Callable[[], None] = lambda: None, processed: str = PROCESSED
    ) -> None:
        self._gate, self._reader, self._watch, self._processed = gate, reader, watch, processed
        self._claims = Claims()
        self._ahead = Ahead(gate=gate, reader=reader, claims=self._claims)

    def ahead(self, entries: Iterable[Entry], *, is_open: Callable[[Entry], bool] = lambda _: True) -> Iterator[Entry]:
        """Give entries one after the other, after a look at those that are open, at several in one go; see `Ahead`."""
        return self._ahead.over(entries, path_of=lambda entry: entry.path if is_open(entry) else None)

    def take(self, entry: str, paths: Sequence[str], *, all_of_it: bool = True) -> None:
        """Note that an earlier attempt has imported these files for an entry; they need not be there any more.

        Parameters
        ----------
        all_of_it : bool
            Nothing else of the entry is to be imported: it will not be looked into.
        """
        sources = []
        for path in paths:
            with suppress(EntryFailed):  # moved out of the roots meanwhile, say
                sources.append(self._gate.source(path))
        self._claims.make(Claim(entry=entry, files=tuple(sources), names=(entry, *paths) if all_of_it else tuple(paths)))

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
        FileGrowing
            It is a file that cannot be read, and is still being written.
        ImportInterrupted
            Not at the moment; then its files are free for other entries.
        """
        try:
            return self._planned(entry)
        except EntryFailed as failure:
            judged = self._judged(failure)
            if judged is failure:
                raise
            raise judged from failure

    def _judged(self, failure: EntryFailed) -> EntryFailed | FileGrowing:
        """Return what is wrong with a file: it is not broken while it, or something of its set, is still being written."""
        return FileGrowing(path=failure.path) if isinstance(failure, OF_CONTENT) and self._growing(failure) else failure

    def _growing(self, failure: FileBroken | FormatUnknown) -> bool:
        members = failure.members if isinstance(failure, FileBroken) else ()
        return any(self._gate.changing(path) for path in (failure.path, *members))

    def _planned(self, entry: Entry) -> EntryPlan:
        claim = self._claims.of(entry.path)
        if claim is not None:
            return _part_of(claim, entry)
        draft = Draft(entry)
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
            return self._ahead.admit(path)
        except (PathOutsideRoots, NameImpossible):
            raise  # and nobody looks what it is
        except EntryFailed:
            if not os.path.isdir(path):  # noqa: PTH112 (paths are text here)
                raise
        self._gate.admit_folder(path)
        return None

    def _file(self, draft: Draft, file: AdmittedFile) -> EntryPlan:
        path = PurePath(draft.entry.path)
        if path.name in ZARR_METADATA:
            raise ZarrUnsupported(path=str(path.parent))
        claim = self._claims.of(file.source) or self._group(draft, file)
        return _part_of(claim, draft.entry) if claim else draft.plan()

    def _folder(self, draft: Draft) -> EntryPlan:
        walk = Walk(draft.entry.path, gate=self._gate, watch=self._watch, processed=self._processed)
        for path in self._ahead.over(walk, path_of=str):
            self._watch()
            draft.files += 1
            try:
                self._candidate(draft, path)
            except EntryFailed as failure:
                draft.fail(self._judged(failure))
        self._clear_up(draft)
        for unseen in walk.failures:
            draft.fail(unseen)
        draft.left_out += walk.left_out
        if draft.is_empty:
            raise NothingToImport(path=draft.entry.path, why=draft.why_nothing())
        if not draft.filesets and draft.taken_by not in (None, draft.entry.path):
            event(_LOG, logging.DEBUG, "entry.part_of_another", entry=draft.entry.path, other=draft.taken_by)
        return draft.plan()

    def _candidate(self, draft: Draft, path: str) -> None:
        """Look at one file of a folder."""
        claim = self._claims.of(path)
        if claim is not None:
            draft.met(claim, path)
            return
        try:
            file = self._ahead.admit(path)
        except FormatUnknown as odd:  # a pipe, say
            draft.leave_out(path, odd.why)
            return
        except FileBroken as broken:
            if not _is_empty(path):
                raise
            draft.unclear.append((broken, self._growing(broken)))
            return
        claim = self._claims.of(file.source)
        if claim is not None:
            draft.met(claim, path, by_another_name=True)
            return
        try:
            claim = self._group(draft, file)
        except FormatUnknown as unknown:
            draft.unclear.append((unknown, self._growing(unknown)))
            return
        if claim is not None:
            draft.met(claim, path)

    def _clear_up(self, draft: Draft) -> None:
        """Tell images that came to harm from what is no image: a copy that broke off may be nothing but zeros."""
        opened = [plan.files[0].path for plan in draft.filesets.values()]
        opened += [claim.files[0] for claim in draft.earlier if claim.files]
        images = SURE_IMAGES | {ending_of(path) for path in opened} - NO_IMAGES
        for unclear, growing in draft.unclear:
            ending = ending_of(unclear.path)
            only_tiff = isinstance(unclear, FormatUnknown) and self._reader.version is None
            if ending in images or (only_tiff and ending not in NO_IMAGES):
                draft.fail(FileGrowing(path=unclear.path) if growing else unclear)
            else:
                draft.leave_out(unclear.path, unclear.why)

    def _group(self, draft: Draft, file: AdmittedFile) -> Claim | None:
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
            if draft.is_earlier(inner):  # the set has grown since: what is in OMERO is not brought in once more
                return inner
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

    def _admit_all(self, draft: Draft, file: AdmittedFile, reading: Reading) -> tuple[AdmittedFile, ...]:
        """Return all files of a set; if one is refused, so is the set, and its others are not opened again."""
        used = tuple(dict.fromkeys(reading.used))
        try:
            return tuple(file if path == file.path else self._ahead.admit(path) for path in used)
        except EntryFailed as refused:
            failed = refused
            if isinstance(refused, FormatUnknown):
                why = f"{quoted(refused.path)} belongs to it, and {refused.why}"
                failed = FileBroken(path=file.path, why=why, members=used)
            elif isinstance(refused, FileBroken):
                failed = FileBroken(path=refused.path, why=refused.why, members=used)
            self._refuse(draft, file, used, failed)
            raise failed from refused

    def _refuse(self, draft: Draft, file: AdmittedFile, members: Sequence[str], failure: EntryFailed) -> None:
        """Have a set fail once, for all of its files."""
        files = tuple({*members, file.source})
        claim = Claim(entry=draft.entry.path, files=files, names=(file.path,), failure=self._judged(failure))
        self._claim(draft, claim)

    def _claim(self, draft: Draft, claim: Claim) -> None:
        self._claims.make(claim)
        draft.claims.add(claim)


def _part_of(claim: Claim, entry: Entry) -> EntryPlan:
    """Return the plan of an entry whose files another fileset has."""
    if claim.failure is not None:
        raise claim.failure
    event(_LOG, logging.DEBUG, "entry.part_of_another", entry=entry.path, other=claim.entry)
    return EntryPlan(entry=entry, filesets=())


def _is_empty(path: str) -> bool:
    try:
        return os.stat(path).st_size == 0  # noqa: PTH116 (paths are text here)
    except OSError:
        return False
