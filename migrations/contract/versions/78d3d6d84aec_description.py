# SPDX-License-Identifier: GPL-2.0-or-later
"""A reason for people: `imports.description`.

Revision ID: 78d3d6d84aec
Revises: 5a0c7d19e3b2
"""

import sqlalchemy as sa
from alembic import op

revision = "78d3d6d84aec"
down_revision = "5a0c7d19e3b2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("imports", sa.Column("description", sa.Text()))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("imports", "description")
