# SPDX-License-Identifier: GPL-2.0-or-later
"""Ctrl-C in the middle of an import on the command line: it ends soon, and a service goes on with the order."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.endtoend.test_import import order
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, clean
from tests.fixtures.waiting import WAIT_SECONDS

pytestmark = pytest.mark.usefixtures("without_java")


def test_a_service_goes_on_where_a_person_stopped(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> None:
    first = samples.image("000.ome.tif")
    files = [first, *(f"{samples.folder}/{number:03}.ome.tif" for number in range(1, 24))]
    for file in files[1:]:
        shutil.copy(first, file)
    command = services.command(*order(lab, *files))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=services.folder, env=clean()) as process:
        assert process.stderr is not None
        uuid = process.stderr.readline().split()[1]
        begun = (line for line in process.stderr if "importing" in line)
        for _ in range(2):
            next(begun)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=WAIT_SECONDS)[1]
    assert f"order {uuid} is not finished: a service goes on with it." in rest
    assert "Traceback" not in rest
    assert tracking.sql("SELECT state, failures FROM adi_order WHERE uuid = %s", uuid) == [("waiting", 0)]
    assert len(lab.images()) < len(files)
    services.start(max_workers=1)
    tracking.wait(uuid)
    assert tracking.stages(uuid)[-1] == "Import Completed"
    assert lab.markers() == Counter({(uuid, file): 1 for file in files})
    assert lab.images_with(uuid) == lab.images()
    assert len(lab.images()) == len(files)
    assert "attempt.broke" not in Path(services.log).read_text()
