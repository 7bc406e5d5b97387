# SPDX-License-Identifier: GPL-2.0-or-later
"""Imports that are interrupted: by their client, their session, a deletion, the end of the server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import Glacier2
import omero
import pytest

from tests.fixtures.omero import OmeroServer, started
from tests.fixtures.omero_client import PASSWORD, InPlace, User, delete, images_of, make_user, new_dataset, rows
from tests.fixtures.waiting import wait_until

STEP_SECONDS = 0.6

KILLED_CLIENT = """
import os, signal, sys
import omero.clients
from pathlib import Path
from tests.fixtures.omero_client import InPlace
host, port, user, password, source = sys.argv[1:]
client = omero.client(host, int(port))
client.createSession(user, password)
job = InPlace(client, [Path(source)], None)
job.link()
job.verify()
print(job.fileset, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OmeroServer]:
    """A server whose import steps last long enough to be interrupted."""
    with started(tmp_path_factory.mktemp("slow") / "data", "--step-seconds", str(STEP_SECONDS)) as server:
        yield server


@pytest.fixture(scope="module")
def slow_user(slow: OmeroServer) -> User:
    return make_user(slow)


def at_step(handle: Any, step: int) -> None:
    wait_until(lambda: handle.getStatus().currentStep >= step and handle.getStatus().steps, what=f"step {step}")


def series_of(client: Any, fileset: int) -> list[int]:
    return [series for _, _, series in images_of(client, fileset)]


def test_a_killed_client_does_not_stop_its_import(slow: OmeroServer, slow_user: User, three: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", KILLED_CLIENT]
    arguments = [slow.host, str(slow.ssl_port), slow_user.name, PASSWORD, str(three)]
    root = Path(__file__).parents[3]
    killed = subprocess.run([*command, *arguments], cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    fileset = int(killed.stdout)
    with slow.client(slow_user.name, PASSWORD) as client:
        wait_until(lambda: series_of(client, fileset) == [0, 1, 2], what="the import's end")


def test_a_session_closed_at_once_imports_nothing(slow: OmeroServer, slow_user: User, three: Path) -> None:
    with slow.client(slow_user.name, PASSWORD) as client:
        job = InPlace(client, [three], None)
        job.link()
        fileset = job.fileset
        client.sf.getQueryService()  # nothing of the session is in the way
        job.verify()
    with slow.client(slow_user.name, PASSWORD) as client:
        later = InPlace(client, [three], None)
        assert len(later.run().objects) == 3  # as long as the first one would have taken
        assert images_of(client, fileset) == []
        jobs = "select j.status.value from FilesetJobLink l join l.child j where l.parent.id = :id order by j.id"
        assert rows(client, jobs, id=fileset)[0] == ["Finished"]


def test_a_session_closed_while_a_step_runs_changes_nothing(slow: OmeroServer, slow_user: User, three: Path) -> None:
    with slow.client(slow_user.name, PASSWORD) as client:
        job = InPlace(client, [three], None)
        job.link()
        handle, fileset = job.verify(), job.fileset
        at_step(handle, 1)
        key = client.getSessionId()
        assert client.sf.getSessionService().getReferenceCount(key) == 2
    with slow.client(slow_user.name, PASSWORD) as client:
        wait_until(lambda: series_of(client, fileset) == [0, 1, 2], what="the import's end")

        def gone() -> bool:
            try:
                client.sf.getSessionService().getReferenceCount(key)
            except omero.RemovedSessionException:
                return True
            return False

        wait_until(gone, what="the end of the session that the import held")


def test_a_session_killed_before_the_series_are_set_leaves_a_half(slow: OmeroServer, slow_user: User, three: Path) -> None:
    client = omero.client(slow.host, slow.ssl_port)
    client.createSession(slow_user.name, PASSWORD)
    dataset = new_dataset(client)
    job = InPlace(client, [three], dataset)
    job.link()
    handle, fileset = job.verify(), job.fileset
    at_step(handle, 1)
    client.killSession()
    with slow.client(slow_user.name, PASSWORD) as client:
        later = InPlace(client, [three], None)
        later.run()
        assert series_of(client, fileset) == [0, 0, 0]
        links = "select count(l) from DatasetImageLink l where l.parent.id = :id"
        assert rows(client, links, id=dataset) == [[3]]
        pixels = rows(client, "select p.id from Pixels p where p.image.fileset.id = :id order by p.id", id=fileset)
        store = client.sf.createRawPixelsStore()
        store.setPixelsId(pixels[2][0], False)
        assert set(store.getPlane(0, 0, 0)) == {0}  # the third image shows the first one's pixels
        store.close()


def test_a_fileset_deleted_while_it_is_imported_leaves_nothing(slow: OmeroServer, slow_user: User, three: Path) -> None:
    with slow.client(slow_user.name, PASSWORD) as client:
        job = InPlace(client, [three], None)
        job.link()
        handle, fileset = job.verify(), job.fileset
        at_step(handle, 1)
        images = [image for image, _, _ in images_of(client, fileset)]
        assert len(images) == 3
        delete(client, Fileset=[fileset])
        response = job.response(handle)
        assert (type(response), response.name) == (omero.cmd.ERR, "update-log-file-size")
        assert rows(client, "select f.id from Fileset f where f.id = :id", id=fileset) == []
        assert [row for image in images for row in rows(client, "select i.id from Image i where i.id = :id", id=image)] == []
        assert not job.links[0].is_symlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ends_in_the_middle_keeps_all_and_continues_nothing(
    tmp_path: Path, three: Path, one: Path, number: signal.Signals
) -> None:
    data = tmp_path / "data"
    with started(data, "--step-seconds", "5") as server:
        user = make_user(server)
        client = omero.client(server.host, server.ssl_port)
        client.createSession(user.name, PASSWORD)
        key = client.getSessionId()
        half, uploaded, made = (InPlace(client, [path], None) for path in (three, one, one))
        filesets = [job.fileset for job in (half, uploaded, made)]
        half.link()
        uploaded.link()
        handle = half.verify()
        wait_until(lambda: len(images_of(client, filesets[0])) == 3, what="the first step")
        assert handle.getResponse() is None
        assert server.stop(number) == (0 if number == signal.SIGTERM else -number)
        del handle
        client.__del__()
    with started(data) as server:
        stranger = omero.client(server.host, server.ssl_port)
        with pytest.raises(Glacier2.PermissionDeniedException, match=rf"Password check failed for '{key}': \[user={user.name}, "):
            stranger.joinSession(key)
        stranger.closeSession()
        with server.client(user.name, PASSWORD) as client:
            assert [series_of(client, fileset) for fileset in filesets] == [[0, 0, 0], [], []]
            assert half.links[0].is_symlink()
            for fileset in filesets:
                assert not isinstance(delete(client, Fileset=[fileset]), omero.cmd.ERR)
            assert len(InPlace(client, [three], None).run().objects) == 3
