# SPDX-License-Identifier: GPL-2.0-or-later
"""Outputs: what a converter has made of one entry, read and grouped into filesets, and what is to be imported of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConverterLied, EntryFailed, NothingConverted, NothingToImport, quoted
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.importers.plans import AdmittedFile, EntryPlan, FilesetPlan
from omero_adi_plugin.orders import Entry
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.names import check_name
from omero_adi_plugin.pipeline.reading import in_opening_order
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.preprocessing import ConvertedFile, ConvertedFileset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from omero_adi_plugin.containers.outputs import Output
    from omero_adi_plugin.containers.rooms import Room
    from omero_adi_plugin.importers.plans import FileReader
    from omero_adi_plugin.pipeline.access import ServerAccount
    from omero_adi_plugin.preprocessing import Conversion


DIGEST = "container_digest"
"""Key of the digest of the image that ran, among those that the converter gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """What the outputs of one entry come to.

    plans:     filesets, whose files lie in the folder that the converter wrote to.
    keyvalues: what the converter says of each of them, in the same order.
    failures:  what of the outputs cannot be imported.
    """

    plans: tuple[FilesetPlan, ...]
    keyvalues: tuple[tuple[tuple[str, str], ...], ...]
    failures: tuple[EntryFailed, ...]


def group(
    outputs: Sequence[Output] | None,
    *,
    entry: Entry,
    room: Room,
    container: str,
    reader: FileReader,
    account: ServerAccount | None,
    watch: Callable[[], None],
) -> Grouped:
    """Read what a converter has made, and say which files are read together.

    Parameters
    ----------
    outputs : sequence of Output or None
        What it says it has made; None: nothing, so that all images in the room's first folder count.
    entry : Entry
        Of the order; its name is for the images if there is one output, and the converter gives no other name.
    room : Room
        Where the converter wrote to.
    container : str
        The converter, for sentences.
    reader : FileReader
        How files are read.
    account : ServerAccount or None
        Who has to be able to read them, see `FileGate`.
    watch : callable
        Called for each file; what it raises ends the grouping.

    Raises
    ------
    NothingConverted
        There is nothing to import.
    ImportInterrupted
        Not at the moment.
    """
    folders = room.folders
    gate = FileGate(roots=Roots(base_dir=Path("/"), folders=folders), reader_account=account, settle_seconds=0)
    grouping = Grouping(gate=gate, reader=reader, watch=watch)
    made = (
        [Entry(path=str(folders[0]))] if outputs is None else [Entry(path=str(each.place), name=each.title) for each in outputs]
    )
    said = {} if outputs is None else {str(each.place): each.keyvalues for each in outputs}
    plans: list[FilesetPlan] = []
    failures: list[EntryFailed] = []
    for each in grouping.ahead(in_opening_order(made)):
        try:
            plan = grouping.plan(each)
        except NothingToImport as failure:
            if outputs is None:
                raise NothingConverted(path=entry.path, container=container) from failure
            failures.append(failure)
        except EntryFailed as failure:
            failures.append(failure)
        else:
            plans += plan.filesets
            failures += plan.failures
    if len(plans) == 1 and plans[0].name is None:
        plans = [replace(plans[0], name=entry.name)]
    return Grouped(
        plans=tuple(plans),
        keyvalues=tuple(_said_of(plan, said) for plan in plans),
        failures=tuple(_blamed(failure, entry=entry, room=room, container=container) for failure in failures),
    )


def names_of(plan: FilesetPlan, *, room: Room) -> tuple[str, ...]:
    """Return the names of the files of a fileset below the folder that the converter wrote to."""
    return tuple(_name(file.source, room) for file in plan.files)


def sets_of(names: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Join sets of files that have some in common: they have to stay together. There may be 100,000 of them."""
    joined: dict[str, dict[str, None]] = {}  # by each name, the set that it is in
    for some in names:
        met = {id(joined[name]): joined[name] for name in some if name in joined}
        whole = max(met.values(), key=len, default={})
        for part in (*met.values(), dict.fromkeys(some)):
            if part is not whole:
                whole.update(part)
                joined.update(dict.fromkeys(part, whole))
    return [tuple(each) for each in {id(whole): whole for whole in joined.values()}.values()]


def filesets_of(
    grouped: Grouped, *, entry: Entry, room: Room, places: Mapping[str, ConvertedFile], digest: str
) -> tuple[ConvertedFileset, ...]:
    """Return what is to be kept on record of the filesets of an entry.

    Parameters
    ----------
    places : mapping of str to ConvertedFile
        Where each file is to be kept, by name.
    digest : str
        Of the image that ran.

    Raises
    ------
    NameImpossible
        The name of an output is one that nobody can hold.
    """
    made = []
    for plan, keyvalues in zip(grouped.plans, grouped.keyvalues, strict=True):
        names = names_of(plan, room=room)
        temp = str(room.temp)  # "None" lies nowhere
        key = f"{entry.path}#{min(names, key=os.fsencode)}"
        check_name(key)
        made.append(
            ConvertedFileset(
                key=key,
                files=tuple(places[name] for name in names),
                title=plan.name,
                keyvalues=(*(pair for pair in keyvalues if pair[0] != DIGEST), (DIGEST, digest)),
                temp=temp if all(file.source.startswith(f"{temp}/") for file in plan.files) else None,
                reader=plan.reader,
                format=plan.format,
                images=plan.images,
                plates=plan.plates,
            )
        )
    return tuple(made)


def plan_of(
    conversion: Conversion,
    *,
    entry: Entry,
    kept: Mapping[str, AdmittedFile],
    failures: Sequence[EntryFailed],
    from_temp: bool,
) -> EntryPlan:
    """Return what is to be imported of a conversion whose files are where they are kept.

    Parameters
    ----------
    kept : mapping of str to AdmittedFile
        The files there, by place.
    failures : sequence of EntryFailed
        What of it cannot be.
    from_temp : bool
        Whether links may lead to the folder that the converter wrote to, where all of a fileset still lies there: they are
        renewed later.
    """
    plans = tuple(_fileset_plan(each, entry=entry, kept=kept, from_temp=from_temp) for each in conversion.filesets)
    return EntryPlan(entry=entry, filesets=plans, failures=tuple(failures))


def _fileset_plan(made: ConvertedFileset, *, entry: Entry, kept: Mapping[str, AdmittedFile], from_temp: bool) -> FilesetPlan:
    files = _in_temp(made) if from_temp and made.temp is not None else None
    return FilesetPlan(
        entry=entry,
        key=made.key,
        files=tuple(files or (kept[file.place] for file in made.files)),
        reader=made.reader,
        format=made.format,
        images=made.images,
        plates=made.plates,
        name=made.title,
        made=made,
    )


def _in_temp(made: ConvertedFileset) -> list[AdmittedFile] | None:
    """Return the files of a fileset as they lie in the folder that the converter wrote to; None if they do not."""
    files = []
    for file in made.files:
        source = f"{made.temp}/{file.name}"
        try:
            status = os.lstat(source)
        except OSError:
            return None
        if status.st_size != file.bytes:
            return None
        files.append(AdmittedFile(path=file.place, source=source, bytes=status.st_size, mtime_ns=status.st_mtime_ns))
    return files


def _said_of(plan: FilesetPlan, said: Mapping[str, tuple[tuple[str, str], ...]]) -> tuple[tuple[str, str], ...]:
    """Return what the converter says of a fileset: of any of its files, and of the folders that they lie in."""
    found: dict[tuple[str, str], None] = {}
    for file in plan.files:
        for path in (file.source, *_above(file.source)):
            found |= dict.fromkeys(said.get(path, ()))
    return tuple(found)


def _above(path: str) -> list[str]:
    folders = []
    while path := path.rpartition("/")[0]:
        folders.append(path)
    return folders


def _blamed(failure: EntryFailed, *, entry: Entry, room: Room, container: str) -> EntryFailed:
    """Return what to say of an output that cannot be imported: nothing that the scientist could copy again."""
    path = getattr(failure, "path", None)
    name = _name(path, room) if isinstance(path, str) else None
    why = getattr(failure, "why", None) or str(failure)
    shown = "an output" if name is None else quoted(name)
    return ConverterLied(path=entry.path, container=container, why=f"{shown}: {why}", output=name)


def _name(path: str, room: Room) -> str:
    """Return the name of a file below the folder of the room that it lies in."""
    inside = next((folder for folder in map(str, room.folders) if path.startswith(f"{folder}/")), None)
    return path if inside is None else path[len(inside) + 1 :]
