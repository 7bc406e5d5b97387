# SPDX-License-Identifier: GPL-2.0-or-later
"""Check: the subcommand that looks for what an administrator must see to, in the database, OMERO, podman and the settings."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from omero_adi_plugin._version import __version__
from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.readiness import readiness
from omero_adi_plugin.commands.using import config_of, database_of, database_url, settings_of
from omero_adi_plugin.errors import CheckFailed, ConfigurationError, OmeroDown, TryAgain
from omero_adi_plugin.grid.catalogue import REMEDY, any_there, difference, look
from omero_adi_plugin.grid.shipped import RUN_ORDERS
from omero_adi_plugin.pipeline.gate import server_account
from omero_adi_plugin.service.attempt import account
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.settings import Settings, find_file
from omero_adi_plugin.settings.catalogue import catalogue
from omero_adi_plugin.settings.exposure import exposed
from omero_adi_plugin.tracking import migrate
from omero_adi_plugin.tracking.check import Finding, Level, asked_containers, findings

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from omero_adi_plugin.pipeline.access import ServerAccount
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.tracking.check import Asked


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
    asked: list[Asked] = []
    with database_of(settings) as database:
        found = findings(
            database,
            migrate.current(database_url(settings)),
            pending_days=settings.pending_days,
            sweep_seconds=settings.sweep_seconds,
            trigger_wanted=settings.intake == "trigger",
        )
        if len(found) > 1:  # the tables are there
            asked = asked_containers(database, days=settings.pending_days)
    omero, server = _omero(settings)
    found += [*omero, *readiness(settings, asked, account=server), _settings(settings), _secrets(config_of(args))]
    if args.as_json:
        printing.as_json({"findings": [_as_json(finding) for finding in found]})
    else:
        rows = [(each.level, each.name, f"{each.words} {each.remedy}".rstrip()) for each in found]
        printing.table(("level", "check", "finding, and what to do"), rows)
    errors = sum(finding.level is Level.ERROR for finding in found)
    if errors:
        raise CheckFailed(findings=errors)


def _omero(settings: Settings) -> tuple[list[Finding], ServerAccount | None]:
    """Log in to OMERO as a service would, and look at our scripts there; return also which account runs OMERO.server."""
    try:
        with Logins(account(settings)) as logins:
            session = logins.service()
            answers = Finding(name="omero", level=Level.OK, words=f"OMERO at {settings.omero} lets '{settings.omero_user}' in.")
            return [answers, *_scripts(settings, session)], _server(settings, session)
    except OmeroDown as error:
        words = f"OMERO at {error.where} cannot be reached: {error.why}."
        remedy = "Check that it runs, and OMERO_HOST and OMERO_PORT."
    except ConfigurationError:
        words = f"OMERO at {settings.omero} does not let '{settings.omero_user}' in."
        remedy = "Correct OMERO_USER or OMERO_PASSWORD."
    return [Finding(name="omero", level=Level.ERROR, words=words, remedy=remedy)], None


def _server(settings: Settings, session: OmeroSession) -> ServerAccount | None:
    """Return the account that runs OMERO.server, where a converter may run: nobody else has to know."""
    if not settings.allowed_containers:
        return None
    with suppress(ConfigurationError, TryAgain):
        return server_account(session, settings)
    return None


def _scripts(settings: Settings, session: OmeroSession) -> list[Finding]:
    """Compare the scripts on OMERO with ours: nothing is said where none is there and none is needed."""
    try:
        found = look(session)
    except TryAgain as error:
        return [Finding(name="scripts", level=Level.WARNING, words=str(error), remedy="Check again.")]
    needed = settings.dispatch == "grid"
    if not needed and not any_there(found):
        return []
    words = difference(found, where=session.where)
    if words is None:
        words = f"The scripts on OMERO are those of version {__version__}, which runs here."
        return [Finding(name="scripts", level=Level.OK, words=words)]
    stuck = needed and any(each.ours.path == RUN_ORDERS and not each.runs for each in found)
    return [Finding(name="scripts", level=Level.ERROR if stuck else Level.WARNING, words=words, remedy=REMEDY)]


def _settings(settings: Settings) -> Finding:
    if not settings.legacy:
        return Finding(name="settings", level=Level.OK, words="The settings hold nothing without effect.")
    return Finding(
        name="settings",
        level=Level.WARNING,
        words=f"Keys of the former importer without effect: {', '.join(settings.legacy)}.",
        remedy="Remove them from the settings file.",
    )


def _secrets(config: Path | None) -> Finding:
    """Look for secrets that everybody on this host can read."""
    names = [f"'{file}'" for file in exposed(catalogue(Settings), find_file(config))]
    if not names:
        return Finding(name="secrets", level=Level.OK, words="No file with a secret is open to every account of this host.")
    those, hold = ", ".join(names), "hold secrets" if len(names) > 1 else "holds a secret"
    return Finding(
        name="secrets",
        level=Level.WARNING,
        words=f"{those} {hold}, and every account of this host can read it, that of users' scripts too.",
        remedy="Let nobody read it but the accounts that run the service and OMERO.server: `chmod o= FILE`.",
    )


def _as_json(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "level": finding.level, "finding": finding.words, "remedy": finding.remedy}
