# SPDX-License-Identifier: GPL-2.0-or-later
"""The two shared tables as they were first.

Revision ID: 5a0c7d19e3b2
Revises: none
"""

import sqlalchemy as sa
from alembic import op

revision = "5a0c7d19e3b2"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "imports_preprocessing",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("container", sa.String(), nullable=False),
        sa.Column("input_file", sa.String(), nullable=False),
        sa.Column("output_folder", sa.String(), nullable=False),
        sa.Column("alt_output_folder", sa.String()),
        sa.Column("extra_params", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name=op.f("imports_preprocessing_pkey")),
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("destination_id", sa.String(), nullable=False),
        sa.Column("destination_type", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True)),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("file_names", sa.Text()),
        sa.Column("preprocessing_id", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="imports_pkey"),
        sa.ForeignKeyConstraint(["preprocessing_id"], ["imports_preprocessing.id"], name=op.f("imports_preprocessing_id_fkey")),
    )
    op.create_index("ix_imports_user_name", "imports", ["user_name"])
    op.create_index("ix_imports_uuid", "imports", ["uuid"])
    op.create_index("imports_ix_uuid_timestamp", "imports", ["uuid", "timestamp"])


def downgrade() -> None:
    """Refuse: the trail of all imports would be gone."""
    raise RuntimeError("The shared tables hold the record of all imports; no migration drops them.")
