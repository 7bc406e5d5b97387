# SPDX-License-Identifier: GPL-2.0-or-later
"""Intake: how what producers wrote into `imports` becomes an order in the queue.

A trigger notes in `adi_inbox`, in the producer's own transaction, that an order is pending. `take_in` makes orders of these
events. `reconcile` finds what no trigger told of: rows older than the trigger, or written while it was switched off or away.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from omero_adi_plugin.logs import event
from omero_adi_plugin.tracking.database import is_transient
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.takeover import LATE_IDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.tracking.database import Database

BATCH = 200
"""How many orders one transaction takes in."""

PUT_OFF_SECONDS = 300
"""When an order that could not be taken in is looked at again."""

BRIEF_SECONDS = 3600
"""How far back the brief scan looks."""

_LOG = logging.getLogger(__name__)
_SQL = statements("intake.sql")
_QUEUE = statements("queue.sql")


class Intake:
    """The way from `imports` into the queue. Any number of services may take in at the same time."""

    def __init__(self, database: Database, *, pending_days: int) -> None:
        """Use a database.

        Parameters
        ----------
        database : Database
            With our tables in it.
        pending_days : int
            Pending rows that were older at the first start are left alone: nobody waits for them any more.
        """
        self._database = database
        self._pending_days = pending_days

    def take_in(self) -> int:
        """Queue everything that is in the inbox and not just now running; return how many orders.

        An order that cannot be taken in, whatever is in its row, does not hold up the others: it is tried again later.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there. What was taken in before stays taken in.
        """
        total = 0
        while True:
            with self._database.begin() as connection:
                events = connection.execute(_SQL["due_events"], {"batch": BATCH}).all()
                taken, seen_to = _take(connection, events)
            total += taken
            if not seen_to:
                return total

    def reconcile(self, *, whole: bool = True) -> int:
        """Put pending rows that no trigger told of into the inbox; return how many orders.

        Parameters
        ----------
        whole : bool
            Look at all since the last such scan, however long ago that was, and at those of the last `pending_days`. Rows that
            were older than that when a service first started here are left alone. If not whole: look at the last hour, which
            costs so little that a site without the trigger does it every few seconds.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there.
        """
        with self._database.begin() as connection:
            span = connection.execute(_SQL["span"], {"pending_days": self._pending_days, "late_ids": LATE_IDS}).one()
            seconds = span.seconds if whole else BRIEF_SECONDS
            found = connection.execute(
                _SQL["reconcile"], {"seconds": seconds, "after_id": span.after_id, "ours_id": span.ours_id}
            )
            if whole:
                connection.execute(_SQL["scanned"])
            return len(found.all())


def _take(connection: Connection, events: Sequence[Row[tuple[int, str, bool]]]) -> tuple[int, int]:
    """See to events; return how many orders were taken in, and how many events were seen to."""
    if not events:
        return 0, 0
    uuids = {row.uuid for row in events}
    asked = {row.uuid for row in events if not row.scanned}
    taken, troubled = _queue(connection, uuids, asked)
    # an order that began to run just now keeps its events
    runs = set(connection.execute(_SQL["still_pending"], {"uuids": sorted(asked)}).scalars()) - taken - troubled
    done = [row.id for row in events if row.uuid not in troubled and row.uuid not in runs]
    connection.execute(_SQL["drop_events"], {"ids": done})
    later = [row.id for row in events if row.uuid in troubled]
    connection.execute(_SQL["put_off_events"], {"ids": later, "seconds": PUT_OFF_SECONDS})
    return len(taken), len(done) + len(later)


def _queue(connection: Connection, uuids: Iterable[str], asked: set[str]) -> tuple[set[str], set[str]]:
    """Make orders of uuids, all at once or, when that fails, one by one; return those taken in and those that cannot be."""
    try:
        return _queue_all(connection, sorted(uuids), asked), set()
    except DBAPIError as error:
        if is_transient(error):
            raise
    taken: set[str] = set()
    troubled: set[str] = set()
    for uuid in sorted(uuids):
        try:
            taken |= _queue_all(connection, [uuid], asked)
        except DBAPIError as error:
            if is_transient(error):
                raise
            troubled.add(uuid)
            event(_LOG, logging.ERROR, "intake.order_refused", order=uuid, why=str(error.orig), again_seconds=PUT_OFF_SECONDS)
    return taken, troubled


def _queue_all(connection: Connection, uuids: list[str], asked: set[str]) -> set[str]:
    with connection.begin_nested():
        connection.execute(_SQL["fill_timestamps"], {"uuids": uuids})
        taken = set(connection.execute(_SQL["take_in"], {"uuids": uuids, "asked": sorted(asked)}).scalars())
        if taken:
            connection.execute(_QUEUE["wake_claimers"])
    return taken
