# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO is away for a while: nothing fails for it, and the service goes on by itself."""

from __future__ import annotations

from pathlib import Path

import yaml

from omero_adi_plugin.sessions import Logins
from tests.fixtures.laboratory import furnished
from tests.fixtures.omero import started
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import wait_until


def test_an_order_placed_while_omero_is_down_is_imported_when_it_is_back(
    tmp_path: Path, tracking: Tracking, services: Services, samples: Samples
) -> None:
    with started(tmp_path / "omero") as first, Logins(first.account) as logins, furnished(logins, first.account) as lab:
        first.stop()
    settings = yaml.safe_load(services.config.read_text())
    services.config.write_text(yaml.safe_dump(settings | {"omero_port": first.ssl_port}))
    services.start()
    order = tracking.order(lab, samples.image())
    given_back = "SELECT 1 FROM adi_order WHERE state = 'waiting' AND attempt > 0 AND failures = 0"
    wait_until(lambda: tracking.sql(given_back), what="the order being given back")
    assert tracking.stages(order) == ["Import Pending", "Import Started"]
    with started(tmp_path / "omero", "--ssl-port", str(first.ssl_port)):
        tracking.wait(order)
        assert tracking.stages(order)[-1] == "Import Completed"
    assert tracking.sql("SELECT failures FROM adi_order") == [(0,)]
