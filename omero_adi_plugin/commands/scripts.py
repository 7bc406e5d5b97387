# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts: the subcommands for our scripts on OMERO. They need no tracking database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.using import settings_of
from omero_adi_plugin.grid.catalogue import Condition, look
from omero_adi_plugin.grid.installing import Done, install, remove
from omero_adi_plugin.service.attempt import account
from omero_adi_plugin.sessions import Logins

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.grid.catalogue import Found
    from omero_adi_plugin.grid.installing import Change
    from omero_adi_plugin.sessions import OmeroSession


def run(args: Namespace) -> None:
    """Do `scripts install`, `scripts status` or `scripts remove`, as the account that the settings name."""
    with Logins(account(settings_of(args))) as logins:
        session = logins.service()
        if args.adi_action == "status":
            _status(session, as_json=args.as_json)
        else:
            _change(session, args.adi_action, as_json=args.as_json)


def _status(session: OmeroSession, *, as_json: bool) -> None:
    found = look(session)
    up_to_date = all(each.condition is Condition.SAME for each in found)
    if as_json:
        scripts = [_described(each) | {"id": each.script, "condition": each.condition} for each in found]
        printing.as_json({"omero": session.where, "up_to_date": up_to_date, "scripts": scripts})
        return
    rows = [(each.ours.name, each, each.ours.version) for each in found]
    printing.table(("script", "on the server", "this package"), rows)
    if not up_to_date:
        printing.note("`omero adi scripts install` brings them up to date.")


def _change(session: OmeroSession, action: str, *, as_json: bool) -> None:
    """Install or remove; each line is printed when it is true, so that it is known how far it came."""
    changes = []
    for change in (install if action == "install" else remove)(session):
        changes.append(change)
        if not as_json:
            printing.line(_line(change))
    if as_json:
        scripts = [_described(each.before) | {"id": each.script, "done": each.done, "why": each.why} for each in changes]
        printing.as_json({"omero": session.where, "scripts": scripts})


def _line(change: Change) -> str:
    """Say what was done: `Import_Files.py: replaced 0.1.0 by 0.2.0`."""
    before, done = change.before, str(change.done)
    if change.done is Done.REPLACED and before.condition is Condition.DIFFERS:
        done = f"{done} {before.version or 'what was there'} by {before.ours.version}"
    elif change.done in {Done.INSTALLED, Done.REPLACED}:
        done = f"{done} {before.ours.version}"
    return f"{before.ours.name}: {done}{'. ' if change.why else ''}{change.why}"


def _described(found: Found) -> dict[str, Any]:
    return {
        "script": found.ours.name,
        "path": found.ours.path,
        "version": found.ours.version,
        "version_on_server": found.version,
    }
