# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers of dead workers, and the service that has them removed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pytest
from pydantic import SecretStr

from omero_adi_plugin.service.caretaker import Caretaker, seems_alive
from omero_adi_plugin.service.signature import owner
from omero_adi_plugin.settings import Settings
from tests.fixtures.podman import Podman
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import WAIT_SECONDS, wait_until


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def settings(podman: Podman, *allowed: str) -> Settings:
    return Settings(
        ingest_tracking_db=SecretStr("postgresql://u@h/d"), containers={"allow": allowed}, podman_socket=podman.socket
    )


def container(podman: Podman, image: str, whose: str) -> str:
    name = f"adi-test-{whose.rpartition(':')[2]}"
    podman(
        "run",
        "--detach",
        "--network=none",
        "--name",
        name,
        "--label",
        "omero-adi.order=o",
        "--label",
        f"omero-adi.owner={whose}",
        image,
    )
    return name


def test_what_the_dead_have_left_is_removed_and_nothing_else(podman: Podman, dead: int) -> None:
    image = podman.converter("sleep 1000")
    theirs, ours = container(podman, image, owner(dead)), container(podman, image, owner())
    elsewhere = container(podman, image, "elsewhere:17")
    try:
        unasked = Caretaker(settings(podman))
        unasked.look()
        unasked.close(WAIT_SECONDS)
        assert {theirs, ours, elsewhere} <= set(podman.containers())
        caretaker = Caretaker(settings(podman, "localhost/*"))
        caretaker.look()
        caretaker.close(WAIT_SECONDS)
        assert theirs not in podman.containers()
        assert {ours, elsewhere} <= set(podman.containers())
        caretaker.bury(os.getpid())
        caretaker.close(WAIT_SECONDS)
        assert ours not in podman.containers()
        assert elsewhere in podman.containers()
    finally:
        podman("rm", "--force", "--time=0", "--ignore", theirs, ours, elsewhere)


@pytest.mark.usefixtures("database", "without_java")
def test_a_service_removes_what_is_left_of_its_dead(podman: Podman, dead: int, services: Services, tracking: Tracking) -> None:
    image = podman.converter("sleep 1000")
    services.configure(containers={"allow": ["localhost/*"]}, podman_socket=str(podman.socket), max_workers=1)
    names = [container(podman, image, owner(dead))]
    try:
        service = services.start()
        wait_until(lambda: names[0] not in podman.containers(), what="the end of what was left before its start")
        wait_until(lambda: workers(tracking), what="a worker")
        [worker] = workers(tracking)
        names.append(container(podman, image, owner(worker)))
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: names[1] not in podman.containers(), what="the end of what its worker has left")
        assert services.stop(service) == os.EX_OK
    finally:
        podman("rm", "--force", "--time=0", "--ignore", *names)


def workers(tracking: Tracking) -> list[int]:
    """The workers of the service that was started."""
    return [each["pid"] for (shown,) in tracking.sql("SELECT workers FROM adi_service") for each in shown]


def test_whoever_may_be_alive_keeps_containers(dead: int) -> None:
    host = socket.gethostname()
    assert not seems_alive(f"{host}:{dead}")
    assert not seems_alive(f"script@{host}:{dead}")
    assert not seems_alive("")
    assert not seems_alive(f"{host}:{10**30}")
    alive = (owner(), f"script@{owner()}", f"{host}:1", "elsewhere:1", f"{host}:nonsense")
    assert [seems_alive(each) for each in alive] == [True] * len(alive)
