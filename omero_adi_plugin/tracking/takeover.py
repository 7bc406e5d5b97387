# SPDX-License-Identifier: GPL-2.0-or-later
"""Takeover: the database of the former importer becomes ours, once; after that, another importer on it is noticed.

The former importer left no marker in OMERO, so nobody can tell what of its unfinished orders is there: a person has to look. From
then on every `Import Started` of ours has a row in `adi_attempt`; one without was written by an importer that is still running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import Action

if TYPE_CHECKING:
    from datetime import datetime

    from omero_adi_plugin.tracking.database import Database

INTERRUPTED = "The order was running when the former importer stopped: look in OMERO, then order again what is missing there."
"""What the trail says of an order that the former importer began and did not end."""

LATE_IDS = 1000
"""How far behind the newest row of `imports` one may appear: ids are given out in order, but transactions end as they like."""

MOST_STARTS = 1000
"""How many beginnings of another importer are noted at once."""

_SQL = statements("takeover.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """What was settled at the first start.

    failed: how many orders the former importer had begun and not ended; they are failed now.
    """

    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignStart:
    """An order that another importer began.

    imports_id: the row of `imports` that says so.
    at:         its timestamp; None if it has none, or one that is no date.
    """

    uuid: str
    imports_id: int
    at: datetime | None


def take_over(database: Database, *, who: str) -> TakenOver | None:
    """Settle, at the first start of any service on this database, what the former importer left behind.

    The orders that it had begun are failed, of whatever age. What is pending is left to `Intake.reconcile`, which has to follow.
    It is one transaction: after a crash, the next start does it.

    Parameters
    ----------
    database : Database
        With our tables in it.
    who : str
        The service, as `host:pid`.

    Returns
    -------
    TakenOver or None
        What was done; None if a service did it before.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there; nothing was done.
    """
    with database.begin() as connection:
        if connection.execute(_SQL["lock"]).one().taken_over_at is not None:
            return None
        newest = {"newest_id": connection.execute(_SQL["newest"]).scalar_one()}
        failed = connection.execute(_SQL["fail_begun"], {**newest, "description": INTERRUPTED}).rowcount
        connection.execute(_SQL["forget_events"])
        connection.execute(_SQL["take_over"], newest)
        detail = f"orders that were running when the former importer stopped, and are failed now: {failed}"
        audit.act(connection, Action.TAKEN_OVER, who=who, detail=detail)
    return TakenOver(failed=failed)


def watch(database: Database, *, who: str) -> list[ForeignStart]:
    """Look for orders that another importer began since the last look, and note each of them once.

    Parameters
    ----------
    database : Database
        With our tables in it. Before `take_over` nothing is found: until then, all beginnings are the former importer's.
    who : str
        The service, as `host:pid`.

    Returns
    -------
    list of ForeignStart
        Those that nobody noted before, the oldest first; at most `MOST_STARTS`, the next call has the others.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there; nothing was noted.
    """
    with database.begin() as connection:
        control = connection.execute(_SQL["lock"]).one()
        if control.taken_over_at is None:
            return []
        newest_id = connection.execute(_SQL["newest"]).scalar_one()
        values = {
            "after_id": max(control.watched_id - LATE_IDS, control.taken_over_id),
            "newest_id": newest_id,
            "most": MOST_STARTS,
        }
        rows = connection.execute(_SQL["foreign_starts"], values).all()
        for row in rows:
            audit.act(connection, Action.ANOTHER_IMPORTER, who=who, uuid=row.uuid, imports_id=row.id)
        watched_id = rows[-1].id if len(rows) == MOST_STARTS else newest_id
        connection.execute(_SQL["watched"], {"watched_id": max(watched_id, control.watched_id)})
    return [ForeignStart(uuid=row.uuid, imports_id=row.id, at=row.at) for row in rows]
