# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that scripts on OMERO's Processors carry out, so that they can be counted.

A service of the version before does not know the column and goes on beside it: it has a default.

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
    """Add the column."""
    op.add_column("adi_order", sa.Column("in_script", sa.Boolean(), nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    """Take it away: scripts that run meanwhile keep their leases."""
    op.drop_column("adi_order", "in_script")
