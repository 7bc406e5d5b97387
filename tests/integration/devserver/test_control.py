# SPDX-License-Identifier: GPL-2.0-or-later
"""Disturbing a server from another process, over the socket in its data folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import Ice
import omero
import pytest

from omero_devserver.disturb.control import Control, Refused
from tests.fixtures.omero import OmeroServer, started
from tests.fixtures.omero_client import InPlace, images_of, new_dataset, rows
from tests.fixtures.waiting import wait_until


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data: Path) -> Iterator[OmeroServer]:
    with started(data, "--control", "--step-seconds", "0") as server:
        yield server


@pytest.fixture
def control(server: OmeroServer, data: Path) -> Control:
    return Control(data)


def command_line(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "omero_devserver.disturb", "--data", str(data)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)


def datasets(client: Any) -> int:
    return int(rows(client, "select count(d) from Dataset d")[0][0])


def test_commands_from_python_and_from_the_command_line(server: OmeroServer, control: Control, data: Path) -> None:
    with server.client() as client:
        control.do("fail", "IUpdate.saveAndReturnObject", exception="omero.SecurityViolation", message="from outside")
        with pytest.raises(omero.SecurityViolation, match="from outside"):
            new_dataset(client)
        done = command_line(data, "fail", "IUpdate.saveAndReturnObject", "exception=omero.ValidationException", "call=2")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        new_dataset(client)
        with pytest.raises(omero.ValidationException):
            new_dataset(client)
        assert command_line(data, "drop_connections").stdout == "1\n"
        control.do("exhaust_pool", wait_seconds=0)
        with pytest.raises(Ice.Exception):
            datasets(client)
        control.do("clear")


def test_what_makes_no_sense_is_refused_with_its_reason(server: OmeroServer, control: Control, data: Path) -> None:
    for command, arguments, reason in (
        ("explode", {}, "a command is a JSON object"),
        ("close", {}, "a command is a JSON object"),
        ("fail", {"where": "here"}, "'here' is neither an operation"),
        ("fail", {"where": "IUpdate.saveObject", "when": "now"}, "unexpected keyword argument 'when'"),
        ("fail", {"where": "IUpdate.saveObject", "call": "two"}, "'<' not supported"),
        ("expire", {"session": "none"}, "There is no session none."),
    ):
        with pytest.raises(Refused, match=reason):
            control.do(command, **arguments)
    done = command_line(data, "fail", "here")
    assert done.returncode == os.EX_USAGE
    assert done.stderr.startswith("fail: 'here' is neither an operation")
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(data / "control"))
        stream = raw.makefile("rwb")
        for line in (b"no json\n", b"[1]\n", b"\xff\n", b'{"do": ["fail"]}\n', b'{"do": "clear"}\n'):
            stream.write(line)
            stream.flush()
            answer = json.loads(stream.readline())
        assert answer == {"done": None}  # the connection outlived all of them
        stream.close()


def test_the_socket_is_the_owners_and_goes_with_the_server(server: OmeroServer, control: Control, data: Path) -> None:
    assert (data / "control").stat().st_mode & 0o077 == 0
    assert server.stop() == 0
    assert not (data / "control").exists()
    done = command_line(data, "clear")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "No server with --control runs on" in done.stderr


def test_without_the_option_there_is_no_socket(tmp_path: Path) -> None:
    with started(tmp_path / "plain"):
        assert not (tmp_path / "plain" / "control").exists()


def test_a_folder_with_too_long_a_path_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "omero_devserver", "--control", "--data"]
    done = subprocess.run([*command, str(tmp_path / ("long" * 25))], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "is too long: choose a data folder with a shorter one." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("after", "saved"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("way", ["kill", "stop"])
def test_the_server_ends_before_or_after_a_call_took_effect(
    server: OmeroServer, control: Control, data: Path, *, way: str, after: bool, saved: int
) -> None:
    client = omero.client(server.host, server.ssl_port)
    client.createSession("root", "omero")
    control.do(way, "IUpdate.saveAndReturnObject", after=after)
    with pytest.raises(Ice.LocalException):
        new_dataset(client)
    client.__del__()
    assert server.process is not None
    assert server.process.wait(30) == (0 if way == "stop" else -signal.SIGKILL)
    with started(data, "--control") as again, again.client() as client:
        assert datasets(client) == saved


@pytest.mark.parametrize(
    ("way", "moment", "left"),
    [
        ("kill", "import.registered", None),
        ("kill", "import.step.0.in", []),
        ("kill", "import.step.0.after", [0, 0, 0]),
        ("kill", "import.step.1.in", [0, 0, 0]),
        ("kill", "import.step.1.after", [0, 1, 2]),
        ("stop", "import.step.0.in", []),
        ("stop", "import.step.1.in", [0, 0, 0]),
    ],
)
def test_an_import_stays_as_it_was_at_the_moment_when_the_server_ends(
    server: OmeroServer, control: Control, data: Path, three: Path, way: str, moment: str, left: list[int] | None
) -> None:
    client = omero.client(server.host, server.ssl_port)
    client.createSession("root", "omero")
    control.do(way, moment)
    job = None
    try:
        job = InPlace(client, [three], None)
        fileset = job.fileset
        job.link()
        handle = job.verify()
        wait_until(handle.getResponse, what="a response that never comes")
    except Ice.LocalException:
        pass
    client.__del__()
    assert server.process is not None
    assert server.process.wait(30) == (0 if way == "stop" else -signal.SIGKILL)
    with started(data) as again, again.client() as client:
        if job is None:
            assert len(rows(client, "select f.id from Fileset f")) == 1
        else:
            assert [series for _, _, series in images_of(client, fileset)] == left
