# SPDX-License-Identifier: GPL-2.0-or-later
"""Attempts, what people did, and what holds for all services.

Revision ID: 8c41d0b7e2f6
Revises: 1f7e62c0a9d4
"""

import sqlalchemy as sa
from alembic import op

revision = "8c41d0b7e2f6"
down_revision = "1f7e62c0a9d4"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
ACTIONS = "action IN ('ordered', 'retried', 'cancelled', 'paused', 'resumed', 'taken over', 'another importer')"


def upgrade() -> None:
    """Make the tables, and the one row of `adi_control`."""
    attempt()
    action()
    control()


def attempt() -> None:
    """Make `adi_attempt`: one row a claim."""
    op.create_table(
        "adi_attempt",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("imports_id", sa.BigInteger()),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("uuid", "attempt", name=op.f("adi_attempt_pkey")),
        sa.ForeignKeyConstraint(["uuid"], ["adi_order.uuid"], name=op.f("adi_attempt_uuid_fkey"), ondelete="CASCADE"),
    )
    op.create_index("ix_adi_attempt_imports_id", "adi_attempt", ["imports_id"])


def action() -> None:
    """Make `adi_action`: what people and services did."""
    op.create_table(
        "adi_action",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("uuid", sa.Text()),
        sa.Column("imports_id", sa.BigInteger()),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("adi_action_pkey")),
        sa.CheckConstraint(ACTIONS, name=op.f("adi_action_action_check")),
    )
    op.create_index("ix_adi_action_uuid", "adi_action", ["uuid"])
    op.create_index("adi_action_ix_action_at", "adi_action", ["action", "at"])


def control() -> None:
    """Make `adi_control` with its one row."""
    op.create_table(
        "adi_control",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False, server_default=sa.text("1")),
        sa.Column("taken_over_at", sa.DateTime(timezone=True)),
        sa.Column("taken_over_id", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("watched_id", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("scanned_at", sa.DateTime(timezone=True)),
        sa.Column("paused_at", sa.DateTime(timezone=True)),
        sa.Column("paused_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("adi_control_pkey")),
        sa.CheckConstraint("id = 1", name=op.f("adi_control_id_check")),
        sa.CheckConstraint("(paused_at IS NULL) = (paused_by IS NULL)", name=op.f("adi_control_paused_check")),
    )
    op.execute("INSERT INTO adi_control DEFAULT VALUES")


def downgrade() -> None:
    """Take the three tables away."""
    for table in ("adi_control", "adi_action", "adi_attempt"):
        op.drop_table(table)
