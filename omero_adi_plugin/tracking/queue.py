# SPDX-License-Identifier: GPL-2.0-or-later
"""Queue: take an order, keep the lease on it, give it back or give it its outcome.

`adi_order` has one row an order. Every write carries the token of its claim; a write that hits no row raises `LeaseLost`, and the
worker stops. The state and the row in the trail that tells of it change in one transaction. The statements are in `queue.sql`.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.orders import Claim, Extension, Lease, Limits, OrderText
from omero_adi_plugin.preprocessing import PreprocessingText
from omero_adi_plugin.stages import STAGE_IMPORTED, STAGE_INGEST_FAILED, OrderState
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.prepared import Prepared
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.database import Database

_SQL = statements("queue.sql")
_CLAIM = Prepared("adi_claim", _SQL["claim"], first=_SQL["one_by_one"])
_CONTENT = Prepared("adi_content", _SQL["content"])
_WIDEN = text(f"{_SQL['one_by_one'].text}; {_SQL['widen'].text}")
_EXTEND = text(f"{_SQL['wait_if_lapsed'].text}; {_SQL['extend'].text}")

_OUTCOMES = {
    OrderState.COMPLETED: (STAGE_IMPORTED, AttemptOutcome.COMPLETED),
    OrderState.FAILED: (STAGE_INGEST_FAILED, AttemptOutcome.FAILED),
    OrderState.CANCELLED: (STAGE_INGEST_FAILED, AttemptOutcome.CANCELLED),
}
"""What the trail and the attempt say of an order that has ended."""


def limits_of(settings: Settings) -> Limits:
    """Return what all services together may do at the same time, as the settings say."""
    return Limits(
        per_user=settings.max_orders_per_user,
        per_group=settings.max_orders_per_group,
        in_flight=settings.max_filesets_in_flight,
        scripts=settings.max_scripts,
    )


class Queue:
    """The orders that were taken in, and who carries them out, in the hands of one thread.

    Every method is one transaction. All of them raise `DatabaseDown` when PostgreSQL is not there.
    """

    def __init__(self, database: Database, *, lease_seconds: int, limits: Limits | None = None, in_script: bool = False) -> None:
        """Use a database.

        Parameters
        ----------
        database : Database
            With our tables in it.
        lease_seconds : int
            How long a worker may be silent before its order is taken over.
        limits : Limits, optional
            What all services together may do at the same time; None: as much as they can.
        in_script : bool
            Whether what is claimed is carried out by a script on one of OMERO's Processors.
        """
        self._database = database
        self.lease_seconds = lease_seconds
        self._of_all, self._in_script = limits or Limits(), in_script
        self._token = uuid4()
        self._limits = {**asdict(self._of_all), "in_script": in_script}

    def on(self, database: Database) -> Queue:
        """Return the same queue over other connections, for another thread."""
        return Queue(database, lease_seconds=self.lease_seconds, limits=self._of_all, in_script=self._in_script)

    def claim(self, *, owner: str, user: str | None = None, group: str | None = None) -> Claim | None:
        """Take the next order that is due, and say so in its trail.

        Parameters
        ----------
        owner : str
            ``host:pid`` of the worker.
        user, group : str, optional
            Only an order of this user, in this group, that was never begun; None: any.

        Returns
        -------
        Claim or None
            None when nothing is due, whatever is due is at a limit, or all imports are paused.
        """
        asked = time.monotonic()
        values = {**self._new_lease(owner), "user": user, "group": group, "without": None, **self._limits}
        return self._taken(self._database.at_once(_CLAIM, values), asked)  # run twice, it gives the same order

    def hand_over(self, uuid: str, *, launch: str, owner: str, user: str, group: str) -> Claim | None:
        """Take the order that this script was launched for from whoever launched it.

        Parameters
        ----------
        uuid : str
            Of the order.
        launch : str
            The token of the lease that it was launched with: who does not know it gets nothing.
        owner : str
            How the script signs its leases.
        user, group : str
            In whose session the script runs, and in which group.

        Returns
        -------
        Claim or None
            With a lease of the script's own; None if the order is not for this script, now or any more: nothing was changed.
        """
        asked = time.monotonic()
        try:
            token = str(UUID(launch))  # there are ways to write one that PostgreSQL does not read
        except ValueError:
            return None
        values = {**self._new_lease(owner), "uuid": audit.storable(uuid), "launch": token, "user": user, "group": group}
        return self._taken(self._database.at_once(_SQL["hand_over"], values), asked)

    def handed_over(self, lease: Lease) -> bool:
        """Return whether a script has taken the order from whoever launched it with this lease."""
        values = {"uuid": lease.order, "attempt": lease.attempt, "owner": lease.owner}
        [row] = self._database.at_once(_SQL["handed_over"], values)
        return bool(row[0])

    def extend(self, lease: Lease, *, doing: str | None = None) -> Extension:
        """Extend a lease.

        Parameters
        ----------
        lease : Lease
            Of this worker.
        doing : str, optional
            What is being done at the moment, for people.

        Returns
        -------
        Extension
            The lease with a later end, and what is wanted of the order.

        Raises
        ------
        LeaseLost
            It is gone.
        """
        doing = None if doing is None else audit.shortened(doing)
        values = {**_held(lease), "doing": doing, "lease_seconds": self.lease_seconds, "in_flight": self._limits["in_flight"]}
        rows = self._database.at_once(_EXTEND, values)
        if not rows:
            raise LeaseLost(uuid=lease.order)
        longer = Lease(order=lease.order, owner=lease.owner, token=lease.token, attempt=lease.attempt, until=rows[0].lease_until)
        return Extension(lease=longer, cancelled_by=rows[0].cancelled_by, draining=rows[0].draining)

    def widen(self, lease: Lease, *, wanted: int) -> int:
        """Ask for room for more filesets in flight; return how many there may be now.

        Parameters
        ----------
        lease : Lease
            Of this worker.
        wanted : int
            How many it could do at the same time.

        Raises
        ------
        LeaseLost
            It is gone.
        """
        values = {**_held(lease), "wanted": wanted, "in_flight": self._limits["in_flight"]}
        rows = self._database.at_once(_WIDEN, values)
        if not rows:
            raise LeaseLost(uuid=lease.order)
        return int(rows[0].places)

    def others_due(self, *, user: str) -> bool:
        """Return whether an order of somebody else than this user could be claimed now."""
        [row] = self._database.at_once(_SQL["others_due"], {"user": user, "without": None, **self._limits})
        return bool(row[0])

    def others_wait(self, lease: Lease) -> bool:
        """Return whether another user's order waits that could be carried out instead of this one, and would come before it."""
        [row] = self._database.at_once(_SQL["others_wait"], {"without": lease.order, **self._limits})
        return bool(row[0])

    def complete(self, lease: Lease, *, description: str | None = None) -> None:
        """Say that everything of the order is in OMERO.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        """
        self._finish(lease, OrderState.COMPLETED, description)

    def fail(self, lease: Lease, *, reason: str) -> None:
        """Say that the order ended without success.

        Parameters
        ----------
        lease : Lease
            Of this worker.
        reason : str
            What happened and what to do, for a person; shortened to 500 characters.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        """
        self._finish(lease, OrderState.FAILED, reason)

    def cancel(self, lease: Lease, *, reason: str) -> None:
        """Say that a person has called the order off while it was being carried out; see `fail`."""
        self._finish(lease, OrderState.CANCELLED, reason)

    def give_back(self, lease: Lease, *, note: str, after_seconds: float, failures: int | None = None) -> None:
        """Let the order wait for another attempt, by whomever.

        Parameters
        ----------
        lease : Lease
            Of this worker.
        note : str
            Why there will be another attempt; the trail will say so when it starts.
        after_seconds : float
            How long to wait at least.
        failures : int, optional
            How many attempts have failed by now; None: this one does not count.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        """
        outcome = AttemptOutcome.GIVEN_BACK if failures is None else AttemptOutcome.TO_BE_RETRIED
        values = {"note": audit.shortened(note), "failures": failures, "after_seconds": after_seconds}
        with self._database.begin() as connection:
            _write(connection, "give_back", lease, **values)
            audit.end_attempt(connection, uuid=lease.order, attempt=lease.attempt, outcome=outcome, why=note)
            connection.execute(_SQL["wake_claimers"])

    def hold_up(self, lease: Lease, *, note: str, first_seconds: float, longest_seconds: float) -> None:
        """Let the order wait because a script could not carry it out, for a reason that is not its own.

        No script is launched for another order of its user in its group before it is due.

        Parameters
        ----------
        lease : Lease
            Of this process.
        note : str
            The reason; the trail will say it when there is another attempt.
        first_seconds, longest_seconds : float
            How long to wait the first time, twice as long each time in a row, and at most.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        """
        values = {"note": audit.shortened(note), "first_seconds": first_seconds, "longest_seconds": longest_seconds}
        with self._database.begin() as connection:
            _write(connection, "hold_up", lease, **values)
            audit.end_attempt(connection, uuid=lease.order, attempt=lease.attempt, outcome=AttemptOutcome.GIVEN_BACK, why=note)
            connection.execute(_SQL["wake_claimers"])

    def got_on(self, lease: Lease) -> bool:
        """Return whether anything of the order came to its end in this attempt."""
        with self._database.begin() as connection:
            return bool(connection.execute(_SQL["got_on"], {"uuid": lease.order, "attempt": lease.attempt}).scalar_one())

    def next_due_seconds(self) -> float | None:
        """Return in how many s the next waiting order will be due; None: none will, the others wait for something else."""
        with self._database.begin() as connection:
            seconds = connection.execute(_SQL["next_due_seconds"]).scalar()
        return None if seconds is None else max(0.0, float(seconds))

    def pending(self) -> int:
        """Return how many orders wait, run, or are in the inbox."""
        with self._database.begin() as connection:
            return int(connection.execute(_SQL["pending"]).scalar_one())

    def _new_lease(self, owner: str) -> dict[str, object]:
        return {"owner": owner, "token": str(self._token), "lease_seconds": self.lease_seconds}

    def _taken(self, rows: Sequence[Row[Any]], asked: float) -> Claim | None:
        """Make a claim of what was taken with the token at hand, if anything was."""
        if not rows:
            return None
        content = order_text(self._database, uuid=rows[0].uuid, imports_id=rows[0].imports_id)
        self._token = uuid4()  # not before: when there was no answer, the next call asks for the same order again
        return _claim(rows[0], content, asked)

    def _finish(self, lease: Lease, state: OrderState, description: str | None) -> None:
        stage, outcome = _OUTCOMES[state]
        with self._database.begin() as connection:
            imports_id = _write(connection, "finish", lease, state=state.value)
            audit.append(connection, imports_id=imports_id, stage=stage, description=description)
            audit.end_attempt(connection, uuid=lease.order, attempt=lease.attempt, outcome=outcome, why=description)
            connection.execute(_SQL["wake_intake"], {"uuid": lease.order})
            connection.execute(_SQL["wake_limited"])


def order_text(database: Database, *, uuid: str, imports_id: int) -> OrderText:
    """Return what was ordered; if somebody has deleted the row that says so, nothing is in it, and reading it says that.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there.
    """
    [content] = database.at_once(_CONTENT, {"imports_id": imports_id})
    return OrderText(
        uuid=uuid,
        user=content.user_name or "",
        group=content.group_name or "",
        destination_type=content.destination_type or "",
        destination_id=content.destination_id or "",
        files=content.files or "",
        file_names=content.file_names,
        preprocessing=_preprocessing(content),
    )


def _preprocessing(content: Row[Any]) -> PreprocessingText | None:
    if content.preprocessing_id is None:
        return None
    return PreprocessingText(
        id=content.preprocessing_id,
        container=content.container,
        input_file=content.input_file,
        output_folder=content.output_folder,
        alt_output_folder=content.alt_output_folder,
        extra_params=content.extra_params,
    )


def _held(lease: Lease) -> dict[str, object]:
    return {"uuid": lease.order, "token": lease.token}


def _write(connection: Connection, statement: str, lease: Lease, **values: object) -> int:
    """Change the row of a lease; return the row of `imports` whose content holds."""
    found = connection.execute(_SQL[statement], {**_held(lease), **values}).scalar_one_or_none()
    if found is None:
        raise LeaseLost(uuid=lease.order)
    return int(found)


def _claim(row: Row[Any], order: OrderText, asked: float) -> Claim:
    lease = Lease(order=row.uuid, owner=row.lease_owner, token=row.lease_token, attempt=row.attempt, until=row.lease_until)
    return Claim(
        lease=lease,
        text=order,
        failures=row.failures,
        skip_existing=row.skip_existing,
        places=row.places,
        asked=asked,
        cancelled_by=row.cancelled_by,
        again=row.again,
    )
