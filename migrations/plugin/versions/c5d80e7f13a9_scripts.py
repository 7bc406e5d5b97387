# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that scripts on OMERO's Processors carry out, so that they can be counted, and those that scripts could not carry out.

A service of the version before does not know the columns and goes on beside it: they have defaults.

Revision ID: c5d80e7f13a9
Revises: b3f18a6c2e57
"""

import sqlalchemy as sa
from alembic import op

revision = "c5d80e7f13a9"
down_revision = "b3f18a6c2e57"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, with an index of the few orders that are held up."""
    op.add_column("adi_order", sa.Column("in_script", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("adi_order", sa.Column("held_up", sa.Integer(), nullable=False, server_default=sa.text("0")))
    held_up = sa.text("state = 'waiting' AND held_up > 0")
    op.create_index("adi_order_ix_held_up", "adi_order", ["user_name", "group_name"], postgresql_where=held_up)


def downgrade() -> None:
    """Take them away: scripts that run meanwhile keep their leases."""
    op.drop_index("adi_order_ix_held_up", "adi_order")
    for column in ("held_up", "in_script"):
        op.drop_column("adi_order", column)
