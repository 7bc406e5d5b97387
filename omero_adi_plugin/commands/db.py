# SPDX-License-Identifier: GPL-2.0-or-later
"""Db: the subcommands for the tables in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.using import database_url, settings_of
from omero_adi_plugin.tracking import migrate

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    """Do `db upgrade` or `db current`; both print the revisions that the database has then."""
    url = database_url(settings_of(args))
    if args.adi_action == "upgrade":
        migrate.upgrade(url)
    revisions = migrate.current(url)
    if args.as_json:
        printing.as_json({"contract": revisions.contract, "plugin": revisions.plugin})
        return
    rows = [("contract", revisions.contract), ("plugin", revisions.plugin)]
    printing.table(("track", "revision"), [(track, revision or "none") for track, revision in rows])
    if revisions.needs_upgrade:
        printing.note("The tables are not up to date: run `omero adi db upgrade`, or start a service.")
