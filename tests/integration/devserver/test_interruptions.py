# SPDX-License-Identifier: GPL-2.0-or-later
"""Imports that are interrupted: by their client, their session, a deletion, a full disk, the end of the server.

What is left in each case is what a real server leaves (recorded: facts 1 to 3).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import Glacier2
import Ice
import omero
import omero.cmd
import pytest
from omero.rtypes import rbool

from omero_devserver.disturb.control import Control
from omero_devserver.repository.process import Processes
from omero_devserver.wire.moments import Passing
from tests.fixtures.omero import ServerHere, running_here, started
from tests.fixtures.omero_client import PASSWORD, InPlace, User, delete, images_of, make_user, new_dataset, rows
from tests.fixtures.waiting import wait_until

SHORT = 0.3  # seconds

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


@pytest.fixture
def user_here(server_here: ServerHere) -> User:
    return make_user(server_here)


@pytest.fixture
def here(server_here: ServerHere, user_here: User) -> Iterator[Any]:
    """A client of the server in this process."""
    with server_here.client(user_here.name, PASSWORD) as client:
        yield client


@contextmanager
def held(server: ServerHere, moment: str) -> Iterator[threading.Event]:
    """Hold up, for a block, what passes a moment; the event is set when something does."""
    reached = threading.Event()

    def hold(passing: Passing) -> None:
        reached.set()
        passing.wait()

    remove = server.server.moments.at(moment, hold)
    try:
        yield reached
    finally:
        remove()


@contextmanager
def stopped_at(server: ServerHere, moment: str, job: InPlace) -> Iterator[Any]:
    """Have an import of a linked fileset stand at a moment; gives its handle."""
    with held(server, moment) as reached:
        handle = job.verify()
        assert reached.wait(30), f"{moment} was not reached"
        yield handle


def session_of(server: ServerHere, user: User) -> Any:
    client = omero.client(server.host, server.ssl_port)
    client.createSession(user.name, PASSWORD)
    return client


def series_of(client: Any, fileset: int) -> list[int]:
    return [series for _, _, series in images_of(client, fileset)]


def is_gone(client: Any, key: str) -> bool:
    try:
        client.sf.getSessionService().getReferenceCount(key)
    except omero.RemovedSessionException:
        return True
    return False


def linked(client: Any, paths: list[Path], dataset: int | None = None, **settings: Any) -> InPlace:
    job = InPlace(client, paths, dataset, **settings)
    job.link()
    return job


def test_a_killed_client_does_not_stop_its_import(server_here: ServerHere, user_here: User, here: Any, three: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", KILLED_CLIENT]
    arguments = [server_here.host, str(server_here.ssl_port), user_here.name, PASSWORD, str(three)]
    with held(server_here, "import.step.1.before"):
        root = Path(__file__).parents[3]
        killed = subprocess.run([*command, *arguments], cwd=root, capture_output=True, text=True, timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        fileset = int(killed.stdout)
        wait_until(lambda: series_of(here, fileset) == [0, 0, 0], what="the first step")
    wait_until(lambda: series_of(here, fileset) == [0, 1, 2], what="the import's end")


def test_a_session_closed_at_once_imports_nothing(server_template: Path, tmp_path: Path, three: Path) -> None:
    with running_here(tmp_path / "omero", template=server_template, step_seconds=SHORT) as server:
        user = make_user(server)
        ended = threading.Event()
        server.server.moments.at("import.begun", lambda _: ended.set())
        with server.client(user.name, PASSWORD) as client:
            job = linked(client, [three])
            fileset = job.fileset
            job.verify()
        assert not ended.wait(2 * SHORT)
        with server.client(user.name, PASSWORD) as client:
            assert images_of(client, fileset) == []
            jobs = "select j.status.value from FilesetJobLink l join l.child j where l.parent.id = :id order by j.id"
            assert rows(client, jobs, id=fileset) == [["Finished"], ["Submitted"], ["Submitted"], ["Submitted"]]


@pytest.mark.parametrize("how", ["closeSession", "ISession.closeSession", "proc.close", "detached"])
def test_a_client_that_goes_while_a_step_runs_changes_nothing(
    server_here: ServerHere, user_here: User, here: Any, three: Path, how: str
) -> None:
    client = session_of(server_here, user_here)
    service, key = client.sf.getSessionService(), client.getSessionId()
    job = linked(client, [three])
    fileset = job.fileset
    with stopped_at(server_here, "import.step.1.before", job):
        assert service.getReferenceCount(key) == 2  # the client's, and that of the request
        if how == "ISession.closeSession":
            assert service.closeSession(service.getSession(key)) == 1
        elif how == "proc.close":
            job.process.close()
        else:
            if how == "detached":
                client.sf.detachOnDestroy()
            client.closeSession()
        assert here.sf.getSessionService().getReferenceCount(key) == (2 if how == "proc.close" else 1)
    wait_until(lambda: series_of(here, fileset) == [0, 1, 2], what="the import's end")
    if how in ("closeSession", "ISession.closeSession"):
        wait_until(lambda: is_gone(here, key), what="the end of the session that the import held")
    client.closeSession()


@pytest.mark.parametrize(
    ("moment", "series"),
    [
        ("import.begun", []),
        ("import.step.0.before", []),
        ("import.step.0.after", [0, 0, 0]),
        ("import.step.1.before", [0, 0, 0]),
        ("import.step.1.after", [0, 1, 2]),
    ],
)
def test_a_killed_session_cuts_its_import_off(
    server_here: ServerHere, user_here: User, here: Any, three: Path, moment: str, series: list[int]
) -> None:
    client = session_of(server_here, user_here)
    dataset = new_dataset(client)
    job = linked(client, [three], dataset, doThumbnails=rbool(True))
    fileset = job.fileset
    over = threading.Event()
    server_here.server.moments.at("import.ended", lambda _: over.set())
    with stopped_at(server_here, moment, job):
        client.killSession()
    assert over.wait(30)
    assert series_of(here, fileset) == series
    assert rows(here, "select count(l) from DatasetImageLink l where l.parent.id = :id", id=dataset) == [[len(series)]]
    assert rows(here, "select count(t) from Thumbnail t where t.pixels.image.fileset.id = :id", id=fileset) == [[0]]
    if series == [0, 0, 0]:
        assert_all_show_the_first(here, fileset)


def assert_all_show_the_first(client: Any, fileset: int) -> None:
    pixels = rows(client, "select p.id from Pixels p where p.image.fileset.id = :id order by p.id", id=fileset)
    store = client.sf.createRawPixelsStore()
    store.setPixelsId(pixels[2][0], False)
    assert set(store.getPlane(0, 0, 0)) == {0}  # the third image shows the first one's pixels
    store.close()


def test_a_session_that_ends_while_its_fileset_is_registered_leaves_no_process(
    server_here: ServerHere, user_here: User, three: Path
) -> None:
    client = session_of(server_here, user_here)
    over = threading.Event()

    def after(passing: Passing) -> None:
        if passing.operation == "ManagedRepository.importFileset":
            over.set()

    server_here.server.moments.at("call.after", after)
    with ThreadPoolExecutor(1) as caller:
        with held(server_here, "import.registered") as reached:
            begun = caller.submit(InPlace, client, [three], None)
            assert reached.wait(30)
            client.killSession()
        assert begun.exception() is not None
    assert over.wait(30)
    assert server_here.server.part(Processes)._by_session == {}


def test_a_server_that_dies_before_the_fileset_is_committed_leaves_a_folder_and_a_log(
    server_here: ServerHere, here: Any, three: Path
) -> None:
    server_here.disturb.fail("import.logged", exception="Ice.CommunicatorDestroyedException")  # no further, as one that dies
    with pytest.raises(Ice.UnknownLocalException):
        InPlace(here, [three], None)
    left = rows(here, "select o.path, o.name from OriginalFile o where o.mimetype = 'application/omero-log-file'")
    [(path, name)] = left
    assert (server_here.managed_repository / path / name).is_file()
    assert list((server_here.managed_repository / path / name.removesuffix(".log")).iterdir()) == []
    assert rows(here, "select f.id from Fileset f") == []
    assert len(InPlace(here, [three], None).run().objects) == 3


def test_two_calls_at_once_get_the_same_uploader(server_here: ServerHere, here: Any, one: Path) -> None:
    process = InPlace(here, [one], None).process
    both = threading.Barrier(2)

    def meet(_: Passing) -> None:
        with suppress(threading.BrokenBarrierError):
            both.wait(SHORT)  # the second one, if it comes that far

    server_here.server.moments.at("disk.write", meet)
    with ThreadPoolExecutor(2) as callers:
        first, second = callers.map(lambda _: process.getUploader(0), range(2))
    assert first == second


def test_an_import_that_fails_before_its_first_step_is_answered(server_here: ServerHere, here: Any, three: Path) -> None:
    job = linked(here, [three])
    server_here.disturb.fail("import.begun")
    handle = job.verify()
    wait_until(handle.getResponse, what="the response")
    assert handle.getResponse().name == "error-on-init"
    assert len(job.response(job.verify()).objects) == 3


def test_a_silent_session_lives_on_while_its_import_runs(server_template: Path, tmp_path: Path, three: Path) -> None:
    options = {"step_seconds": 0, "session_sync_seconds": SHORT}
    with running_here(tmp_path / "omero", template=server_template, **options) as server:
        user = make_user(server)
        with server.client() as root:
            principal = omero.sys.Principal(user.name, user.group, "User", None)
            made = root.sf.getSessionService().createSessionWithTimeouts(principal, 0, 1000)
            client = omero.client(server.host, server.ssl_port)
            client.joinSession(made.uuid.val)
            job = linked(client, [three])
            fileset = job.fileset
            with stopped_at(server, "import.step.1.before", job):
                time.sleep(1 + SHORT)
            wait_until(lambda: series_of(root, fileset) == [0, 1, 2], what="the import's end")
            closed = "select s.closed from Session s where s.uuid = :key"
            wait_until(lambda: rows(root, closed, key=made.uuid.val) != [[None]], what="the end of the silent session")
            client.closeSession()


def test_a_fileset_deleted_while_it_is_imported_leaves_nothing(server_here: ServerHere, here: Any, three: Path) -> None:
    job = linked(here, [three])
    fileset, template = job.fileset, job.template
    with stopped_at(server_here, "import.step.1.before", job) as handle:
        assert len(images_of(here, fileset)) == 3
        assert not isinstance(delete(here, Fileset=[fileset]), omero.cmd.ERR)
    wait_until(handle.getResponse, what="the response")
    response = handle.getResponse()
    assert (type(response), response.name) == (omero.cmd.ERR, "update-log-file-size")
    assert handle.getStatus().currentStep == 1
    for kind in ("Fileset", "Image", "Pixels", "Channel", "FilesetEntry", "FilesetJobLink", "Job", "Thumbnail"):
        assert rows(here, f"select count(o) from {kind} o") == [[0]], kind
    assert not job.links[0].is_symlink()
    assert list(template.iterdir()) == []
    assert not template.with_name(template.name + ".log").exists()
    assert three.exists()


@pytest.mark.parametrize("moment", ["import.begun", "import.step.0.before"])
def test_a_fileset_deleted_before_anything_is_saved_imports_nothing(
    server_here: ServerHere, here: Any, three: Path, moment: str
) -> None:
    job = linked(here, [three])
    fileset = job.fileset
    with stopped_at(server_here, moment, job) as handle:
        delete(here, Fileset=[fileset])
    response = job.response(handle)
    # Before the step the link has gone already when the reader wants the file.
    assert response.name == ("error-on-init" if moment == "import.begun" else "update-log-file-size")
    assert rows(here, "select count(o) from Image o") == [[0]]


def test_a_disk_without_space_is_told_at_each_place(server_here: ServerHere, here: Any, three: Path) -> None:
    job = InPlace(here, [three], None)
    uploader = InPlace(here, [three], None).process.getUploader(0)
    server_here.disturb.fill_disk("repository")
    with pytest.raises(omero.ResourceError, match="No space left on device"):
        uploader.write(b"mark", 0, 4)
    with pytest.raises(omero.ResourceError, match="No space left on device"):
        InPlace(here, [three], None)
    server_here.disturb.clear()
    job.link()
    server_here.disturb.fill_disk("repository")
    handle = job.verify()
    assert len(job.response(handle).objects) == 3  # a log that cannot be written stops no import
    server_here.disturb.clear()
    assert len(InPlace(here, [three], None).run().objects) == 3


def test_a_database_that_cannot_commit_fails_the_step(server_here: ServerHere, here: Any, three: Path) -> None:
    job = linked(here, [three])
    with stopped_at(server_here, "import.step.0.before", job) as handle:
        server_here.disturb.fill_disk("database")
    response = job.response(handle)
    assert isinstance(response, omero.cmd.ERR)
    server_here.disturb.clear()
    assert images_of(here, job.fileset) == []
    assert len(job.response(job.verify()).objects) == 3


# What is left by a server that is killed: the data folder as it is at that moment.

AFTER = {
    # moment: (series of the images, channels with statistics, thumbnails, status of the upload job)
    "import.verified": ([], 0, 0, "Finished"),
    "import.step.0.in": ([], 0, 0, "Finished"),
    "import.step.0.after": ([0, 0, 0], 0, 0, "Finished"),
    "import.step.1.in": ([0, 0, 0], 0, 0, "Finished"),
    "import.step.1.after": ([0, 1, 2], 6, 0, "Finished"),
    "import.step.2.in": ([0, 1, 2], 6, 1, "Finished"),
    "import.step.2.after": ([0, 1, 2], 6, 3, "Finished"),
    "import.step.3.after": ([0, 1, 2], 6, 3, "Finished"),
    "import.ended": ([0, 1, 2], 6, 3, "Finished"),
}


def left(client: Any, fileset: int) -> tuple[list[int], int, int, str]:
    statistics = "select count(c) from Channel c where c.pixels.image.fileset.id = :id and c.statsInfo is not null"
    thumbnails = "select count(t) from Thumbnail t where t.pixels.image.fileset.id = :id"
    jobs = "select j.status.value from FilesetJobLink l join l.child j where l.parent.id = :id order by j.id"
    upload, *others = [status for (status,) in rows(client, jobs, id=fileset)]
    assert others == ["Submitted"] * 4
    return (
        series_of(client, fileset),
        rows(client, statistics, id=fileset)[0][0],
        rows(client, thumbnails, id=fileset)[0][0],
        upload,
    )


@pytest.mark.parametrize("moment", AFTER)
def test_a_server_killed_between_any_two_steps_leaves_what_was_committed(
    server_here: ServerHere, user_here: User, here: Any, three: Path, tmp_path: Path, moment: str
) -> None:
    dataset = new_dataset(here)
    job = linked(here, [three], dataset, doThumbnails=rbool(True), noStatsInfo=rbool(False))
    fileset, hashes, key = job.fileset, job.hashes(), here.getSessionId()
    with held(server_here, moment) as reached:
        # A process of its own would answer no more: so `verifyUpload` may hang, and is not waited for.
        threading.Thread(target=job.verify, daemon=True).start()
        assert reached.wait(30)
        shutil.copytree(tmp_path / "omero", tmp_path / "later", symlinks=True, ignore=shutil.ignore_patterns("lock"))
    with running_here(tmp_path / "later", step_seconds=0) as later, later.client(user_here.name, PASSWORD) as client:
        assert left(client, fileset) == AFTER[moment]
        count = len(AFTER[moment][0])
        assert rows(client, "select count(l) from DatasetImageLink l where l.parent.id = :id", id=dataset) == [[count]]
        entries = "select f.size, f.hash from FilesetEntry e join e.originalFile f where e.fileset.id = :id"
        assert rows(client, entries, id=fileset) == [[three.stat().st_size, hashes[0]]]
        if AFTER[moment][0] == [0, 0, 0]:
            assert_all_show_the_first(client, fileset)
        late = omero.client(later.host, later.ssl_port)
        with pytest.raises(Glacier2.PermissionDeniedException):
            late.joinSession(key)
        late.closeSession()
        assert not isinstance(delete(client, Fileset=[fileset]), omero.cmd.ERR)
        assert rows(client, "select count(o) from OriginalFile o where o.details.owner.id = :id", id=user_here.id) == [
            [3]
        ]  # folders
        assert len(InPlace(client, [three], None).run().objects) == 3


@pytest.mark.parametrize("files", [0, 1, 2])
def test_a_server_killed_during_the_upload_keeps_what_was_written(
    server_here: ServerHere, user_here: User, here: Any, one: Path, three: Path, tmp_path: Path, files: int
) -> None:
    job = InPlace(here, [one, three], None)
    job.link(count=files)
    shutil.copytree(tmp_path / "omero", tmp_path / "later", symlinks=True, ignore=shutil.ignore_patterns("lock"))
    with running_here(tmp_path / "later", step_seconds=0) as later, later.client(user_here.name, PASSWORD) as client:
        entries = "select f.size, f.hash from FilesetEntry e join e.originalFile f where e.fileset.id = :id order by e.id"
        sizes = [path.stat().st_size for path in (one, three)]
        known = [[size, digest] for size, digest in zip(sizes, job.hashes(), strict=True)]
        assert rows(client, entries, id=job.fileset) == known[:files] + [[None, None]] * (2 - files)
        place = tmp_path / "later" / "ManagedRepository" / job.template.relative_to(job.root)
        assert sorted(link.name for link in place.iterdir()) == sorted(path.name for path in (one, three)[:files])
        assert images_of(client, job.fileset) == []
        assert not isinstance(delete(client, Fileset=[job.fileset]), omero.cmd.ERR)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ends_in_the_middle_keeps_all_and_continues_nothing(
    tmp_path: Path, three: Path, one: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMERO_DEVSERVER_BIOFORMATS", str(tmp_path / "none"))  # Java would only take time here
    data = tmp_path / "data"
    with started(data, "--control") as server:
        user = make_user(server)
        client = omero.client(server.host, server.ssl_port)
        client.createSession(user.name, PASSWORD)
        key = client.getSessionId()
        half, uploaded, made = (InPlace(client, [path], None) for path in (three, one, one))
        filesets = [job.fileset for job in (half, uploaded, made)]
        half.link()
        uploaded.link()
        Control(data).do("delay", "import.step.1.before")
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
