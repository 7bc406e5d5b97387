# SPDX-License-Identifier: GPL-2.0-or-later
"""Advice: what an order waits for, or what is to be done about it, in a sentence or two for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.orders import FileStep, Limits
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.pausing import pause_of
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.status import SILENT_SECONDS

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.tracking.views import OrderStatus

NO_SERVICE = "no service is at work: start one with `omero adi serve`"

_SQL = statements("advice.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the settings say that matters for an order, on the host where somebody asks.

    limits:        what all services together may do at the same time.
    lease_seconds: how long a lease holds when it has just been extended.
    pending_days:  how old a pending row may be that a service takes in at its first start.
    keep_days:     how long it is remembered what became of an order.
    """

    limits: Limits
    lease_seconds: int
    pending_days: int
    keep_days: int


def advice(connection: Connection, report: OrderStatus, *, terms: Terms) -> str:
    """Return what an order waits for, or what is to be done about it.

    Parameters
    ----------
    connection : Connection
        With a transaction that sees what `report` was made of.
    report : OrderStatus
        Of the order, with its files.
    terms : Terms
        What the settings say.
    """
    return _Adviser(connection, report, terms).words()


class _Adviser:
    def __init__(self, connection: Connection, report: OrderStatus, terms: Terms) -> None:
        self._connection, self._report, self._terms = connection, report, terms
        self._row = self._one("order", uuid=report.uuid)
        self._control = self._one("control")

    def words(self) -> str:
        match self._report.state:
            case OrderState.WAITING:
                return self._waiting()
            case OrderState.RUNNING:
                return self._running()
            case None:
                return "Its last stage is none that this importer knows: another program wrote it."
        return self._ended(self._report.state)

    # --- one that waits

    def _waiting(self) -> str:
        row = self._row
        if row is None or OrderState(row.state).ended:
            return self._not_taken_in()
        if row.cancelled_by is not None:
            return f"Called off by {row.cancelled_by or 'somebody'}: it is tidied up and ends{self._unless_nobody_is_at_work()}."
        if not row.due:
            because = f", because: {row.note.rstrip('.')}" if row.note else ""
            return (
                f"It is tried again on {_words(row.run_after)}{because}. "
                f"`omero adi orders retry {self._report.uuid}` gives it its turn at once."
            )
        return self._nothing_begins() or self._at_a_limit(row) or self._held_up(row) or self._in_turn()

    def _not_taken_in(self) -> str:
        inbox = self._one("inbox", uuid=self._report.uuid)
        if inbox is not None and inbox.put_off:
            return (
                f"The database refused to take it in; that is tried again on {_words(inbox.not_before)}. "
                "The administrator finds the reason in the log of the service (`intake.order_refused`)."
            )
        if inbox is not None and inbox.not_before is not None:
            return f"A service takes it in at once{self._unless_nobody_is_at_work()}."
        if self._taken_over_id is None:
            return "No service has ever started on this database: start one with `omero adi serve`."
        if self._row is None and self._newest().too_old:
            return (
                f"It was pending for more than {self._terms.pending_days} days when nobody took it in, so it is left alone. "
                f"`omero adi orders retry {self._report.uuid}` orders it again, `omero adi orders cancel {self._report.uuid}` "
                "ends it."
            )
        return f"No service was told of it, so that the next scan finds it, in a few minutes{self._unless_nobody_is_at_work()}."

    def _nothing_begins(self) -> str | None:
        """Return why no order at all is begun, if none is."""
        pause = pause_of(self._connection)
        if pause is not None:
            return pause.sentence
        services = self._services()
        if not services.at_work:
            return f"It is due, but {NO_SERVICE}."
        if not services.well:
            return f"It is due, but services begin nothing at the moment: {services.trouble.rstrip('.')}."
        return None

    def _at_a_limit(self, row: Row[Any]) -> str | None:
        """Return which limit an order that is due has to wait for, if it does."""
        limits = self._terms.limits
        held = self._connection.execute(_SQL["held"], {"user": row.user_name, "group": row.group_name}).one()
        for amount, most, whose in (
            (held.of_user, limits.per_user, f"of '{row.user_name}'"),
            (held.of_group, limits.per_group, f"in the group '{row.group_name}'"),
        ):
            if most is not None and amount >= most:
                return f"It begins when another order {whose} has ended: {amount} run, and {most} may."
        if held.places >= limits.in_flight:
            return f"It begins when a fileset is in: {limits.in_flight} may be imported at the same time, by all together."
        return None

    def _held_up(self, row: Row[Any]) -> str | None:
        """Return what keeps scripts from being launched for the order's user, if anything does."""
        other = self._connection.execute(_SQL["held_up"], {"user": row.user_name, "group": row.group_name}).one_or_none()
        if other is None:
            return None
        return (
            f"Scripts on OMERO's Processors could not carry out another order of '{row.user_name}', and are launched again for "
            f"these on {_words(other.run_after)}; a service with workers of its own begins it before. The reason: {other.note}"
        )

    def _in_turn(self) -> str:
        ahead = self._connection.execute(_SQL["ahead"], {"uuid": self._report.uuid}).scalar_one_or_none() or 0
        if not ahead:
            return "It is the next one, as soon as a worker is free."
        return f"It waits for its turn: about {ahead} order{' comes' if ahead == 1 else 's come'} before it."

    # --- one that runs

    def _running(self) -> str:
        row = self._row
        if row is None:
            return self._of_another_importer()
        if row.lapsed:
            return (
                f"{row.lease_owner} has been silent since its lease ended on {_words(row.lease_until)}: "
                f"a service takes the order over{self._unless_nobody_is_at_work()}."
            )
        heard = max(0, round(self._terms.lease_seconds - float(row.lease_left)))
        since = f" since {_words(row.started_at)}" if row.started_at else ""
        doing = f": {row.doing}" if row.doing else ""
        words = f"{row.lease_owner} carries it out{since}{doing}. Last heard of {heard} s ago."
        if row.cancelled_by is not None:
            return f"{words} Called off by {row.cancelled_by or 'somebody'}: it ends at the next safe point."
        if self._control is not None and self._control.draining:
            return f"{words} All imports are paused, so it is given back at the next safe point."
        return words

    def _of_another_importer(self) -> str:
        if self._taken_over_id is None:
            return "The former importer has begun it. What it does not end, the first start of `omero adi serve` ends."
        return (
            "Another importer has begun it, so that this one leaves it alone. Only one may work on a database: "
            "`omero adi check` tells more."
        )

    # --- one that has ended

    def _ended(self, state: OrderState) -> str:
        retry = f"`omero adi orders retry {self._report.uuid}`"
        undone = self._one("undone", uuid=self._report.uuid)
        if undone is not None:
            return f"What it had imported was removed from OMERO by {undone.who} on {_words(undone.at)}. {retry} orders it again."
        words = {
            OrderState.COMPLETED: "Everything is in OMERO: there is nothing to do.",
            OrderState.FAILED: f"When the cause is gone, {retry} orders it again: only what is missing is imported.",
            OrderState.CANCELLED: f"It is called off. {retry} orders it again: only what is missing is imported.",
        }[state]
        if state is OrderState.FAILED and any(_is_gone(file.step, file.error) for file in self._report.files or ()):
            words += " With --again also what is not visible in OMERO any more is."
        return words + self._forgotten()

    def _forgotten(self) -> str:
        """Return why there is no more to tell of an order, if there is not."""
        if self._row is not None:
            return ""
        if self._taken_over_id is not None and self._newest().id > self._taken_over_id:
            return (
                f" What became of each file is remembered for {self._terms.keep_days} days only; "
                "in OMERO its images have its number as key-value `UUID`."
            )
        return " It was carried out by the former importer, so that no more is known of it here."

    # --- what is asked

    @property
    def _taken_over_id(self) -> int | None:
        """The newest row when a service first started on this database; None: none ever did."""
        return None if self._control is None or self._control.taken_over_at is None else int(self._control.taken_over_id)

    def _newest(self) -> Row[Any]:
        values = {"uuid": self._report.uuid, "pending_days": self._terms.pending_days, "taken_over_id": self._taken_over_id}
        return self._connection.execute(_SQL["newest"], values).one()

    def _services(self) -> Row[Any]:
        return self._connection.execute(_SQL["services"], {"silent_seconds": SILENT_SECONDS}).one()

    def _unless_nobody_is_at_work(self) -> str:
        return "" if self._services().at_work else f", but {NO_SERVICE}"

    def _one(self, statement: str, **values: object) -> Row[Any] | None:
        return self._connection.execute(_SQL[statement], values).one_or_none()


def _is_gone(step: FileStep, error: str | None) -> bool:
    """Return whether what was imported could not be seen any more."""
    return error is not None and step in {FileStep.IMPORTED, FileStep.ANNOTATED}


def _words(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S %Z}"
