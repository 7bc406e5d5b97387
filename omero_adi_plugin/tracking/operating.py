# SPDX-License-Identifier: GPL-2.0-or-later
"""Operating: what a person does with one order: order it again, or call it off.

Everything happens in one transaction, and who did it is noted in `adi_action`. Locks are taken as the intake takes them, the
inbox, then `imports`, then the queue's row: so neither locks the other out. After the last of them rows are only added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import NotPermitted, OrderBusy, OrderEnded, OrderNotFound
from omero_adi_plugin.stages import (
    STAGE_INGEST_FAILED,
    STAGE_INGEST_STARTED,
    STAGE_NEW_ORDER,
    STAGE_PREPROCESSING,
    OrderState,
)
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import Action, AttemptOutcome

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.tracking.database import Database

ANOTHER_IMPORTER = "another importer"
"""Who carries out an order that was begun and never came to us."""

_SQL = statements("operating.sql")
_INTAKE = statements("intake.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What ordering again came to.

    waited: the order waits in the queue already; it got its turn at once.
    """

    waited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOff:
    """What calling an order off came to.

    ended: it is cancelled.
    owner: if not, whose worker will end it, as `host:pid`; None: the next free one of a service, when it has tidied up.
    """

    ended: bool
    owner: str | None = None


def retry(database: Database, uuid: str, *, who: str, again: bool = False) -> Retry:
    """Have an order carried out again. What is in OMERO of it is not imported a second time.

    An order that has ended, or was never taken in, is ordered as a producer does it: by a pending row with the same content,
    which every reader of the trail understands. One that waits for its next attempt needs no such row, as its last one still
    holds: it gets its turn at once instead.

    Parameters
    ----------
    database : Database
        With the shared tables and ours.
    uuid : str
        Of the order.
    who : str
        ``name@host`` of the person.
    again : bool
        Import again also what was imported and is not visible in OMERO any more; without it the order fails over that.

    Raises
    ------
    OrderNotFound
        There is no row of it.
    OrderBusy
        It is just now being carried out, or called off by whoever carries it out.
    DatabaseDown
        PostgreSQL is not there.
    """
    _check_storable(uuid)
    with database.begin() as connection:
        order = _locked(connection, uuid)
        note = f"ordered again by {who}"
        if again:
            connection.execute(_SQL["again"], {"uuid": uuid})
        waited = order is not None and order.state in {OrderState.WAITING, OrderState.RUNNING}
        imports_id = None
        if waited:
            connection.execute(_SQL["hurry"], {"uuid": uuid, "note": audit.shortened(note)})
            connection.execute(_SQL["wake"], {"channel": "adi_order"})
        else:
            imports_id = _ordered(connection, uuid, known=order is not None, description=note)
        detail = "with what is not visible in OMERO any more" if again else None
        audit.act(connection, Action.RETRIED, who=who, uuid=uuid, imports_id=imports_id, detail=detail)
    return Retry(waited=waited)


def cancel(database: Database, uuid: str, *, who: str) -> CallOff:
    """Call an order off.

    One that waits, or is pending and not yet taken in, is cancelled at once: its trail ends with who did it and when. One that is
    being carried out is left to its worker, which stops at the next safe point, tidies up and writes the same. What was imported
    by then stays in OMERO. One that waits for another attempt, after one that may have left something half imported, gets its
    turn at once, for tidying up, and ends then. So does one whose worker is silent: should that live after all, it finds its
    lease gone.

    Parameters
    ----------
    database : Database
        With the shared tables and ours.
    uuid : str
        Of the order.
    who : str
        ``name@host`` of the person.

    Returns
    -------
    CallOff
        Whether it is cancelled; if not, who will see to it.

    Raises
    ------
    OrderNotFound
        There is no row of it.
    OrderBusy
        Another importer carries it out.
    OrderEnded
        Nothing of it is to be done any more.
    NotPermitted
        Its producer gave it no time, no service has taken it in yet, and the account may not do that.
    DatabaseDown
        PostgreSQL is not there.
    """
    _check_storable(uuid)
    with database.begin() as connection:
        called_off = connection.execute(_SQL["call_off_events"], {"uuid": uuid}).one()
        if called_off.undated:
            _give_time(connection, uuid, may=called_off.may_date)
        if connection.execute(_INTAKE["know"], {"imports_id": called_off.pending_id}).one_or_none():
            _check_pending(connection, uuid)
        else:
            owner = _check_open(connection, uuid, events=called_off.events, pending_id=called_off.pending_id)
            if owner or connection.execute(_SQL["half_imported"], {"uuid": uuid}).scalar_one():
                _ask_to_stop(connection, uuid, who=who, owner=owner, pending_id=called_off.pending_id)
                return CallOff(ended=False, owner=owner)
        row = connection.execute(_SQL["cancel"], {"uuid": uuid, "pending_id": called_off.pending_id}).one_or_none()
        if row is None:  # it was ordered while we looked
            raise OrderNotFound(uuid=uuid)
        done = "What earlier orders of it imported stays in OMERO" if row.attempt else "Nothing of it was imported"
        words = f"Cancelled by {who} on {_words(row.finished_at)}. {done}. Order again if it is wanted."
        imports_id = audit.append(connection, imports_id=row.imports_id, stage=STAGE_INGEST_FAILED, description=words)
        audit.act(connection, Action.CANCELLED, who=who, uuid=uuid, imports_id=imports_id)
    return CallOff(ended=True)


def _give_time(connection: Connection, uuid: str, *, may: bool) -> None:
    """Give the pending rows of an order the time that they lack: else readers would see them as newer than its end."""
    if not may:
        raise NotPermitted(
            f"The order '{uuid}' was written without a time, and a service gives it one when it takes the order in. "
            "Call it off again when a service is at work."
        )
    connection.execute(_INTAKE["fill_timestamps"], {"uuids": [uuid]})


def _ask_to_stop(connection: Connection, uuid: str, *, who: str, owner: str | None, pending_id: int | None) -> None:
    """Have an order ended by whoever carries it out or, if nobody does, by the next worker."""
    by = f"{who} on {_words(connection.execute(_SQL['time']).scalar_one())}"
    connection.execute(_SQL["ask_to_stop"], {"uuid": uuid, "by": audit.storable(by), "pending_id": pending_id})
    if owner is None:
        connection.execute(_SQL["tidy"], {"uuid": uuid, "note": audit.shortened(f"called off by {by}")})
        connection.execute(_SQL["wake"], {"channel": "adi_order"})
    detail = f"while {owner} carried it out" if owner else "between two attempts"
    audit.act(connection, Action.CANCELLED, who=who, uuid=uuid, detail=detail)


def _words(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M %Z}"


def _locked(connection: Connection, uuid: str) -> Row[Any] | None:
    """Return and lock the queue's row of an order, None if it has none; refuse one that is being carried out."""
    order = connection.execute(_SQL["lock"], {"uuid": uuid}).one_or_none()
    if order is not None and _is_carried_out(order):
        raise OrderBusy(uuid=uuid, owner=order.lease_owner, called_off=order.cancel_requested)
    if order is not None:
        _note_if_lapsed(connection, uuid, order)
    return order


def _note_if_lapsed(connection: Connection, uuid: str, order: Row[Any]) -> None:
    """Note how an attempt ended whose worker is silent, and whose order is taken from it here."""
    if order.state == OrderState.RUNNING:
        why = f"the lease of {order.lease_owner} lapsed"
        audit.end_attempt(connection, uuid=uuid, attempt=order.attempt, outcome=AttemptOutcome.LEASE_LAPSED, why=why)


def _ordered(connection: Connection, uuid: str, *, known: bool, description: str) -> int | None:
    """Append a pending row and see to it that a service hears of it; return the id of the row."""
    if not known:
        _check_not_with_another_importer(connection, uuid)
    content = connection.execute(_SQL["content"], {"uuid": uuid}).scalar_one_or_none()
    if content is None:  # somebody has deleted its rows
        raise OrderNotFound(uuid=uuid)
    imports_id = audit.append(connection, imports_id=content, stage=STAGE_NEW_ORDER, description=description)
    connection.execute(_SQL["note_event"], {"uuid": uuid})
    connection.execute(_SQL["wake"], {"channel": "adi_inbox"})
    return imports_id


def _check_not_with_another_importer(connection: Connection, uuid: str) -> str:
    """Return the newest stage of an order that never came to us; refuse one that somebody else has begun."""
    newest = connection.execute(_SQL["newest"], {"uuid": uuid}).one_or_none()
    if newest is None:
        raise OrderNotFound(uuid=uuid)
    if newest.stage in {STAGE_INGEST_STARTED, STAGE_PREPROCESSING}:
        raise OrderBusy(uuid=uuid, owner=ANOTHER_IMPORTER)
    return str(newest.stage)


def _check_pending(connection: Connection, uuid: str) -> None:
    """Refuse to call off an order that never came to us, unless it is pending."""
    stage = _check_not_with_another_importer(connection, uuid)
    if stage != STAGE_NEW_ORDER:
        raise OrderEnded(uuid=uuid, state=stage)


def _check_open(connection: Connection, uuid: str, *, events: int, pending_id: int | None) -> str | None:
    """Lock the queue's row of an order; refuse to call it off if nothing of it is to be done any more. Return who carries it out.

    After its end it may have been ordered again: then there are events, or a pending row that is newer than what was taken in.
    """
    order = connection.execute(_SQL["lock"], {"uuid": uuid}).one_or_none()
    if order is None:
        _check_pending(connection, uuid)
        return None
    if _is_carried_out(order):
        return str(order.lease_owner)
    _note_if_lapsed(connection, uuid, order)
    state = OrderState(order.state)
    ordered_again = pending_id is not None and (events > 0 or pending_id > order.imports_id)
    if state.ended and not ordered_again:
        raise OrderEnded(uuid=uuid, state=state.value)
    return None


def _is_carried_out(order: Row[Any]) -> bool:
    return bool(order.state == OrderState.RUNNING and not order.lapsed)


def _check_storable(uuid: str) -> None:
    """Refuse a uuid that PostgreSQL cannot hold: there is no such order."""
    if audit.storable(uuid) != uuid:
        raise OrderNotFound(uuid=audit.storable(uuid))
