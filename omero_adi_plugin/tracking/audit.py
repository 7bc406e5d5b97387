# SPDX-License-Identifier: GPL-2.0-or-later
"""Audit: what is written down: the rows that are appended to `imports`, one a stage, and our notes of attempts and actions.

Readers take the newest row of an order by its timestamp, so each new one is at least a microsecond newer than all before it,
by the clock of the database. A row repeats what identifies the order: everything but stage, timestamp and description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.stages import STAGE_INGEST_STARTED
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from omero_adi_plugin.orders import Lease
    from omero_adi_plugin.tracking.tables import Action, AttemptOutcome

DESCRIPTION_LENGTH = 500
"""The longest description, in characters (contract of the shared tables)."""

_SQL = statements("audit.sql")


def append(connection: Connection, *, imports_id: int, stage: str, description: str | None = None) -> int | None:
    """Append a stage to an order's trail, in the caller's transaction.

    Parameters
    ----------
    connection : Connection
        With a transaction.
    imports_id : int
        The row whose identity columns are repeated.
    stage : str
        One of the constants of `stages`.
    description : str, optional
        For people; shortened when it is too long.

    Returns
    -------
    int or None
        The id of the new row; None when somebody has deleted the row that was to be repeated: then nothing is appended.
    """
    values = {"imports_id": imports_id, "stage": stage, "description": None if description is None else shortened(description)}
    return connection.execute(_SQL["append"], values).scalar_one_or_none()


def begin_attempt(connection: Connection, lease: Lease, *, imports_id: int, description: str | None) -> None:
    """Say in an order's trail that an attempt begins, and note that it was us, in the caller's transaction."""
    started = append(connection, imports_id=imports_id, stage=STAGE_INGEST_STARTED, description=description)
    values = {"uuid": lease.order, "attempt": lease.attempt, "imports_id": started, "owner": lease.owner}
    connection.execute(_SQL["attempt"], values)


def end_attempt(connection: Connection, *, uuid: str, attempt: int, outcome: AttemptOutcome, why: str | None) -> None:
    """Note how an attempt ended, and why so, in the caller's transaction."""
    values = {"uuid": uuid, "attempt": attempt, "outcome": outcome.value, "why": None if why is None else shortened(why)}
    connection.execute(_SQL["end_attempt"], values)


def act(
    connection: Connection,
    action: Action,
    *,
    who: str,
    uuid: str | None = None,
    imports_id: int | None = None,
    detail: str | None = None,
) -> None:
    """Note what somebody did, in the caller's transaction.

    Parameters
    ----------
    connection : Connection
        With a transaction.
    action : Action
        What was done.
    who : str
        A person or a service, with the host.
    uuid, imports_id : optional
        The order that it is about, and a row of `imports`.
    detail : str, optional
        What else there is to know.
    """
    values = {"who": storable(who), "action": action.value, "uuid": uuid, "imports_id": imports_id}
    connection.execute(_SQL["act"], {**values, "detail": None if detail is None else shortened(detail)})


def shortened(text: str, length: int = DESCRIPTION_LENGTH) -> str:
    """Return text of at most so many characters, cut between two words, with an ellipsis where something is missing."""
    text = storable(text)
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    between = cut.rfind(" ")
    return (cut[:between] if between > length // 2 else cut).rstrip() + "…"


def storable(text: str) -> str:
    r"""Return text that PostgreSQL takes: without NUL, and with ``\udc80`` and the like for what is no Unicode in file names."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode("utf-8")
