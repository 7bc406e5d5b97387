# SPDX-License-Identifier: GPL-2.0-or-later
"""Likeness: which revision shared tables look like that came without a version table, as other programs make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import inspect

from omero_adi_plugin.tracking.tracks import CONTRACT, CONTRACT_FIRST, CONTRACT_HEAD, CONTRACT_NEWER, NEWER_COLUMN

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_DIFFERENCE_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What the shared tables of a database look like.

    present:    which of them there are, in alphabetical order.
    revision:   the one of the contract track that they are equal to; None if there is none.
    difference: in that case, the first difference from the last revision, as Alembic words it.
    """

    present: tuple[str, ...]
    revision: str | None = None
    difference: str = ""

    @property
    def complete(self) -> bool:
        """Whether all shared tables are there, whatever they look like."""
        return set(self.present) == set(CONTRACT.metadata.tables)


def likeness(connection: Connection) -> Likeness:
    """Compare the shared tables of a database with those that we know.

    Parameters
    ----------
    connection : Connection
        With a transaction.
    """
    present = tuple(sorted(set(inspect(connection).get_table_names()) & set(CONTRACT.metadata.tables)))
    if set(present) != set(CONTRACT.metadata.tables):
        missing = ", ".join(sorted(set(CONTRACT.metadata.tables) - set(present)))
        return Likeness(present=present, difference=f"without {missing}")
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 (slow to load, and rarely needed)
    from alembic.migration import MigrationContext  # noqa: PLC0415 (as above)

    options = {"include_name": CONTRACT.includes_name, "include_object": CONTRACT.includes, "compare_type": True}
    differences = compare_metadata(MigrationContext.configure(connection, opts=options), CONTRACT.metadata)
    if not differences:
        columns = {column["name"] for column in inspect(connection).get_columns("imports")}
        return Likeness(present=present, revision=CONTRACT_NEWER if NEWER_COLUMN in columns else CONTRACT_HEAD)
    first = differences[0]
    if len(differences) == 1 and first[0] == "add_column" and first[3].name == "description":
        return Likeness(present=present, revision=CONTRACT_FIRST)
    return Likeness(present=present, difference=f"{first!r:.{_DIFFERENCE_LENGTH}}")
