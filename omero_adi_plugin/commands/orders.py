# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders: the subcommands that tell what became of orders."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.report import print_report
from omero_adi_plugin.commands.using import database_of, settings_of, terms_of
from omero_adi_plugin.commands.waiting import note_pause, raise_unless_completed, wait_for_end
from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.views import list_orders, order_status

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.tracking.advice import Terms
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.views import OrderStatus


def run(args: Namespace) -> None:
    """Do `orders list`, `orders show` or `orders wait`."""
    action = {"list": _list, "show": _show, "wait": _wait}[args.adi_action]
    settings = settings_of(args)
    with database_of(settings) as database:
        action(database, args, terms_of(settings))


def _list(database: Database, args: Namespace, terms: Terms) -> None:
    del terms
    if args.limit < 1:
        raise UsageError(f"--limit {args.limit} lists nothing. Give a number from 1 on.")
    state = OrderState(args.state) if args.state else None
    reports = list_orders(database, state=state, user=args.for_user, limit=args.limit)
    if any(report.state is OrderState.WAITING for report in reports):
        note_pause(database)
    if args.as_json:
        printing.as_json([report.as_json() for report in reports])
        return
    rows = [
        (each.uuid, each.state, each.user, each.target, each.attempt or None, _later(each), each.description) for each in reports
    ]
    heads = ("order", "state", "user", "target", "attempt", "next try", "description")
    printing.table(heads, rows, one_line=True)


def _later(report: OrderStatus) -> str | None:
    """Return the time of the next attempt, on another day with the day; None when that is not put off."""
    if report.next_try is None or report.next_try <= datetime.now(UTC):
        return None
    time = report.next_try.astimezone()
    return f"{time:%H:%M}" if time.date() == datetime.now().astimezone().date() else f"{time:%Y-%m-%d %H:%M}"


def _show(database: Database, args: Namespace, terms: Terms) -> None:
    report = order_status(database, args.uuid, terms=terms)
    if report.state is OrderState.WAITING:
        note_pause(database)
    print_report(report, as_json=args.as_json)


def _wait(database: Database, args: Namespace, terms: Terms) -> None:
    del terms  # when it has ended, its last stage says what to do
    if args.timeout is not None and not args.timeout >= 0:
        raise UsageError(f"--timeout {args.timeout} is no time to wait. Give seconds, 0 or more.")
    report = wait_for_end(database, args.uuid, timeout_seconds=args.timeout)
    print_report(report, as_json=args.as_json)
    raise_unless_completed(report)
