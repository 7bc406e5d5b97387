# SPDX-License-Identifier: GPL-2.0-or-later
"""The `omero` command as it is, as a process: exit codes and output as recorded on a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import omero_program
from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, new_dataset, rows

SCRIPT = """\
import omero.scripts as scripts
from omero.rtypes import rstring

client = scripts.client("Adds_One.py", "Says a number.", scripts.Long("N", optional=False, description="a number"))
try:
    print("working")
    client.setOutput("Message", rstring("N is %d" % client.getInput("N", True)))
finally:
    client.closeSession()
"""

Omero = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Runs commands, see `omero_program`."""
    temporary = str(tmp_path_factory.mktemp("omero-tmp"))
    with subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", omero_program.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMERO_TMPDIR": temporary},
    ) as process:
        yield process


@pytest.fixture
def command(devserver: OmeroServer, user: User, tmp_path: Path, program: subprocess.Popen[str]) -> Omero:
    """The `omero` command of the user, as a process."""
    folders = {name: str(tmp_path / name) for name in ("OMERO_USERDIR", "OMERO_SESSIONDIR")}

    def run(*arguments: str, login: tuple[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        name, password = login or (user.name, PASSWORD)
        words = ["-s", devserver.host, "-p", str(devserver.ssl_port), "-u", name, "-w", password, *arguments]
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps({"words": words, "environment": folders}) + "\n")
        program.stdin.flush()
        return subprocess.CompletedProcess(words, *json.loads(program.stdout.readline()))

    return run


def test_the_omero_command(command: Omero, client: Any, one: Path) -> None:
    made = command("obj", "new", "Dataset", "name=by command")
    assert made.returncode == 0, made.stderr
    kind, _, dataset = made.stdout.strip().partition(":")
    assert kind == "Dataset"
    got = command("obj", "get", f"Dataset:{dataset}", "name")
    assert (got.returncode, got.stdout.strip()) == (0, "by command")
    job = InPlace(client, [one], int(dataset))
    image = job.run().objects[0].id.val
    rows = command("hql", "-q", "--style", "plain", f"select i.id, i.name, i.archived from Image i where i.id = {image}")
    assert (rows.returncode, rows.stdout.strip()) == (0, f"0,{image},one.tif,None")
    sets = command("fs", "sets", "--style", "plain")
    assert sets.returncode == 0, sets.stderr
    assert f",{job.fileset}," in sets.stdout
    deleted = command("delete", f"Dataset:{dataset}", "--report")
    assert deleted.returncode == 0
    assert f"omero.cmd.Delete2 Dataset:{dataset} ok" in deleted.stdout, deleted.stdout + deleted.stderr
    refused = command("delete", "Dataset:999999")
    assert "cannot read ome.model.containers.Dataset[999999]" in refused.stderr + refused.stdout
    assert command("obj", "get", "Dataset:999999", "name").returncode == 78
    assert command("hql", "-q", "select d from NoSuch d").returncode == 52


def test_the_omero_command_downloads_what_was_imported(command: Omero, client: Any, one: Path, tmp_path: Path) -> None:
    image = InPlace(client, [one], None).run().objects[0].id.val
    done = command("download", f"Image:{image}", str(tmp_path / "copies"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copies" / one.name).read_bytes() == one.read_bytes()


def test_the_omero_command_manages_users_and_groups(devserver: OmeroServer, command: Omero) -> None:
    root = (devserver.root, devserver.root_password)
    suffix = uuid.uuid4().hex[:8]
    made = command("group", "add", f"g-{suffix}", "--type", "read-annotate", login=root)
    assert made.returncode == 0, made.stderr
    made = command("user", "add", f"u-{suffix}", "Ada", "Lovelace", "--group-name", f"g-{suffix}", "-P", PASSWORD, login=root)
    assert made.returncode == 0, made.stderr
    listed = command("user", "list", "--style", "plain", login=root)
    assert f"u-{suffix}" in listed.stdout
    assert command("group", "list", "--style", "plain", login=root).returncode == 0
    assert command("login", login=(f"u-{suffix}", PASSWORD)).returncode == 0
    assert command("group", "add", f"g-{suffix}", login=root).returncode == 3
    assert command("login", login=(f"nobody-{suffix}", PASSWORD)).returncode == 44


def test_a_user_acts_for_another_on_the_command_line(devserver: OmeroServer, command: Omero, user: User) -> None:
    done = command("sessions", "login", "--sudo", devserver.root, login=(user.name, devserver.root_password))
    assert done.returncode == 0, done.stderr
    assert f"{user.name}@" in done.stderr + done.stdout


def test_the_omero_command_tags(command: Omero, client: Any, one: Path) -> None:
    image = InPlace(client, [one], None).run().objects[0].id.val
    name = f"tag-{uuid.uuid4().hex[:8]}"
    made = command("tag", "create", "--name", name, "--description", "described")
    assert made.returncode == 0, made.stderr
    tag = made.stdout.strip().partition(":")[2]
    assert command("tag", "link", f"Image:{image}", tag).returncode == 0
    assert rows(client, "select l.child.textValue from ImageAnnotationLink l where l.parent.id = :id", id=image) == [[name]]
    assert name in command("tag", "list", "--nopage").stdout
    assert command("tag", "link", f"Image:{image}", "999999").returncode == 144


def test_the_omero_command_shows_filesets_repositories_logs_and_times(command: Omero, client: Any, three: Path) -> None:
    job = InPlace(client, [three], None)
    job.run()
    kinds = [line.split(",")[3] for line in command("fs", "repos", "--style", "plain").stdout.splitlines()]
    assert sorted(kinds) == ["Managed", "Public", "Script"]
    fileset = f"Fileset:{job.fileset}"
    log = command("fs", "logfile", fileset, "--name")
    assert (log.returncode, log.stdout.strip()) == (0, f"{str(job.template.relative_to(job.root)).rstrip('/')}.log")
    times = command("fs", "importtime", fileset)
    assert times.returncode == 0, times.stderr
    phases = [line.split(" time of")[0].strip() for line in times.stdout.splitlines()]
    assert phases == ["upload", "setId", "metadata", "pixels"]
    assert command("fs", "importtime", "Fileset:999999").returncode == 30
    usage = command("fs", "usage", fileset, "--report")
    assert usage.returncode == 0, usage.stderr
    assert usage.stdout.startswith("Total disk usage: ")
    assert command("fs", "sets", "--check").returncode == 111


def test_the_omero_command_deletes_dry_or_wet_and_not_a_part(command: Omero, client: Any, three: Path) -> None:
    job = InPlace(client, [three], None)
    images, fileset = [one.id.val for one in job.run().objects], job.fileset
    part = command("delete", f"Image:{images[0]}", "--report")
    assert part.returncode == 0  # as on a real server: the command says that it failed, its exit status does not
    assert f"within Fileset[{fileset}] may not delete Image[" in part.stderr
    dry = command("delete", f"Fileset:{fileset}", "--dry-run", "--report")
    assert "Dry run performed" in dry.stdout
    assert f"  Fileset:{fileset}" in dry.stdout.splitlines()
    assert len(rows(client, "select i.id from Image i where i.fileset.id = :id", id=fileset)) == len(images)
    done = command("delete", "Image:" + ",".join(map(str, images)), "--report")
    assert " ok\n" in done.stdout
    assert rows(client, "select f.id from Fileset f where f.id = :id", id=fileset) == []


def test_the_omero_command_changes_group_and_owner(devserver: OmeroServer, command: Omero, client: Any, user: User) -> None:
    with devserver.client() as root:
        admin = root.sf.getAdminService()
        admin.addGroups(admin.getExperimenter(user.id), [admin.getGroup(user.other_group_id)])
    dataset = new_dataset(client)
    done = command("chgrp", user.other_group, f"Dataset:{dataset}", "--report")
    assert f"omero.cmd.Chgrp2 Dataset:{dataset} ok" in done.stdout, done.stderr
    where = "select d.details.group.id, d.details.owner.id from Dataset d where d.id = :id"
    assert [row[0].id.val if hasattr(row[0], "id") else row[0] for row in rows(client, where, id=dataset)] == [
        user.other_group_id
    ]
    assert "not an owner of any group" in command("chown", devserver.root, f"Dataset:{dataset}").stderr
    root_login = (devserver.root, devserver.root_password)
    given = command("chown", devserver.root, f"Dataset:{dataset}", "--report", login=root_login)
    assert f"omero.cmd.Chown2 Dataset:{dataset} ok" in given.stdout, given.stderr
    with devserver.client() as root:
        assert rows(root, where, id=dataset) == [[user.other_group_id, 0]]


def test_the_omero_command_uploads_launches_and_replaces_a_script(devserver: OmeroServer, command: Omero, tmp_path: Path) -> None:
    root = (devserver.root, devserver.root_password)
    path = tmp_path / f"Adds_One_{uuid.uuid4().hex[:8]}.py"
    path.write_text(SCRIPT, encoding="utf-8")
    refused = command("script", "upload", "--official", str(path))
    assert (refused.returncode, "No permission to upload script" in refused.stderr) == (247, True)
    made = command("script", "upload", "--official", str(path), login=root)
    assert made.returncode == 0, made.stderr
    script = made.stdout.strip().partition(":")[2]
    assert command("script", "upload", "--official", str(path), login=root).returncode == 246
    assert path.name in command("script", "list").stdout
    shown = command("script", "params", script)
    assert ("Says a number." in shown.stdout, "N" in shown.stdout) == (True, True), shown.stderr
    path.write_text(SCRIPT.replace("N is", "now it is"), encoding="utf-8")
    assert command("script", "replace", script, str(path), login=root).returncode == 0
    done = command("script", "launch", script, "N=5")
    assert done.returncode == 0, done.stderr
    assert {"\t* working", "\t* Message=now it is 5"} <= set(done.stdout.splitlines())


def test_the_omero_command_shows_who_is_logged_in(command: Omero, client: Any, user: User) -> None:
    who = command("sessions", "who")
    assert who.returncode == 0, who.stderr
    assert any(line.split("|")[0].strip() == user.name for line in who.stdout.splitlines())
