# SPDX-License-Identifier: GPL-2.0-or-later
"""Files: where the filesets of an order come from: its own files, or what converters make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from omero_adi_plugin.errors import EntryFailed, EntryNotReady, ImportInterrupted, NotOnThisHost
from omero_adi_plugin.importers.contents import client_paths
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.pipeline.reading import WatchedReader, in_opening_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.plans import EntryPlan, FileReader
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.pipeline.converting import Converting
    from omero_adi_plugin.pipeline.gate import FileGate
    from omero_adi_plugin.pipeline.keeping import Keeping
    from omero_adi_plugin.pipeline.skipping import Skipping
    from omero_adi_plugin.preprocessing import Conversion, ConvertedFileset
    from omero_adi_plugin.sessions import OmeroSession


class Files(Protocol):
    """Gives the entries of one order in the order in which they are to be seen to, and plans them."""

    def set_apart(self, session: OmeroSession, settled: Mapping[int, Entry]) -> None:
        """Note which filesets are in OMERO already, each with its entry: their files are not opened again."""

    def entries(self) -> Iterator[Entry]:
        """Give the entries, those that need work as soon as they can be planned; may raise what ends the attempt."""

    def plan(self, entry: Entry) -> EntryPlan:
        """Say what is to become of an entry that was given; raises as `plans.Planner.plan`."""

    def made(self, key: str) -> ConvertedFileset | None:
        """Return what a converter has made that has this key."""

    def metadata(self, entry: str) -> str | None:
        """Return where a converter has written key-values for an entry."""

    def links(self, made: ConvertedFileset) -> dict[str, str]:
        """Return where the links to a fileset have to lead, by where they may still lead to."""

    def release(self, entry: str) -> None:
        """Take note that all of an entry is in OMERO."""

    def conversions(self) -> tuple[Conversion, ...]:
        """Return what is on record of what converters have made."""

    def close(self) -> None:
        """End what was begun; nothing more may be asked for then but what is on record."""


class OwnFiles:
    """The order's own files; implements `Files`.

    Parameters
    ----------
    order : Order
        The order.
    gate : FileGate
        Which of them may be imported.
    reader : FileReader
        How they are read.
    skipping : Skipping
        What the target holds already.
    is_open : callable
        Tells whether anything of an entry is still to be imported.
    watch : callable
        Called while files are looked at; what it raises ends that.
    processed : str
        See `Grouping`.
    """

    def __init__(
        self,
        order: Order,
        *,
        gate: FileGate,
        reader: FileReader,
        skipping: Skipping,
        is_open: Callable[[Entry], bool],
        watch: Callable[[], None],
        processed: str,
    ) -> None:
        self._order, self._skipping, self._is_open = order, skipping, is_open
        reader = WatchedReader(reader, watch=watch)
        self._grouping = Grouping(gate=gate, reader=reader, watch=watch, processed=processed)

    def set_apart(self, session: OmeroSession, settled: Mapping[int, Entry]) -> None:
        """See `Files`."""
        for fileset, paths in client_paths(session, sorted(settled)).items():
            entry = settled[fileset]
            self._grouping.take(entry.path, paths, all_of_it=not self._is_open(entry))

    def entries(self) -> Iterator[Entry]:
        """See `Files`."""
        coming = self._skipping.ahead(in_opening_order(self._order.entries), of_interest=self._is_open)
        yield from self._grouping.ahead(coming, is_open=self._is_open)

    def plan(self, entry: Entry) -> EntryPlan:
        """See `Files`."""
        return self._grouping.plan(entry)

    def made(self, key: str) -> ConvertedFileset | None:
        """See `Files`: there is none."""
        del key
        return None

    def metadata(self, entry: str) -> str | None:
        """See `Files`: there is none."""
        del entry
        return None

    def links(self, made: ConvertedFileset) -> dict[str, str]:
        """See `Files`: they lead where they should."""
        del made
        return {}

    def release(self, entry: str) -> None:
        """See `Files`: nothing is to be done."""

    def conversions(self) -> tuple[Conversion, ...]:
        """See `Files`: there are none."""
        return ()

    def close(self) -> None:
        """See `Files`: nothing was begun."""


class ConvertedFiles:
    """What a converter makes of the order's files; implements `Files`.

    Parameters
    ----------
    order : Order
        The order.
    converting : Converting
        Has the converter run.
    keeping : Keeping
        Knows what it has made.
    is_open : callable
        Tells whether anything of an entry is still to be imported.
    is_there : callable
        Tells of the key of a fileset whether it is in OMERO.
    """

    def __init__(
        self,
        order: Order,
        *,
        converting: Converting,
        keeping: Keeping,
        is_open: Callable[[Entry], bool],
        is_there: Callable[[str], bool],
    ) -> None:
        self._order, self._converting, self._keeping = order, converting, keeping
        self._is_open, self._is_there = is_open, is_there
        self._plans: dict[str, EntryPlan | AdiError] = {}

    def set_apart(self, session: OmeroSession, settled: Mapping[int, Entry]) -> None:
        """See `Files`; what was made is told by its key."""

    def entries(self) -> Iterator[Entry]:
        """See `Files`: first those for which no converter has to run."""
        to_convert = []
        for entry in self._order.entries:
            if self._is_open(entry) and not self._is_kept(entry):
                to_convert.append(entry)
            else:
                yield entry
        for entry in self._converting.over(to_convert):
            self._plans[entry.path] = self._kept(entry)  # at once: the attempt may end here, and it may have taken hours
            if not self._converting.stops:
                yield entry

    def _is_kept(self, entry: Entry) -> bool:
        try:
            return self._keeping.is_kept(entry, there=self._is_there)
        except NotOnThisHost as error:  # it was made, and there is no room for it where it is to be kept
            self._plans[entry.path] = error
            return True

    def _kept(self, entry: Entry) -> EntryPlan | AdiError:
        """Keep what was made of an entry; return what is to be imported, or why nothing is."""
        try:
            made = self._converting.made(entry)
            return self._keeping.keep(entry, made, digest=self._converting.image.digest, there=self._is_there)
        except (EntryFailed, EntryNotReady, ImportInterrupted, NotOnThisHost) as error:
            return error

    def plan(self, entry: Entry) -> EntryPlan:
        """See `Files`."""
        plan = self._plans.pop(entry.path, None)
        if plan is None:
            return self._keeping.plan(entry)
        if isinstance(plan, Exception):
            raise plan
        return plan

    def made(self, key: str) -> ConvertedFileset | None:
        """See `Files`."""
        return self._keeping.fileset(key)

    def metadata(self, entry: str) -> str | None:
        """See `Files`."""
        return self._keeping.metadata(entry)

    def links(self, made: ConvertedFileset) -> dict[str, str]:
        """See `Files`."""
        return self._keeping.links(made)

    def release(self, entry: str) -> None:
        """See `Files`."""
        self._keeping.release(entry)

    def conversions(self) -> tuple[Conversion, ...]:
        """See `Files`."""
        return self._keeping.all()

    def close(self) -> None:
        """See `Files`."""
        self._converting.close()
