# SPDX-License-Identifier: GPL-2.0-or-later
"""Pausing: the subcommands that keep services from beginning orders, and let them go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.person import who
from omero_adi_plugin.commands.using import database_of, settings_of
from omero_adi_plugin.tracking import pausing

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.pausing import Pause

LOOK_SECONDS = 0.5
"""How often to look whether everything has ended."""


def run(args: Namespace) -> None:
    """Do `pause` or `resume`.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C while `pause --drain` waits; the pause stays.
    """
    action = {"pause": _pause, "resume": _resume}[args.adi_action]
    with database_of(settings_of(args)) as database:
        action(database, args)


def _pause(database: Database, args: Namespace) -> None:
    pause, new = pausing.pause(database, who=who(), drain=args.drain)
    if not new:
        printing.note("Imports were paused already; that pause stays as it is.")
    running = pausing.count_running(database)
    if args.drain:
        _drain(database)
        running = 0
    elif running:
        printing.note(f"{_still(running)}, and will go on to the end. `omero adi pause --drain` has it given back soon.")
    if args.as_json:
        printing.as_json({**_facts(pause), "running": running})
    else:
        printing.line(pause.sentence)


def _drain(database: Database) -> None:
    """Wait until everything that ran is given back or has ended, and tell how much still runs whenever that changes."""
    said = 0
    try:
        while running := pausing.count_running(database):
            if running != said:
                printing.note(f"{_still(running)}.")
                said = running
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        printing.note("Imports stay paused, and what runs is given back by itself. `omero adi resume` ends the pause.")
        raise


def _resume(database: Database, args: Namespace) -> None:
    ended = pausing.resume(database, who=who())
    if args.as_json:
        printing.as_json({**_facts(None), "running": pausing.count_running(database)})
    elif ended is None:
        printing.line("Imports were not paused.")
    else:
        printing.line(f"Imports go on; they had been paused {ended}.")


def _facts(pause: Pause | None) -> dict[str, object]:
    if pause is None:
        return {"paused": False, "since": None, "by": None}
    return {"paused": True, "since": pause.since.isoformat(), "by": pause.by}


def _still(running: int) -> str:
    return "1 order is being carried out" if running == 1 else f"{running} orders are being carried out"
