# SPDX-License-Identifier: GPL-2.0-or-later
"""Contract: the two tables that other programs write and read. No column, index or name of these may change.

They were laid down by the importer before this one; web plug-ins, scripts, dashboards and people's own SQL rely on them. What is
ours alone lives in `tables`.
"""

from __future__ import annotations

import json
from datetime import datetime  # noqa: TC003 (SQLAlchemy reads the annotations of models at run time)
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, MetaData, String, Text, TypeDecorator, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
"""Names of constraints and indexes, as PostgreSQL itself would give them: so that a migration can name what it drops."""


class JsonList(TypeDecorator[list[Any]]):
    """A list in Python, JSON text in the column.

    Text that is no JSON list reads as an empty list: one broken row must not keep a program from reading the others. What the
    row really holds is judged where orders are carried out, from the text.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[Any] | None, dialect: object) -> str | None:
        """Write a list as JSON text; NULL stays NULL."""
        del dialect
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: object) -> list[Any] | None:
        """Read JSON text as a list; NULL stays None."""
        del dialect
        if value is None:
            return None
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            return []
        return read if isinstance(read, list) else []


class Base(DeclarativeBase):
    """What the models of the two shared tables have in common."""

    metadata = MetaData(naming_convention=NAMING)


class Preprocessing(Base):
    """What a container is to make of the files of an order before they are imported.

    The image is enough: what is not given gets the usual values when it is written. `alt_output_folder=None` is not the same as
    leaving it out: it means that the converter writes to no second folder.
    """

    __tablename__ = "imports_preprocessing"

    id: Mapped[int] = mapped_column(primary_key=True)
    container: Mapped[str] = mapped_column(String)
    input_file: Mapped[str] = mapped_column(String, default="{Files}")
    output_folder: Mapped[str] = mapped_column(String, default="/data")
    alt_output_folder: Mapped[str | None] = mapped_column(String().evaluates_none(), default="/out")  # None is kept
    extra_params: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))


class IngestionTracking(Base):
    """One stage of one order. Rows are appended; the newest by (timestamp, id) says where the order stands."""

    __tablename__ = "imports"
    __table_args__ = (Index("imports_ix_uuid_timestamp", "uuid", "timestamp"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    group_name: Mapped[str] = mapped_column(String)
    user_name: Mapped[str] = mapped_column(String, index=True)
    destination_id: Mapped[str] = mapped_column(String)
    destination_type: Mapped[str] = mapped_column(String)
    stage: Mapped[str] = mapped_column(String)
    uuid: Mapped[str] = mapped_column(String(36), index=True)
    timestamp: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=func.now())
    files: Mapped[list[Any]] = mapped_column(JsonList)
    file_names: Mapped[list[Any] | None] = mapped_column(JsonList)
    description: Mapped[str | None] = mapped_column(Text)
    preprocessing_id: Mapped[int | None] = mapped_column(ForeignKey("imports_preprocessing.id"))

    preprocessing: Mapped[Preprocessing | None] = relationship()
