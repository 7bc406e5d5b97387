# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that are called off, or held up by a pause, while a service carries them out: what is in is whole, the rest is not."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_adi_plugin.sessions import Account
from tests.fixtures.holds import imports_held
from tests.fixtures.laboratory import Lab
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, clean
from tests.fixtures.waiting import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("without_java")

FILES = 10
BEFORE = 2
"""So many are in OMERO when the server holds up all further ones; as many as are imported at the same time are under way then."""


@pytest.fixture
def server(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """A server of the test's own, which can be held up."""
    with running_here(tmp_path / "omero", template=server_template, step_seconds=0) as server:
        yield server


@pytest.fixture
def omero_account(server: ServerHere) -> Account:
    return server.account


def many(samples: Samples) -> list[str]:
    return [samples.image(f"{number}.ome.tif", seed=number) for number in range(FILES)]


def check_whole(lab: Lab, tracking: Tracking, order: str, files: list[str]) -> int:
    """Check that what is in OMERO of an order is complete, there once, annotated, and on record; return how much it is."""
    images = lab.images()
    assert lab.images_with(order) == images
    assert [len(lab.key_values(image)) for image in images] == [1] * len(images)
    known = dict(tracking.sql("SELECT key, fileset FROM adi_file WHERE uuid = %s AND step = 'annotated'", order))
    assert lab.markers() == Counter(dict.fromkeys([(order, file) for file in known], 1)), (
        "a half is left, or something is doubled"
    )
    assert len(known) == len(images)
    others = tracking.sql("SELECT key, step FROM adi_file WHERE uuid = %s AND step <> 'annotated'", order)
    assert dict(others) == {key: "planned" for key, _ in others}
    assert known.keys() | dict(others).keys() <= set(files)
    return len(images)


def test_an_order_that_is_called_off_ends_in_good_order(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    files = many(samples)
    with imports_held(server, after=BEFORE) as reached:
        services.start(max_workers=1)
        order = tracking.order(lab, *files)
        assert reached.wait(WAIT_SECONDS)
        done = services.run("orders", "cancel", order)
        assert done.returncode == 0, done.stderr
        assert tracking.sql("SELECT state FROM adi_order") == [("running",)]
        wait_until(lambda: "event=order.stops" in services.log.read_text(), what="the order's stop")
    tracking.wait(order)
    assert tracking.sql("SELECT state FROM adi_order") == [("cancelled",)]
    assert tracking.stages(order) == ["Import Pending", "Import Started", "Import Failed"]
    assert tracking.description(order).startswith("Cancelled by ")
    assert "UTC, while it was being carried out" in tracking.description(order)
    assert BEFORE < check_whole(lab, tracking, order, files) < FILES


def test_a_pause_that_drains_does_not_wait_for_a_long_order_which_goes_on_afterwards(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    files = many(samples)
    with imports_held(server, after=BEFORE) as reached:
        services.start(max_workers=1)
        order = tracking.order(lab, *files)
        assert reached.wait(WAIT_SECONDS)
        drain = subprocess.Popen(
            services.command("pause", "--drain"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean()
        )
        wait_until(lambda: "event=order.stops" in services.log.read_text(), what="the order's stop")
        assert drain.poll() is None, "it did not wait for what is under way"
    assert drain.wait(WAIT_SECONDS) == 0
    assert BEFORE < check_whole(lab, tracking, order, files) < FILES
    assert tracking.sql("SELECT state, failures FROM adi_order") == [("waiting", 0)]
    assert services.run("resume").returncode == 0
    tracking.wait(order)
    assert tracking.stages(order) == ["Import Pending", "Import Started", "Import Started", "Import Completed"]
    assert check_whole(lab, tracking, order, files) == FILES
