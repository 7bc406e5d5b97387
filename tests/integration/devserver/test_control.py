# SPDX-License-Identifier: GPL-2.0-or-later
"""Disturbing a server from another process, over the socket in its data folder."""

from __future__ import annotations

import json
import os
import shutil
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
from tests.fixtures.omero import OmeroServer, running_here, started
from tests.fixtures.omero_client import InPlace, images_of, new_dataset, rows
from tests.fixtures.waiting import wait_until


@pytest.fixture(scope="module")
def data(server_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(server_template, tmp_path_factory.mktemp("control") / "data"))


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[OmeroServer]:
    with started(data, "--control") as server:
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


def test_without_the_option_there_is_no_socket(devserver: OmeroServer) -> None:
    assert not (devserver.managed_repository.parent / "control").exists()


def test_a_folder_with_too_long_a_path_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "omero_devserver", "--control", "--data"]
    done = subprocess.run([*command, str(tmp_path / ("long" * 25))], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "is too long: choose a data folder with a shorter one." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("way", "after", "saved"), [("stop", False, 0), ("kill", True, 1)])
def test_the_server_ends_before_or_after_a_call_took_effect(
    server_template: Path, tmp_path: Path, *, way: str, after: bool, saved: int
) -> None:
    data = Path(shutil.copytree(server_template, tmp_path / "data"))
    with started(data, "--control") as server:
        assert (data / "control").stat().st_mode & 0o077 == 0
        client = omero.client(server.host, server.ssl_port)
        client.createSession("root", "omero")
        Control(data).do(way, "IUpdate.saveAndReturnObject", after=after)
        with pytest.raises(Ice.LocalException):
            new_dataset(client)
        client.__del__()
        assert ended(server) == (0 if way == "stop" else -signal.SIGKILL)
    done = command_line(data, "clear")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "No server with --control runs on" in done.stderr
    with running_here(data, template=server_template) as again, again.client() as client:
        assert datasets(client) == saved


@pytest.mark.parametrize(
    ("way", "moment", "left"),
    [("stop", "import.step.0.in", []), ("stop", "import.step.1.in", [0, 0, 0]), ("kill", "import.step.1.in", [0, 0, 0])],
)
def test_an_import_stays_as_it_was_at_the_moment_when_the_server_ends(
    server_template: Path, tmp_path: Path, three: Path, way: str, moment: str, left: list[int]
) -> None:
    data = Path(shutil.copytree(server_template, tmp_path / "data"))
    with started(data, "--control", "--step-seconds", "0") as server:
        client = omero.client(server.host, server.ssl_port)
        client.createSession("root", "omero")
        job = InPlace(client, [three], None)
        fileset = job.fileset
        job.link()
        Control(data).do(way, moment)
        with pytest.raises(Ice.LocalException):
            wait_until(job.verify().getResponse, what="a response that never comes")
        client.__del__()
        assert ended(server) == (0 if way == "stop" else -signal.SIGKILL)
    with running_here(data, template=server_template) as again, again.client() as client:
        assert [series for _, _, series in images_of(client, fileset)] == left


def ended(server: OmeroServer) -> int:
    """The exit status of a server that ends by itself."""
    assert server.process is not None
    return server.process.wait(30)
