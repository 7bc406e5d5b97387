# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting: watch an order until it has ended, and show its stages as they appear."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.errors import OrderFailed, StillUnderWay
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.pausing import standing_pause
from omero_adi_plugin.tracking.views import order_status, order_summary

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.views import OrderStatus

LOOK_SECONDS = 0.5
"""How often to look. One small indexed read; people notice longer pauses."""

SILENCE_SECONDS = 30.0
"""After so long without a service that takes the order, it is worth a word."""


def wait_for_end(database: Database, uuid: str, *, timeout_seconds: float | None) -> OrderStatus:
    """Return the order once it has ended; each new stage is noted on stderr.

    Parameters
    ----------
    database : Database
        Where the order is.
    uuid : str
        Of the order.
    timeout_seconds : float or None
        How long to wait at most; None: for ever.

    Raises
    ------
    OrderNotFound
        There is no such order.
    StillUnderWay
        The time is over.
    DatabaseDown
        PostgreSQL is not there; the order is safe with it.
    """
    started = time.monotonic()
    shown, hinted = 0, None
    while True:
        report = order_summary(database, uuid)
        stages = report.stages or ()
        for row in stages[shown:]:
            printing.note(f"{row.stage}: {row.description}" if row.description else row.stage)
        shown = len(stages)
        if report.state is not None and report.state.ended:
            return order_status(database, uuid)
        if hinted is None:
            hinted = note_pause(database)
        waited = time.monotonic() - started
        if timeout_seconds is not None and waited >= timeout_seconds:
            raise StillUnderWay(uuid=uuid, seconds=timeout_seconds)
        if not hinted and report.attempt == 0 and waited >= SILENCE_SECONDS:
            printing.note("No service has taken the order yet. Is `omero adi serve` running?")
            hinted = True
        pause = LOOK_SECONDS if timeout_seconds is None else min(LOOK_SECONDS, timeout_seconds - waited)
        time.sleep(pause)


def note_pause(database: Database) -> bool:
    """Return whether all imports are paused; if so say it on stderr, as whoever looks at an order that waits wants to know."""
    pause = standing_pause(database)
    if pause is not None:
        printing.note(pause.sentence)
    return pause is not None


def raise_unless_completed(report: OrderStatus) -> None:
    """Return if the order was completed.

    Raises
    ------
    OrderFailed
        It was not; with the reason that its newest stage gives.
    """
    if report.state is OrderState.COMPLETED:
        return
    reason = report.description or "no reason was given"
    raise OrderFailed(f"Order {report.uuid} was not completed: {reason}")
