# SPDX-License-Identifier: GPL-2.0-or-later
"""What Alembic runs for either track: on the connection that the program hands over, or by hand on one of its own."""

import os
import sys

from alembic import context
from alembic.util.exc import CommandError
from sqlalchemy.engine import Connection

from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.tracking.migrate import exclusively
from omero_adi_plugin.tracking.tracks import TRACKS, left_to_others


def by_hand() -> None:
    """Run on the database that the environment names, as the `alembic` command does; not while a service migrates."""
    url = os.environ.get("INGEST_TRACKING_DB_URL") or os.environ.get("SQLALCHEMY_URL")
    if not url:
        raise CommandError("Which database? Set INGEST_TRACKING_DB_URL to postgresql://user:password@host:port/database.")
    try:
        with exclusively(url) as connection:
            if context.config.config_ini_section == "contract" and (newer := left_to_others(connection)):
                sys.stderr.write(f"The shared tables are at revision {newer} of another program; they are left as they are.\n")
            else:
                run_on(connection)
    except AdiError as error:
        raise CommandError(str(error)) from error


def run_on(connection: Connection) -> None:
    """Run the track that is named, limited to its own tables."""
    track = TRACKS[context.config.config_ini_section]
    context.configure(
        connection=connection,
        target_metadata=track.metadata,
        version_table=track.version_table,
        include_name=track.includes_name,
        include_object=track.includes,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    raise CommandError("The migrations look at the database as it is; they cannot be written out with --sql.")
if (given := context.config.attributes.get("connection")) is not None:
    run_on(given)
else:
    by_hand()
