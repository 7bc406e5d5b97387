# SPDX-License-Identifier: GPL-2.0-or-later
"""A server in hard times: its folder goes, handles run out, many come and go. Clients get exceptions, and it lives on."""

from __future__ import annotations

import gc
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import Glacier2
import omero
import pytest
from omero.rtypes import rstring

from omero_devserver.__main__ import main
from omero_devserver.cmd.handle import Handle
from omero_devserver.files.disk import REPOSITORY_UUID
from omero_devserver.wire.session import Session
from tests.fixtures.omero import OmeroServer, ServerHere, running_here, started
from tests.fixtures.omero_client import InPlace, delete, new_dataset, rows, submit
from tests.fixtures.waiting import wait_until

HANDLES = 64


def test_a_data_folder_that_vanishes_is_told_to_who_writes(server_template: Path, tmp_path: Path, one: Path) -> None:
    with running_here(tmp_path / "data", template=server_template) as server:
        client = omero.client(server.host, server.ssl_port)
        client.createSession("root", "omero")
        shutil.rmtree(tmp_path / "data")
        with pytest.raises(omero.InternalException, match="has gone"):
            new_dataset(client)
        with pytest.raises(omero.ServerError):
            InPlace(client, [one], None)
        with pytest.raises(Glacier2.PermissionDeniedException, match="Internal error"), server.client():
            pass
        client.closeSession()
    assert not (tmp_path / "data" / "omero.sqlite").exists()


def test_no_more_is_read_than_an_answer_can_hold(server_here: ServerHere) -> None:
    with server_here.client() as client:
        file = omero.model.OriginalFileI()
        file.name = file.path = rstring("x")
        store = client.sf.createRawFileStore()
        store.setFileId(client.sf.getUpdateService().saveAndReturnObject(file).id.val)
        store.write(b"text", 0, 4)
        with pytest.raises(omero.ApiUsageException, match="too many for one answer"):
            store.read(0, 2**31 - 1)
        assert store.read(0, 4) == b"text"


def test_nothing_is_left_in_memory_of_who_has_gone(server_here: ServerHere) -> None:
    def visit() -> None:
        with server_here.client() as client:
            dataset = new_dataset(client)
            client.sf.createRawFileStore().close()
            client.sf.createRawPixelsStore()
            delete(client, Dataset=[dataset])
        client.__del__()

    def kept() -> dict[str, int]:
        gc.collect()
        everything = gc.get_objects()
        return {kind.__name__: sum(type(one) is kind for one in everything) for kind in (Session, Handle)}

    visit()
    for _ in range(10):
        visit()
    # Threads of the server let go of the last ones after the client has its answers.
    wait_until(lambda: kept() == {"Session": 0, "Handle": 0}, seconds=20, what="nothing kept")
    wait_until(lambda: server_here.server.clients.connections() == [], seconds=20, what="no connections")


def test_what_a_session_closes_is_not_kept_until_its_end(server_here: ServerHere) -> None:
    with server_here.client() as client:
        client.sf.getQueryService()
        [session] = server_here.server.sessions.all()
        before = len(session.services)
        for _ in range(50):
            client.sf.createRawFileStore().close()
            delete(client, Dataset=[])
        assert len(session.services) <= before + 1


def test_a_request_without_end_is_answered(server_here: ServerHere) -> None:
    with server_here.client() as client:
        endless = omero.cmd.DoAll([], [])
        endless.requests.append(endless)
        try:
            assert submit(client, endless).name == "steps-cancel"
        finally:
            endless.requests.clear()


def test_a_file_whose_row_names_no_place_can_be_deleted(server_here: ServerHere) -> None:
    with server_here.client() as client:
        file = omero.model.OriginalFileI()
        file.name, file.path, file.repo = rstring("x"), rstring("../../"), rstring(REPOSITORY_UUID)
        made = client.sf.getUpdateService().saveAndReturnObject(file).id.val
        assert isinstance(delete(client, OriginalFile=[made]), omero.cmd.Delete2Response)


def test_sessions_are_listed_although_the_group_of_one_has_gone(server_here: ServerHere) -> None:
    group = server_here.add_group("short-lived")
    with server_here.client(group="short-lived") as left, server_here.client() as client:
        client.sf.getAdminService().deleteGroup(omero.model.ExperimenterGroupI(group, False))
        listed = submit(client, omero.cmd.CurrentSessionsRequest())
        assert left.getSessionId() in [one.uuid.val for one in listed.sessions]
        assert left.sf.getAdminService().getEventContext({"omero.group": "-1"}).groupId == group


def logins_until_refused(server: OmeroServer) -> Iterator[Any]:
    for _ in range(HANDLES):
        client = omero.client(server.host, server.ssl_port)
        try:
            client.createSession("root", "omero")
        except Glacier2.PermissionDeniedException:
            client.__del__()
            return
        yield client


def test_a_server_that_runs_out_of_file_handles_refuses_logins_and_comes_back(tmp_path: Path) -> None:
    with started(tmp_path / "data", before=["sh", "-c", f'ulimit -n {HANDLES}; exec "$@"', "sh"]) as server:
        clients = list(logins_until_refused(server))
        assert 5 < len(clients) < HANDLES
        assert server.log is not None
        assert "a login was refused: too many open files" in server.log.read_text()
        for client in clients:
            client.closeSession()
            client.__del__()
        with server.client() as client:
            assert rows(client, "select count(d) from Dataset d") == [[0]]
        assert server.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--step-seconds", "-1"], "-1 is no number of seconds"),
        (["--step-seconds", "nan"], "nan is no number of seconds"),
        (["--pool", "0"], "0 is too few"),
        (["--ssl-port", "65536"], "65536 is no port"),
        (["--tcp-port", "ssh"], "invalid _port value: 'ssh'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path / "data"), *arguments])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
