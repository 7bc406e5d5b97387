# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracks: the two series of migrations, with a version table each, and which revisions there are.

contract  the two shared tables. Its last revision is the one that the importer before this one knows too, so that it could take
          the database back; a newer version of it has one more, which is left as it is.
plugin    our own tables, and the trigger on `imports`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import MetaData, inspect, text

import omero_adi_plugin
from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.tracking import contract, tables

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CONTRACT_HEAD = "78d3d6d84aec"
CONTRACT_FIRST = "5a0c7d19e3b2"
PLUGIN_HEAD = "f7a31c9e5b24"

CONTRACT_NEWER = "92e8f9e637a1"
"""Revision of a newer version of the former importer: it adds the column that the next constant names."""

NEWER_COLUMN = "import_options"

CONTRACT_REVISIONS = (CONTRACT_FIRST, CONTRACT_HEAD, CONTRACT_NEWER)
"""Those that we know, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One series of migrations.

    name:          the section of ``alembic.ini``.
    version_table: where the database says which revision it has.
    head:          the last revision.
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


CONTRACT = Track(
    name="contract",
    version_table="alembic_version_omeroadi",
    head=CONTRACT_HEAD,
    metadata=contract.Base.metadata,
)
PLUGIN = Track(
    name="plugin",
    version_table="alembic_version_omeroadi_plugin",
    head=PLUGIN_HEAD,
    metadata=tables.metadata,
)
TRACKS = {track.name: track for track in (CONTRACT, PLUGIN)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """What the database says of itself; None: this track was never applied."""

    contract: str | None
    plugin: str | None

    @property
    def needs_upgrade(self) -> bool:
        """Whether migrations are missing."""
        return self.contract not in {CONTRACT_HEAD, CONTRACT_NEWER} or self.plugin != PLUGIN_HEAD


def revisions(connection: Connection) -> Revisions:
    """Return which revisions a database has; takes no lock that anybody would notice."""
    return Revisions(contract=revision(connection, CONTRACT), plugin=revision(connection, PLUGIN))


def revision(connection: Connection, track: Track) -> str | None:
    """Return which revision a database has in one track; None without a version table, or with an empty one."""
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": track.version_table}).scalar() is None:
        return None
    return connection.execute(text(f"SELECT version_num FROM {track.version_table}")).scalar()  # noqa: S608 (a constant)


def record(connection: Connection, track: Track, revision: str) -> None:
    """Write a revision into the version table of a track, which has the form that Alembic gives it."""
    table = track.version_table
    column = f"version_num varchar(32) NOT NULL CONSTRAINT {table}_pkc PRIMARY KEY"
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {table} ({column})"))
    connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 (a constant)
    connection.execute(text(f"INSERT INTO {table} VALUES (:revision)"), {"revision": revision})  # noqa: S608 (a constant)


def our_tables(connection: Connection) -> tuple[str, ...]:
    """Return which of our own tables a database has, in alphabetical order."""
    return tuple(sorted(set(inspect(connection).get_table_names()) & set(PLUGIN.metadata.tables)))


def left_to_others(connection: Connection) -> str | None:
    """Return the revision of the shared tables when a newer version of the former importer gave it, else None."""
    found = revision(connection, CONTRACT)
    return found if found == CONTRACT_NEWER else None


def move(connection: Connection, track: Track, to: Literal["head", "base"]) -> None:
    """Run the migrations of a track, up or down, in the caller's transaction.

    Raises
    ------
    ConfigurationError
        The version table names a revision that is not known here.
    """
    from alembic import command  # noqa: PLC0415 (slow to load, and rarely needed)
    from alembic.config import Config  # noqa: PLC0415 (as above)
    from alembic.util.exc import CommandError  # noqa: PLC0415 (as above)

    folder = Path(omero_adi_plugin.__file__).parent / "migrations"
    config = Config(folder / "alembic.ini", ini_section=track.name, attributes={"connection": connection})
    run = command.upgrade if to == "head" else command.downgrade
    try:
        run(config, to)
    except CommandError as error:
        raise ConfigurationError(
            f"The version table `{track.version_table}` names a revision that is not known here ({error}). "
            "A newer program was at work on this database: install that one, or give OMERO ADI another database."
        ) from error
