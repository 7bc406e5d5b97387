# SPDX-License-Identifier: GPL-2.0-or-later
"""Pausing: keep all services on all hosts from beginning orders, for as long as OMERO or a disk is worked on.

The pause is in the database: it outlives restarts, and holds for services that start meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import ImportsPaused
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import Action

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.tracking.database import Database

_SQL = statements("pausing.sql")
_QUEUE = statements("queue.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of all imports.

    since: with time zone, by the clock of the database.
    by:    ``name@host`` of the person.
    """

    since: datetime
    by: str

    @property
    def sentence(self) -> str:
        """What to tell whoever it concerns."""
        return f"All imports are paused {self}. `omero adi resume` lets them go on."

    def __str__(self) -> str:
        return f"since {self.since.astimezone():%Y-%m-%d %H:%M %Z} by {self.by}"


def pause(database: Database, *, who: str, drain: bool = False) -> tuple[Pause, bool]:
    """Pause all imports: no order is begun any more once this has returned. Those that are being carried out go on.

    Parameters
    ----------
    database : Database
        With our tables.
    who : str
        ``name@host`` of the person.
    drain : bool
        Have those that are being carried out given back as well, when the filesets that are just being imported are in.

    Returns
    -------
    Pause
        The one that holds now.
    bool
        Whether it is new; False: imports were paused already, and that pause stays as it was.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there.
    """
    with database.begin() as connection:
        connection.execute(_QUEUE["one_by_one"])  # a claim that was just being made has been made by then
        row = connection.execute(_SQL["pause"], {"who": audit.storable(who)}).one_or_none()
        if drain:
            connection.execute(_SQL["drain"])
        if row is None:
            return _pause(connection.execute(_SQL["standing"]).one()), False
        audit.act(connection, Action.PAUSED, who=who)
        return _pause(row), True


def resume(database: Database, *, who: str) -> Pause | None:
    """Let all imports go on, at once; return the pause that has ended, None if there was none.

    Parameters
    ----------
    database : Database
        With our tables.
    who : str
        ``name@host`` of the person.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there.
    """
    with database.begin() as connection:
        row = connection.execute(_SQL["resume"]).one_or_none()
        if row is None:
            return None
        ended = _pause(row)
        audit.act(connection, Action.RESUMED, who=who, detail=f"paused {ended}")
        connection.execute(_QUEUE["wake_claimers"])
        return ended


def standing_pause(database: Database) -> Pause | None:
    """Return the pause that holds, None if imports are not paused."""
    with database.begin() as connection:
        return pause_of(connection)


def pause_of(connection: Connection) -> Pause | None:
    """Return the pause that holds, None if imports are not paused, in the caller's transaction."""
    row = connection.execute(_SQL["standing"]).one_or_none()
    return None if row is None else _pause(row)


def raise_if_paused(connection: Connection) -> None:
    """Return if imports may begin, as far as the caller's transaction sees.

    Raises
    ------
    ImportsPaused
        Somebody has paused all imports.
    """
    pause = pause_of(connection)
    if pause is not None:
        raise ImportsPaused(pause.sentence)


def count_running(database: Database) -> int:
    """Return how many orders are being carried out; once none is while imports are paused, this stays so."""
    with database.begin() as connection:
        return int(connection.execute(_SQL["running"]).scalar_one())


def _pause(row: Row[Any]) -> Pause:
    return Pause(since=row.paused_at, by=row.paused_by)
