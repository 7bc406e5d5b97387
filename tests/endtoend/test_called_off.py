# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that are called off, or given back, while they are carried out on a command line, or after their worker was killed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from omero_adi_plugin.sessions import Account
from tests.endtoend.test_import import order
from tests.endtoend.test_takeover import carried_out_until_killed
from tests.fixtures.holds import imports_held
from tests.fixtures.laboratory import Lab
from tests.fixtures.omero import ServerHere
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking, clean
from tests.fixtures.waiting import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("without_java")

FILES = 10
BEFORE = 2
"""So many are in OMERO when the server holds up all further ones."""


@pytest.fixture
def omero_account(server_here: ServerHere) -> Account:
    return server_here.account


@contextmanager
def importing(
    server: ServerHere, lab: Lab, services: Services, samples: Samples
) -> Iterator[tuple[str, subprocess.Popen[str], Callable[[], None]]]:
    """Begin to import some files; give the order's uuid, the command in the middle of them, and what lets the server go on.

    That waits until the command has learnt what is wanted of it.
    """
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(FILES)]
    command = services.command(*order(lab, *files))
    with (
        ExitStack() as held,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=services.folder, env=clean()
        ) as process,
    ):
        reached = held.enter_context(imports_held(server, after=BEFORE))

        def go_on() -> None:
            wait_until(lambda: "event=order.stops" in services.log.read_text(), what="the command's notice")
            held.close()

        assert process.stderr is not None
        uuid = process.stderr.readline().split()[1]
        assert reached.wait(WAIT_SECONDS)
        yield uuid, process, go_on


def test_one_that_is_called_off_ends_as_failed_and_leaves_nothing_half_done(
    server_here: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    with importing(server_here, lab, services, samples) as (uuid, process, go_on):
        said = services.run("orders", "cancel", uuid).stdout
        go_on()
        stdout, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert "which ends it at the next safe point" in said
    assert process.returncode == os.EX_DATAERR
    assert "Traceback" not in stderr
    assert "Cancelled by" in stderr.splitlines()[-1]
    assert stdout.startswith(f"order {uuid}  Import Failed  ")
    assert tracking.sql("SELECT state FROM adi_order") == [("cancelled",)]
    assert "Cancelled by" in tracking.description(uuid)
    assert BEFORE < len(lab.images()) < FILES
    assert lab.images_with(uuid) == lab.images()
    assert sum(lab.markers().values()) == len(lab.images())


def test_one_that_a_drain_has_given_back_says_so_and_a_service_goes_on(
    server_here: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    with importing(server_here, lab, services, samples) as (uuid, process, go_on):
        drain = subprocess.Popen(
            services.command("pause", "--drain"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean()
        )
        go_on()
        _, stderr = process.communicate(timeout=WAIT_SECONDS)
        assert drain.wait(WAIT_SECONDS) == os.EX_OK
    assert process.returncode == os.EX_TEMPFAIL
    assert f"A service goes on with order {uuid} when imports go on." in stderr.splitlines()[-1]
    assert tracking.sql("SELECT state, failures, attempt FROM adi_order") == [("waiting", 0, 1)]
    before = lab.images()
    assert BEFORE < len(before) < FILES
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
