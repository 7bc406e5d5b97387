# SPDX-License-Identifier: GPL-2.0-or-later
"""Poison: whatever a row of `imports` holds, its order comes to an end with a sentence for a person, and holds up no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import OrderMalformed
from tests.fixtures.poison import MALFORMED, STRANGE

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

INSERT = """
INSERT INTO imports (stage, uuid, user_name, group_name, destination_type, destination_id, files, file_names, timestamp)
VALUES ('Import Pending', %(uuid)s, %(user_name)s, %(group_name)s, %(destination_type)s, %(destination_id)s, %(files)s,
        %(file_names)s, now())
"""
GOOD = {
    "uuid": "4f1c09aa-0000-4000-8000-000000000001",
    "user_name": "ann",
    "group_name": "Demo",
    "destination_type": "Dataset",
    "destination_id": "151",
    "files": '["/data/a.tif"]',
    "file_names": None,
}


def order(producer: Producer, **columns: str) -> None:
    """Write a row, with a good one before and after it."""
    for row in ({"uuid": "before"}, columns, {"uuid": "after"}):
        with producer.connect() as connection, connection.cursor() as cursor:
            cursor.execute(INSERT, GOOD | row)
        connection.close()


def claim_all(intake: Intake, queue: Queue) -> dict[str, Claim]:
    """Take everything in and claim it."""
    assert intake.take_in() == 3
    claims = [queue.claim(owner="host:1") for _ in range(3)]
    return {claim.lease.order: claim for claim in claims if claim is not None}


@pytest.mark.parametrize(("column", "value"), MALFORMED)
def test_nonsense_is_failed_with_a_sentence_and_the_others_go_on(
    column: str, value: str, producer: Producer, intake: Intake, queue: Queue
) -> None:
    order(producer, **{column: value})
    claims = claim_all(intake, queue)
    for good in ("before", "after"):
        assert claims[good].text.read().uuid == good
        queue.complete(claims.pop(good).lease)
    ((uuid, claim),) = claims.items()
    with pytest.raises(OrderMalformed) as refused:
        claim.text.read()
    sentence = str(refused.value)
    assert refused.value.column == column
    assert f"`{column}`" in sentence
    assert len(sentence) <= 500
    assert sentence.isprintable()
    queue.fail(claim.lease, reason=sentence)
    ((stage, description),) = producer.sql(
        "SELECT stage, description FROM imports WHERE uuid = %s ORDER BY id DESC LIMIT 1", uuid
    )
    assert (stage, description) == ("Import Failed", sentence)
    assert (queue.pending(), intake.take_in(), intake.reconcile()) == (0, 0, 0)


@pytest.mark.parametrize("columns", STRANGE)
def test_what_is_strange_but_makes_sense_is_an_order(
    columns: dict[str, str], producer: Producer, intake: Intake, queue: Queue
) -> None:
    order(producer, **columns)
    claims = claim_all(intake, queue)
    for claim in claims.values():
        assert claim.text.read().entries
        queue.complete(claim.lease)
    assert queue.pending() == 0


def test_a_hundred_thousand_files_are_an_order(producer: Producer, intake: Intake, queue: Queue) -> None:
    paths = [f"/data/plate-{number // 1000}/field-{number}.tif" for number in range(100_000)]
    order(producer, files=json.dumps(paths), file_names=json.dumps([f"field {number}" for number in range(100_000)]))
    claim = claim_all(intake, queue)[str(GOOD["uuid"])]
    assert [entry.path for entry in claim.text.read().entries] == paths
    queue.complete(claim.lease)
