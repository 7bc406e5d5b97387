# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations: bring the tables up to date, in two tracks (see `tracks`), and tend the trigger.

Everything happens in one transaction under one advisory lock: two services may start at once, and one that dies leaves nothing
half done.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConfigurationError, NotPermitted, UsageError
from omero_adi_plugin.tracking import trigger as triggers
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.likeness import Likeness, likeness
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tracks import (
    CONTRACT,
    CONTRACT_FIRST,
    CONTRACT_HEAD,
    CONTRACT_NEWER,
    CONTRACT_REVISIONS,
    PLUGIN,
    Revisions,
    left_to_others,
    move,
    our_tables,
    record,
    revision,
    revisions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from omero_adi_plugin.tracking.trigger import TriggerState

LOCK_SECONDS = 10
"""How long to wait for a table that others write to. Behind a migration that waits, every producer's insert waits too."""

_SQL = statements("migrate.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a database stands.

    revisions: which migrations it has.
    trigger:   what there is of the trigger.
    likeness:  what the shared tables look like, when they are there without a version table.
    """

    revisions: Revisions
    trigger: TriggerState
    likeness: Likeness | None = None

    def needs_upgrade(self, *, trigger: bool) -> bool:
        """Return whether `upgrade` has something to do, where the trigger is wanted or not."""
        return self.revisions.needs_upgrade or triggers.needs_tending(self.trigger, wanted=trigger)


def condition(database_url: str) -> Condition:
    """Return how a database stands; changes nothing.

    Raises
    ------
    DatabaseDown
        It does not answer.
    NotPermitted
        The account may not read the version tables.
    """
    with _connected(database_url) as connection:
        found = revisions(connection)
        alike = likeness(connection) if found.contract is None else None
        return Condition(
            revisions=found,
            trigger=triggers.state(connection),
            likeness=alike if alike is not None and alike.present else None,
        )


def current(database_url: str) -> Revisions:
    """Return which revisions a database has.

    Raises
    ------
    DatabaseDown
        It does not answer.
    """
    with _connected(database_url) as connection:
        return revisions(connection)


def upgrade(database_url: str, *, allow_stamp: bool = False, trigger: bool = True) -> None:
    """Bring both tracks up to date and tend the trigger; does nothing, quickly and without a lock, when all is well.

    Shared tables that another program made without a version table are taken for what they look like.

    Parameters
    ----------
    database_url : str
        postgresql://…
    allow_stamp : bool
        Take such tables for up to date when they look like nothing known.
    trigger : bool
        Whether the trigger is wanted. If so, it is made anew when it is missing or spoilt; one that a person has switched off
        stays off. If not, it is dropped.

    Raises
    ------
    ConfigurationError
        The shared tables look like nothing known, ours came without their version table, or a version table names a revision
        that is not known.
    NotPermitted
        The account may not change the shared tables.
    DatabaseDown
        The database does not answer, or another program holds a lock on `imports` for long.
    """
    with _connected(database_url) as connection:
        if not Condition(revisions=revisions(connection), trigger=triggers.state(connection)).needs_upgrade(trigger=trigger):
            return
    with exclusively(database_url) as connection:
        _adopt(connection, allow_stamp=allow_stamp)
        if not left_to_others(connection):
            move(connection, CONTRACT, "head")
        refuse_unversioned(connection)
        move(connection, PLUGIN, "head")
        triggers.tend(connection, wanted=trigger)


def stamp(database_url: str, *, revision: str | None = None) -> str:
    """Say which revision the shared tables have; changes nothing else, and may be repeated.

    Parameters
    ----------
    database_url : str
        postgresql://…
    revision : str, optional
        One that is known; else the one that the tables look like.

    Returns
    -------
    str
        The revision that the version table names now.

    Raises
    ------
    UsageError
        `revision` is not known.
    ConfigurationError
        There are no such tables, or they look like nothing known and no revision was given.
    NotPermitted
        The account may not write the version table.
    DatabaseDown
        The database does not answer.
    """
    if revision is not None and revision not in CONTRACT_REVISIONS:
        raise UsageError(f"'{revision}' is no revision of the shared tables. Give one of {', '.join(CONTRACT_REVISIONS)}.")
    with exclusively(database_url) as connection:
        alike = likeness(connection)
        if not alike.present:
            raise ConfigurationError(
                "The database has no shared tables yet, so there is nothing to stamp. Run `omero adi db upgrade`."
            )
        _refuse_incomplete(alike)
        given = revision or alike.revision
        if given is None:
            raise ConfigurationError(
                f"The shared tables look like no revision that is known: {alike.difference}. "
                f"If they are those of an importer, name one: `omero adi db stamp --revision {CONTRACT_HEAD}`."
            )
        record(connection, CONTRACT, given)
        return given


def refuse_unversioned(connection: Connection) -> None:
    """Raise ConfigurationError when tables of ours came without their version table: nobody can tell how old they are."""
    if revision(connection, PLUGIN) is None and (found := our_tables(connection)):
        raise ConfigurationError(
            f"The database has our tables {', '.join(found)}, but `{PLUGIN.version_table}` is missing or empty, as after a "
            "restore of some of the tables. Restore that too; or drop ours: services then begin anew with what is pending."
        )


@contextlib.contextmanager
def exclusively(database_url: str) -> Iterator[Connection]:
    """Give a connection with a transaction that no other migration runs beside, and that waits for no table for long.

    Raises
    ------
    NotPermitted
        The account may not do what the body wanted to.
    DatabaseDown
        The database does not answer, or another program holds a lock for long.
    """
    with _connected(database_url) as connection:
        connection.execute(_SQL["lock"])
        connection.execute(_SQL["limit_waiting"], {"milliseconds": str(LOCK_SECONDS * 1000)})
        yield connection


@contextlib.contextmanager
def _connected(database_url: str) -> Iterator[Connection]:
    database = Database(database_url, name="omero-adi migrations")
    try:
        with database.begin() as connection:
            yield connection
    except NotPermitted as error:
        raise NotPermitted(
            f"{error} Only the owner of `imports` may change the tables: run `omero adi db upgrade` (or `stamp`, or `detach`) "
            "once with INGEST_TRACKING_DB_URL naming that account."
        ) from error
    finally:
        database.close()


def _adopt(connection: Connection, *, allow_stamp: bool) -> None:
    """Give shared tables of another program the revision that they look like; none if there are no such tables."""
    recorded = revision(connection, CONTRACT)
    if recorded in {CONTRACT_FIRST, CONTRACT_NEWER}:
        return
    alike = likeness(connection)
    if not alike.present:
        return
    # With ADI_ALLOW_AUTO_STAMP the former importer stamps first tables as up to date: what they look like is believed, not that.
    if recorded is not None and alike.revision != CONTRACT_FIRST:
        return  # up to date; or not known here, which is for `move` to refuse
    _refuse_incomplete(alike)
    given = alike.revision or (CONTRACT_HEAD if allow_stamp else None)
    if given is None:
        raise ConfigurationError(
            f"The database has tables {', '.join(alike.present)} of unknown origin, without a version table: {alike.difference}. "
            f"If they are those of an importer, run `omero adi db stamp --revision {CONTRACT_HEAD}`, or set "
            "ADI_ALLOW_AUTO_STAMP=1 for one start; else give OMERO ADI another database."
        )
    record(connection, CONTRACT, given)


def _refuse_incomplete(alike: Likeness) -> None:
    if not alike.complete:
        raise ConfigurationError(
            f"Of the shared tables only {', '.join(alike.present)} is there. Restore the database from a backup, or drop that "
            "table if nothing is in it."
        )
