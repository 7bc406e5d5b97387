# SPDX-License-Identifier: GPL-2.0-or-later
"""Databases that the former importer itself has made become ours, with the orders that wait in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.migrate import condition, current, upgrade
from omero_adi_plugin.tracking.takeover import TakenOver, take_over, watch
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, CONTRACT_NEWER, PLUGIN_HEAD, Revisions
from tests.fixtures.former import Former
from tests.fixtures.producer import Producer
from tests.integration.former.conftest import Service, an_order

NEW = "Import Pending"
OPTIONS = '{"skip": ["thumbnails"]}'


def made(former: Former, producer: Producer) -> None:
    """Tables that a producer's `create_all` has made, which knows of no version table."""


def stamped(former: Former, producer: Producer) -> None:
    """Such tables, stamped as its README says."""
    former.alembic(producer.url, "stamp", "head")


def early(former: Former, producer: Producer) -> None:
    """Tables of a release from before the description, which no package index has any more."""
    producer.sql("ALTER TABLE imports DROP COLUMN description")


def migrated(former: Former, producer: Producer) -> None:
    """Such tables, brought up to date by its own service."""
    early(former, producer)
    former.start(producer.url)


def mistaken(former: Former, producer: Producer) -> None:
    """Such tables, whose own service was told to stamp what it did not know: as up to date, which they are not."""
    early(former, producer)
    former.start(producer.url, ADI_ALLOW_AUTO_STAMP="1")


def newer(former: Former, producer: Producer) -> None:
    """Tables of a release that is in no package index yet, as far as it is known."""
    stamped(former, producer)
    producer.sql("ALTER TABLE imports ADD COLUMN import_options text")
    producer.sql("UPDATE imports SET import_options = %s", OPTIONS)
    producer.sql("UPDATE alembic_version_omeroadi SET version_num = %s", CONTRACT_NEWER)


History = Callable[[Former, Producer], None]
HEADS: dict[History, str | None] = {
    made: None,
    stamped: CONTRACT_HEAD,
    early: None,
    migrated: CONTRACT_HEAD,
    mistaken: CONTRACT_HEAD,
    newer: CONTRACT_NEWER,
}


@pytest.mark.parametrize("history", HEADS, ids=lambda history: history.__name__)
def test_a_database_of_the_former_importer_is_taken_over_with_the_orders_that_wait_in_it(
    history: History, former: Former, producer: Producer, service: Service
) -> None:
    order = an_order()
    former.place(producer.url, order)
    history(former, producer)
    assert current(producer.url) == Revisions(contract=HEADS[history], plugin=None)

    upgrade(producer.url)

    head = CONTRACT_NEWER if history is newer else CONTRACT_HEAD
    assert current(producer.url) == Revisions(contract=head, plugin=PLUGIN_HEAD)
    assert not condition(producer.url).needs_upgrade(trigger=True)
    claim = service.next()
    assert claim is not None
    assert claim.lease.order == order["UUID"]
    taken = claim.text.read()
    assert [entry.path for entry in taken.entries] == order["Files"]
    assert (taken.user, taken.group, str(taken.target)) == ("ann", "Demo", "Dataset:151")
    service.queue.complete(claim.lease)
    assert producer.trail(claim.lease.order) == [NEW, "Import Started", "Import Completed"]
    assert service.next() is None


def test_a_column_of_a_newer_release_is_left_as_it_is(former: Former, producer: Producer, service: Service) -> None:
    order = an_order()
    former.place(producer.url, order)
    newer(former, producer)
    upgrade(producer.url)
    assert service.complete_all().keys() == {order["UUID"]}
    assert producer.sql("SELECT import_options FROM imports WHERE stage = %s", NEW) == [(OPTIONS,)]
    later = an_order()
    former.place(producer.url, later)  # this release, which does not know the column, writes beside it
    assert service.complete_all().keys() == {later["UUID"]}


def test_orders_that_the_former_importer_has_ended_are_not_run_again(
    former: Former, producer: Producer, service: Service
) -> None:
    done, failed, waiting = an_order(), an_order(), an_order()
    former.log(producer.url, done, NEW, "Import Started", "Import Completed")
    former.log(producer.url, failed, NEW, "Import Started", "Import Preprocessing", "Import Failed")
    former.place(producer.url, waiting)
    upgrade(producer.url)
    assert service.complete_all().keys() == {waiting["UUID"]}


def test_preprocessing_that_the_former_importer_wrote_down_is_read(former: Former, producer: Producer, service: Service) -> None:
    order = an_order(
        preprocessing_container="cellularimagingcf/converter:latest",
        preprocessing_inputfile="{Files}",
        preprocessing_outputfolder="/data",
        preprocessing_altoutputfolder="/out",
        extra_params={"saveoption": "single"},
    )
    former.place(producer.url, order)
    upgrade(producer.url)
    claim = service.next()
    assert claim is not None
    assert claim.text.preprocessing is not None
    assert claim.text.preprocessing.container == "cellularimagingcf/converter:latest"


def test_what_the_former_importer_had_begun_is_failed_at_the_first_start(
    former: Former, producer: Producer, service: Service, database: Database
) -> None:
    begun, converting, waiting = an_order(), an_order(), an_order()
    former.place(producer.url, begun, converting, waiting)
    former.log(producer.url, begun, "Import Started")
    former.log(producer.url, converting, "Import Started", "Import Preprocessing")
    upgrade(producer.url)
    assert take_over(database, who="host:1") == TakenOver(failed=2)
    for order in (begun, converting):
        uuid = str(order["UUID"])
        assert producer.trail(uuid)[-1] == "Import Failed"
        [[reason]] = producer.sql("SELECT description FROM imports WHERE uuid = %s AND stage = 'Import Failed'", uuid)
        assert "was running when the former importer stopped: look in OMERO, then order again" in reason
    assert service.complete_all().keys() == {waiting["UUID"]}


def test_the_former_importer_still_at_work_after_us_is_noticed(
    former: Former, producer: Producer, service: Service, database: Database
) -> None:
    old, ours, theirs = an_order(), an_order(), an_order()
    former.place(producer.url, old)
    former.log(producer.url, old, "Import Started", "Import Completed")
    upgrade(producer.url)
    take_over(database, who="host:1")
    former.place(producer.url, ours, theirs)
    assert service.complete_all().keys() == {ours["UUID"], theirs["UUID"]}
    assert watch(database, who="host:1") == []
    [begun, *_] = former.log(producer.url, theirs, "Import Started", "Import Completed")
    assert [(start.uuid, start.imports_id) for start in watch(database, who="host:1")] == [(theirs["UUID"], begun)]
