# SPDX-License-Identifier: GPL-2.0-or-later
"""What systemd is told, over a real socket, and the unit file that comes with the package."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from omero_adi_plugin.service.ending import FAREWELL_SECONDS, KILL_SECONDS
from omero_adi_plugin.service.systemd import Systemd
from omero_adi_plugin.settings import Settings

UNIT = Path(__file__).parents[3] / "deploy" / "omero-adi.service"


@pytest.fixture(params=["a path", "an abstract address"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "a path" else f"@omero-adi-{uuid4()}"


@pytest.fixture
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if address.startswith("@") else address)
        manager.settimeout(0)
        yield manager


def told(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(65536).decode())
        except BlockingIOError:
            return found


def test_what_is_said_comes_one_datagram_each_and_what_is_known_is_not_said_again(address: str, manager: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": address, "PATH": "/bin"}
    systemd = Systemd(environment)
    assert environment == {"PATH": "/bin"}, "programs that it starts would speak for it"
    systemd.ready()
    for words in ("4 workers", "4 workers", "the database\nis away", "4 workers"):
        systemd.status(words)
    systemd.alive()
    for _ in range(2):
        systemd.stopping(seconds=51.5)
    assert told(manager) == [
        "READY=1",
        "STATUS=4 workers",
        "STATUS=the database is away",
        "STATUS=4 workers",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=51500000",
    ]


@pytest.mark.parametrize("ours", [False, True], ids=["for anybody", "for this process"])
def test_the_watchdog_hears_of_it_three_times_as_often_as_it_must(address: str, manager: socket.socket, *, ours: bool) -> None:
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "180000000"}
    systemd = Systemd(environment | ({"WATCHDOG_PID": str(os.getpid())} if ours else {}))
    assert systemd.alive_seconds == 60
    systemd.alive()
    systemd.alive()
    assert told(manager) == ["WATCHDOG=1"], "once is enough for a while"
    with systemd.patient():
        assert told(manager) == ["WATCHDOG_USEC=3600000000"]
    assert told(manager) == ["WATCHDOG_USEC=180000000"]


@pytest.mark.parametrize("wrong", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": ""}])
def test_a_watchdog_that_waits_for_somebody_else_is_told_nothing(
    address: str, manager: socket.socket, wrong: dict[str, str]
) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "180000000"} | wrong)
    assert systemd.alive_seconds is None
    systemd.alive()
    with systemd.patient():
        systemd.alive()
    assert told(manager) == []


@pytest.mark.parametrize(
    "nobody", [{}, {"NOTIFY_SOCKET": "/none/such"}, {"NOTIFY_SOCKET": "/" + "x" * 200}, {"NOTIFY_SOCKET": "\0"}]
)
def test_without_anybody_who_listens_nothing_happens(nobody: dict[str, str]) -> None:
    systemd = Systemd(nobody | {"WATCHDOG_USEC": "1000"})
    systemd.ready()
    systemd.status("")
    systemd.alive()
    systemd.stopping(seconds=1)


def test_a_manager_that_does_not_read_holds_nobody_up(address: str, manager: socket.socket) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address})
    for number in range(2000):
        systemd.status(f"{number} " + "x" * 1000)
    assert 0 < len(told(manager)) < 2000


def test_the_unit_file_fits_what_the_service_does() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "main", "mixed")
    assert (service["Restart"], int(service["RestartPreventExitStatus"])) == ("on-failure", os.EX_CONFIG)
    settings = Settings(ingest_tracking_db=SecretStr("postgresql://u@h/d"))
    assert int(service["TimeoutStopSec"]) > settings.shutdown_timeout + KILL_SECONDS + 2 * FAREWELL_SECONDS
    assert int(service["WatchdogSec"]) > 0
    assert service["OOMPolicy"] == "continue", "the default would end the service for one worker without memory"
    assert "serve" in service["ExecStart"].split()
    assert "network-online.target" in unit["Unit"]["After"].split()
    harmful = {"PrivateTmp", "ProtectHome", "ProtectProc", "ReadOnlyPaths", "MemoryDenyWriteExecute", "RootDirectory"}
    assert harmful.isdisjoint(service), "it must see files and links as OMERO.server does"
