# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of official scripts: what is changed there by hand is what clients find."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import files
from pathlib import Path
from typing import Any

import omero
import pytest
from omero.model import OriginalFileI

from omero_devserver.scripts.folder import ScriptFolder
from omero_devserver.scripts.kinds import Kind, of_name
from tests.fixtures.omero import OmeroServer, ServerHere, running_here
from tests.fixtures.omero_client import rows
from tests.fixtures.omero_scripts import HELLO
from tests.fixtures.waiting import wait_until


@pytest.fixture
def service(server_here: ServerHere) -> Iterator[Any]:
    with server_here.client() as client:
        yield client.sf.getScriptService()


@pytest.fixture
def folder(server_here: ServerHere) -> Path:
    made = server_here.managed_repository.parent / "lib" / "scripts" / "mine"
    made.mkdir()
    return made


def listed(service: Any) -> dict[str, int]:
    return {one.path.val + one.name.val: one.id.val for one in service.getScripts()}


def test_it_has_the_scripts_of_omero_from_the_start(server_here: ServerHere, service: Any) -> None:
    packaged = {f"/{file}" for file in files("omero-scripts") or [] if file.match("*_scripts/[A-Z]*.py")}
    assert "/omero/util_scripts/Move_Annotations.py" in packaged
    assert set(listed(service)) == packaged
    with server_here.client() as client:
        found = rows(client, "select count(o) from OriginalFile o where o.mimetype = 'text/x-python'")
        assert found == [[len(packaged)]]


def test_a_file_that_is_put_there_is_a_script(service: Any, folder: Path) -> None:
    (folder / "New.py").write_text(HELLO)
    (folder / "Empty.py").touch()
    (folder / ".Hidden.py").write_text(HELLO)
    (folder / "readme.txt").write_text("no script")
    assert {path for path in listed(service) if path.startswith("/mine/")} == {"/mine/New.py"}
    assert service.getScriptText(service.getScriptID("/mine/New.py")) == HELLO


def test_a_file_that_is_changed_there_is_another_script(service: Any, folder: Path) -> None:
    (folder / "New.py").write_text(HELLO)
    before = listed(service)
    assert listed(service) == before
    (folder / "New.py").write_text(HELLO + "# changed\n")
    after = listed(service)
    assert after.pop("/mine/New.py") != before.pop("/mine/New.py")
    assert after == before


def test_a_file_that_is_removed_there_is_no_script_any_more(service: Any, folder: Path) -> None:
    (folder / "New.py").write_text(HELLO)
    script = listed(service)["/mine/New.py"]
    (folder / "New.py").unlink()
    assert "/mine/New.py" not in listed(service)
    assert service.getScriptID("/mine/New.py") == -1
    with pytest.raises(omero.ResourceError, match="Failed to load"):
        service.getScriptText(script)


def test_scripts_keep_their_ids_over_a_restart(server_template: Path, tmp_path: Path) -> None:
    def ids(server: OmeroServer) -> dict[str, int]:
        with server.client() as client:
            return listed(client.sf.getScriptService())

    with running_here(tmp_path / "omero", template=server_template) as server:
        before = ids(server)
    with running_here(tmp_path / "omero") as server:
        assert ids(server) == before


def test_a_file_that_vanishes_while_it_is_looked_at_is_none(service: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = listed(service)
    (folder / "New.py").write_text(HELLO)

    def vanish(name: str) -> Kind | None:
        (folder / "New.py").unlink(missing_ok=True)
        return of_name(name)

    monkeypatch.setattr("omero_devserver.scripts.folder.of_name", vanish)
    assert listed(service) == before


def test_who_only_lists_them_waits_for_nobody_who_writes(server_here: ServerHere, service: Any) -> None:
    patient = omero.api.IScriptPrx.uncheckedCast(service.ice_invocationTimeout(10_000))
    with server_here.server.store.transaction():
        assert listed(patient)


def test_of_two_who_upload_to_the_same_path_one_is_refused(server_here: ServerHere, service: Any) -> None:
    arrived = threading.Barrier(2, timeout=20)

    def upload(text: str) -> str:
        with server_here.client() as client:
            arrived.wait()
            try:
                client.sf.getScriptService().uploadOfficialScript("/mine/glow.lut", text)
            except omero.ApiUsageException as refusal:
                return str(refusal.message).splitlines()[0]
        return text

    lock = server_here.server.part(ScriptFolder)._lock
    calls = server_here.server.journal.calls
    with ThreadPoolExecutor(2) as threads:
        with lock:
            uploads = [threads.submit(upload, text) for text in ("0 1", "1 2")]
            wait_until(lambda: calls["IScript.uploadOfficialScript"] == 2, what="two uploads")
        written, refused = sorted(one.result() for one in uploads)
    assert refused == "Path already exists: /mine/glow.lut"
    assert service.getScriptText(service.getScriptID("/mine/glow.lut")) == written


def test_a_script_that_is_deleted_while_others_list_them_does_not_come_back(server_here: ServerHere, service: Any) -> None:
    script = service.uploadOfficialScript("/mine/glow.lut", "0 1 2")
    folder = server_here.server.part(ScriptFolder)
    lists: list[threading.Thread] = []
    place = folder.place

    def interrupted(path: str) -> Path:
        lists.append(threading.Thread(target=folder.update))
        lists[-1].start()
        lists[-1].join(0.5)  # it waits for the end of the deletion, or has come to its own
        return place(path)

    folder.place = interrupted  # type: ignore[method-assign]
    service.deleteScript(script)
    for one in lists:
        one.join()
    with server_here.client() as client:
        assert rows(client, "select count(o) from OriginalFile o where o.name = 'glow.lut'") == [[0]]


@pytest.mark.parametrize("path", ["/mine/../../Outside.py", "../Outside.py"])
def test_no_upload_leaves_the_folder(service: Any, folder: Path, path: str) -> None:
    with pytest.raises(omero.ValidationException, match="may not make references above root"):
        service.uploadOfficialScript(path, HELLO)
    assert not list(folder.parent.parent.rglob("Outside.py"))


@pytest.mark.parametrize("path", [None, "", "/", "/mine"])
def test_a_folder_is_no_script(service: Any, folder: Path, path: str | None) -> None:
    with pytest.raises(omero.InternalException, match="exists but is a directory"):
        service.uploadOfficialScript(path, HELLO)


def test_a_lookup_table_is_no_program(service: Any, folder: Path) -> None:
    script = service.uploadOfficialScript("/mine/glow.lut", "0 1 2")
    assert "/mine/glow.lut" not in listed(service)
    assert [one.id.val for one in service.getScriptsByMimetype("text/x-lut")] == [script]


def test_a_read_only_server_leaves_all_as_it_is(server_template: Path, tmp_path: Path) -> None:
    with running_here(tmp_path / "omero", template=server_template) as server:
        folder = server.managed_repository.parent / "lib" / "scripts" / "mine"
        folder.mkdir()
        (folder / "Old.py").write_text(HELLO)
    with running_here(tmp_path / "omero", read_only=True) as server, server.client() as client:
        service = client.sf.getScriptService()
        before = listed(service)
        (folder / "New.py").write_text(HELLO)
        (folder / "Old.py").write_text(HELLO + "# changed\n")
        assert listed(service) == before
        old = before["/mine/Old.py"]
        attempts: tuple[Callable[[], object], ...] = (
            lambda: service.uploadOfficialScript("/mine/Another.py", HELLO),
            lambda: service.editScript(OriginalFileI(old, False), HELLO),
            lambda: service.deleteScript(old),
            lambda: service.runScript(old, {}, None),
        )
        for refused in attempts:
            with pytest.raises(omero.ApiUsageException, match="read-only"):
                refused()
        assert sorted(path.name for path in folder.iterdir()) == ["New.py", "Old.py"]
        assert (folder / "Old.py").read_text().endswith("# changed\n")
