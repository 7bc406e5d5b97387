# SPDX-License-Identifier: GPL-2.0-or-later
"""Inbox, queue and ledger, and the trigger that fills the inbox.

Revision ID: 1f7e62c0a9d4
Revises: none
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "1f7e62c0a9d4"
down_revision = None
branch_labels = None
depends_on = None

NOW = sa.text("now()")
STATES = "state IN ('waiting', 'running', 'completed', 'failed', 'cancelled')"
LEASE = "(state = 'running') = (num_nonnulls(lease_owner, lease_token, lease_until) = 3)"
ROUTES = "route IN ('inplace', 'zarr', 'omero')"
STEPS = "step IN ('planned', 'created', 'verifying', 'imported', 'annotated', 'failed')"

# Runs with the rights of its owner, because a producer's account knows nothing of our tables; hence the fixed search path.
# Whatever goes wrong in it is swallowed: a producer's insert never fails for our sake; the reconciling scan finds the row later.
FUNCTION = """
CREATE FUNCTION {schema}.adi_note_pending() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp
AS $$
BEGIN
    BEGIN
        INSERT INTO {schema}.adi_inbox (uuid) VALUES (NEW.uuid);
        PERFORM pg_notify('adi_inbox', '');
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    RETURN NULL;
END
$$
"""
TRIGGER = """
CREATE TRIGGER adi_note_pending AFTER INSERT OR UPDATE OF stage ON imports
    FOR EACH ROW WHEN (NEW.stage = 'Import Pending') EXECUTE FUNCTION {schema}.adi_note_pending()
"""


def schema() -> str:
    """Return the schema that unqualified names mean here, quoted."""
    return op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()


def upgrade() -> None:
    """Make tables, index and trigger."""
    inbox()
    order()
    file()
    op.create_index(
        "adi_imports_ix_pending", "imports", ["timestamp", "id"], postgresql_where=sa.text("stage = 'Import Pending'")
    )
    op.execute(FUNCTION.format(schema=schema()))
    op.execute(TRIGGER.format(schema=schema()))


def inbox() -> None:
    """Make `adi_inbox`: what happened in `imports` and is not yet taken in."""
    op.create_table(
        "adi_inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("scanned", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name=op.f("adi_inbox_pkey")),
    )
    op.create_index("ix_adi_inbox_uuid", "adi_inbox", ["uuid"])


def order() -> None:
    """Make `adi_order`: one row an order."""
    op.create_table(
        "adi_order",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("imports_id", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default="waiting"),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("failures", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("run_after", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("note", sa.Text()),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_token", sa.Uuid()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("uuid", name=op.f("adi_order_pkey")),
        sa.CheckConstraint(STATES, name=op.f("adi_order_state_check")),
        sa.CheckConstraint(LEASE, name=op.f("adi_order_lease_check")),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "adi_order_ix_waiting", "adi_order", [sa.text("priority DESC"), "run_after", "uuid"], postgresql_where=waiting
    )
    op.create_index("adi_order_ix_run_after", "adi_order", ["run_after"], postgresql_where=waiting)
    op.create_index("adi_order_ix_lease_until", "adi_order", ["lease_until"], postgresql_where=sa.text("state = 'running'"))


def file() -> None:
    """Make `adi_file`, the ledger: one row a fileset of an order."""
    ids = postgresql.ARRAY(sa.BigInteger())
    op.create_table(
        "adi_file",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("output", sa.Text()),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("fileset", sa.BigInteger()),
        sa.Column("images", ids, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("plates", ids, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("error", sa.Text()),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("uuid", "key", name=op.f("adi_file_pkey")),
        sa.ForeignKeyConstraint(["uuid"], ["adi_order.uuid"], name=op.f("adi_file_uuid_fkey"), ondelete="CASCADE"),
        sa.CheckConstraint(ROUTES, name=op.f("adi_file_route_check")),
        sa.CheckConstraint(STEPS, name=op.f("adi_file_step_check")),
    )


def downgrade() -> None:
    """Take everything of ours away; the shared tables keep their rows."""
    op.execute("DROP TRIGGER IF EXISTS adi_note_pending ON imports")  # a site may do without (`intake: scan`)
    op.execute(f"DROP FUNCTION IF EXISTS {schema()}.adi_note_pending()")  # it may be lost
    op.drop_index("adi_imports_ix_pending", "imports")
    for table in ("adi_file", "adi_order", "adi_inbox"):
        op.drop_table(table)
