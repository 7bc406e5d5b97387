# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders of a higher priority are begun first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.orders import Target
from omero_adi_plugin.tracking.submit import HIGHEST_PRIORITY, submit_order

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

ORDER: dict[str, Any] = {"user": "ann", "group": "Demo", "target": Target.parse("Dataset:151"), "files": ["/data/a.tif"]}


def test_orders_of_a_higher_priority_go_first_and_those_of_a_lower_one_last(
    database: Database, producer: Producer, intake: Intake, queue: Queue
) -> None:
    last = submit_order(database, **ORDER, priority=-HIGHEST_PRIORITY)
    usual = producer.pending()
    intake.take_in()
    first = submit_order(database, **ORDER, priority=HIGHEST_PRIORITY, skip_existing=True)
    claims = [queue.claim(owner="host:1") for _ in range(3)]
    assert [claim and claim.lease.order for claim in claims] == [first, usual, last]
    assert [claim and claim.skip_existing for claim in claims] == [True, False, False]


def test_an_order_that_is_ordered_again_has_the_priority_that_is_said_then(
    database: Database, intake: Intake, producer: Producer, queue: Queue
) -> None:
    uuid = submit_order(database, **ORDER, priority=5)
    claim = queue.claim(owner="host:1")
    assert claim is not None
    queue.fail(claim.lease, reason="no")
    submit_order(database, **ORDER, uuid=uuid, priority=-3)
    assert producer.sql("SELECT state, priority FROM adi_order") == [("waiting", -3)]


@pytest.mark.parametrize("priority", [HIGHEST_PRIORITY + 1, -HIGHEST_PRIORITY - 1])
def test_a_priority_beyond_the_others_is_refused(priority: int, database: Database, producer: Producer) -> None:
    with pytest.raises(UsageError, match=f"the priority is {priority}, not from -100 to 100"):
        submit_order(database, **ORDER, priority=priority)
    assert producer.sql("SELECT count(*) FROM imports") == [(0,)]
