# SPDX-License-Identifier: GPL-2.0-or-later
"""What converters have made of the entries of orders, so that none is run again for what is there.

Revision ID: f7a31c9e5b24
Revises: c5d80e7f13a9
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "f7a31c9e5b24"
down_revision = "c5d80e7f13a9"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "adi_conversion",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("made", postgresql.JSONB(), nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.ForeignKeyConstraint(["uuid"], ["adi_order.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid", "entry"),
    )


def downgrade() -> None:
    """Take it away: converters are run again for orders that have not ended."""
    op.drop_table("adi_conversion")
