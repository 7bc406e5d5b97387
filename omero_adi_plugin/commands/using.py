# SPDX-License-Identifier: GPL-2.0-or-later
"""Using: what subcommands work with, made from their arguments: the settings, and the database for as long as it is needed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.catalogue import FILE_SUFFIX, catalogue
from omero_adi_plugin.settings.checking import file_keys, unknown_key
from omero_adi_plugin.tracking.advice import Terms
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import limits_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator


def settings_of(args: Namespace) -> Settings:
    """Read the settings, from the file that `--config` names if it was given; what `--set` says goes over all else.

    Raises
    ------
    UsageError
        A `--set` names no setting, or a secret.
    ConfigurationError
        There is something wrong with the settings.
    """
    return Settings.load(config_of(args), **given_of(args))


def settings_without_database(args: Namespace) -> tuple[Settings, frozenset[str]]:
    """Read the settings for what needs no database, and say which of them somebody has set; raises as `settings_of`."""
    return Settings.load_without_database(config_of(args), **given_of(args))


def config_of(args: Namespace) -> Path | None:
    """Return the settings file that `--config` names."""
    return Path(args.config) if args.config else None


def given_of(args: Namespace) -> dict[str, str]:
    """Return the settings that were given by `--set KEY=VALUE`, the last one of a key.

    Raises
    ------
    UsageError
        One is not of this form, names no setting, or names a secret.
    """
    known = catalogue(Settings)
    given = {}
    for word in args.given or ():
        key, _, value = word.partition("=")
        if not key or not value:
            # What was written is not repeated: somebody may have written a password.
            raise UsageError("--set needs KEY=VALUE, without spaces around the equals sign, as in --set max_workers=8.")
        if key not in known and key not in file_keys(known):
            raise UsageError(unknown_key(key, "--set", known).message)
        if key in known and known[key].secret:
            raise UsageError(
                f"--set cannot give `{key}`, because everybody on this host sees the arguments of a command. "
                f"Set {known[key].variables[0]} in the environment, or name a file that holds it: --set {key}{FILE_SUFFIX}=FILE."
            )
        given[key] = value
    return given


def terms_of(settings: Settings) -> Terms:
    """Return what the settings say that matters for advice on an order."""
    return Terms(
        limits=limits_of(settings),
        lease_seconds=settings.lease_seconds,
        pending_days=settings.pending_days,
        keep_days=settings.keep_days,
    )


def database_url(settings: Settings) -> str:
    """Return the URL of the tracking database, with its password: not for printing."""
    return settings.ingest_tracking_db.get_secret_value()


@contextlib.contextmanager
def database_of(settings: Settings) -> Iterator[Database]:
    """Open the tracking database for a command, and close it afterwards."""
    database = Database(database_url(settings), name="adi command")
    try:
        yield database
    finally:
        database.close()
