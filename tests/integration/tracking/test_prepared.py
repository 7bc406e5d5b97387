# SPDX-License-Identifier: GPL-2.0-or-later
"""A claim is planned once by each connection; where the plan cannot be kept, the claim works all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer


def waiting(producer: Producer, intake: Intake, count: int) -> set[str]:
    orders = {producer.pending() for _ in range(count)}
    assert intake.take_in() == count
    return orders


def claimed(queue: Queue, count: int) -> set[str]:
    claims = [queue.claim(owner="here:1") for _ in range(count)]
    return {claim.lease.order for claim in claims if claim is not None}


def test_a_connection_plans_a_claim_a_few_times_and_then_no_more(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    orders = waiting(producer, intake, 12)
    assert claimed(queue, 12) == orders
    plans = "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE name = 'adi_claim'"
    [[each_time, kept]] = database.at_once(text(plans), {})
    assert each_time <= 5  # source: PostgreSQL, PREPARE, Notes
    assert kept >= 7


@pytest.mark.parametrize("what", ["DEALLOCATE ALL", "PREPARE adi_claim AS SELECT 1"])
def test_a_session_that_was_swapped_for_another_between_two_claims_costs_nothing_but_time(
    producer: Producer, intake: Intake, queue: Queue, database: Database, what: str
) -> None:
    orders = waiting(producer, intake, 4)
    before = claimed(queue, 1) if what.startswith("DEALLOCATE") else set()
    database.at_once(text(f"{what}; SELECT 1"), {})
    assert before | claimed(queue, 4 - len(before)) == orders


def test_a_column_of_another_type_is_no_trouble_for_claims(
    producer: Producer, intake: Intake, queue: Queue, database: Database
) -> None:
    orders = waiting(producer, intake, 8)
    before = claimed(queue, 7)
    database.at_once(text("ALTER TABLE imports ALTER COLUMN description TYPE varchar(1000); SELECT 1"), {})
    database.at_once(text("ALTER TABLE imports_preprocessing ALTER COLUMN container TYPE text; SELECT 1"), {})
    assert before | claimed(queue, 1) == orders
