# SPDX-License-Identifier: GPL-2.0-or-later
"""Trial: one conversion as an order has it, without an order; neither OMERO nor a database is needed, and nothing stays."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from omero_adi_plugin.containers.converters import Converters, Task
from omero_adi_plugin.containers.delivery import places
from omero_adi_plugin.containers.outputs import others
from omero_adi_plugin.containers.rooms import Room, remove_rooms
from omero_adi_plugin.containers.space import check_space, needed
from omero_adi_plugin.errors import ConfigurationError, DiskFull
from omero_adi_plugin.orders import Entry
from omero_adi_plugin.pipeline.converting import convert
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.outputs import filesets_of, group, names_of, sets_of
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.service.attempt import reader_of
from omero_adi_plugin.service.signature import owner

if TYPE_CHECKING:
    from omero_adi_plugin.containers.converters import Image
    from omero_adi_plugin.errors import EntryFailed
    from omero_adi_plugin.importers.plans import FileReader
    from omero_adi_plugin.pipeline.converting import Made
    from omero_adi_plugin.preprocessing import ConvertedFile, ConvertedFileset, Preprocessing
    from omero_adi_plugin.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a converter has made of one file or folder.

    image:    that ran.
    seconds:  for how long.
    filesets: what an order would import.
    loose:    what it would only keep.
    failures: what of the outputs could not be imported.
    version:  of Bio-Formats that read them; None if it was not Bio-Formats.
    """

    image: Image
    seconds: float
    filesets: tuple[ConvertedFileset, ...]
    loose: tuple[ConvertedFile, ...]
    failures: tuple[EntryFailed, ...]
    version: str | None


def try_converter(
    settings: Settings,
    path: str,
    preprocessing: Preprocessing,
    *,
    keep: Path | None = None,
) -> Tried:
    """Convert a file or folder, and find out what an order would import of it.

    Parameters
    ----------
    settings : Settings
        All of them.
    path : str
        Absolute.
    preprocessing : Preprocessing
        What the converter is to do.
    keep : Path, optional
        An empty folder that gets a copy of all that the converter has written.

    Raises
    ------
    EntryFailed, EntryNotReady, ImportInterrupted
        It could not be converted.
    ConverterNotAllowed, ConverterMissing
        The image may not run, or is not there.
    NotOnThisHost
        No converter can run here at the moment.
    ConfigurationError
        A setting does not fit this host, or `keep` cannot be written.
    """
    order, entry, stop = str(uuid4()), Entry(path=path), threading.Event()
    gate = FileGate(roots=Roots(base_dir=Path("/"), folders=[Path("/")]), reader_account=None, settle_seconds=0)
    place = Path(gate.locate(path))
    if place.is_dir():
        gate.admit_folder(path)
    else:
        gate.admit(path)
    with contextlib.closing(Converters(settings)) as converters, contextlib.closing(reader_of(settings)) as reader:
        image = converters.image(preprocessing.container)
        check_space([settings.converter_temp, place.parent], needed_bytes=needed(place, factor=settings.converter_space_factor))
        try:
            room = Room.make(place, preprocessing=preprocessing, settings=settings, order=order, attempt=1, number=0)
            task = Task(order=order, attempt=1, number=0, owner=owner(), path=path, room=room, preprocessing=preprocessing)
            started = time.monotonic()
            made = convert(entry, task, image=image, converters=converters, stop=stop, heard=_nothing)
            seconds = time.monotonic() - started
            if keep is not None:
                _copy(room, keep)
            return _found(entry, made, image=image, seconds=seconds, reader=reader, order=order)
        finally:
            stop.set()
            converters.remove_of(order)
            remove_rooms(order, settings=settings, sources=[place.parent])


def _found(entry: Entry, made: Made, *, image: Image, seconds: float, reader: FileReader, order: str) -> Tried:
    """Find out what an order would import of what was made, and where it would keep it."""
    room = made.room
    grouped = group(made.outputs, entry=entry, room=room, container=image.name, reader=reader, account=None, watch=_nothing)
    sets = sets_of(names_of(plan, room=room) for plan in grouped.plans)
    loose = others(room, used=[name for some in sets for name in some])
    kept = places(room, [*sets, *((name,) for name in loose)], order=order)
    return Tried(
        image=image,
        seconds=seconds,
        filesets=filesets_of(grouped, entry=entry, room=room, places=kept, digest=image.digest),
        loose=tuple(kept[name] for name in loose),
        failures=grouped.failures,
        version=reader.version,
    )


def _copy(room: Room, folder: Path) -> None:
    """Copy what a converter has written; what it has written to both of its folders is copied once, and no link is.

    Raises
    ------
    DiskFull
        There is no room for it.
    ConfigurationError
        It cannot be written there.
    """
    try:
        for written in room.folders:
            for source in sorted(written.rglob("*")):
                target = folder / source.relative_to(written)
                if source.is_symlink() or os.path.lexists(target):
                    continue
                if source.is_dir():
                    target.mkdir()
                elif source.is_file():
                    shutil.copy2(source, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(path=str(folder)) from error
        raise ConfigurationError(f"The outputs cannot be copied to '{folder}': {error.strerror}.") from error


def _nothing() -> None:
    """Nobody has to be told how far it is."""
