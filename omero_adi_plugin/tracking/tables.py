# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables: what is ours alone in the database, all with the prefix `adi_`.

adi_inbox  what happened in `imports` and is not yet taken in: one row an event, written by a trigger or by the reconciling scan.
adi_order  one row an order: where it stands, whose lease is on it. `imports_id` is the row of `imports` whose content holds.
adi_attempt one row a claim: who took the order, and which row of `imports` said so. An `Import Started` that is not in here was
           written by another importer.
adi_conversion  one row for each entry that a converter has done: what it has made, and where that is kept.
adi_file   the ledger: one row a fileset of an order, and how far it has come.
adi_action what people and services did, and when: for whoever asks afterwards.
adi_turn   one row a user: when an order of theirs was last begun, so that claims go round.
adi_service one row a service that is at work, with its worker processes.
adi_control one row: what holds for all services on all hosts.

There is no foreign key to `imports`: its rows belong to others, who may delete them.
"""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from omero_adi_plugin.orders import FileStep, Route
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.contract import NAMING

metadata = MetaData(naming_convention=NAMING)
"""Our tables; those of the contract have a metadata of their own, because they are versioned apart."""


class Action(StrEnum):
    """What `adi_action` tells of."""

    ORDERED = "ordered"
    RETRIED = "retried"
    CANCELLED = "cancelled"
    UNDONE = "undone"  # what it had imported was removed from OMERO
    PAUSED = "paused"
    RESUMED = "resumed"
    TAKEN_OVER = "taken over"  # the first start of a service on a database of the former importer
    ANOTHER_IMPORTER = "another importer"  # an `Import Started` that we did not write, after that


class AttemptOutcome(StrEnum):
    """How an attempt ended, as far as somebody was there to note it."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TO_BE_RETRIED = "to be retried"  # transient trouble of the order, which counts
    GIVEN_BACK = "given back"  # the service ended, gave way to others, or something that all orders need is away: counts nothing
    WORKER_DIED = "worker died"  # its service saw it
    LEASE_LAPSED = "lease lapsed"  # nobody has heard of it any more


def _one_of(column: str, words: type[OrderState | FileStep | Route | Action | AttemptOutcome]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


inbox = Table(
    "adi_inbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("uuid", Text, nullable=False),
    # an event of the scan counts only if the order is still not known when it is taken in: the trigger may have been quicker
    Column("scanned", Boolean, nullable=False, server_default=text("false")),
    Column("not_before", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(None, "uuid"),
)

order = Table(
    "adi_order",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("imports_id", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("group_name", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=OrderState.WAITING.value),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    # workers that died over it, and leases on it that lapsed, one after the other while nothing of it got done
    Column("deaths", Integer, nullable=False, server_default=text("0")),
    Column("lapses", Integer, nullable=False, server_default=text("0")),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("run_after", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("note", Text),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("cancelled_by", Text),
    Column("skip_existing", Boolean, nullable=False, server_default=text("false")),  # ordered so; else as the settings say
    # what was imported and is not in OMERO any more is to be imported again, until the order ends
    Column("again", Boolean, nullable=False, server_default=text("false")),
    # since when OMERO is to be looked at for what interrupted attempts may have brought after everybody had looked; and how often
    # that was begun without coming to its end
    Column("unswept_since", DateTime(timezone=True)),
    Column("sweeps", Integer, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_token", Uuid),
    Column("lease_until", DateTime(timezone=True)),
    # whether a script on one of OMERO's Processors has the lease, or is to get it from whoever launches it
    Column("in_script", Boolean, nullable=False, server_default=text("false")),
    # scripts that could not carry it out, one after the other, for reasons that are not its own
    Column("held_up", Integer, nullable=False, server_default=text("0")),
    Column("places", Integer, nullable=False, server_default=text("0")),  # filesets that it may have in flight while it runs
    Column("doing", Text),  # what its worker said last
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    _one_of("state", OrderState),
    CheckConstraint("(state = 'running') = (num_nonnulls(lease_owner, lease_token, lease_until) = 3)", name="lease"),
    Index(
        "adi_order_ix_waiting",
        text("(-priority)"),
        "user_name",
        "group_name",
        "run_after",
        "imports_id",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("adi_order_ix_lease_until", "lease_until", postgresql_where=text("state = 'running'")),
    Index("adi_order_ix_run_after", "run_after", postgresql_where=text("state = 'waiting'")),
    Index("adi_order_ix_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    Index("adi_order_ix_held_up", "user_name", "group_name", postgresql_where=text("state = 'waiting' AND held_up > 0")),
    Index("adi_order_ix_unswept_since", "unswept_since", postgresql_where=text("unswept_since IS NOT NULL")),
)

attempt = Table(
    "adi_attempt",
    metadata,
    Column("uuid", Text, ForeignKey("adi_order.uuid", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("imports_id", BigInteger),  # of the `Import Started`; none when somebody had deleted the order's rows
    Column("owner", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    Column("outcome", Text),
    Column("why", Text),
    Index(None, "imports_id"),
    _one_of("outcome", AttemptOutcome),
)

file = Table(
    "adi_file",
    metadata,
    Column("uuid", Text, ForeignKey("adi_order.uuid", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("id", BigInteger, Identity(always=True), nullable=False),  # the order in which the files were planned
    Column("entry", Text, nullable=False),
    Column("output", Text),
    Column("route", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("fileset", BigInteger),
    Column("images", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    Column("plates", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    Column("error", Text),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _one_of("route", Route),
    _one_of("step", FileStep),
)

conversion = Table(
    "adi_conversion",
    metadata,
    Column("uuid", Text, ForeignKey("adi_order.uuid", ondelete="CASCADE"), primary_key=True),
    Column("entry", Text, primary_key=True),  # as `stored_key` has it
    Column("attempt", Integer, nullable=False),  # that ran the converter
    Column("digest", Text, nullable=False),  # of the image that ran
    Column("made", JSONB, nullable=False),  # see `preprocessing.Conversion`
    Column("delivered", Boolean, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

action = Table(
    "adi_action",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("uuid", Text),  # of the order, if it is about one; no foreign key: it outlives the order
    Column("imports_id", BigInteger),  # the row of `imports` that it is about, of another importer
    Column("detail", Text),
    _one_of("action", Action),
    Index(None, "uuid"),
    Index("adi_action_ix_action_at", "action", "at"),
)

turn = Table(
    "adi_turn",
    metadata,
    Column("user_name", Text, primary_key=True),
    Column("claimed_at", DateTime(timezone=True), nullable=False),
)

service = Table(
    "adi_service",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ending", Boolean, nullable=False, server_default=text("false")),
    Column("workers", JSONB, nullable=False, server_default=text("'[]'")),
    Column("trouble", Text),  # why it begins nothing at the moment
    Column("trouble_since", DateTime(timezone=True)),
    CheckConstraint("(trouble IS NULL) = (trouble_since IS NULL)", name="trouble"),
)

control = Table(
    "adi_control",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, server_default=text("1")),
    Column("taken_over_at", DateTime(timezone=True)),  # when a service first started here
    Column("taken_over_id", BigInteger, nullable=False, server_default=text("0")),  # the newest row of `imports` then
    Column("watched_id", BigInteger, nullable=False, server_default=text("0")),  # up to here it was looked for other importers
    Column("scanned_at", DateTime(timezone=True)),  # when all pending rows since were last looked for
    Column("paused_at", DateTime(timezone=True)),
    Column("paused_by", Text),
    Column("draining", Boolean, nullable=False, server_default=text("false")),  # orders that run are to be given back, too
    Column("pruned_at", DateTime(timezone=True)),  # when orders that ended long ago were last forgotten
    CheckConstraint("id = 1", name="id"),
    CheckConstraint("(paused_at IS NULL) = (paused_by IS NULL)", name="paused"),
)
