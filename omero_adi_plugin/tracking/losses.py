# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses: what becomes of orders whose worker died, or has not been heard of for longer than its lease.

They wait for another worker. An order over which one worker after the other dies, while nothing of it gets done, is the likely
cause: it fails, so that it does not take the others' workers for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.stages import STAGE_INGEST_FAILED
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import AttemptOutcome

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.tracking.database import Database

DEATHS_ALLOWED = 3
"""So many workers may die over an order, one after the other, before it fails."""

LAPSES_ALLOWED = 10
"""So many leases on an order may lapse, one after the other. More than deaths: nobody saw why, and a host that restarts takes all
of its orders down, of which most are innocent."""

PAUSE_SECONDS = 15.0
"""How long an order waits after the second death, and twice as long after the next: what killed the worker may pass, such as
another program that takes all memory."""

_SQL = statements("losses.sql")
_QUEUE = statements("queue.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """An order whose worker is gone.

    owner:  who had it, as `host:pid`.
    failed: whether it has failed for that; else it waits again.
    """

    uuid: str
    owner: str
    failed: bool


def free_lapsed(database: Database) -> list[Loss]:
    """Take orders from workers that have been silent for longer than their lease.

    Parameters
    ----------
    database : Database
        With our tables.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there; nothing was changed.
    """
    with database.begin() as connection:
        uuids = connection.execute(_SQL["lapsed"]).scalars().all()
        return [_lapsed(connection, row) for row in _lost(connection, uuids)]


def bury(database: Database, *, owner: str, why: str, counts: bool = True) -> list[Loss]:
    """Take its orders from a worker that is known to be dead, without waiting for the end of its lease.

    Parameters
    ----------
    database : Database
        With our tables.
    owner : str
        Of the dead worker, as `host:pid`.
    why : str
        What it died of: "killed by SIGKILL".
    counts : bool
        Whether its order may be to blame; not when it was its service that killed it.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there; nothing was changed, and the lease will lapse.
    """
    with database.begin() as connection:
        uuids = connection.execute(_SQL["of_worker"], {"owner": owner}).scalars().all()
        return [_died(connection, row, why=why, counts=counts) for row in _lost(connection, uuids)]


def _lost(connection: Connection, uuids: Any) -> list[Row[Any]]:  # noqa: ANN401 (a sequence of str)
    """Return what there is to know of orders, and wake whoever may go on with them."""
    if not uuids:
        return []
    connection.execute(_SQL["wake"])
    return list(connection.execute(_SQL["lost"], {"uuids": list(uuids)}))


def _lapsed(connection: Connection, row: Row[Any]) -> Loss:
    lapses = 1 if _got_on(connection, row) else row.lapses + 1
    if lapses >= LAPSES_ALLOWED:
        why = (
            f"The worker of the order fell silent {lapses} times, one after the other, and nothing of it got done. "
            "The administrator finds more in the log: order again when the cause is gone."
        )
        return _fail(connection, row, AttemptOutcome.LEASE_LAPSED, why)
    note = f"taken over: the lease of {row.lease_owner} lapsed"
    return _wait_again(connection, row, AttemptOutcome.LEASE_LAPSED, note, lapses=lapses)


def _died(connection: Connection, row: Row[Any], *, why: str, counts: bool) -> Loss:
    if not counts:
        return _wait_again(connection, row, AttemptOutcome.WORKER_DIED, f"the worker {row.lease_owner} was ended: {why}")
    deaths = 1 if _got_on(connection, row) else row.deaths + 1
    if deaths >= DEATHS_ALLOWED:
        words = (
            f"The order has cost {deaths} worker processes their lives, one after the other; the last one was {why}. "
            "A file of it may need too much memory, or crash the program: tell your facility's administrator, the log says more."
        )
        return _fail(connection, row, AttemptOutcome.WORKER_DIED, words)
    note = f"the worker {row.lease_owner} died ({why})"
    seconds = 0.0 if deaths == 1 else PAUSE_SECONDS * 2 ** (deaths - 2)
    return _wait_again(connection, row, AttemptOutcome.WORKER_DIED, note, deaths=deaths, after_seconds=seconds)


def _got_on(connection: Connection, row: Row[Any]) -> bool:
    """Return whether something came to its end in the attempt: that begins the count anew."""
    return bool(connection.execute(_QUEUE["got_on"], {"uuid": row.uuid, "attempt": row.attempt}).scalar_one())


def _wait_again(
    connection: Connection,
    row: Row[Any],
    outcome: AttemptOutcome,
    note: str,
    *,
    deaths: int | None = None,
    lapses: int | None = None,
    after_seconds: float = 0.0,
) -> Loss:
    values = {
        "uuid": row.uuid,
        "note": audit.shortened(note),
        "deaths": row.deaths if deaths is None else deaths,
        "lapses": row.lapses if lapses is None else lapses,
        "after_seconds": after_seconds,
    }
    connection.execute(_SQL["wait_again"], values)
    audit.end_attempt(connection, uuid=row.uuid, attempt=row.attempt, outcome=outcome, why=note)
    return Loss(uuid=row.uuid, owner=row.lease_owner, failed=False)


def _fail(connection: Connection, row: Row[Any], outcome: AttemptOutcome, why: str) -> Loss:
    connection.execute(_SQL["fail"], {"uuid": row.uuid})
    audit.append(connection, imports_id=row.imports_id, stage=STAGE_INGEST_FAILED, description=why)
    audit.end_attempt(connection, uuid=row.uuid, attempt=row.attempt, outcome=outcome, why=why)
    return Loss(uuid=row.uuid, owner=row.lease_owner, failed=True)
