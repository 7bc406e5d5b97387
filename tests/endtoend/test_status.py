# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi status` beside real services: who is at work, and that nobody is any more."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from tests.fixtures.services import Services, Tracking, alive
from tests.fixtures.waiting import wait_until


def has_ice(pid: int) -> bool:
    return "IcePy" in Path(f"/proc/{pid}/maps").read_text()


def test_a_service_shows_itself_and_its_workers_until_it_ends(services: Services, tracking: Tracking) -> None:
    process = services.start()

    def shown() -> list[dict[str, Any]]:
        done = services.run("status", "--json")
        assert done.returncode == os.EX_OK, done.stderr
        return list(json.loads(done.stdout)["services"])

    wait_until(
        lambda: tracking.sql("SELECT true FROM adi_service WHERE jsonb_array_length(workers) = 2"), what="a service with workers"
    )
    [service] = shown()
    assert (service["host"], service["pid"], service["silent"]) == (socket.gethostname(), process.pid, False)
    assert all(alive(worker["pid"]) for worker in service["workers"])
    wait_until(lambda: all(has_ice(worker["pid"]) for worker in service["workers"]), what="workers with OMERO's code")
    assert not has_ice(process.pid), "the service itself has no use for it"
    assert "2 workers" in services.run("status").stdout
    assert services.stop(process) == os.EX_OK
    assert shown() == []
