# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi orders undo`, as a person types it: it shows, asks, removes, and says so afterwards."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from omero_adi_plugin.tracking import operating
from tests.fixtures.laboratory import Lab
from tests.fixtures.official import StandIn
from tests.fixtures.runs import Runs
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking, clean
from tests.fixtures.waiting import WAIT_SECONDS

pytestmark = pytest.mark.usefixtures("without_java")


def imported(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> str:
    order = tracking.order(lab, samples.image("a.ome.tif"), samples.three_images("b.ome.tif"))
    done = services.run(*ONCE)
    assert tracking.stages(order)[-1] == "Import Completed", done.stderr
    return order


def answered(services: Services, order: str, answer: str) -> subprocess.CompletedProcess[bytes]:
    """Undo at a terminal, where a person answers."""
    ours, terminal = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        return subprocess.run(
            services.command("orders", "undo", order),
            stdin=terminal,
            stderr=terminal,
            stdout=subprocess.PIPE,
            timeout=WAIT_SECONDS,
            check=False,
            cwd=services.folder,
            env=clean(),
        )
    finally:
        os.close(terminal)
        os.close(ours)


def test_it_asks_removes_and_the_order_can_be_ordered_again(runs: Runs, tracking: Tracking, services: Services) -> None:
    claim = runs.order(runs.samples.image("a.ome.tif"), runs.samples.three_images("b.ome.tif"))
    runs.run(claim)
    runs.queue.complete(claim.lease)
    lab, order = runs.lab, claim.lease.order
    before = lab.images()
    declined = answered(services, order, "n")
    assert (declined.returncode, declined.stdout.decode().splitlines()[-1]) == (0, "nothing was removed")
    assert lab.images() == before
    done = answered(services, order, "yes")
    assert (done.returncode, done.stdout.decode().splitlines()[-1]) == (0, f"order {order}: 2 filesets removed from OMERO")
    assert lab.images() == []
    operating.retry(runs.database, order, who="ann@desk")
    services.run(*ONCE)
    assert tracking.stages(order)[-1] == "Import Completed"
    assert (len(lab.images()), set(lab.markers().values())) == (4, {1})
    assert not set(lab.images()) & set(before)


def test_what_omeros_own_importer_has_brought_in_goes_too(
    lab: Lab, tracking: Tracking, services: Services, stand_in: StandIn, samples: Samples
) -> None:
    services.configure(importer="omero", skip_minmax=True)
    order = imported(lab, tracking, services, samples)
    verified = services.run("verify", order)
    assert (verified.returncode, verified.stdout.partition(":")[0]) == (0, "1 order, 2 filesets, 2 files looked at"), (
        verified.stdout
    )
    done = services.run("orders", "undo", order, "--yes", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, len(report["removed"]), report["images"], report["undone"]) == (0, 2, 4, True)
    assert lab.session.query("select f.id from Fileset f where f.details.owner.id = :id", id=lab.session.user_id) == []
    assert all(Path(path).exists() for path in (samples.folder / "a.ome.tif", samples.folder / "b.ome.tif"))
