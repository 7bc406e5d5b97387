# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders: the subcommands that tell what became of orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.using import database_of, settings_of
from omero_adi_plugin.commands.waiting import note_pause, raise_unless_completed, wait_for_end
from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.views import list_orders, order_status

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.views import OrderStatus


def run(args: Namespace) -> None:
    """Do `orders list`, `orders show` or `orders wait`."""
    action = {"list": _list, "show": _show, "wait": _wait}[args.adi_action]
    with database_of(settings_of(args)) as database:
        action(database, args)


def _list(database: Database, args: Namespace) -> None:
    if args.limit < 1:
        raise UsageError(f"--limit {args.limit} lists nothing. Give a number from 1 on.")
    state = OrderState(args.state) if args.state else None
    reports = list_orders(database, state=state, user=args.for_user, limit=args.limit)
    if any(report.state is OrderState.WAITING for report in reports):
        note_pause(database)
    if args.as_json:
        printing.as_json([report.as_json() for report in reports])
        return
    rows = [(report.uuid, report.state, report.user, report.target, report.description) for report in reports]
    printing.table(("order", "state", "user", "target", "description"), rows, one_line=True)


def _show(database: Database, args: Namespace) -> None:
    report = order_status(database, args.uuid)
    if report.state is OrderState.WAITING:
        note_pause(database)
    print_report(report, as_json=args.as_json)


def _wait(database: Database, args: Namespace) -> None:
    if args.timeout is not None and not args.timeout >= 0:
        raise UsageError(f"--timeout {args.timeout} is no time to wait. Give seconds, 0 or more.")
    report = wait_for_end(database, args.uuid, timeout_seconds=args.timeout)
    print_report(report, as_json=args.as_json)
    raise_unless_completed(report)


def print_report(report: OrderStatus, *, as_json: bool) -> None:
    """Print where one order stands.

    Parameters
    ----------
    report : OrderStatus
        With files, stages and actions.
    as_json : bool
        As contract 8 fixes it, for programs; else for people.
    """
    if as_json:
        printing.as_json(report.as_json())
        return
    facts = [
        ("state", report.state),
        ("stage", report.stage),
        ("description", report.description),
        ("user", report.user),
        ("group", report.group),
        ("target", report.target),
        ("attempt", report.attempt),
        ("next try", report.next_try),
        ("carried out by", report.lease_owner),
    ]
    printing.table(("order", report.uuid), [fact for fact in facts if fact[1] is not None])
    if report.stages:
        printing.line("")
        printing.table(("time", "stage", "description"), [(row.time, row.stage, row.description) for row in report.stages])
    if report.actions:
        printing.line("")
        rows = [(row.at, row.who, row.action, row.detail) for row in report.actions]
        printing.table(("time", "who", "action", "detail"), rows)
    if report.files:
        printing.line("")
        printing.table(
            ("step", "fileset", "images", "plates", "entry, or what is wrong with it"),
            [(file.step, file.fileset, _ids(file.images), _ids(file.plates), file.error or file.entry) for file in report.files],
        )


def _ids(ids: tuple[int, ...]) -> str:
    """Return ids as a person can take them in: the first few, and how many there are."""
    most = 8
    return " ".join(map(str, ids[:most])) + (f" … ({len(ids)})" if len(ids) > most else "")
