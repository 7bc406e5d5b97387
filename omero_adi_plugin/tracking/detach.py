# SPDX-License-Identifier: GPL-2.0-or-later
"""Detach: give a database back, so that the former importer can carry on with it.

What is ours goes, the trigger first; the shared tables and their version table stay. The former importer takes up what is
pending and knows nothing of what is in OMERO already: so orders that we had begun are failed, and all others that wait are left
pending.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ServicesRunning
from omero_adi_plugin.stages import STAGE_INGEST_FAILED, STAGE_NEW_ORDER
from omero_adi_plugin.tracking import audit, trigger
from omero_adi_plugin.tracking.migrate import exclusively, refuse_unversioned
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.status import SILENT_SECONDS
from omero_adi_plugin.tracking.tracks import PLUGIN, move, our_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, Row

MOST_NAMED = 5
"""How many services, orders or filesets a sentence names."""

_SQL = statements("detach.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """What `detach` did.

    trigger: whether there was one to drop.
    tables:  names of the tables that were dropped; none: the database had nothing of ours.
    pending: uuids of the orders that the former importer will carry out.
    failed:  uuids of the orders that were begun here, and failed for a person to look after.
    """

    trigger: bool = False
    tables: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def detach(database_url: str) -> Detached:
    """Take everything of ours off a database, all or nothing; `migrate.upgrade` takes the database over again.

    Parameters
    ----------
    database_url : str
        postgresql://…

    Raises
    ------
    ServicesRunning
        An order is being carried out, or a service is connected or was heard of just now. Nothing was changed.
    ConfigurationError
        A newer program was at work on our tables, or they came without their version table.
    NotPermitted
        The account may not drop them.
    DatabaseDown
        The database does not answer, or another program holds a lock for long.
    """
    with exclusively(database_url) as connection:
        if not our_tables(connection):
            return Detached()
        refuse_unversioned(connection)
        _refuse_while_in_use(connection)  # before producers have to wait for our locks
        had_trigger = trigger.remove(connection)
        connection.execute(_SQL["stop_claims"])
        _refuse_while_in_use(connection)  # again: an order may have been claimed just before that
        pending, failed = _hand_over(connection)
        tables = our_tables(connection)
        move(connection, PLUGIN, "base")
        connection.execute(_SQL["drop_version_table"])
    return Detached(trigger=had_trigger, tables=tables, pending=pending, failed=failed)


def _refuse_while_in_use(connection: Connection) -> None:
    who = [f"'{each.application_name}' (pid {each.pid}, from {each.host})" for each in connection.execute(_SQL["connections"])]
    if "adi_service" in our_tables(connection):  # an older version has none
        said = connection.execute(_SQL["services"], {"silent_seconds": SILENT_SECONDS})
        who += [f"service {each.host}:{each.pid}, which said so within the last {SILENT_SECONDS} s" for each in said]
    who += [f"order '{each.uuid}' is carried out by {each.lease_owner}" for each in connection.execute(_SQL["running"])]
    if who:
        raise ServicesRunning(who=_listed(who))


def _hand_over(connection: Connection) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Append what makes the former importer do the right thing; return the orders left to it, and those that were failed."""
    pending, failed = [], []
    forgotten: set[str] = set()
    if "adi_attempt" in our_tables(connection):
        forgotten.update(connection.execute(_SQL["forgotten"]).scalars())
    for order in connection.execute(_SQL["unfinished"]).all():
        begun = order.begun or order.uuid in forgotten
        if begun and (order.open or order.stage == STAGE_NEW_ORDER):
            audit.append(connection, imports_id=order.imports_id, stage=STAGE_INGEST_FAILED, description=_begun(order))
            failed.append(order.uuid)
        elif not begun and order.stage == STAGE_NEW_ORDER:
            pending.append(order.uuid)
        elif not begun and order.known:
            audit.append(
                connection,
                imports_id=order.imports_id,
                stage=STAGE_NEW_ORDER,
                description="waited when the importer was exchanged; nothing of it was in OMERO",
            )
            pending.append(order.uuid)
    return tuple(pending), tuple(failed)


def _begun(order: Row[tuple[object, ...]]) -> str:
    what = (
        f"It had brought Fileset {_listed([str(fileset) for fileset in order.filesets])} into OMERO"
        if order.filesets
        else "Something of it may be in OMERO"
    )
    return f"The importer was exchanged while this order was under way. {what}: look there, then order again what is missing."


def _listed(things: Sequence[str]) -> str:
    """Return the first few of some things as words, and how many more there are."""
    more = len(things) - MOST_NAMED
    return ", ".join(things[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
