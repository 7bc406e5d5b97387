# SPDX-License-Identifier: GPL-2.0-or-later
"""Check: the subcommand that looks for what an administrator must see to, in the database, OMERO and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.using import database_of, database_url, settings_of
from omero_adi_plugin.errors import CheckFailed, ConfigurationError, OmeroDown
from omero_adi_plugin.service.attempt import account
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking import migrate
from omero_adi_plugin.tracking.check import Finding, Level, findings

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.settings import Settings


def run(args: Namespace) -> None:
    """Print what was looked at and what was found.

    Raises
    ------
    CheckFailed
        There is something that a person must see to; warnings alone are not.
    DatabaseDown
        PostgreSQL is not there; nothing was printed.
    """
    settings = settings_of(args)
    with database_of(settings) as database:
        found = findings(
            database,
            migrate.current(database_url(settings)),
            pending_days=settings.pending_days,
            sweep_seconds=settings.sweep_seconds,
            trigger_wanted=settings.intake == "trigger",
        )
    found += [_omero(settings), _settings(settings)]
    if args.as_json:
        printing.as_json({"findings": [_as_json(finding) for finding in found]})
    else:
        rows = [(each.level, each.name, f"{each.words} {each.remedy}".rstrip()) for each in found]
        printing.table(("level", "check", "finding, and what to do"), rows)
    errors = sum(finding.level is Level.ERROR for finding in found)
    if errors:
        raise CheckFailed(findings=errors)


def _omero(settings: Settings) -> Finding:
    """Log in to OMERO as a service would."""
    try:
        with Logins(account(settings)) as logins:
            logins.service()
    except OmeroDown as error:
        return Finding(
            name="omero",
            level=Level.ERROR,
            words=f"OMERO at {error.where} cannot be reached: {error.why}.",
            remedy="Check that it runs, and OMERO_HOST and OMERO_PORT.",
        )
    except ConfigurationError:
        return Finding(
            name="omero",
            level=Level.ERROR,
            words=f"OMERO at {settings.omero} does not let '{settings.omero_user}' in.",
            remedy="Correct OMERO_USER or OMERO_PASSWORD.",
        )
    return Finding(name="omero", level=Level.OK, words=f"OMERO at {settings.omero} lets '{settings.omero_user}' in.")


def _settings(settings: Settings) -> Finding:
    if not settings.legacy:
        return Finding(name="settings", level=Level.OK, words="The settings hold nothing without effect.")
    return Finding(
        name="settings",
        level=Level.WARNING,
        words=f"Keys of the former importer without effect: {', '.join(settings.legacy)}.",
        remedy="Remove them from the settings file.",
    )


def _as_json(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "level": finding.level, "finding": finding.words, "remedy": finding.remedy}
