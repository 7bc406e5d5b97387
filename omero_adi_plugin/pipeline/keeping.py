# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeping: brings what converters have made of an order's entries to where it is kept, and knows what is there of it.

The record is written before and after: so an attempt that dies in between is taken up where it was. What the record says of
places is believed only as far as they lie beside the source: not everybody who may write it may have other files imported.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.delivery import OutputLost, PlaceTaken, check_room, deliver, places
from omero_adi_plugin.containers.folders import OURS, clear
from omero_adi_plugin.containers.outputs import others
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import EntryFailed, ImportInterrupted, NameImpossible
from omero_adi_plugin.logs import event
from omero_adi_plugin.pipeline.metadata import NAME as METADATA
from omero_adi_plugin.pipeline.names import check_name
from omero_adi_plugin.pipeline.outputs import filesets_of, group, names_of, plan_of, sets_of
from omero_adi_plugin.preprocessing import PROCESSED_IN_CONTAINER, Conversion
from omero_adi_plugin.tracking.ledger import stored_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from omero_adi_plugin.importers.plans import AdmittedFile, EntryPlan, FileReader
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.pipeline.access import ServerAccount
    from omero_adi_plugin.pipeline.converting import Made
    from omero_adi_plugin.pipeline.gate import FileGate
    from omero_adi_plugin.pipeline.outputs import Grouped
    from omero_adi_plugin.preprocessing import ConvertedFile, ConvertedFileset
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.conversions import Conversions


_log = logging.getLogger(__name__)


class Keeping:
    """What is kept of the conversions of one order.

    Parameters
    ----------
    order : Order
        The order.
    container : str
        Its converter, for sentences.
    conversions : Conversions
        The record.
    gate : FileGate
        Which files may be imported: the order's, but what was made does not change any more.
    account : ServerAccount or None
        Who has to be able to read what was made, see `FileGate`.
    reader : FileReader
        How files are read.
    settings : Settings
        All of them.
    from_temp : bool
        Whether it is imported from the folder that the converter wrote to, as long as it lies there.
    watch : callable
        Called while files are read or copied; what it raises ends that.
    """

    def __init__(
        self,
        order: Order,
        *,
        container: str,
        conversions: Conversions,
        gate: FileGate,
        account: ServerAccount | None,
        reader: FileReader,
        settings: Settings,
        from_temp: bool,
        watch: Callable[[], None],
    ) -> None:
        self._order, self._container, self._conversions, self._gate = order, container, conversions, gate
        self._account, self._reader, self._settings = account, reader, settings
        self._from_temp, self._watch = from_temp, watch
        self._known: dict[str, Conversion] = {}
        self._filesets: dict[str, ConvertedFileset] = {}

    def load(self) -> None:
        """Read what earlier attempts wrote; raises DatabaseDown."""
        for conversion in self._conversions.all():
            if self._is_sound(conversion):
                self._take_up(conversion)

    def all(self) -> tuple[Conversion, ...]:
        """Return what is on record."""
        return tuple(self._known.values())

    def fileset(self, key: str) -> ConvertedFileset | None:
        """Return what is on record of a fileset."""
        return self._filesets.get(key)

    def metadata(self, entry: str) -> str | None:
        """Return where the `metadata.csv` is that the converter wrote for an entry."""
        known = self._known.get(stored_key(entry))
        return None if known is None else known.kept_at(METADATA)

    def links(self, made: ConvertedFileset) -> dict[str, str]:
        """Return where links have to lead, by where they may still lead to."""
        return {temp: self._gate.source(place) for temp, place in made.places.items()}

    def is_kept(self, entry: Entry, *, there: Callable[[str], bool]) -> bool:
        """Say whether all that was made of an entry is there and unchanged, after bringing there what was on its way.

        Parameters
        ----------
        entry : Entry
            Of the order.
        there : callable
            Tells of the key of a fileset whether it is in OMERO: such a one has no need to be brought anywhere.

        Raises
        ------
        LeaseLost, DatabaseDown
            And whatever else the record raises.
        """
        known = self._known.get(stored_key(entry.path))
        if known is None or not known.whole:
            return False
        if not known.delivered:
            try:
                done = frozenset(made.key for made in known.filesets if there(made.key) and all(map(_unchanged, made.files)))
                known = self._deliver(known, self._room_of(known), {}, there=done)
            except (EntryFailed, ImportInterrupted, OutputLost, PlaceTaken) as lost:  # it is made anew
                event(_log, logging.INFO, "conversion.lost", order=self._order.uuid, entry=entry.path, why=str(lost))
                return False
        return all(_unchanged(file) for made in known.filesets for file in made.files)

    def keep(self, entry: Entry, made: Made, *, digest: str, there: Callable[[str], bool]) -> EntryPlan:
        """Read what a converter has made of an entry, bring it to where it is kept, and say what is to be imported.

        Parameters
        ----------
        digest : str
            Of the image that ran.
        there : callable
            Tells of the key of a fileset whether it is in OMERO already: what is kept of it stays as it is.

        Raises
        ------
        NothingConverted, ConverterLied, ProcessedNotWritable, NameImpossible
            It cannot be imported.
        NoRoomToConvert
            There is no room for it where it is to be kept.
        LeaseLost, DatabaseDown
            And whatever else the record raises.
        """
        room = made.room
        try:
            grouped = group(
                made.outputs,
                entry=entry,
                room=room,
                container=self._container,
                reader=self._reader,
                account=self._account,
                watch=self._watch,
            )
        except BaseException:
            room.remove()
            raise
        try:
            conversion = self._brought(entry, room, grouped, digest=digest, there=there)
        except OutputLost as lost:
            raise ImportInterrupted(path=entry.path, words=f"somebody has removed what was made of it ({lost})") from lost
        return self._plan(entry, conversion, grouped.failures)

    def plan(self, entry: Entry) -> EntryPlan:
        """Say what is to be imported of an entry that is kept."""
        return self._plan(entry, self._known[stored_key(entry.path)], ())

    def release(self, entry: str) -> None:
        """Remove the folder that a converter wrote to, when everything of it is in OMERO and no link leads there any more."""
        known = self._known.get(stored_key(entry))
        for temp in {temp for made in known.filesets for temp in made.temps} if known else ():
            clear(Path(temp).parent)
            reached(Point.TEMP_REMOVED)

    def _loose(self, entry: Entry, room: Room, *, used: list[str]) -> list[str]:
        """Return the names of what is kept without being imported, as far as anybody can hold them."""
        names = []
        for name in others(room, used=used):
            try:
                check_name(f"{room.processed}/{name}")
            except NameImpossible as error:
                event(_log, logging.WARNING, "output.left_out", order=self._order.uuid, entry=entry.path, why=str(error))
            else:
                names.append(name)
        return names

    def _plan(self, entry: Entry, conversion: Conversion, failures: Iterable[EntryFailed]) -> EntryPlan:
        wrong, fit = list(failures), []
        kept: dict[str, AdmittedFile] = {}
        for made in conversion.filesets:
            try:
                kept |= {file.place: self._gate.admit(file.place) for file in made.files}
            except EntryFailed as failure:
                wrong.append(failure)
            else:
                fit.append(made)
        fitting = replace(conversion, filesets=tuple(fit))
        return plan_of(fitting, entry=entry, kept=kept, failures=wrong, from_temp=self._from_temp)

    def _brought(self, entry: Entry, room: Room, grouped: Grouped, *, digest: str, there: Callable[[str], bool]) -> Conversion:
        """Find places for what was made, write them down, and bring it there; anew when another order takes one of them."""
        sets = sets_of(names_of(plan, room=room) for plan in grouped.plans)
        loose = self._loose(entry, room, used=[name for some in sets for name in some])
        delivered: dict[str, ConvertedFile] = {}
        while True:
            ours = {name: file.place for name, file in delivered.items()}
            kept_at = places(room, [*sets, *((name,) for name in loose)], order=self._order.uuid, ours=ours, check=self._watch)
            new = filesets_of(grouped, entry=entry, room=room, places=kept_at, digest=digest)
            settled = tuple(self._settled(each, there) for each in new)
            conversion = Conversion(
                entry=entry.path,
                digest=digest,
                filesets=settled,
                loose=tuple(kept_at[name] for name in loose),
                staging=str(room.staging),
                delivered=False,
                whole=not grouped.failures,
            )
            self._conversions.write(conversion)
            reached(Point.CONVERSION_WRITTEN)
            done = frozenset(each.key for each in settled if each is self._filesets.get(each.key))
            try:
                return self._deliver(conversion, room, delivered, there=done)
            except PlaceTaken as taken:
                event(_log, logging.INFO, "place.taken", order=self._order.uuid, entry=entry.path, place=taken.place)

    def _deliver(
        self, conversion: Conversion, room: Room, delivered: dict[str, ConvertedFile], *, there: frozenset[str]
    ) -> Conversion:
        """Bring all files of a conversion to where they are kept, and write that down; return it with their sizes and times.

        Parameters
        ----------
        delivered : dict of str to ConvertedFile
            By name, what was brought; added to.
        there : set of str
            Keys of filesets that are in OMERO: nothing of them is brought.
        """
        coming = {made.key: made for made in conversion.filesets if made.key not in there}
        files = {file.name: file for made in coming.values() for file in made.files}
        sets = [
            [files[name] for name in some] for some in sets_of([file.name for file in made.files] for made in coming.values())
        ]
        sets += [[file] for file in conversion.loose]
        check_room(room, [file for some in sets for file in some])
        for some in sets:
            brought = deliver(room, some, check=self._watch)
            delivered |= {file.name: file for file in brought}
        filesets = [
            replace(made, files=tuple(delivered[file.name] for file in made.files)) if made.key in coming else made
            for made in conversion.filesets
        ]
        loose = tuple(delivered[file.name] for file in conversion.loose)
        conversion = replace(conversion, filesets=tuple(filesets), loose=loose, delivered=True)
        self._conversions.write(conversion)
        reached(Point.DELIVERY_WRITTEN)
        self._take_up(conversion)
        clear(room.staging.parent)
        return conversion

    def _room_of(self, conversion: Conversion) -> Room:
        """Return the room that a conversion of an earlier attempt was made in, which may be there still."""
        place = Path(self._gate.locate(conversion.entry))
        own = Path(conversion.staging).parent.name  # of what was in OMERO already, the record has an earlier room
        temps = [made.temp for made in conversion.filesets if made.temp is not None]
        temp = next((each for each in temps if own.endswith(f"-{Path(each).parent.name}")), None)
        return Room(
            source=place.parent,
            basename=place.name,
            processed=place.parent / self._settings.processed_folder,
            staging=Path(conversion.staging),
            temp=None if temp is None else Path(temp),
        )

    def _settled(self, new: ConvertedFileset, there: Callable[[str], bool]) -> ConvertedFileset:
        """Return what is to be on record of a fileset that was made anew.

        What is in OMERO, and kept as it was then, stays as it is: its links lead to what was made then. If that is not kept any
        more, its links are made to lead to what was made now.
        """
        old = self._filesets.get(new.key)
        if old is None or not there(new.key):
            return new
        return old if all(_unchanged(file) for file in old.files) else replace(new, former=old.temps)

    def _take_up(self, conversion: Conversion) -> None:
        self._known[stored_key(conversion.entry)] = conversion
        self._filesets |= {made.key: made for made in conversion.filesets}

    def _is_sound(self, conversion: Conversion) -> bool:
        """Tell whether what the record says can be true: everything lies where this order may have put it."""
        temp = f"{os.path.realpath(self._settings.converter_temp)}/{self._order.uuid}/"
        try:
            source = self._gate.locate(conversion.entry).rpartition("/")[0]
            processed = f"{source}/{self._settings.processed_folder}/"
            staging = f"{source}/{PROCESSED_IN_CONTAINER}/{OURS}{self._order.uuid}-"
            kept = [file.place for made in conversion.filesets for file in made.files]
            kept += [file.place for file in conversion.loose]
            inside = all(self._gate.locate(place).startswith(processed) for place in kept)
            inside = inside and self._gate.locate(conversion.staging).startswith(staging)
        except EntryFailed:
            return False
        folders = [temp for made in conversion.filesets for temp in made.temps]
        names = [file.name for made in conversion.filesets for file in made.files]
        return (
            inside
            and all(os.path.realpath(folder).startswith(temp) for folder in folders)
            and not any(".." in name.split("/") or name.startswith("/") for name in names)
        )


def _unchanged(file: ConvertedFile) -> bool:
    try:
        status = os.lstat(file.place)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.bytes, file.mtime_ns)
