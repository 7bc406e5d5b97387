# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO or PostgreSQL is away for a while: nothing fails for it, and the service goes on by itself."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from omero_adi_plugin.sessions import Logins
from tests.fixtures.laboratory import Lab, furnished
from tests.fixtures.omero import started
from tests.fixtures.postgres import execute
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import wait_until

WORKERS = 2


def test_a_service_outlives_its_database(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples, database_url: str, postgres_url: str
) -> None:
    service = services.start(surroundings_seconds=1, poll_seconds=1)
    tracking.wait(tracking.order(lab, samples.image("before.ome.tif")))
    name = database_url.rpartition("/")[2].partition("?")[0]
    execute(
        postgres_url,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    try:
        everybody = WORKERS + 1
        wait_until(lambda: services.log.read_text().count("cannot be reached") >= everybody, what="everybody's notice")
        with pytest.raises(subprocess.TimeoutExpired):  # several more tries of each
            service.wait(4)
        assert services.log.read_text().count("cannot be reached") == everybody, "the log repeats itself"
    finally:
        execute(postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    tracking.wait(tracking.order(lab, samples.image("after.ome.tif")))
    assert len(lab.images()) == 2


def test_an_order_placed_while_omero_is_down_is_imported_when_it_is_back(
    tmp_path: Path, tracking: Tracking, services: Services, samples: Samples
) -> None:
    with started(tmp_path / "omero") as first, Logins(first.account) as logins, furnished(logins, first.account) as lab:
        first.stop()
    settings = yaml.safe_load(services.config.read_text())
    services.config.write_text(yaml.safe_dump(settings | {"omero_port": first.ssl_port}))
    services.start(surroundings_seconds=1)
    order = tracking.order(lab, samples.image())
    paused = "event=worker.paused"
    wait_until(lambda: services.log.exists() and services.log.read_text().count(paused) == WORKERS, what="all workers' pause")
    tried = len(tracking.stages(order))
    [[now]] = tracking.sql("SELECT clock_timestamp()")
    long_past = (
        "SELECT 1 FROM adi_order WHERE state = 'waiting' AND run_after < %s AND clock_timestamp() > run_after + interval '3 s'"
    )
    wait_until(lambda: tracking.sql(long_past, now + timedelta(seconds=5)), what="an order that is due for a while")
    assert len(tracking.stages(order)) == tried, "a row for people to read was written although nothing could be done"
    assert services.log.read_text().count(paused) == WORKERS, "the log repeats itself"
    with started(tmp_path / "omero", "--ssl-port", str(first.ssl_port)):
        tracking.wait(order)
        assert tracking.stages(order) == ["Import Pending"] + ["Import Started"] * tried + ["Import Completed"]
    assert tracking.sql("SELECT failures FROM adi_order") == [(0,)]
