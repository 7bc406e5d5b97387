# SPDX-License-Identifier: GPL-2.0-or-later
"""Dry run: what an order would do, found out without changing anything anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.space import size_of
from omero_adi_plugin.errors import AdiError, EntryFailed, EntryNotReady, ImportInterrupted
from omero_adi_plugin.importers.grouping import Grouping
from omero_adi_plugin.importers.plans import EntryPlan
from omero_adi_plugin.pipeline import preflight
from omero_adi_plugin.pipeline.gate import FileGate
from omero_adi_plugin.pipeline.reading import in_opening_order
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.pipeline.skipping import Skipping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.importers.plans import FileReader, FilesetPlan
    from omero_adi_plugin.importers.protocol import ImportedFileset
    from omero_adi_plugin.orders import Entry, Order
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What would become of one entry.

    plan:     its filesets, and what of it cannot be imported.
    failures: all that cannot be imported, also what does not fit into the target.
    there:    by key, the filesets that the target holds already; those would be skipped.
    """

    plan: EntryPlan
    failures: tuple[AdiError, ...]
    there: dict[str, ImportedFileset]


def foresee(
    order: Order, *, session: OmeroSession, reader: FileReader, settings: Settings, skip_existing: bool
) -> Iterator[Foreseen]:
    """Say of one entry after the other what would become of it.

    Parameters
    ----------
    order : Order
        The order.
    session : OmeroSession
        A session of its user in its group.
    reader : FileReader
        How files are read.
    settings : Settings
        All of them.
    skip_existing : bool
        Whether files that the target already holds would be left alone.

    Raises
    ------
    OrderFailed
        Nothing of it would be imported.
    """
    preflight.check_order(order, session=session)
    gate = FileGate.of(order, session=session, settings=settings)
    grouping = Grouping(gate=gate, reader=reader, processed=settings.processed_folder)
    skipping = Skipping(session, order.target, wanted=skip_existing)
    for entry in grouping.ahead(skipping.ahead(in_opening_order(order.entries))):
        plan, failures = _plan(grouping, entry)
        fitting: list[FilesetPlan] = []
        for fileset in plan.filesets:
            try:
                preflight.check_fits(fileset, target=order.target)
            except EntryFailed as failure:
                failures = (*failures, failure)
            else:
                fitting.append(fileset)
        plan = replace(plan, filesets=tuple(fitting))
        yield Foreseen(plan=plan, failures=failures, there=skipping.held(fitting))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToConvert:
    """An entry that a converter would be given.

    bytes:   its size, of a folder that of all that is in it.
    failure: why it would not be; None: it would.
    """

    entry: Entry
    bytes: int
    failure: AdiError | None


def foresee_conversions(order: Order, *, session: OmeroSession, settings: Settings) -> Iterator[ToConvert]:
    """Say of one entry after the other whether a converter would be given it; what that would make of it, nobody can say.

    Raises
    ------
    OrderFailed
        Nothing of it would be imported.
    """
    preflight.check_order(order, session=session)
    gate = FileGate(roots=Roots.of(settings, order.group), reader_account=None, settle_seconds=0)
    for entry in order.entries:
        try:
            yield ToConvert(entry=entry, bytes=_admitted(gate, entry.path), failure=None)
        except (EntryFailed, EntryNotReady, ImportInterrupted) as failure:
            yield ToConvert(entry=entry, bytes=0, failure=failure)


def _admitted(gate: FileGate, path: str) -> int:
    """Return the size of what may be converted."""
    place = Path(gate.locate(path))
    if not place.is_dir():
        return gate.admit(path).bytes
    gate.admit_folder(path)
    return size_of(place)


def _plan(grouping: Grouping, entry: Entry) -> tuple[EntryPlan, tuple[AdiError, ...]]:
    try:
        plan = grouping.plan(entry)
    except (EntryFailed, EntryNotReady, ImportInterrupted) as failure:
        return EntryPlan(entry=entry, filesets=()), (failure,)
    return plan, plan.failures + plan.growing
