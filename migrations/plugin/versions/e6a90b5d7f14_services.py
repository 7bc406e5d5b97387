# SPDX-License-Identifier: GPL-2.0-or-later
"""Fair claims, limits for all hosts, workers that die, orders called off while they run, and the services that are at work.

Revision ID: e6a90b5d7f14
Revises: d27b9e4f1c83
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "e6a90b5d7f14"
down_revision = "d27b9e4f1c83"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
ZERO = sa.text("0")
WAITING = sa.text("state = 'waiting'")
OUTCOMES = "outcome IN ('completed', 'failed', 'cancelled', 'to be retried', 'given back', 'worker died', 'lease lapsed')"
FIRST = [sa.text("(-priority)"), "user_name", "group_name", "run_after", "imports_id"]


def upgrade() -> None:
    """Add columns and tables; the claims get an index that goes round by user."""
    op.add_column("adi_order", sa.Column("deaths", sa.Integer(), nullable=False, server_default=ZERO))
    op.add_column("adi_order", sa.Column("lapses", sa.Integer(), nullable=False, server_default=ZERO))
    op.add_column("adi_order", sa.Column("places", sa.Integer(), nullable=False, server_default=ZERO))
    op.add_column("adi_order", sa.Column("doing", sa.Text()))
    op.add_column("adi_order", sa.Column("cancelled_by", sa.Text()))
    op.drop_index("adi_order_ix_waiting", "adi_order")
    op.create_index("adi_order_ix_waiting", "adi_order", FIRST, postgresql_where=WAITING)
    op.create_index("adi_order_ix_finished_at", "adi_order", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL"))
    op.add_column("adi_attempt", sa.Column("ended_at", sa.DateTime(timezone=True)))
    op.add_column("adi_attempt", sa.Column("outcome", sa.Text()))
    op.add_column("adi_attempt", sa.Column("why", sa.Text()))
    op.create_check_constraint(op.f("adi_attempt_outcome_check"), "adi_attempt", OUTCOMES)
    op.add_column("adi_control", sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("adi_control", sa.Column("pruned_at", sa.DateTime(timezone=True)))
    op.create_table(
        "adi_turn",
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_name", name=op.f("adi_turn_pkey")),
    )
    service()


def service() -> None:
    """Make `adi_service`: one row a service that is at work."""
    op.create_table(
        "adi_service",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("ending", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("workers", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("trouble", sa.Text()),
        sa.Column("trouble_since", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("adi_service_pkey")),
        sa.CheckConstraint("(trouble IS NULL) = (trouble_since IS NULL)", name=op.f("adi_service_trouble_check")),
    )


def downgrade() -> None:
    """Take it all away; an order that is to be called off goes on."""
    op.drop_table("adi_service")
    op.drop_table("adi_turn")
    op.drop_column("adi_control", "pruned_at")
    op.drop_column("adi_control", "draining")
    op.drop_constraint(op.f("adi_attempt_outcome_check"), "adi_attempt", type_="check")
    for column in ("why", "outcome", "ended_at"):
        op.drop_column("adi_attempt", column)
    op.drop_index("adi_order_ix_finished_at", "adi_order")
    op.drop_index("adi_order_ix_waiting", "adi_order")
    op.create_index(
        "adi_order_ix_waiting", "adi_order", [sa.text("priority DESC"), "run_after", "uuid"], postgresql_where=WAITING
    )
    for column in ("cancelled_by", "doing", "places", "lapses", "deaths"):
        op.drop_column("adi_order", column)
