# SPDX-License-Identifier: GPL-2.0-or-later
"""An order that takes longer than a script may run: it goes from script to script, and none of its attempts counts as failed.

Nor does that of a script on a host so slow that its life is nearly over when it begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_adi_plugin.sessions import Account
from tests.fixtures.crowd import failures
from tests.fixtures.laboratory import Lab
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.processors import Hosts
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking

pytestmark = pytest.mark.usefixtures("without_java")

LIFE_SECONDS = 15
"""How long a script may run. The start takes some of it, 5 s on a busy host, and the last fifth is for what is under way."""

LATE_SECONDS = 0.82 * LIFE_SECONDS
"""So old is a script that begins late: after 80 % of its life it begins no fileset, and soon OMERO ends its session."""

LATE = f"""
    import os
    import sys
    import time

    def age():
        with open("/proc/self/stat") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")

    class Late:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "omero_adi_plugin":
                try:
                    os.unlink(os.path.join(os.path.dirname(__file__), "late"))
                except FileNotFoundError:
                    return
                time.sleep(max(0, {LATE_SECONDS} - age()))

    sys.meta_path.insert(0, Late)
"""
"""A host so slow that a script whose life is nearly over begins only then; once, for each file `late`."""

STEP_SECONDS = 0.2
FILES = 46
"""Each takes five of these steps and a little more, one after the other: three times as long in all."""


@pytest.fixture(scope="module")
def grid_server(server_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHere]:
    folder = tmp_path_factory.mktemp("grid") / "omero"
    with running_here(
        folder, template=server_template, processors=0, script_seconds=LIFE_SECONDS, step_seconds=STEP_SECONDS
    ) as server:
        yield server


@pytest.fixture
def omero_account(grid_server: ServerHere) -> Account:
    return grid_server.account


def test_an_order_that_takes_three_times_as_long_as_a_script_may_run_is_completed_without_a_failed_attempt(
    hosts: Hosts, tracking: Tracking, services: Services, samples: Samples, lab: Lab
) -> None:
    late = hosts.start("adi-one", customize=LATE).omerodir / "site" / "late"
    hosts.install()
    services.start()
    tracking.wait(tracking.order(lab, samples.three_images()))  # OMERO.server opens its first file, for which it starts Java
    late.touch()
    order = tracking.order(lab, *(files := [samples.image(f"{number}.ome.tif", seed=number) for number in range(FILES)]))
    tracking.wait(order, seconds=240)
    assert tracking.stages(order)[-1] == "Import Completed"
    assert not late.exists(), "no script began late: this proves nothing of that"
    assert failures(tracking, [order]) == []
    took = "SELECT extract(epoch FROM sum(ended_at - started_at)) FROM adi_attempt WHERE uuid = %s"
    [[seconds]] = tracking.sql(took, order)
    assert seconds > 3 * LIFE_SECONDS, "it was too small: this proves nothing"
    ends = "SELECT outcome FROM adi_attempt WHERE uuid = %s ORDER BY attempt"
    outcomes = [outcome for (outcome,) in tracking.sql(ends, order)]
    assert len(outcomes) > 3
    assert outcomes[-1] == "completed"
    assert set(outcomes[:-1]) == {"given back"}
    assert {key: count for key, count in lab.markers().items() if key[0] == order} == {(order, file): 1 for file in files}
    assert len(lab.images_with(order)) == FILES
