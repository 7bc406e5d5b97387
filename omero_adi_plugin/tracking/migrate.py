# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations: bring the tables up to date, in two tracks with a version table each.

contract  the two shared tables. Its last revision is the one that the importer before this one knows too, so that it could take
          the database back; a newer version of it has one more, which is left as it is.
plugin    our own tables, and the trigger on `imports`.

Everything happens in one transaction under one advisory lock: two services may start at once, and one that dies leaves nothing
half done.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2.errors
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.exc import DBAPIError

import omero_adi_plugin
from omero_adi_plugin.errors import ConfigurationError, NotPermitted
from omero_adi_plugin.tracking import contract, tables
from omero_adi_plugin.tracking.database import Database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CONTRACT_HEAD = "78d3d6d84aec"
CONTRACT_FIRST = "5a0c7d19e3b2"
PLUGIN_HEAD = "8c41d0b7e2f6"

CONTRACT_NEWER = "92e8f9e637a1"
"""Revision of a newer version of the former importer: it adds the column that the next constant names."""

NEWER_COLUMN = "import_options"

LOCK_SECONDS = 10
"""How long to wait for a table that others write to. Behind a migration that waits, every producer's insert waits too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One series of migrations.

    name:          the section of ``alembic.ini``.
    version_table: where the database says which revision it has.
    metadata:      the tables as they should be.
    """

    name: str
    version_table: str
    head: str
    metadata: MetaData

    def includes_name(self, name: str | None, kind: str, parents: Any) -> bool:  # noqa: ANN401 (a mapping whose type Alembic keeps private)
        """Tell Alembic which tables to look at: those of this track alone."""
        del parents
        return kind != "table" or name in self.metadata.tables

    def includes(self, thing: Any, name: str | None, kind: str, reflected: bool, twin: Any) -> bool:  # noqa: ANN401, FBT001 (Alembic's own signature)
        """Tell Alembic what to compare: not the index of ours on a shared table, nor the column of the newer importer."""
        del thing, twin
        if kind == "table":
            return name in self.metadata.tables
        theirs = kind == "column" and name == NEWER_COLUMN
        ours = kind == "index" and self.name == "contract" and (name or "").startswith("adi_")
        return not (reflected and (theirs or ours))


TRACKS = {
    track.name: track
    for track in (
        Track(
            name="contract",
            version_table="alembic_version_omeroadi",
            head=CONTRACT_HEAD,
            metadata=contract.Base.metadata,
        ),
        Track(name="plugin", version_table="alembic_version_omeroadi_plugin", head=PLUGIN_HEAD, metadata=tables.metadata),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """What the database says of itself; None: this track was never applied."""

    contract: str | None
    plugin: str | None

    @property
    def needs_upgrade(self) -> bool:
        """Whether `upgrade` has something to do."""
        return self.contract not in {CONTRACT_HEAD, CONTRACT_NEWER} or self.plugin != PLUGIN_HEAD


def current(database_url: str) -> Revisions:
    """Return which revisions a database has.

    Raises
    ------
    DatabaseDown
        It does not answer.
    """
    database = Database(database_url, name="omero-adi migrations")
    try:
        with database.begin() as connection:
            return _revisions(connection)
    finally:
        database.close()


def needs_upgrade(database_url: str) -> bool:
    """Return whether `upgrade` would change anything.

    Raises
    ------
    DatabaseDown
        The database does not answer.
    """
    return current(database_url).needs_upgrade


def upgrade(database_url: str) -> None:
    """Bring both tracks up to date; does nothing, quickly, when they are.

    Shared tables that another program made without a version table are taken for what they look like. When they look like nothing
    known, the environment variable ``ADI_ALLOW_AUTO_STAMP=1`` says to take them for up to date.

    Raises
    ------
    ConfigurationError
        The shared tables look like nothing known, or a version table names a revision that is not known.
    NotPermitted
        The account may not change the shared tables.
    DatabaseDown
        The database does not answer, or another program holds a lock on `imports` for long.
    """
    database = Database(database_url, name="omero-adi migrations")
    try:
        with database.begin() as connection:
            if not _revisions(connection).needs_upgrade:
                return
        with database.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('omeroadi_migrations'))"))
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            _adopt(connection, _revision(connection, TRACKS["contract"]))
            if not left_to_others(connection):
                _apply(connection, TRACKS["contract"])
            _apply(connection, TRACKS["plugin"])
    except DBAPIError as error:
        if isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
            raise NotPermitted(
                f"The database account may not change the tables ({str(error.orig).strip()}). Run `omero adi db upgrade` "
                "once with INGEST_TRACKING_DB_URL naming the owner of `imports`."
            ) from error
        raise
    finally:
        database.close()


def left_to_others(connection: Connection) -> str | None:
    """Return the revision of the shared tables when a newer version of the former importer gave it, else None."""
    revision = _revision(connection, TRACKS["contract"])
    return revision if revision == CONTRACT_NEWER else None


def _revisions(connection: Connection) -> Revisions:
    return Revisions(**{name: _revision(connection, track) for name, track in TRACKS.items()})


def _revision(connection: Connection, track: Track) -> str | None:
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": track.version_table}).scalar() is None:
        return None
    return connection.execute(text(f"SELECT version_num FROM {track.version_table}")).scalar()  # noqa: S608 (a constant)


def _adopt(connection: Connection, recorded: str | None) -> None:
    """Give shared tables of another program the revision that they look like; none if there are no such tables."""
    present = set(inspect(connection).get_table_names()) & set(TRACKS["contract"].metadata.tables)
    if not present or recorded in {CONTRACT_FIRST, CONTRACT_HEAD, CONTRACT_NEWER}:
        return
    revision, difference = _likeness(connection)
    if recorded is not None and revision != CONTRACT_FIRST:
        return  # a revision that is not known here, and no older one: it is for `_apply` to refuse
    if revision is None and os.environ.get("ADI_ALLOW_AUTO_STAMP") == "1":
        revision = CONTRACT_HEAD
    if revision is None:
        raise ConfigurationError(
            f"The database has tables {', '.join(sorted(present))} of unknown origin, without a version table: {difference}. "
            "If they are those of an importer, set ADI_ALLOW_AUTO_STAMP=1 for one start; else give OMERO ADI another database."
        )
    _stamp(connection, revision)


def _stamp(connection: Connection, revision: str) -> None:
    """Write into the version table of the shared tables, in the form that Alembic gives it."""
    table = TRACKS["contract"].version_table
    column = f"version_num varchar(32) NOT NULL CONSTRAINT {table}_pkc PRIMARY KEY"
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {table} ({column})"))
    connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 (a constant)
    connection.execute(text(f"INSERT INTO {table} VALUES (:revision)"), {"revision": revision})  # noqa: S608 (a constant)


def _likeness(connection: Connection) -> tuple[str | None, str]:
    """Return the revision that the shared tables look like; None and the first difference when they look like none."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 (slow to load, and rarely needed)
    from alembic.migration import MigrationContext  # noqa: PLC0415 (as above)

    track = TRACKS["contract"]
    options = {"include_name": track.includes_name, "include_object": track.includes, "compare_type": True}
    differences = compare_metadata(MigrationContext.configure(connection, opts=options), track.metadata)
    columns = {column["name"] for column in inspect(connection).get_columns("imports")} if not differences else set()
    if not differences:
        return (CONTRACT_NEWER if NEWER_COLUMN in columns else CONTRACT_HEAD), ""
    first = differences[0]
    lacks_description = len(differences) == 1 and first[0] == "add_column" and first[3].name == "description"
    return (CONTRACT_FIRST if lacks_description else None), f"{first!r:.200}"


def _apply(connection: Connection, track: Track) -> None:
    """Run the migrations that are missing, on a connection with a transaction."""
    from alembic import command  # noqa: PLC0415 (slow to load, and rarely needed)
    from alembic.config import Config  # noqa: PLC0415 (as above)
    from alembic.util.exc import CommandError  # noqa: PLC0415 (as above)

    folder = Path(omero_adi_plugin.__file__).parent / "migrations"
    config = Config(folder / "alembic.ini", ini_section=track.name, attributes={"connection": connection})
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigurationError(
            f"The version table `{track.version_table}` names a revision that is not known here ({error}). "
            "A newer program was at work on this database: install that one, or give OMERO ADI another database."
        ) from error
