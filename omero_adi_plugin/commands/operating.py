# SPDX-License-Identifier: GPL-2.0-or-later
"""Operating: the subcommands that order an order again and that call one off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.person import who
from omero_adi_plugin.commands.report import print_report
from omero_adi_plugin.commands.using import database_of, settings_of, terms_of
from omero_adi_plugin.commands.waiting import note_pause
from omero_adi_plugin.tracking import operating
from omero_adi_plugin.tracking.views import order_status

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.tracking.database import Database


def run(args: Namespace) -> None:
    """Do `orders retry` or `orders cancel`; with `--json` print where the order stands then.

    Raises
    ------
    OrderNotFound, OrderBusy, OrderEnded
        It cannot be done; nothing was changed.
    """
    action = {"retry": _retry, "cancel": _cancel}[args.adi_action]
    settings = settings_of(args)
    with database_of(settings) as database:
        words = action(database, args)
        if args.as_json:
            print_report(order_status(database, args.uuid, terms=terms_of(settings)), as_json=True)
        else:
            printing.line(words)


def _retry(database: Database, args: Namespace) -> str:
    done = operating.retry(database, args.uuid, who=who(), again=args.again)
    note_pause(database)
    if args.again:
        printing.note("What was imported and is not visible in OMERO any more is imported again.")
    if done.waited:
        return f"order {args.uuid} was waiting, and gets its next attempt at once"
    return f"order {args.uuid} is ordered again"


def _cancel(database: Database, args: Namespace) -> str:
    done = operating.cancel(database, args.uuid, who=who())
    if done.ended:
        return f"order {args.uuid} is cancelled"
    if done.owner:
        return f"order {args.uuid} is being carried out by {done.owner}, which ends it at the next safe point"
    note_pause(database)
    return f"order {args.uuid} was begun before: a service removes what is half imported, and ends it then"
