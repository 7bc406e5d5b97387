# SPDX-License-Identifier: GPL-2.0-or-later
"""Views: where orders stand, for people and programs that ask.

The JSON form is fixed (contract 8), but for what may be added: others build on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from sqlalchemy.exc import ProgrammingError

from omero_adi_plugin.errors import OrderNotFound
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.advice import advice
from omero_adi_plugin.tracking.audit import storable
from omero_adi_plugin.tracking.ledger import read_files
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.orders import LedgerFile
    from omero_adi_plugin.tracking.advice import Terms
    from omero_adi_plugin.tracking.database import Database

_T = TypeVar("_T")

_SQL = statements("views.sql")

_NOT_FOR_US = {"42501", "42P01", "42703"}
"""insufficient_privilege, undefined_table, undefined_column (PostgreSQL, appendix A, "Error Codes")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """One row of an order's trail; a producer may have left out the time."""

    stage: str
    time: datetime | None
    description: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the commands print it."""
        return {"stage": self.stage, "time": _iso(self.time), "description": self.description}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionReport:
    """What somebody did with an order: the words of `tables.Action`, in a row that may be newer than this program."""

    at: datetime
    who: str
    action: str
    detail: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the commands print it."""
        return {"time": _iso(self.at), "who": self.who, "action": self.action, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """One attempt at an order: whose, and how it ended.

    owner:   as `host:pid`.
    ended:   None while it goes on, and when nobody was there to note the end.
    outcome: the words of `tables.AttemptOutcome`, in a row that may be newer than this program.
    """

    attempt: int
    owner: str
    started: datetime
    ended: datetime | None
    outcome: str | None
    why: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the commands print it."""
        return {
            "attempt": self.attempt,
            "owner": self.owner,
            "started": _iso(self.started),
            "ended": _iso(self.ended),
            "outcome": self.outcome,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """Where an order stands.

    state:         None when its newest row says something that is no stage of the contract.
    target:        as the row has it, perhaps nonsense: ``Dataset:151``.
    attempt:       0 before the first.
    next_try:      not before this time, None when it does not wait in the queue.
    files, stages, actions: None in a list of orders.
    attempts:      also None for an account that may not read them.
    advice:        what it waits for, or what is to be done; None if it was not asked for.
    """

    uuid: str
    state: OrderState | None
    stage: str
    description: str | None
    user: str
    group: str
    target: str
    attempt: int
    next_try: datetime | None
    lease_owner: str | None
    lease_until: datetime | None
    files: tuple[LedgerFile, ...] | None = None
    stages: tuple[StageReport, ...] | None = None
    actions: tuple[ActionReport, ...] | None = None
    attempts: tuple[AttemptReport, ...] | None = None
    advice: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as `orders show --json` prints it, or, without what is None here at the end, `orders list --json`."""
        report: dict[str, Any] = {
            "uuid": self.uuid,
            "state": self.state,
            "stage": self.stage,
            "description": self.description,
            "user": self.user,
            "group": self.group,
            "target": self.target,
            "attempt": self.attempt,
            "next_try": _iso(self.next_try),
            "lease": {"owner": self.lease_owner, "until": _iso(self.lease_until)} if self.lease_owner else None,
        }
        if self.files is not None:
            report["files"] = [_file_json(file) for file in self.files]
        if self.stages is not None:
            report["stages"] = [stage.as_json() for stage in self.stages]
        if self.actions is not None:
            report["actions"] = [action.as_json() for action in self.actions]
        if self.attempts is not None:
            report["attempts"] = [attempt.as_json() for attempt in self.attempts]
        if self.advice is not None:
            report["advice"] = self.advice
        return report


def order_status(database: Database, uuid: str, *, terms: Terms | None = None) -> OrderStatus:
    """Return where one order stands, with its files, its trail, the attempts at it and what people did with it.

    Parameters
    ----------
    database : Database
        With the shared tables and ours.
    uuid : str
        Of the order.
    terms : Terms, optional
        What advice goes by; None: none is wanted. An account that may not read what it needs gets none.

    Raises
    ------
    OrderNotFound
        No row of `imports` has this uuid.
    DatabaseDown
        PostgreSQL is not there.
    """
    with database.begin() as connection:
        connection.execute(_SQL["one_moment"])
        report = replace(
            _report(_one(connection, uuid)),
            files=read_files(connection, uuid),
            stages=_stages(connection, uuid),
            actions=_actions(connection, uuid),
            attempts=_if_allowed(connection, lambda: _attempts(connection, uuid)),
        )
        if terms is None:
            return report
        return replace(report, advice=_if_allowed(connection, lambda: advice(connection, report, terms=terms)))


def order_summary(database: Database, uuid: str) -> OrderStatus:
    """Return where one order stands, with its trail, without its files: cheap to ask again and again, however many it has.

    Raises
    ------
    OrderNotFound
        No row of `imports` has this uuid.
    DatabaseDown
        PostgreSQL is not there.
    """
    with database.begin() as connection:
        return replace(_report(_one(connection, uuid)), stages=_stages(connection, uuid))


def list_orders(database: Database, *, state: OrderState | None, user: str | None, limit: int) -> list[OrderStatus]:
    """Return where orders stand, the newest first, without files and trail.

    Parameters
    ----------
    database : Database
        With the shared tables and ours.
    state, user
        Only those in this state, only those of this OMERO login; None: of all.
    limit : int
        How many at most.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there.
    """
    values = {"uuid": None, "user": user, "state": None if state is None else state.value, "limit": limit}
    with database.begin() as connection:
        return [_report(row) for row in connection.execute(_SQL["orders"], values)]


def _one(connection: Connection, uuid: str) -> Row[Any]:
    if storable(uuid) != uuid:  # PostgreSQL cannot hold it, so no order has it
        raise OrderNotFound(uuid=storable(uuid))
    row = connection.execute(_SQL["orders"], {"uuid": uuid, "user": None, "state": None, "limit": 1}).one_or_none()
    if row is None:
        raise OrderNotFound(uuid=uuid)
    return row


def _if_allowed(connection: Connection, read: Callable[[], _T]) -> _T | None:
    """Return what an older producer's account may not read, or tables that are not yet upgraded do not have, as None."""
    try:
        with connection.begin_nested():
            return read()
    except ProgrammingError as error:
        if isinstance(error.orig, psycopg2.Error) and error.orig.pgcode in _NOT_FOR_US:
            return None
        raise


def _attempts(connection: Connection, uuid: str) -> tuple[AttemptReport, ...]:
    return tuple(
        AttemptReport(
            attempt=row.attempt,
            owner=row.owner,
            started=row.started_at,
            ended=row.ended_at,
            outcome=row.outcome,
            why=row.why,
        )
        for row in connection.execute(_SQL["attempts"], {"uuid": uuid})
    )


def _stages(connection: Connection, uuid: str) -> tuple[StageReport, ...]:
    rows = connection.execute(_SQL["stages"], {"uuid": uuid})
    return tuple(StageReport(stage=row.stage, time=row.time, description=row.description) for row in rows)


def _actions(connection: Connection, uuid: str) -> tuple[ActionReport, ...]:
    rows = connection.execute(_SQL["actions"], {"uuid": uuid})
    return tuple(ActionReport(at=row.at, who=row.who, action=row.action, detail=row.detail) for row in rows)


def _report(row: Row[Any]) -> OrderStatus:
    state = None if row.state is None else OrderState(row.state)
    waits_again = state is OrderState.WAITING and row.attempt > 0  # then the note says more than the newest row of the trail
    return OrderStatus(
        uuid=row.uuid,
        state=state,
        stage=row.stage,
        description=row.note if waits_again and row.note else row.description,
        user=row.user_name,
        group=row.group_name,
        target=f"{row.destination_type}:{row.destination_id}",
        attempt=row.attempt,
        next_try=row.next_try,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
    )


def _file_json(file: LedgerFile) -> dict[str, Any]:
    return {
        "entry": file.entry,
        "output": file.output,
        "route": file.route,
        "step": file.step,
        "fileset": file.fileset,
        "images": list(file.images),
        "plates": list(file.plates),
        "error": file.error,
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat()
