# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that are called off, or given back, while they are carried out on a command line, or after their worker was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.endtoend.test_import import order
from tests.endtoend.test_takeover import carried_out_until_killed
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking, clean
from tests.fixtures.waiting import WAIT_SECONDS

FILES = 120
"""More than can be imported in the second that the command takes at most to learn what is wanted of it."""


@contextmanager
def importing(lab: Lab, services: Services, samples: Samples) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Begin to import many files; give the order's uuid, and the command when it is in the middle of them."""
    first = samples.image("000.ome.tif")
    files = [first, *(f"{samples.folder}/{number:03}.ome.tif" for number in range(1, FILES))]
    for file in files[1:]:
        shutil.copy(first, file)
    command = services.command(*order(lab, *files))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=services.folder, env=clean()
    ) as process:
        assert process.stderr is not None
        uuid = process.stderr.readline().split()[1]
        next(line for line in process.stderr if line.rstrip().endswith(": done"))
        yield uuid, process


def test_one_that_is_called_off_ends_as_failed_and_leaves_nothing_half_done(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    with importing(lab, services, samples) as (uuid, process):
        said = services.run("orders", "cancel", uuid).stdout
        stdout, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert "which ends it at the next safe point" in said
    assert process.returncode == os.EX_DATAERR
    assert "Traceback" not in stderr
    assert "Cancelled by" in stderr.splitlines()[-1]
    assert stdout.startswith(f"order {uuid}  Import Failed  ")
    assert tracking.sql("SELECT state FROM adi_order") == [("cancelled",)]
    assert "Cancelled by" in tracking.description(uuid)
    assert 0 < len(lab.images()) < FILES
    assert lab.images_with(uuid) == lab.images()
    assert sum(lab.markers().values()) == len(lab.images())


def test_one_that_a_drain_has_given_back_says_so_and_a_service_goes_on(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    with importing(lab, services, samples) as (uuid, process):
        assert services.run("pause", "--drain").returncode == os.EX_OK
        _, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == os.EX_TEMPFAIL
    assert f"A service goes on with order {uuid} when imports go on." in stderr.splitlines()[-1]
    assert tracking.sql("SELECT state, failures, attempt FROM adi_order") == [("waiting", 0, 1)]
    before = lab.images()
    assert 0 < len(before) < FILES
    services.run("resume")
    assert services.run(*ONCE).returncode == os.EX_OK
    assert tracking.stages(uuid)[-1] == "Import Completed"
    assert len(lab.images()) == FILES == sum(lab.markers().values())
    assert set(before) <= set(lab.images())


def test_what_a_worker_left_that_was_killed_is_tidied_up_before_its_order_ends(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    uuid = tracking.order(lab, samples.image())
    carried_out_until_killed(services, tracking, step="created")
    assert sum(lab.markers().values()) == 1
    tracking.sql("UPDATE adi_order SET lease_until = now() - interval '1 s'")
    said = services.run("orders", "cancel", uuid).stdout
    assert said == f"order {uuid} was begun before: a service removes what is half imported, and ends it then\n"
    assert services.run(*ONCE).returncode == os.EX_OK
    assert tracking.sql("SELECT state FROM adi_order") == [("cancelled",)]
    assert "Cancelled by" in tracking.description(uuid)
    assert (sum(lab.markers().values()), lab.images()) == (0, [])
