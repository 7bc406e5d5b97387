# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that the target holds already: what an order wants done with them, and a step for them in the ledger.

Revision ID: d27b9e4f1c83
Revises: 8c41d0b7e2f6
"""

import sqlalchemy as sa
from alembic import op

revision = "d27b9e4f1c83"
down_revision = "8c41d0b7e2f6"
branch_labels = None
depends_on = None

BEFORE = "step IN ('planned', 'created', 'verifying', 'imported', 'annotated', 'failed')"
STEPS = "step IN ('planned', 'created', 'verifying', 'imported', 'annotated', 'skipped', 'failed')"


def upgrade() -> None:
    """Add the column, and let the ledger say `skipped`."""
    op.add_column("adi_order", sa.Column("skip_existing", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    steps(STEPS)


def steps(allowed: str) -> None:
    """Let the ledger say these steps and no others."""
    op.drop_constraint(op.f("adi_file_step_check"), "adi_file", type_="check")
    op.create_check_constraint(op.f("adi_file_step_check"), "adi_file", allowed)


def downgrade() -> None:
    """Take both away; a file that was skipped counts as one that waits."""
    op.execute("UPDATE adi_file SET step = 'planned', fileset = NULL, images = '{}', plates = '{}' WHERE step = 'skipped'")
    steps(BEFORE)
    op.drop_column("adi_order", "skip_existing")
