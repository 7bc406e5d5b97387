# SPDX-License-Identifier: GPL-2.0-or-later
"""The former importer's package stays installed beside producers and OMERO.web: what it does there goes on as before."""

from __future__ import annotations

from omero_adi_plugin.tracking.migrate import condition, current, upgrade
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, PLUGIN_HEAD, Revisions
from tests.fixtures.former import Former
from tests.fixtures.producer import Producer
from tests.integration.former.conftest import Service, an_order, catalog


def test_an_order_of_the_old_function_reaches_the_inbox_and_becomes_an_order(
    former: Former, producer: Producer, service: Service
) -> None:
    upgrade(producer.url)
    order = an_order(FileNames=["first", "second"])
    former.place(producer.url, order)
    assert producer.sql("SELECT uuid, scanned FROM adi_inbox") == [(order["UUID"], False)]
    service.intake.take_in()
    assert producer.sql("SELECT uuid, state FROM adi_order") == [(order["UUID"], "waiting")]
    claim = service.next()
    assert claim is not None
    assert [(entry.path, entry.name) for entry in claim.text.read().entries] == list(
        zip(order["Files"], order["FileNames"], strict=True)
    )


def test_orders_from_before_and_after_our_migrations_all_run_once(former: Former, producer: Producer, service: Service) -> None:
    orders = [an_order() for _ in range(4)]
    former.place(producer.url, *orders[:2])
    upgrade(producer.url)
    former.place(producer.url, *orders[2:])
    assert service.complete_all().keys() == {order["UUID"] for order in orders}
    assert producer.sql("SELECT DISTINCT attempt FROM adi_order") == [(1,)]


def test_making_all_tables_after_us_changes_nothing(former: Former, producer: Producer) -> None:
    upgrade(producer.url)
    before = catalog(producer.url)
    former.create_all(producer.url)
    assert catalog(producer.url) == before
    assert current(producer.url) == Revisions(contract=CONTRACT_HEAD, plugin=PLUGIN_HEAD)


def test_its_own_migrations_find_nothing_to_do_after_us(former: Former, producer: Producer) -> None:
    upgrade(producer.url)
    before = catalog(producer.url)
    assert CONTRACT_HEAD in former.alembic(producer.url, "current")
    former.alembic(producer.url, "upgrade", "head")
    former.start(producer.url)
    assert catalog(producer.url) == before
    assert not condition(producer.url).needs_upgrade(trigger=True)


def test_tables_that_it_made_and_migrated_are_in_the_end_equal_to_those_that_we_make(
    former: Former, producer: Producer, database_url: str
) -> None:
    former.create_all(producer.url)
    producer.sql("ALTER TABLE imports DROP COLUMN description")  # as they were made before it came
    former.start(producer.url)
    upgrade(producer.url)
    assert catalog(producer.url) == catalog(database_url)


def test_further_stages_of_the_old_function_are_appended_and_start_nothing(
    former: Former, producer: Producer, service: Service
) -> None:
    upgrade(producer.url)
    order = an_order()
    stages = ["Import Started", "Import Preprocessing", "Import Completed"]
    former.place(producer.url, order)
    assert service.complete_all().keys() == {order["UUID"]}
    ids = former.log(producer.url, order, *stages)
    assert ids == sorted(ids)
    assert producer.trail(str(order["UUID"]))[-3:] == stages
    assert service.next() is None
    assert producer.sql("SELECT count(*) FROM adi_inbox") == [(0,)]


def test_the_same_order_again_by_the_old_function_runs_again(former: Former, producer: Producer, service: Service) -> None:
    upgrade(producer.url)
    order = an_order()
    for attempt in (1, 2):
        former.place(producer.url, order)
        claim = service.next()
        assert claim is not None
        assert claim.lease.attempt == attempt
        service.queue.complete(claim.lease)
