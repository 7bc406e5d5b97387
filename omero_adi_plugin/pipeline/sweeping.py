# SPDX-License-Identifier: GPL-2.0-or-later
"""Sweeping: what the interrupted attempts at an order have left in OMERO and that nobody has taken up.

A request of a worker that has lost its lease, or its connection, may arrive after the next one has asked OMERO what is there. So
when an order ends that was interrupted, OMERO is asked once more, and again when all lost sessions have ended.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.leftovers import remove_containers
from omero_adi_plugin.errors import RoomsKept
from omero_adi_plugin.importers.annotating import annotations_on
from omero_adi_plugin.importers.doubles import remove_doubled_key_values
from omero_adi_plugin.importers.markers import delete_fileset, made_since
from omero_adi_plugin.importers.official.holdings import withdraw
from omero_adi_plugin.importers.official.stock import Stock
from omero_adi_plugin.importers.strays import remove_strays
from omero_adi_plugin.logs import event
from omero_adi_plugin.orders import TargetKind
from omero_adi_plugin.pipeline.resume import KNOWN_COMPLETE, SETTLED
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.pipeline.tidying import links_of, temporary_paths, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.orders import LedgerFile, Order
    from omero_adi_plugin.preprocessing import Conversion
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings

CLOCKS_APART_SECONDS = 600
"""How far the clocks of our database, of OMERO's, and of the repository's disk may differ."""

_log = logging.getLogger(__name__)


def sweep(
    order: Order,
    *,
    session: OmeroSession,
    attempt: int,
    files: Iterable[LedgerFile],
    settings: Settings,
    check: Callable[[], None],
    since: float | None = None,
) -> None:
    """Remove what an order has left half, and filesets and key-values that are there twice.

    A whole fileset goes if the one is there that the ledger names instead. If nothing of it was ever known to be complete, it
    goes if OMERO has made it during the attempts that are looked at, and our own importer: OMERO's groups files by itself, so
    that the ledger need not name all. One that has the order's key-values was known to be complete, whatever the ledger says:
    scripts can write that, whose database account more people come by than the service's.

    Parameters
    ----------
    order : Order
        That has ended, or is about to.
    session : OmeroSession
        Of the order's user.
    attempt : int
        The newest that the ledger knows of: what a later one has made is left alone.
    files : iterable of LedgerFile
        The ledger.
    settings : Settings
        All of them.
    check : callable
        Asked before each change; what it raises ends the sweep.
    since : float or None
        When those attempts were begun, in seconds of the epoch. Whole filesets that are older are of a time of which the ledger
        knows nothing any more: it was forgotten (`keep_days`), or restored from a backup. None: an attempt is still at it, and
        what the ledger has nothing of is left to the later sweep.

    Raises
    ------
    ConnectionBroken, ServerTrouble, ImportInterrupted
        Not all of it is done.
    """
    settled = [line for line in files if line.step in SETTLED]
    named = {line.fileset: line for line in settled if line.fileset is not None}  # one may have been skipped for one of its own
    statistics = not (settings.skip_minmax or settings.skip_all)
    stock = Stock.taken(session, uuid=order.uuid, target=order.target, statistics=statistics)
    surplus = stock.surplus(named, attempt=attempt)
    if since is not None:
        keys = {line.key for line in settled if line.step in KNOWN_COMPLETE}
        unknown = stock.unknown(named, keys, attempt=attempt)
        young = made_since(session, [found.fileset for found in unknown], since)
        surplus += _without_key_values(order, session, [found for found in unknown if found.fileset in young], settings)
    for found in surplus:
        check()
        delete_fileset(session, found.fileset)
        event(
            _log,
            logging.WARNING,
            "fileset.swept",
            order=order.uuid,
            fileset=found.fileset,
            of_attempt=found.marker.attempt,
            key=found.marker.key,
            complete=found.complete,
        )
    _single_key_values(order, session, [line for fileset, line in named.items() if stock.get(fileset)], settings, check)


def sweep_late(
    order: Order,
    *,
    session: OmeroSession,
    service: OmeroSession,
    attempt: int,
    files: Sequence[LedgerFile],
    since: float,
    now: float,
    settings: Settings,
    check: Callable[[], None],
    conversions: Sequence[Conversion] = (),
) -> None:
    """Do the same when no request of a lost session can be under way any more, and remove traces on disk.

    Parameters
    ----------
    service : OmeroSession
        Of the service account, which sees what the user does not.
    since : float
        When the order was begun, in seconds of the epoch. Folders of which OMERO knows nothing are looked for from then on, up to
        those that are as old as half of `sweep_seconds`: a younger one may belong to an import that has just begun.
    now : float
        What time it is, likewise.
    conversions : sequence of Conversion, optional
        What converters have made of the order's entries.

    All others are those of `sweep`.

    Raises
    ------
    RoomsKept
        Folders of converters cannot be removed yet; everything else is done.
    """
    since -= CLOCKS_APART_SECONDS
    sweep(order, session=session, attempt=attempt, files=files, settings=settings, check=check, since=since)
    check()
    withdraw(session, uuid=order.uuid)
    until = now - settings.sweep_seconds / 2
    for folder in remove_strays(session, service=service, since=since, until=until, ours=_files_of(order, conversions, settings)):
        event(_log, logging.WARNING, "folder.swept", order=order.uuid, folder=str(folder))
    if order.preprocessing is None:
        return
    check()
    remove_containers(settings, order=order.uuid)
    if not tidy(
        order,
        session=service,
        attempt=attempt,
        conversions=conversions,
        files=files,
        settings=settings,
        check=check,
        sees_all=True,
    ):
        raise RoomsKept(folder=str(settings.converter_temp / order.uuid))


def _without_key_values(
    order: Order, session: OmeroSession, filesets: list[MarkedFileset], settings: Settings
) -> list[MarkedFileset]:
    """Return those of which nothing has key-values of the order: nobody has had them in hand when they were complete."""
    things = {found.fileset: _things(order, found) for found in filesets}
    noted = annotations_on(
        session,
        _kind(order),
        [each for ids in things.values() for each in ids],
        namespace=settings.annotation_namespace,
        uuid=order.uuid,
    )
    return [found for found in filesets if noted.keys().isdisjoint(things[found.fileset])]


def _kind(order: Order) -> str:
    """Return what key-values of an order are on."""
    return "Plate" if order.target.kind is TargetKind.SCREEN else "Image"


def _things(order: Order, of: LedgerFile | MarkedFileset) -> tuple[int, ...]:
    """Return the objects of a fileset that key-values are on."""
    return of.plates if order.target.kind is TargetKind.SCREEN else of.images


def _single_key_values(
    order: Order, session: OmeroSession, lines: list[LedgerFile], settings: Settings, check: Callable[[], None]
) -> None:
    removed = remove_doubled_key_values(
        session,
        _kind(order),
        [_things(order, line) for line in lines],
        namespace=settings.annotation_namespace,
        uuid=order.uuid,
        check=check,
    )
    if removed:
        event(_log, logging.WARNING, "key_values.swept", order=order.uuid, annotations=removed)


def _files_of(order: Order, conversions: Sequence[Conversion], settings: Settings) -> Callable[[str], bool]:
    """Return what tells of a path whether links of the order may lead there.

    That is one of its entries, or in one; of what converters have made, where it is kept, and where nothing stays.
    """
    if order.preprocessing is not None:
        links = links_of(order, conversions, Roots.of(settings, order.group), settings)
        kept, temporary = frozenset(links.values()), temporary_paths(order.uuid, settings)
        return lambda path: path in kept or path.startswith(temporary)
    roots = [os.path.realpath(entry.path) for entry in order.entries]

    def ours(path: str) -> bool:
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)

    return ours
