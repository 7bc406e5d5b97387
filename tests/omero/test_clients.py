# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients as they are: BlitzGateway, ezomero, the omero command as a process, the example program."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ezomero
import numpy as np
import omero
import pytest
import tifffile
from omero.gateway import BlitzGateway

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, new_dataset

COMMAND = "import sys; from omero.cli import argv; sys.exit(argv(['omero', *sys.argv[1:]]))"

Omero = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def gateway(devserver: OmeroServer, user: User) -> Iterator[Any]:
    gateway = BlitzGateway(user.name, PASSWORD, host=devserver.host, port=devserver.ssl_port, secure=True)
    assert gateway.connect()
    yield gateway
    gateway.close()


@pytest.fixture
def command(devserver: OmeroServer, user: User, tmp_path: Path) -> Omero:
    """The `omero` command of the user, as a process; `omero` itself refuses to run as root, which argv() does not."""
    folders = {name: str(tmp_path / name) for name in ("OMERO_USERDIR", "OMERO_SESSIONDIR", "OMERO_TMPDIR")}
    environment = os.environ | folders

    def run(*arguments: str, login: tuple[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        name, password = login or (user.name, PASSWORD)
        where = ["-s", devserver.host, "-p", str(devserver.ssl_port), "-u", name, "-w", password]
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", COMMAND, *where, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )

    return run


def test_the_gateway_finds_what_was_imported(gateway: Any, client: Any, three: Path) -> None:
    dataset = new_dataset(client)
    InPlace(client, [three], dataset).run()
    images = list(gateway.getObject("Dataset", dataset).listChildren())
    assert sorted(image.getName() for image in images) == [f"three.ome.tif [part {number}]" for number in range(3)]
    by_name = {image.getName(): image for image in images}
    last = by_name["three.ome.tif [part 2]"]
    assert (last.getPrimaryPixels().getPlane(0, 1, 0) == 21).all()
    assert last.getChannelLabels() == ["DAPI", "GFP"]
    assert [image.getFileset().getId() for image in images] == [images[0].getFileset().getId()] * 3
    assert images[0].countImportedImageFiles() == 1
    assert [owner.getName() for owner in [images[0].getOwner()]] == [gateway.getUser().getName()]


def test_annotations_through_the_gateway(gateway: Any, client: Any, one: Path) -> None:
    image = gateway.getObject("Image", InPlace(client, [one], None).run().objects[0].id.val)
    note = omero.gateway.MapAnnotationWrapper(gateway)
    note.setNs("test/ns")
    note.setValue([["key", "value"], ["key", "again"]])
    note.save()
    image.linkAnnotation(note)
    assert [tuple(pair) for pair in image.getAnnotation("test/ns").getValue()] == [("key", "value"), ("key", "again")]
    gateway.deleteObjects("Image", [image.getId()], wait=True)
    assert gateway.getObject("Image", image.getId()) is None


def test_deleting_a_dataset_keeps_its_images_unless_they_are_wanted_gone(gateway: Any, client: Any, one: Path) -> None:
    for children in (False, True):
        dataset = new_dataset(client)
        image = InPlace(client, [one], dataset).run().objects[0].id.val
        gateway.deleteObjects("Dataset", [dataset], deleteChildren=children, wait=True)
        assert gateway.getObject("Dataset", dataset) is None
        assert (gateway.getObject("Image", image) is None) == children


def test_ezomero(gateway: Any, client: Any, one: Path, user: User, capsys: pytest.CaptureFixture[str]) -> None:
    project = ezomero.post_project(gateway, "project")
    dataset = ezomero.post_dataset(gateway, "dataset", project_id=project, description="described")
    screen = ezomero.post_screen(gateway, "screen")
    assert gateway.getObject("Screen", screen).getName() == "screen"
    image = InPlace(client, [one], dataset).run().objects[0].id.val
    assert ezomero.get_image_ids(gateway, dataset=dataset) == [image]
    assert ezomero.get_dataset_ids(gateway, project=project) == [dataset]
    note = ezomero.post_map_annotation(gateway, "Image", image, {"a": "1", "b": ""}, ns="test/ezomero")
    assert ezomero.get_map_annotation(gateway, note) == {"a": "1", "b": ""}
    assert ezomero.get_map_annotation_ids(gateway, "Image", image, ns="test/ezomero") == [note]
    _, array = ezomero.get_image(gateway, image)
    assert (np.squeeze(array) == tifffile.imread(one)).all()
    assert ezomero.get_image(gateway, 999_999) == (None, None)
    assert ezomero.get_group_id(gateway, user.group) == user.group_id
    assert ezomero.get_user_id(gateway, user.name) == user.id
    assert ezomero.get_group_id(gateway, "no such group") is None
    assert ezomero.set_group(gateway, user.other_group_id) is False
    assert ezomero.link_images_to_dataset(gateway, [image], ezomero.post_dataset(gateway, "second")) is None
    capsys.readouterr()


def test_the_omero_command(command: Omero, client: Any, one: Path) -> None:
    made = command("obj", "new", "Dataset", "name=by command")
    assert made.returncode == 0, made.stderr
    kind, _, dataset = made.stdout.strip().partition(":")
    assert kind == "Dataset"
    got = command("obj", "get", f"Dataset:{dataset}", "name")
    assert (got.returncode, got.stdout.strip()) == (0, "by command")
    job = InPlace(client, [one], int(dataset))
    image = job.run().objects[0].id.val
    rows = command("hql", "-q", "--style", "plain", f"select i.id, i.name, i.description from Image i where i.id = {image}")
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
