# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job: an order row becomes images in OMERO, by services that are started, stopped and killed."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking, alive, children
from tests.fixtures.waiting import wait_until

DONE = ["Import Pending", "Import Started", "Import Completed"]
FAILED = ["Import Pending", "Import Started", "Import Failed"]


@pytest.mark.usefixtures("without_java")
def test_two_services_import_twenty_orders_each_once(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> None:
    for _ in range(2):
        services.start(max_workers=1)
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(20)]
    orders = [tracking.order(lab, file) for file in files]
    tracking.wait(*orders)
    assert lab.markers() == Counter(dict.fromkeys(zip(orders, files, strict=True), 1))
    assert len(lab.images()) == 20
    assert Counter(stage for order in orders for stage in tracking.stages(order)) == Counter(dict.fromkeys(DONE, 20))


@pytest.mark.usefixtures("without_java")
def test_an_order_written_while_no_service_ran_is_imported_at_the_next_start(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    order = tracking.order(lab, samples.image())
    assert services.run(*ONCE).returncode == os.EX_OK
    assert tracking.stages(order) == DONE
    assert len(lab.images()) == 1


@pytest.mark.usefixtures("without_java")
def test_an_order_that_no_trigger_told_of_is_found_and_imported(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    tracking.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")  # as a restore, or a site without triggers
    order = tracking.order(lab, samples.image())
    assert services.run(*ONCE).returncode == os.EX_OK
    assert tracking.stages(order) == DONE


def test_asked_to_end_a_service_ends_well_and_leaves_no_process_and_no_lease(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    service = services.start(shutdown_timeout=0)
    orders = [tracking.order(lab, samples.image(f"{number}.ome.tif")) for number in range(10)]
    wait_until(lambda: tracking.sql("SELECT 1 FROM adi_order WHERE state = 'running'"), what="the first order's start")
    workers = children(service.pid)
    assert services.stop(service) == os.EX_OK
    wait_until(lambda: not any(alive(worker) for worker in workers), what="the end of all processes of the service")
    assert tracking.sql("SELECT uuid FROM adi_order WHERE state = 'running' OR failures > 0") == []
    services.start(max_workers=1)
    tracking.wait(*orders)
    assert len(lab.images()) == 10


def test_killed_while_it_refuses_thousands_of_files_each_is_on_record_in_the_end(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples, data_folder: Path
) -> None:
    service = services.start(max_workers=1)
    order = tracking.order(lab, samples.image(), *(f"{data_folder}/{number}.tif" for number in range(4000)))
    recorded = "SELECT count(*) FROM adi_file WHERE uuid = %s"
    wait_until(lambda: tracking.sql(recorded, order)[0][0] > 1, what="the first files on record")
    services.kill(service)
    assert "Import Failed" not in tracking.stages(order), "it had ended before it was killed"
    services.start(max_workers=1)
    tracking.wait(order)
    assert tracking.description(order).startswith("4000 of 4001 files could not be imported")
    assert tracking.sql(recorded, order) == [(4001,)]
    assert len(lab.images()) == 1
