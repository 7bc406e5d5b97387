# SPDX-License-Identifier: GPL-2.0-or-later
"""Submit: order an import, as a producer does, or order and claim it in one step, for a command that does the work itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.orders import Claim, Lease, OrderText
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.queue import raise_if_paused
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from omero_adi_plugin.orders import Target
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.queue import Queue

UUID_LENGTH = 36
"""Width of the column `imports.uuid`."""

_SQL = statements("submit.sql")


def submit_order(
    database: Database,
    *,
    user: str,
    group: str,
    target: Target,
    files: Sequence[str],
    file_names: Sequence[str] = (),
    uuid: str | None = None,
    description: str | None = None,
) -> str:
    """Order an import.

    Parameters
    ----------
    database : Database
        With the shared tables in it.
    user, group : str
        OMERO login and group name.
    target : Target
        Existing Dataset or Screen.
    files, file_names : sequence of str
        Absolute paths; a name for each, or none.
    uuid : str, optional
        Of the order; that of an earlier order runs it again. None: a new one.
    description : str, optional
        For people.

    Returns
    -------
    str
        The uuid of the order.

    Raises
    ------
    UsageError
        `uuid` is too long for the shared table.
    DatabaseDown
        PostgreSQL is not there.
    """
    text = _text(user, group, target, files, file_names, uuid)
    with database.begin() as connection:
        _append(connection, text, description)
    return text.uuid


def submit_claimed(
    database: Database,
    queue: Queue,
    *,
    user: str,
    group: str,
    target: Target,
    files: Sequence[str],
    file_names: Sequence[str] = (),
    uuid: str | None = None,
    description: str | None = None,
    owner: str,
) -> Claim:
    """Order an import that the caller carries out itself: the order appears with a lease on it, and no service takes it.

    Parameters
    ----------
    database, user, group, target, files, file_names, uuid, description
        As for `submit_order`.
    queue : Queue
        Says how long the lease is; the caller must extend it.
    owner : str
        ``host:pid`` of the caller.

    Raises
    ------
    UsageError
        `uuid` is too long, or that order is just now being carried out.
    ImportsPaused
        Somebody has paused all imports; nothing is ordered.
    DatabaseDown
        PostgreSQL is not there.
    """
    text = _text(user, group, target, files, file_names, uuid)
    with database.begin() as connection:
        raise_if_paused(connection)
        imports_id = _append(connection, text, description)
        connection.execute(_SQL["drop_event"], {"uuid": text.uuid})  # before the queue's row, as intake locks them
        values = {"uuid": text.uuid, "imports_id": imports_id, "user": text.user, "group": text.group}
        row = connection.execute(_SQL["claim"], {**values, "owner": owner, "lease_seconds": queue.lease_seconds}).one_or_none()
        if row is None:
            raise UsageError(f"The order '{text.uuid}' is running. Wait for its end, or order with another uuid.")
        lease = Lease(order=text.uuid, owner=owner, token=row.lease_token, attempt=row.attempt, until=row.lease_until)
        again = f"Attempt {lease.attempt}: ordered again" if lease.attempt > 1 else None
        audit.begin_attempt(connection, lease, imports_id=imports_id, description=again)
    return Claim(lease=lease, text=text, failures=0)


def _text(user: str, group: str, target: Target, files: Sequence[str], file_names: Sequence[str], uuid: str | None) -> OrderText:
    if uuid is not None and not 0 < len(uuid) <= UUID_LENGTH:
        raise UsageError(f"'{uuid}' is no uuid: it must have 1 to {UUID_LENGTH} characters.")
    return OrderText(
        uuid=str(uuid4()) if uuid is None else audit.storable(uuid),
        user=audit.storable(user),
        group=audit.storable(group),
        destination_type=target.kind.value,
        destination_id=str(target.id),
        files=json.dumps(list(files)),
        file_names=json.dumps(list(file_names)) if file_names else None,
    )


def _append(connection: Connection, text: OrderText, description: str | None) -> int:
    values = {
        "uuid": text.uuid,
        "user": text.user,
        "group": text.group,
        "destination_type": text.destination_type,
        "destination_id": text.destination_id,
        "files": text.files,
        "file_names": text.file_names,
        "description": None if description is None else audit.shortened(description),
    }
    return int(connection.execute(_SQL["append"], values).scalar_one())
