# SPDX-License-Identifier: GPL-2.0-or-later
"""There and back: we take a database over, give it back, the former importer goes on with it, and we come again."""

from __future__ import annotations

import pytest

from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.detach import detach
from omero_adi_plugin.tracking.migrate import condition, current, upgrade
from omero_adi_plugin.tracking.takeover import take_over
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, PLUGIN_HEAD, Revisions
from tests.fixtures.former import Former
from tests.fixtures.producer import Producer
from tests.integration.former.conftest import Service, an_order, catalog

NEWEST = (
    "SELECT stage FROM imports i WHERE uuid = %s AND NOT EXISTS "
    "(SELECT FROM imports r WHERE r.uuid = i.uuid AND (r.timestamp, r.id) > (i.timestamp, i.id))"
)


@pytest.mark.parametrize("route", ["stamped", "migrated"])
def test_what_we_give_back_is_what_we_got_and_the_former_importer_goes_on_with_it(
    route: str, former: Former, producer: Producer, service: Service, database: Database
) -> None:
    first, second, third = an_order(), an_order(), an_order()
    former.place(producer.url, first)
    if route == "stamped":
        former.alembic(producer.url, "stamp", "head")
    else:
        producer.sql("ALTER TABLE imports DROP COLUMN description")
        former.start(producer.url)
    before = catalog(producer.url)

    upgrade(producer.url)
    take_over(database, who="host:1")
    assert service.complete_all().keys() == {first["UUID"]}
    former.place(producer.url, second)  # nobody takes it in any more
    done = detach(producer.url)

    assert done.pending == (second["UUID"],)
    assert catalog(producer.url) == before
    assert current(producer.url) == Revisions(contract=CONTRACT_HEAD, plugin=None)
    assert CONTRACT_HEAD in former.alembic(producer.url, "current")
    former.alembic(producer.url, "upgrade", "head")
    former.start(producer.url)
    former.place(producer.url, third)  # its create_all runs too
    former.log(producer.url, second, "Import Started", "Import Completed")
    assert catalog(producer.url) == before

    upgrade(producer.url)
    assert current(producer.url) == Revisions(contract=CONTRACT_HEAD, plugin=PLUGIN_HEAD)
    assert not condition(producer.url).needs_upgrade(trigger=True)
    take_over(database, who="host:1")
    assert service.complete_all().keys() == {third["UUID"]}
    for order in (first, second, third):
        assert producer.sql(NEWEST, order["UUID"]) == [("Import Completed",)]


def test_an_order_that_waits_with_us_is_pending_for_the_former_importer(
    former: Former, producer: Producer, service: Service
) -> None:
    order = an_order()
    uuid = str(order["UUID"])
    former.place(producer.url, order)
    upgrade(producer.url)
    claim = service.next()
    assert claim is not None
    service.queue.give_back(claim.lease, note="OMERO was away", after_seconds=600)
    assert producer.sql(NEWEST, uuid) == [("Import Started",)]  # the former importer would take it for lost
    detach(producer.url)
    assert producer.sql(NEWEST, uuid) == [("Import Pending",)]
    former.log(producer.url, order, "Import Started", "Import Completed")
    assert producer.sql(NEWEST, uuid) == [("Import Completed",)]
