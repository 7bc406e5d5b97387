# SPDX-License-Identifier: GPL-2.0-or-later
"""Audit: the rows that are appended to `imports`, one a stage, and what may stand in them.

Readers take the newest row of an order by its timestamp, so each new one is at least a microsecond newer than all before it,
by the clock of the database. A row repeats what identifies the order: everything but stage, timestamp and description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

DESCRIPTION_LENGTH = 500
"""The longest description, in characters (contract of the shared tables)."""

_SQL = statements("audit.sql")


def append(connection: Connection, *, imports_id: int, stage: str, description: str | None = None) -> None:
    """Append a stage to an order's trail, in the caller's transaction.

    Parameters
    ----------
    connection : Connection
        With a transaction.
    imports_id : int
        The row whose identity columns are repeated. When somebody has deleted it, nothing is appended.
    stage : str
        One of the constants of `stages`.
    description : str, optional
        For people; shortened when it is too long.
    """
    values = {"imports_id": imports_id, "stage": stage, "description": None if description is None else shortened(description)}
    connection.execute(_SQL["append"], values)


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
