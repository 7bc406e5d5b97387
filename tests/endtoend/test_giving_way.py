# SPDX-License-Identifier: GPL-2.0-or-later
"""A large order gives way: a single file of somebody else does not wait for all of its files."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_adi_plugin.sessions import Account, Logins
from omero_devserver.wire.moments import Passing
from tests.fixtures.laboratory import Lab, furnished
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

FILES = 40
SLOW_SECONDS = 0.5
"""So long each import takes until the single file is in: far longer, all together, than the test takes."""


@pytest.fixture
def server(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """A server of the test's own, which can be slowed down."""
    with running_here(tmp_path / "omero", template=server_template, step_seconds=0) as server:
        yield server


@pytest.fixture
def omero_account(server: ServerHere) -> Account:
    return server.account


def test_a_single_file_does_not_wait_for_all_files_of_somebody_else(
    server: ServerHere, lab: Lab, logins: Logins, tracking: Tracking, services: Services, samples: Samples
) -> None:
    quick = threading.Event()

    def hold(passing: Passing) -> None:
        if not quick.is_set():
            passing.wait(SLOW_SECONDS)

    server.server.moments.at("import.step.1.before", hold)
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(FILES)]
    services.start(max_workers=1, yield_after_filesets=3, parallel_filesets_per_worker=1)
    with furnished(logins, lab.account) as other:
        large = tracking.order(lab, *files)
        wait_until(lambda: tracking.sql("SELECT 1 FROM adi_file WHERE step = 'annotated'"), what="the first files")
        single = tracking.order(other, samples.image("single.ome.tif"))
        tracking.wait(single)
        quick.set()
        assert not tracking.ended(large), "it had to wait for all of them"
        assert other.markers() == Counter({(single, str(samples.folder / "single.ome.tif")): 1})
    tracking.wait(large)
    assert tracking.stages(large) == ["Import Pending", "Import Started", "Import Started", "Import Completed"]
    [[why]] = tracking.sql("SELECT description FROM imports WHERE uuid = %s AND description LIKE 'Attempt 2%%'", large)
    assert "gave way to orders of others" in why
    assert lab.markers() == Counter(dict.fromkeys([(large, file) for file in files], 1))
    assert lab.images_with(large) == lab.images()
    assert len(lab.images()) == FILES
    assert tracking.sql("SELECT failures FROM adi_order") == [(0,), (0,)]
