# SPDX-License-Identifier: GPL-2.0-or-later
"""The program itself: its ready line, its refusals, its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import Ice
import omero
import pytest
from omero.rtypes import rstring

import omero_devserver
from omero_devserver.disturb.control import COMMANDS
from tests.fixtures.omero import started
from tests.fixtures.waiting import wait_until

LONGEST_END_SECONDS = 10  # it takes 4, and this machine may be busy


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "omero_devserver", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment})


def test_help_shows_first_steps() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in ("ready: ssl=PORT tcp=PORT managed_repository=PATH", "omero login", "--root-password", "--ssl-port"):
        assert word in done.stdout


def test_a_folder_is_served_once(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server:
        done = run("--data", str(tmp_path / "data"))
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("omero_devserver: Another server runs on the data folder ")
        assert done.stderr.count("\n") == 1
        assert server.managed_repository.is_dir()
        assert server.stop(signal.SIGINT) == 0


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("--data", str(tmp_path / "data"), "--ssl-port", str(port))
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1, port {port}: another program uses it." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = run("--data", str(tmp_path / "file" / "data"))
    assert done.returncode == 1
    assert done.stderr.startswith("omero_devserver: Cannot use the data folder ")


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with started(data, "--root-password", "first") as server:
        assert server.stop() == 0
        certificate = (data / "certificate" / "server-with-key.pem").read_bytes()
    with started(data, "--root-password", "second") as server:
        with server.client("root", "first") as root:  # the first start's password stays
            assert root.sf.getAdminService().getEventContext().isAdmin
        assert (data / "certificate" / "server-with-key.pem").read_bytes() == certificate
        assert (data / "certificate" / "server-with-key.pem").stat().st_mode & 0o077 == 0


def test_a_session_that_nobody_uses_is_ended_as_soon_as_it_is_looked_for(tmp_path: Path) -> None:
    options = ("--session-idle-seconds", "0.5", "--session-sync-seconds", "0.1")
    with started(tmp_path / "data", *options) as server, server.client() as root, server.client() as silent:
        service, parameters = root.sf.getQueryService(), omero.sys.ParametersI().add("uuid", rstring(silent.getSessionId()))
        ended = "select s.id from Session s where s.uuid = :uuid and s.closed is not null"
        wait_until(lambda: service.projection(ended, parameters), what="the end of the silent session")


def test_the_end_does_not_wait_for_a_long_call(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server, server.client() as client:
        many = (
            "select count(a) from Format a, Format b, Format c, Format d where a.value || b.value || c.value || d.value = :name"
        )
        service = client.sf.getQueryService()
        call = service.begin_projection(many, omero.sys.ParametersI().addString("name", "none"))
        client.sf.keepAlive(None)  # what comes after it is answered: it runs
        before = time.monotonic()
        assert server.stop(signal.SIGTERM) == os.EX_OK
        assert time.monotonic() - before < LONGEST_END_SECONDS
        with pytest.raises(Ice.Exception):
            service.end_projection(call)


def test_the_example_for_other_peoples_tests_works(tmp_path: Path) -> None:
    readme = (Path(omero_devserver.__file__).parent / "README.md").read_text(encoding="utf-8")
    example = re.search(r"<!-- example: a test runs this block -->\n```python\n(.+?)```", readme, re.DOTALL)
    assert example is not None
    (tmp_path / "test_example.py").write_text(example[1])
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(omero_devserver.__file__).parents[1])},
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_every_command_that_disturbs_is_in_the_readme() -> None:
    readme = (Path(omero_devserver.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"`{name}" not in readme] == []


def test_a_database_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "omero.sqlite").write_text("no database at all, but more than a hundred bytes of something else. " * 3)
    done = run("--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr.endswith("': file is not a database.\n")
    assert "Traceback" not in done.stderr


def test_a_host_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    done = run("--data", str(tmp_path / "data"), "--host", "no such host")
    assert done.returncode == 1
    assert "Cannot listen on no such host, port any: " in done.stderr
    assert "Traceback" not in done.stderr
