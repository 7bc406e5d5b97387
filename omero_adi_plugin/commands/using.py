# SPDX-License-Identifier: GPL-2.0-or-later
"""Using: what subcommands work with, made from their arguments: the settings, and the database for as long as it is needed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator


def settings_of(args: Namespace) -> Settings:
    """Read the settings, from the file that `--config` names if it was given.

    Raises
    ------
    ConfigurationError
        There is something wrong with them.
    """
    return Settings.load(Path(args.config) if args.config else None)


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
