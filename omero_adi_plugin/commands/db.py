# SPDX-License-Identifier: GPL-2.0-or-later
"""Db: the subcommands for the tables in the database."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.using import database_url, settings_of
from omero_adi_plugin.tracking import migrate
from omero_adi_plugin.tracking.detach import detach
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, CONTRACT_NEWER, PLUGIN_HEAD
from omero_adi_plugin.tracking.trigger import TriggerState, needs_tending

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.migrate import Condition

NOTHING = "nothing"


def run(args: Namespace) -> None:
    """Do `db upgrade`, `db current`, `db stamp` or `db detach`; all but the last print how the database stands then."""
    settings = settings_of(args)
    if args.adi_action == "detach":
        _detach(settings, as_json=args.as_json)
        return
    if args.adi_action == "upgrade":
        migrate.upgrade(database_url(settings), allow_stamp=settings.allow_auto_stamp, trigger=_wants_trigger(settings))
    elif args.adi_action == "stamp":
        migrate.stamp(database_url(settings), revision=args.revision)
    _current(settings, as_json=args.as_json)


def _wants_trigger(settings: Settings) -> bool:
    return settings.intake == "trigger"


def _current(settings: Settings, *, as_json: bool) -> None:
    found = migrate.condition(database_url(settings))
    wanted = _wants_trigger(settings)
    needs_upgrade = found.needs_upgrade(trigger=wanted)
    if as_json:
        revisions = dataclasses.asdict(found.revisions)
        printing.as_json({**revisions, "trigger": found.trigger.value, "needs_upgrade": needs_upgrade})
        return
    printing.table(("what", "now", "`db upgrade` would"), _steps(found, trigger_wanted=wanted))
    if found.likeness is not None:
        looks = found.likeness.revision or f"nothing known ({found.likeness.difference})"
        printing.note(f"The shared tables came without a version table. They look like: {looks}.")
    if needs_upgrade:
        printing.note("Not all is up to date: run `omero adi db upgrade`, or start a service.")
    elif found.trigger is TriggerState.DISABLED:
        printing.note(
            "The trigger on `imports` was switched off, so orders are noticed only by the scan. "
            "`ALTER TABLE imports ENABLE TRIGGER adi_note_pending` switches it on."
        )


def _steps(found: Condition, *, trigger_wanted: bool) -> list[tuple[str, str, str]]:
    """Return what there is, and what an upgrade would do about it."""
    known = found.revisions
    contract = NOTHING if known.contract in {CONTRACT_HEAD, CONTRACT_NEWER} else f"go to {CONTRACT_HEAD}"
    plugin = NOTHING if known.plugin == PLUGIN_HEAD else f"go to {PLUGIN_HEAD}"
    tended = needs_tending(found.trigger, wanted=trigger_wanted)
    trigger = NOTHING if not tended else "make it" if trigger_wanted else "drop it"
    return [
        ("contract", known.contract or "none", contract),
        ("plugin", known.plugin or "none", plugin),
        ("trigger", found.trigger.value, trigger),
    ]


def _detach(settings: Settings, *, as_json: bool) -> None:
    done = detach(database_url(settings))
    if as_json:
        printing.as_json(dataclasses.asdict(done))
        return
    if not done.tables:
        printing.line("The database has nothing of OMERO ADI; nothing was changed.")
        return
    rows = [("trigger", "dropped" if done.trigger else "there was none")]
    rows += [("tables dropped", " ".join(done.tables))]
    rows += [("orders left pending", str(len(done.pending)))]
    rows += [("orders failed", " ".join(done.failed) or "none")]
    printing.table(("what", "how"), rows)
