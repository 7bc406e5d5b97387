# SPDX-License-Identifier: GPL-2.0-or-later
"""Queue: take an order, keep the lease on it, give it back or give it its outcome.

`adi_order` has one row an order. Every write carries the token of its claim; a write that hits no row raises `LeaseLost`, and the
worker stops. The state and the row in the trail that tells of it change in one transaction. The statements are in `queue.sql`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.orders import Claim, Lease, OrderText
from omero_adi_plugin.stages import STAGE_IMPORTED, STAGE_INGEST_FAILED, OrderState
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from omero_adi_plugin.tracking.database import Database

_SQL = statements("queue.sql")


class Queue:
    """The orders that were taken in, and who carries them out.

    Every method is one transaction. All of them raise `DatabaseDown` when PostgreSQL is not there.
    """

    def __init__(self, database: Database, *, lease_seconds: int) -> None:
        """Use a database.

        Parameters
        ----------
        database : Database
            With our tables in it.
        lease_seconds : int
            How long a worker may be silent before its order is taken over.
        """
        self._database = database
        self.lease_seconds = lease_seconds

    def free_lapsed(self) -> list[str]:
        """Make orders whose lease has lapsed claimable again; return their uuids."""
        with self._database.begin() as connection:
            uuids = [str(uuid) for uuid in connection.execute(_SQL["free_lapsed"]).scalars()]
            if uuids:
                connection.execute(_SQL["wake_claimers"])
        return uuids

    def claim(self, *, owner: str) -> Claim | None:
        """Take the next order that is due, and say so in its trail.

        Parameters
        ----------
        owner : str
            ``host:pid`` of the worker.

        Returns
        -------
        Claim or None
            None when nothing is due, or all imports are paused.
        """
        values = {"owner": owner, "lease_seconds": self.lease_seconds}
        with self._database.begin() as connection:
            row = connection.execute(_SQL["claim"], values).one_or_none()
            if row is None:
                return None
            lease = Lease(
                order=row.uuid, owner=row.lease_owner, token=row.lease_token, attempt=row.attempt, until=row.lease_until
            )
            again = f"Attempt {row.attempt}: {row.note or 'ordered again'}" if row.attempt > 1 else None
            audit.begin_attempt(connection, lease, imports_id=row.imports_id, description=again)
        # somebody may have deleted the row of `imports`: then all of the text is missing, and reading it says so
        text = OrderText(
            uuid=row.uuid,
            user=row.user_name or "",
            group=row.group_name or "",
            destination_type=row.destination_type or "",
            destination_id=row.destination_id or "",
            files=row.files or "",
            file_names=row.file_names,
            container=row.container,
        )
        return Claim(lease=lease, text=text, failures=row.failures, skip_existing=row.skip_existing)

    def extend(self, lease: Lease) -> Lease:
        """Return the lease with a later end.

        Raises
        ------
        LeaseLost
            It is gone.
        """
        values = {"uuid": lease.order, "token": lease.token, "lease_seconds": self.lease_seconds}
        with self._database.begin() as connection:
            until = connection.execute(_SQL["extend"], values).scalar_one_or_none()
        if until is None:
            raise LeaseLost(uuid=lease.order)
        return Lease(order=lease.order, owner=lease.owner, token=lease.token, attempt=lease.attempt, until=until)

    def complete(self, lease: Lease, *, description: str | None = None) -> None:
        """Say that everything of the order is in OMERO.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        """
        self._finish(lease, state=OrderState.COMPLETED, stage=STAGE_IMPORTED, description=description)

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
        self._finish(lease, state=OrderState.FAILED, stage=STAGE_INGEST_FAILED, description=reason)

    def give_back(self, lease: Lease, *, note: str, failed: bool, after_seconds: float) -> None:
        """Let the order wait for another attempt, by whomever.

        Parameters
        ----------
        lease : Lease
            Of this worker.
        note : str
            Why there will be another attempt; the trail will say so when it starts.
        failed : bool
            Whether this attempt counts among those that failed.
        after_seconds : float
            How long to wait at least.

        Raises
        ------
        LeaseLost
            The lease is gone; nothing was written.
        """
        values = {"note": audit.shortened(note), "failed": int(failed), "after_seconds": after_seconds}
        with self._database.begin() as connection:
            self._write(connection, "give_back", lease, **values)
            connection.execute(_SQL["wake_claimers"])

    def next_due_seconds(self) -> float | None:
        """Return in how many s the next waiting order is due or a lease lapses, 0 if that is past; None: there is neither."""
        with self._database.begin() as connection:
            seconds = connection.execute(_SQL["next_due_seconds"]).scalar()
        return None if seconds is None else max(0.0, float(seconds))

    def pending(self) -> int:
        """Return how many orders wait, run, or are in the inbox."""
        with self._database.begin() as connection:
            return int(connection.execute(_SQL["pending"]).scalar_one())

    def _finish(self, lease: Lease, *, state: OrderState, stage: str, description: str | None) -> None:
        with self._database.begin() as connection:
            imports_id = self._write(connection, "finish", lease, state=state.value)
            audit.append(connection, imports_id=imports_id, stage=stage, description=description)
            connection.execute(_SQL["wake_intake"], {"uuid": lease.order})

    @staticmethod
    def _write(connection: Connection, statement: str, lease: Lease, **values: object) -> int:
        """Change the row of a lease; return the row of `imports` whose content holds."""
        found = connection.execute(_SQL[statement], {"uuid": lease.order, "token": lease.token, **values}).scalar_one_or_none()
        if found is None:
            raise LeaseLost(uuid=lease.order)
        return int(found)
