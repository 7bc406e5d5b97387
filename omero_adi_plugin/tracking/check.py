# SPDX-License-Identifier: GPL-2.0-or-later
"""Check: what the database tells of itself that an administrator must see to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.tracking import status, trigger
from omero_adi_plugin.tracking.pausing import pause_of
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.trigger import TriggerState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.tracks import Revisions

REMEMBERED_DAYS = 10
"""For how long it is worth telling that another importer was at work."""

OVERDUE_SECONDS = 3600
"""After so long a sweep that was due would have been tried many times, also while a server was restarted."""

SILENT_SECONDS = 300
"""After so long a service would have taken an order over from a silent worker many times."""

_SQL = statements("check.sql")


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"  # it works, but not as one would expect
    ERROR = "error"  # a person must act


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one look at the installation has shown.

    name:   what was looked at, in a word or two; stays the same, for programs.
    words:  what was found, in a sentence.
    remedy: what to do; '' if nothing.
    """

    name: str
    level: Level
    words: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A converter that orders ask for.

    container: as they write it; perhaps nonsense.
    orders:    how many.
    newest:    uuid of the last one.
    """

    container: str
    orders: int
    newest: str


def asked_containers(database: Database, *, days: int) -> list[Asked]:
    """Return which converters the orders of the last days ask for, those first that most do; raises DatabaseDown."""
    rows = database.at_once(_SQL["asked_containers"], {"days": days})
    return [Asked(container=row.container, orders=row.orders, newest=row.newest) for row in rows]


def findings(
    database: Database, revisions: Revisions, *, pending_days: int, sweep_seconds: int, trigger_wanted: bool
) -> list[Finding]:
    """Look at everything in the database; return a finding for each, also where all is well.

    Parameters
    ----------
    database : Database
        Whatever tables it has.
    revisions : Revisions
        Those of its tables. When they are not up to date, nothing else is looked at.
    pending_days : int
        Pending orders older than this are left alone by a service that starts for the first time.
    sweep_seconds : int
        How long after the end of an interrupted order OMERO is looked at once more.
    trigger_wanted : bool
        Whether a trigger tells services of orders; else they scan for them.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there.
    """
    tables = _tables(revisions)
    if tables.level is Level.ERROR:
        return [tables]
    with database.begin() as connection:
        services = connection.execute(_SQL["services"], {"silent_seconds": status.SILENT_SECONDS}).all()
        return [
            tables,
            _trigger(connection, wanted=trigger_wanted),
            _first_start(connection),
            _left_alone(connection, pending_days=pending_days),
            _another_importer(connection),
            _put_off(connection),
            _paused(connection),
            _services(connection, [service.name for service in services if not service.silent]),
            _unheard([service for service in services if service.silent]),
            _troubled([service for service in services if service.trouble is not None and not service.silent]),
            _silent(connection),
            _unswept(connection, sweep_seconds=sweep_seconds),
        ]


def _tables(revisions: Revisions) -> Finding:
    have = f"contract {revisions.contract or 'none'}, plugin {revisions.plugin or 'none'}"
    if not revisions.needs_upgrade:
        return Finding(name="tables", level=Level.OK, words=f"The tables are up to date ({have}).")
    return Finding(
        name="tables",
        level=Level.ERROR,
        words=f"The tables are missing or not up to date ({have}). Nothing else in the database was looked at.",
        remedy="Run `omero adi db upgrade`, or start a service.",
    )


def _trigger(connection: Connection, *, wanted: bool) -> Finding:
    found = trigger.state(connection)
    if not wanted:
        return Finding(name="trigger", level=Level.OK, words="The settings say `intake: scan`, so no trigger is needed.")
    if found is TriggerState.PRESENT:
        return Finding(name="trigger", level=Level.OK, words="The trigger on `imports` is there.")
    remedy = "Run `omero adi db upgrade` as the owner of `imports`, or start a service."
    if found is TriggerState.DISABLED:
        remedy = "Run `ALTER TABLE imports ENABLE TRIGGER adi_note_pending`, or set `intake: scan`."
    return Finding(
        name="trigger",
        level=Level.WARNING,
        words=f"The trigger on `imports` is {found}. Orders are found all the same, but only by the scan every few minutes.",
        remedy=remedy,
    )


def _first_start(connection: Connection) -> Finding:
    if connection.execute(_SQL["taken_over"]).one_or_none() is not None:
        return Finding(name="first start", level=Level.OK, words="A service has started on this database.")
    return Finding(
        name="first start",
        level=Level.WARNING,
        words="No service has started on this database yet: what the former importer left unfinished is not settled.",
        remedy="Stop the former importer, then run `omero adi serve`.",
    )


def _left_alone(connection: Connection, *, pending_days: int) -> Finding:
    rows = connection.execute(_SQL["left_alone"], {"pending_days": pending_days}).all()
    if not rows:
        return Finding(name="old orders", level=Level.OK, words="No order is pending for too long.")
    return Finding(
        name="old orders",
        level=Level.WARNING,
        words=f"{_orders(rows)} pending for more than {pending_days} days and left alone: {_uuids(rows)}.",
        remedy="`omero adi orders retry UUID` or `omero adi orders cancel UUID` for each.",
    )


def _another_importer(connection: Connection) -> Finding:
    rows = connection.execute(_SQL["another_importer"], {"days": REMEMBERED_DAYS}).all()
    if not rows:
        return Finding(name="another importer", level=Level.OK, words="No other importer has begun an order lately.")
    newest = _when(rows[0].at)
    return Finding(
        name="another importer",
        level=Level.ERROR,
        words=f"Another importer began {rows[0].amount} times in the last {REMEMBERED_DAYS} days, at last on {newest}: "
        f"{_uuids(rows)}.",
        remedy="Stop the other importer: it imports the same files a second time.",
    )


def _put_off(connection: Connection) -> Finding:
    rows = connection.execute(_SQL["put_off"]).all()
    if not rows:
        return Finding(name="inbox", level=Level.OK, words="Every order could be taken in.")
    return Finding(
        name="inbox",
        level=Level.ERROR,
        words=f"{_orders(rows)} not taken in, because the database refused: {_uuids(rows)}.",
        remedy="The log of the service says why (`intake.order_refused`). It is tried again every few minutes.",
    )


def _paused(connection: Connection) -> Finding:
    pause = pause_of(connection)
    if pause is None:
        return Finding(name="pause", level=Level.OK, words="Imports are not paused.")
    draining = connection.execute(_SQL["draining"]).scalar_one()
    return Finding(
        name="pause",
        level=Level.WARNING,
        words=f"All imports are paused {pause}{', and those that run are given back' if draining else ''}.",
        remedy="`omero adi resume` lets them go on.",
    )


def _services(connection: Connection, names: Sequence[str]) -> Finding:
    row = connection.execute(_SQL["work"]).one()
    if names:
        words = f"Services at work: {', '.join(names)}."
        return Finding(name="services", level=Level.OK, words=words)
    if row.connected:  # it has only just started, or cannot write just now
        return Finding(name="services", level=Level.OK, words="A service is connected to the database.")
    waiting = f", and {row.due} order{'' if row.due == 1 else 's'} wait for one" if row.due else ""
    return Finding(
        name="services",
        level=Level.ERROR if row.due else Level.WARNING,
        words=f"No service is connected to the database{waiting}.",
        remedy="Run `omero adi serve`.",
    )


def _unheard(silent: Sequence[Row[Any]]) -> Finding:
    if not silent:
        return Finding(name="silent services", level=Level.OK, words="No service fell silent.")
    listed = ", ".join(f"{service.name} (since {_when(service.seen_at)})" for service in silent)
    return Finding(
        name="silent services",
        level=Level.WARNING,
        words=f"Services that ended without a word, hang, or cannot reach the database: {listed}.",
        remedy="Look at the process and its log on that host. If it is gone on purpose, this is forgotten after a day.",
    )


def _troubled(troubled: Sequence[Row[Any]]) -> Finding:
    if not troubled:
        return Finding(name="surroundings", level=Level.OK, words="No service is kept from its work.")
    since = [f" since {_when(service.trouble_since)}" if service.trouble_since else "" for service in troubled]
    return Finding(
        name="surroundings",
        level=Level.ERROR,
        words=" ".join(
            f"{service.name} begins nothing{when}: {service.trouble}" for service, when in zip(troubled, since, strict=True)
        ),
        remedy="Remove the cause; the services go on by themselves.",
    )


def _when(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M %Z}"


def _silent(connection: Connection) -> Finding:
    rows = connection.execute(_SQL["silent"], {"seconds": SILENT_SECONDS}).all()
    if not rows:
        return Finding(name="leases", level=Level.OK, words="No order waits for a worker that has died.")
    return Finding(
        name="leases",
        level=Level.ERROR,
        words=f"{_orders(rows)} in the hands of a worker that has been silent for long, and not taken over: {_uuids(rows)}.",
        remedy="Run `omero adi serve`: a service takes such orders over at once.",
    )


def _unswept(connection: Connection, *, sweep_seconds: int) -> Finding:
    rows = connection.execute(_SQL["unswept"], {"seconds": sweep_seconds + OVERDUE_SECONDS}).all()
    if not rows:
        return Finding(name="sweeps", level=Level.OK, words="OMERO was looked at once more for every order that was interrupted.")
    return Finding(
        name="sweeps",
        level=Level.WARNING,
        words=f"What interrupted attempts may have left in OMERO could not be looked for yet; {_orders(rows)} waiting for that: "
        f"{_uuids(rows)}.",
        remedy="The log of the services says why (`sweep.put_off`). It is tried again by itself, unless all imports are paused.",
    )


def _orders(rows: Sequence[Row[Any]]) -> str:
    """Return how many orders a finding is about, with the verb."""
    return "1 order is" if rows[0].amount == 1 else f"{rows[0].amount} orders are"


def _uuids(rows: Sequence[Row[Any]]) -> str:
    return ", ".join(row.uuid for row in rows) + (", …" if rows[0].amount > len(rows) else "")
