# SPDX-License-Identifier: GPL-2.0-or-later
"""Trigger: what notes in the inbox, in a producer's own transaction, that an order is pending.

The first migration makes it. Afterwards it can get lost in a restore, be spoilt by one, be switched off by a person, or not be
wanted at all (`intake: scan`); each start of a service tends it. Orders are found without it too, only later, by the scan.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import text

from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_SQL = statements("trigger.sql")


class TriggerState(StrEnum):
    """What there is of the trigger on `imports`."""

    PRESENT = "present"
    MISSING = "missing"
    DISABLED = "disabled"  # by a person, for all that producers do: also when it is left on for replication alone
    BROKEN = "broken"  # it is there, but its function cannot write into the inbox, and says nothing of it


def state(connection: Connection) -> TriggerState:
    """Return what there is of the trigger on the `imports` that the search path of a connection leads to; takes no lock.

    Parameters
    ----------
    connection : Connection
        With a transaction.
    """
    found = connection.execute(_SQL["state"]).one_or_none()
    if found is None:
        return TriggerState.MISSING
    if not found.enabled:
        return TriggerState.DISABLED
    return TriggerState.PRESENT if found.works else TriggerState.BROKEN


def needs_tending(found: TriggerState, *, wanted: bool) -> bool:
    """Return whether `tend` would change anything: not when a person has switched off the trigger, who will have had a reason."""
    return found in {TriggerState.MISSING, TriggerState.BROKEN} if wanted else found is not TriggerState.MISSING


def tend(connection: Connection, *, wanted: bool) -> None:
    """Make the trigger, make it anew or drop it, as wanted; the function stays when the trigger goes.

    Parameters
    ----------
    connection : Connection
        With a transaction, on a database that has our tables.
    wanted : bool
        Whether services are to be told of orders by the trigger; else they look for them.
    """
    found = state(connection)
    if not needs_tending(found, wanted=wanted):
        return
    if found is not TriggerState.MISSING:
        connection.execute(_SQL["drop_trigger"])
    if wanted:
        _run(connection, "drop_function", "make_function", "make_trigger")


def remove(connection: Connection) -> bool:
    """Drop the trigger and its function, as far as they are there; return whether the trigger was.

    Parameters
    ----------
    connection : Connection
        With a transaction, on a database that has our tables.
    """
    there = state(connection) is not TriggerState.MISSING
    if there:
        connection.execute(_SQL["drop_trigger"])
    _run(connection, "drop_function")
    return there


def _run(connection: Connection, *names: str) -> None:
    """Run statements that name the schema of our tables: no value can be bound there."""
    schema = connection.execute(_SQL["schema"]).scalar_one()
    for name in names:
        connection.execute(text(_SQL[name].text.format(schema=schema)))
