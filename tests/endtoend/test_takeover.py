# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker that is killed right after a step: the next one adopts what is whole and repeats what is half."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, clean
from tests.fixtures.waiting import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("without_java")

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from omero_adi_plugin.service.attempt import Attempts, account
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.settings import Settings

def at_the_step(progress):
    if progress.step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

settings = Settings.load(Path(sys.argv[1]))
attempts = Attempts(settings, sessions=Logins(account(settings)))
claim = attempts.queue.claim(owner="the one that is killed")
attempts.carry_out(claim, on_progress=at_the_step)
"""


def carried_out_until_killed(services: Services, tracking: Tracking, *, step: str) -> None:
    """Claim the next order in a process of its own that is killed as soon as the order has come to this step."""
    tracking.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name)"
        " SELECT uuid, id, user_name, group_name FROM imports WHERE stage = 'Import Pending'"
    )
    tracking.sql("DELETE FROM adi_inbox")
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(services.config), step], check=False, timeout=WAIT_SECONDS, env=clean()
    )
    assert done.returncode == -signal.SIGKILL, "the step was not reached, so this proves nothing"


@pytest.mark.parametrize("step", ["planned", "created", "verifying", "imported", "annotated"])
def test_killed_right_after_a_step_the_file_is_there_once_whole_and_annotated(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples, step: str
) -> None:
    file = samples.three_images()
    order = tracking.order(lab, file)
    carried_out_until_killed(services, tracking, step=step)
    there = lab.markers()
    if step == "imported":  # nothing but OMERO says so: the ledger is written when many filesets are annotated
        assert tracking.sql("SELECT step, images FROM adi_file") == [("verifying", [])]
    assert there == (Counter() if step == "planned" else Counter({(order, file): 1}))
    before = lab.images()
    services.start(max_workers=1)
    tracking.wait(order)
    assert lab.markers() == Counter({(order, file): 1})
    assert len(lab.images()) == 3
    assert not before or lab.images() == before, "what was whole was not adopted"
    assert lab.images_with(order) == lab.images()
    assert all(len(lab.key_values(image)) == 1 for image in lab.images())
    assert tracking.stages(order) == ["Import Pending", "Import Started", "Import Started", "Import Completed"]


def test_what_somebody_has_deleted_is_not_imported_again_by_itself_and_the_other_files_go_on(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    services.start(max_workers=1)
    order = tracking.order(lab, deleted := samples.image("deleted.ome.tif"))
    tracking.wait(order)
    lab.gateway().deleteObjects("Image", lab.images(), wait=True)
    tracking.order(lab, deleted, other := samples.image("other.ome.tif"), uuid=order)
    wait_until(lambda: tracking.stages(order)[-1] == "Import Failed", what="the refusal")
    assert "1 of 2 files" in tracking.description(order)
    assert "deleted.ome.tif' was imported earlier" in tracking.description(order)
    assert lab.markers() == Counter({(order, other): 1})
