# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that are to be looked at once more after their end, files to import again, and one more word for what people did.

A service of the version before knows neither column and goes on beside it: all of them have defaults, and no word is taken away.

Revision ID: b3f18a6c2e57
Revises: e6a90b5d7f14
"""

import sqlalchemy as sa
from alembic import op

revision = "b3f18a6c2e57"
down_revision = "e6a90b5d7f14"
branch_labels = None
depends_on = None

BEFORE = "action IN ('ordered', 'retried', 'cancelled', 'paused', 'resumed', 'taken over', 'another importer')"
ACTIONS = "action IN ('ordered', 'retried', 'cancelled', 'undone', 'paused', 'resumed', 'taken over', 'another importer')"


def upgrade() -> None:
    """Add the columns, with an index of the few orders that are to be looked at, and let the actions say `undone`."""
    op.add_column("adi_order", sa.Column("unswept_since", sa.DateTime(timezone=True)))
    op.add_column("adi_order", sa.Column("sweeps", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("adi_order", sa.Column("again", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    unswept = sa.text("unswept_since IS NOT NULL")
    op.create_index("adi_order_ix_unswept_since", "adi_order", ["unswept_since"], postgresql_where=unswept)
    actions(ACTIONS)


def actions(allowed: str) -> None:
    """Let the actions say these words and no others."""
    op.drop_constraint(op.f("adi_action_action_check"), "adi_action", type_="check")
    op.create_check_constraint(op.f("adi_action_action_check"), "adi_action", allowed)


def downgrade() -> None:
    """Take it all away: what was undone is not told any more, and nothing is looked at again."""
    op.execute("DELETE FROM adi_action WHERE action = 'undone'")
    actions(BEFORE)
    op.drop_index("adi_order_ix_unswept_since", "adi_order")
    for column in ("again", "sweeps", "unswept_since"):
        op.drop_column("adi_order", column)
