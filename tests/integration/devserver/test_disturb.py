# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults on demand, in a server in the test's own process: what a client meets, and what is left afterwards."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import Glacier2
import Ice
import omero
import omero.cmd
import pytest
from omero.rtypes import rstring

from omero_devserver.disturb.occasion import MOMENTS, Counted
from omero_devserver.disturb.pool import Pool
from omero_devserver.wire.moments import CALL_BEFORE, Passing
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.omero_client import InPlace, images_of, new_dataset, rows
from tests.fixtures.waiting import wait_until


@pytest.fixture
def root(server_here: ServerHere) -> Iterator[Any]:
    with server_here.client() as client:
        yield client


def save(client: Any) -> int:
    return new_dataset(client)


def datasets(client: Any) -> int:
    return int(rows(client, "select count(d) from Dataset d")[0][0])


def test_the_nth_call_of_an_operation_fails_as_asked(server_here: ServerHere, root: Any) -> None:
    server_here.disturb.fail(
        "IUpdate.saveAndReturnObject", call=2, times=2, exception="omero.OptimisticLockException", message="on demand"
    )
    save(root)
    for _ in range(2):
        with pytest.raises(omero.OptimisticLockException) as raised:
            save(root)
        assert raised.value.message == "on demand"
    save(root)
    assert datasets(root) == 2


def test_a_call_can_fail_after_it_took_effect(server_here: ServerHere, root: Any) -> None:
    server_here.disturb.fail("IUpdate.saveAndReturnObject", exception="Ice.UnknownException", message="too late", after=True)
    with pytest.raises(Ice.UnknownException):
        save(root)
    assert datasets(root) == 1


@pytest.mark.parametrize(("after", "saved"), [(False, 0), (True, 1)])
def test_a_connection_is_lost_before_or_after_the_effect(server_here: ServerHere, *, after: bool, saved: int) -> None:
    client = omero.client("127.0.0.1", server_here.ssl_port)
    client.createSession("root", "omero")
    key = client.getSessionId()
    server_here.disturb.lose_connection("IUpdate.saveAndReturnObject", after=after)
    with pytest.raises(Ice.ConnectionLostException):
        save(client)
    client.__del__()
    with server_here.client() as other:
        assert datasets(other) == saved
        gone = lambda: is_gone(other, key)  # noqa: E731
        wait_until(gone, what="the end of the session whose only client lost its connection")


def is_gone(client: Any, key: str) -> bool:
    try:
        client.sf.getSessionService().getReferenceCount(key)
    except omero.RemovedSessionException:
        return True
    return False


def test_a_call_can_be_held_up_and_let_go(server_here: ServerHere, root: Any) -> None:
    server_here.disturb.delay("IUpdate.saveAndReturnObject")
    service = root.sf.getUpdateService()
    dataset = omero.model.DatasetI()
    dataset.name = rstring("data")
    answer = service.begin_saveAndReturnObject(dataset)
    assert datasets(root) == 0  # others go on meanwhile
    assert not answer.isCompleted()
    server_here.disturb.clear()
    assert service.end_saveAndReturnObject(answer).id.val > 0


def test_a_server_that_ends_lets_go_who_is_held_up(server_template: Path, tmp_path: Path) -> None:
    with running_here(tmp_path / "data", template=server_template) as server:
        client = omero.client("127.0.0.1", server.ssl_port)
        client.createSession("root", "omero")
        server.disturb.delay("IConfig.getServerTime")
        answer = client.sf.getConfigService().begin_getServerTime()
        wait_until(lambda: server.server.journal.calls["IConfig.getServerTime"], what="the call")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    del answer
    client.__del__()


def test_all_connections_or_those_of_one_session_are_dropped(server_here: ServerHere) -> None:
    first, second = (omero.client("127.0.0.1", server_here.ssl_port) for _ in range(2))
    for client in (first, second):
        client.createSession("root", "omero")
    assert server_here.disturb.drop_connections(session=first.getSessionId()) == 1
    assert datasets(second) == 0
    with pytest.raises((Ice.ConnectionLostException, Ice.ObjectNotExistException)):
        datasets(first)
    assert server_here.disturb.drop_connections() == 1
    with pytest.raises((Ice.ConnectionLostException, Ice.ObjectNotExistException)):
        datasets(second)
    for client in (first, second):
        client.__del__()


def test_a_session_is_over_when_it_is_expired(server_here: ServerHere, root: Any) -> None:
    client = omero.client("127.0.0.1", server_here.ssl_port)
    client.createSession("root", "omero")
    server_here.disturb.expire(client.getSessionId())
    with pytest.raises((omero.SessionTimeoutException, Ice.ObjectNotExistException)):
        client.sf.getConfigService().getServerTime()
    client.__del__()
    with pytest.raises(ValueError, match="no session"):
        server_here.disturb.expire("none")


def test_a_login_fails_or_loses_its_connection(server_here: ServerHere) -> None:
    server_here.disturb.fail("login", exception="Glacier2.PermissionDeniedException", message="not today")
    server_here.disturb.lose_connection("login", call=2)
    for kind in (Glacier2.PermissionDeniedException, Ice.ConnectionLostException):
        with pytest.raises(kind), server_here.client():
            pass
    with server_here.client() as client:
        assert datasets(client) == 0


@pytest.mark.parametrize(
    ("step", "part", "images"), [(0, "before", 0), (0, "in", 0), (0, "after", 3), (1, "in", 3), (4, "before", 3)]
)
def test_an_import_fails_at_a_step_and_keeps_what_was_committed(
    server_here: ServerHere, root: Any, three: Path, step: int, part: str, images: int
) -> None:
    server_here.disturb.fail(f"import.step.{step}.{part}", exception="omero.SecurityViolation")
    job = InPlace(root, [three], None)
    response = job.run()
    assert isinstance(response, omero.cmd.ERR)
    assert response.name == "import-request-failure"
    assert len(images_of(root, job.fileset)) == images
    assert len(InPlace(root, [three], None).run().objects) == 3


@pytest.mark.parametrize("disturb", ["fill_disk", "protect_disk"])
def test_a_disk_that_takes_nothing_is_a_resource_error(server_here: ServerHere, root: Any, one: Path, disturb: str) -> None:
    file = omero.model.OriginalFileI()
    file.name, file.path = rstring("notes.txt"), rstring("/")
    saved = root.sf.getUpdateService().saveAndReturnObject(file)
    job = InPlace(root, [one], None)
    getattr(server_here.disturb, disturb)("repository", "files")
    words = {"fill_disk": "No space left on device", "protect_disk": "Read-only file system"}[disturb]
    with pytest.raises(omero.ResourceError, match=words):
        InPlace(root, [one], None)
    uploader = job.process.getUploader(0)
    with pytest.raises(omero.ResourceError, match=words):
        uploader.write(b"mark", 0, 4)
    uploader.close()
    store = root.sf.createRawFileStore()
    store.setFileId(saved.id.val)
    with pytest.raises(omero.ResourceError, match=words):
        store.write(b"text", 0, 4)
    store.close()
    assert save(root) > 0  # the database is on another disk
    server_here.disturb.clear()
    assert len(InPlace(root, [one], None).run().objects) == 1


def test_a_database_without_space_refuses_what_writes_and_loses_nothing(server_here: ServerHere, root: Any, one: Path) -> None:
    job = InPlace(root, [one], None)
    job.link()
    save(root)
    server_here.disturb.fill_disk("database")
    for call in (lambda: save(root), lambda: InPlace(root, [one], None), job.verify):
        with pytest.raises(omero.InternalException):
            call()
    with pytest.raises(Glacier2.PermissionDeniedException, match="Internal error"), server_here.client():
        pass
    assert datasets(root) == 1
    server_here.disturb.clear()
    save(root)
    assert datasets(root) == 2
    assert len(job.response(job.verify()).objects) == 1


def test_a_disk_that_fills_up_in_the_middle_of_an_import_ends_it(server_here: ServerHere, root: Any, three: Path) -> None:
    job = InPlace(root, [three], None)
    job.link()
    server_here.disturb.delay("import.step.1.before")
    handle = job.verify()
    wait_until(lambda: len(images_of(root, job.fileset)) == 3, what="step 0")
    server_here.disturb.clear()
    server_here.disturb.fill_disk()
    response = job.response(handle)
    server_here.disturb.clear()
    assert isinstance(response, omero.cmd.ERR)
    assert [series for _, _, series in images_of(root, job.fileset)] == [0, 0, 0]


def test_an_exhausted_pool_refuses_calls_and_logins_after_a_while(server_here: ServerHere, root: Any) -> None:
    server_here.disturb.exhaust_pool(wait_seconds=0.2)
    with pytest.raises(omero.DatabaseBusyException, match="cannot create transaction"):
        datasets(root)
    with pytest.raises(Glacier2.PermissionDeniedException, match="Cannot acquire connection"), server_here.client():
        pass
    server_here.disturb.clear()
    assert datasets(root) == 0


def test_what_has_happened_is_not_kept(server_here: ServerHere, root: Any) -> None:
    def kept(kind: type) -> int:
        gc.collect()
        return sum(type(one) is kind for one in gc.get_objects())

    before = kept(Pool)  # of other tests
    for _ in range(5):
        server_here.disturb.fail("IUpdate.saveAndReturnObject", call=2, times=2)
        save(root)
        for _ in range(2):
            with pytest.raises(omero.InternalException):
                save(root)
    # A thread that has answered lets go a moment later.
    wait_until(lambda: kept(Counted) == 1, seconds=20, what="only the last one kept")
    server_here.disturb.exhaust_pool()
    server_here.disturb.clear()
    wait_until(lambda: kept(Pool) <= before and not kept(Counted), seconds=20, what="nothing kept")


def test_nonsense_is_refused(server_here: ServerHere) -> None:
    disturb = server_here.disturb
    all_of_it: tuple[Callable[[], object], ...] = (
        lambda: disturb.fail("IUpdate"),
        lambda: disturb.fail("import.step.5.in"),
        lambda: disturb.fail("IUpdate.saveObject", call=0),
        lambda: disturb.fail("IUpdate.saveObject", exception="builtins.OSError"),
        lambda: disturb.fail("IUpdate.saveObject", exception="omero.rtypes"),
        lambda: disturb.delay("import.begun", seconds=1, after=True),
        lambda: disturb.fill_disk("cellar"),
    )
    for nonsense in all_of_it:
        with pytest.raises(ValueError, match=r"\w"):
            nonsense()


def test_an_import_passes_every_moment_once_in_their_order(server_here: ServerHere, root: Any, one: Path) -> None:
    passed: list[str] = []
    for moment in MOMENTS:
        server_here.server.moments.at(moment, lambda passing: passed.append(passing.moment))
    InPlace(root, [one], None).run()
    wait_until(lambda: "import.ended" in passed, what="the end of the import")
    assert passed == [moment for moment in MOMENTS if moment != "login"]


# --- a pool of connections ----------------------------------------------------------------------------------------------


def imports_at_once(server: ServerHere, number: int, path: Path) -> list[str]:
    """Outcomes of so many imports that begin together, each in a session of its own."""
    outcomes: list[str] = []
    ready = threading.Barrier(number)

    def run() -> None:
        with server.client() as client:
            job = InPlace(client, [path], None)
            job.link()
            ready.wait()
            try:
                outcomes.append(type(job.response(job.verify())).__name__)
            except omero.ServerError as error:
                outcomes.append(f"{type(error).__name__}: {error.message}")

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_as_many_imports_as_connections_are_fine(server_template: Path, tmp_path: Path, one: Path) -> None:
    with running_here(tmp_path / "data", template=server_template, pool=4, pool_wait_seconds=20) as server:
        assert imports_at_once(server, 4, one) == ["ImportResponse"] * 4


def test_more_imports_than_connections_stand_still_until_those_that_wait_are_refused(
    server_template: Path, tmp_path: Path, one: Path
) -> None:
    options = {"pool": 2, "pool_wait_seconds": 1, "step_seconds": 0.1}
    with running_here(tmp_path / "data", template=server_template, **options) as server:
        began = time.monotonic()
        outcomes = imports_at_once(server, 3, one)
        assert sorted(outcomes) == ["DatabaseBusyException: cannot create transaction", "ImportResponse", "ImportResponse"]
        assert time.monotonic() - began >= 1
        with server.client() as client:  # it came back by itself
            assert len(InPlace(client, [one], None).run().objects) == 1


def test_while_an_import_waits_for_a_connection_nothing_gets_on_and_logins_hang(
    server_template: Path, tmp_path: Path, one: Path
) -> None:
    options = {"pool": 1, "pool_wait_seconds": 1, "step_seconds": 0}
    with running_here(tmp_path / "data", template=server_template, **options) as server, server.client() as client:
        InPlace(client, [one], None).run()  # Java starts with the first one, which takes longer
        first, second = InPlace(client, [one], None), InPlace(client, [one], None)
        for job in (first, second):
            job.link()
        server.disturb.delay("import.begun")
        handle = first.verify()
        waits = second.process.begin_verifyUpload(second.hashes())
        wait_until(lambda: server.server.journal.calls["ImportProcess.verifyUpload"] == 3, what="the second import")
        server.disturb.clear()  # the first import would be over at once, and the second could begin
        with server.client() as other:
            assert waits.isCompleted()  # this login took so long
            assert datasets(other) == 0
        with pytest.raises(omero.DatabaseBusyException):
            second.process.end_verifyUpload(waits)
        assert len(first.response(handle).objects) == 1


def test_an_import_whose_session_has_ended_holds_no_connection(server_template: Path, tmp_path: Path, one: Path) -> None:
    def end(passing: Passing) -> None:
        if passing.operation == "ImportProcess.verifyUpload" and passing.session is not None:
            server.server.sessions.end(passing.session)

    options = {"pool": 1, "pool_wait_seconds": 1, "step_seconds": 0}
    with running_here(tmp_path / "data", template=server_template, **options) as server:
        with server.client() as client:
            job = InPlace(client, [one], None)
            job.link()
            remove = server.server.moments.at(CALL_BEFORE, end)
            job.verify()
            remove()
        with server.client() as client:
            assert len(InPlace(client, [one], None).run().objects) == 1
