# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts: what a client sees of uploading and running them, as recorded on a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import Ice
import omero
import omero.grid
import omero.scripts
import pytest
from omero.model import ExperimenterI, OriginalFileI, PlateI, ScriptJobI
from omero.rtypes import rint, rlist, rlong, rstring, unwrap

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, make_user, new_dataset, rows
from tests.fixtures.omero_scripts import HELLO, Listener, exit_status, run, upload
from tests.fixtures.waiting import wait_until

NO_CONSTRUCTOR = "x ="  # the text of a script that Python refuses
ALLOWED = {
    *("CLASSPATH", "DISPLAY", "HOME", "ICE_CONFIG", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH"),
    *("OMERODIR", "OMERO_HOME", "OMERO_TMPDIR", "PATH", "PYTHONPATH"),
}


def text_of(client: Any, file: Any) -> tuple[str, str, str]:
    found = client.sf.getQueryService().get("OriginalFile", file.val.id.val)
    store = client.sf.createRawFileStore()
    try:
        store.setFileId(found.id.val)
        return found.name.val, found.mimetype.val, store.read(0, store.size()).decode()
    finally:
        store.close()


def job_row(client: Any, process: Any) -> list[Any]:
    hql = "select j.status.value, j.message, j.type, j.username, j.groupname from ScriptJob j where j.id = :id"
    return rows(client, hql, id=process.getJob().id.val)[0]


def test_the_parameters_are_those_that_the_script_declares(client: Any, hello: int) -> None:
    found = client.sf.getScriptService().getParams(hello)
    assert (found.name, found.version, found.description) == ("Hello.py", "1.2", "Says hello")
    assert (list(found.authors), list(found.institutions), found.contact) == (["A B"], ["X"], "a@b")
    assert (found.stdoutFormat, found.stderrFormat) == ("text/plain", "text/plain")
    assert sorted(found.inputs) == ["Fail", "IDs", "Number", "Wait", "Word"]
    number, word = found.inputs["Number"], found.inputs["Word"]
    assert (number.optional, number.useDefault, number.grouping, number.description) == (False, False, "1", "a number")
    assert (unwrap(number.min), unwrap(number.max), unwrap(word.values)) == (1, 10, ["a", "b"])
    assert (found.inputs["Wait"].useDefault, unwrap(found.inputs["Wait"].prototype)) == (True, 0)


def test_a_script_runs_to_its_end(client: Any, user: User, hello: int) -> None:
    inputs = {"Number": rlong(5), "Word": rstring("a"), "IDs": rlist([rlong(1), rlong(2)]), "Unknown": rlong(1)}
    with run(client, hello, inputs) as process:
        job = process.getJob()
        assert (type(job), job.status.value.val) == (ScriptJobI, "Waiting")
        assert exit_status(process) == 0
        results = process.getResults(1)
        assert sorted(results) == ["Keys", "Message", "stderr", "stdout"]
        assert results["Message"].val == "got 5"
        assert results["Keys"].val == "IDs,Number,Unknown,Wait,Word"
        assert text_of(client, results["stdout"]) == ("stdout", "text/plain", "hello 5\n")
        assert text_of(client, results["stderr"]) == ("stderr", "text/plain", "to stderr\n")
        assert job_row(client, process) == ["Finished", "", "User", user.name, user.group]


def test_a_script_that_raises_ends_with_an_error(client: Any, user: User, hello: int) -> None:
    with run(client, hello, {"Number": rlong(5), "Fail": rstring("yes")}) as process:
        assert exit_status(process) == 1
        results = process.getResults(1)
        assert sorted(results) == ["stderr", "stdout"]
        assert "Exception: asked to fail" in text_of(client, results["stderr"])[2]
        assert job_row(client, process) == ["Error", "", "User", user.name, user.group]


def test_a_script_acts_in_a_session_of_its_own(devserver: OmeroServer, silent: int) -> None:
    here = make_user(devserver)
    name = f"both-{uuid.uuid4().hex[:8]}"
    user = devserver.add_user(name, PASSWORD, [here.group, here.other_group])
    with devserver.client() as root:
        principal = omero.sys.Principal(name, here.group, "User", None)
        session = root.sf.getSessionService().createSessionWithTimeouts(principal, 0, 600_000)
    client = omero.client(devserver.host, devserver.ssl_port)
    client.joinSession(session.uuid.val)
    try:
        with run(client, silent, context={"omero.group": str(here.other_group_id)}) as process:
            assert exit_status(process) == 0
            found = process.getResults(1)
            assert "stdout" not in found
            assert "stderr" not in found
            assert isinstance(found["User"].val, ExperimenterI)
            assert found["User"].val.id.val == user
            assert (found["Group"].val, found["Type"].val) == (here.other_group, "Processing")
            assert "Sudoer" not in found
            assert (found["Live"].val, found["Idle"].val) == (3_600_000, 0)
            assert set(found["Environment"].val.split(",")) <= ALLOWED
            assert found["Folder"].val == "config,err,out,script"
    finally:
        client.closeSession()


@pytest.mark.parametrize(
    ("inputs", "refusal"),
    [
        ({}, 'MISSING INPUT for "Number":'),
        ({"Number": None}, 'MISSING INPUT for "Number":'),
        ({"Number": rlong(11)}, 'OUT OF BOUNDS for "Number": 11 is above max 10'),
        ({"Number": rlong(0)}, 'OUT OF BOUNDS for "Number": 0 is below min 1'),
        ({"Number": rint(5)}, "WRONG TYPE for \"Number\": <class 'omero.rtypes.RIntI'> != <class 'omero.rtypes.RLongI'>"),
        ({"Number": rlong(5), "Word": rstring("z")}, "VALUE LIST for \"Word\": z not in ['a', 'b']"),
        ({"Number": rlong(5), "IDs": rlist([rstring("x")])}, 'WRONG TYPE for "IDs": '),
    ],
)
def test_inputs_that_the_script_does_not_take_are_refused(client: Any, hello: int, inputs: dict[str, Any], refusal: str) -> None:
    with pytest.raises(omero.ValidationException) as raised:
        client.sf.getScriptService().runScript(hello, inputs, None)
    first, second = raised.value.message.splitlines()[:2]
    assert first == "Invalid parameters:"
    assert second.strip().startswith(refusal)


def test_what_the_processor_stumbles_over_is_an_internal_exception(client: Any, hello: int) -> None:
    with pytest.raises(omero.InternalException):
        client.sf.getScriptService().runScript(hello, {"Number": rstring("5")}, None)


def test_a_script_of_omeros_own_makes_a_plate_of_a_dataset(client: Any, one: Path) -> None:
    dataset = new_dataset(client)
    images = InPlace(client, [one], dataset).run().objects
    script = client.sf.getScriptService().getScriptID("/omero/util_scripts/Dataset_To_Plate.py")
    with run(client, script, {"Data_Type": rstring("Dataset"), "IDs": rlist([rlong(dataset)])}) as process:
        assert exit_status(process) == 0
        results = process.getResults(1)
        plate = results["New_Object"].val
        assert isinstance(plate, PlateI)
        assert "New plate created" in results["Message"].val
    hql = "select s.image.id from WellSample s where s.well.plate.id = :id"
    assert rows(client, hql, id=plate.id.val) == [[image.id.val] for image in images]


def test_results_are_given_once_and_only_after_the_end(client: Any, obedient: int, listener: Listener) -> None:
    with run(client, obedient, {"Port": rint(listener.port)}) as process:
        line = listener.line()
        assert process.poll() is None
        with pytest.raises(omero.ApiUsageException, match="Process still running"):
            process.getResults(0)
        with pytest.raises(omero.ApiUsageException, match="Refusing to wait more than 5 seconds: 6"):
            process.getResults(6)
        line.ask("end")
        assert process.wait() == 0
        process.getResults(1)
        with pytest.raises(omero.ApiUsageException, match="No current process"):
            process.getResults(1)
        assert process.kill() is True
    with pytest.raises(Ice.ObjectNotExistException):
        process.poll()


@pytest.mark.parametrize(("how", "status"), [("cancel", -signal.SIGTERM), ("kill", -signal.SIGKILL)])
def test_a_script_can_be_ended(client: Any, obedient: int, listener: Listener, how: str, status: int) -> None:
    with run(client, obedient, {"Port": rint(listener.port)}) as process:
        line = listener.line()
        getattr(process, how)()
        assert line.ended()
        assert exit_status(process) == status


@pytest.mark.parametrize("leave", ["closeSession", "killSession", "close"])
def test_a_script_ends_with_who_launched_it(
    devserver: OmeroServer, user: User, obedient: int, listener: Listener, leave: str
) -> None:
    client = omero.client(devserver.host, devserver.ssl_port)
    client.createSession(user.name, PASSWORD)
    process = client.sf.getScriptService().runScript(obedient, {"Port": rint(listener.port)}, None)
    line = listener.line()
    assert line.ask()[0] == user.name
    {"closeSession": client.closeSession, "killSession": client.killSession, "close": lambda: process.close(False)}[leave]()
    assert line.ended()
    client.closeSession()


def test_a_script_that_was_let_go_outlives_who_launched_it(
    devserver: OmeroServer, user: User, obedient: int, listener: Listener
) -> None:
    with devserver.client(user.name, PASSWORD) as client:
        process = client.sf.getScriptService().runScript(obedient, {"Port": rint(listener.port)}, None)
        line = listener.line()
        process.close(True)
    assert line.ask()[0] == user.name
    assert line.ask("end")[0] == user.name


def test_scripts_run_at_the_same_time(client: Any, hello: int, obedient: int, listener: Listener) -> None:
    with run(client, obedient, {"Port": rint(listener.port)}) as long, run(client, hello, {"Number": rlong(1)}) as short:
        line = listener.line()
        assert exit_status(short) == 0
        assert long.poll() is None
        line.ask("end")
        assert exit_status(long) == 0


def test_many_may_start_scripts_at_once(client: Any, hello: int) -> None:
    service = client.sf.getScriptService()

    def refused(_: int) -> bool:
        with pytest.raises(omero.ValidationException):
            service.runScript(hello, {"Number": rlong(11)}, None)
        return True

    with ThreadPoolExecutor(40) as starters:
        assert all(starters.map(refused, range(40)))


def test_a_callback_hears_of_the_end(client: Any, hello: int) -> None:
    class Callback(omero.scripts.ProcessCallbackI):  # type: ignore[misc]
        def processFinished(self, returncode: int, current: Any = None) -> None:  # noqa: N802
            if current is not None:  # a call from the server, not from block()
                heard.append(returncode)
            super().processFinished(returncode, current)

    heard: list[int] = []
    with run(client, hello, {"Number": rlong(1)}) as process:
        callback = Callback(client, process)
        wait_until(lambda: callback.block(100) == callback.FINISHED)
        wait_until(lambda: heard == [0])
        callback.close()


def test_a_processor_can_be_held_without_the_script_service(client: Any, user: User, silent: int) -> None:
    job = ScriptJobI()
    job.linkOriginalFile(OriginalFileI(silent, False))
    held = client.sf.sharedResources().acquireProcessor(job, 10)
    assert held.params().name == "Silent.py"
    with pytest.raises(omero.ApiUsageException, match="No current process"):
        held.getResults(None)
    process = held.execute(omero.rtypes.rmap({}))
    with pytest.raises(omero.ApiUsageException, match="Process currently running"):
        held.execute(omero.rtypes.rmap({}))
    assert exit_status(process) == 0
    assert held.getResults(process).val["Group"].val == user.group
    held.stop()


def test_a_job_tells_how_far_it_is(client: Any, user: User, silent: int) -> None:
    handle = client.sf.createJobHandle()
    with pytest.raises(omero.ApiUsageException, match="JobHandle not ready"):
        handle.jobStatus()
    job = ScriptJobI()
    job.linkOriginalFile(OriginalFileI(silent, False))
    number = handle.submit(job)
    assert handle.jobStatus().value.val == "Submitted"
    assert handle.jobFinished() is None
    assert handle.setStatus("Running") == "Submitted"
    assert handle.jobRunning()
    assert handle.setMessage("half") == ""
    assert handle.setStatusAndMessage("Error", rstring("broken")) == "Running"
    assert (handle.jobError(), handle.jobMessage()) == (True, "broken")
    assert handle.jobFinished() is not None
    with pytest.raises(omero.ValidationException, match="Currently unsupported"):
        handle.setStatus("Waiting")
    assert handle.attach(number).value.val == "Error"
    with pytest.raises(omero.ApiUsageException, match="Unknown job"):
        handle.attach(999_999_999)
    handle.close()


@pytest.mark.parametrize(("text", "quoted"), [(NO_CONSTRUCTOR, "SyntaxError"), ("print('nothing')", "nothing")])
def test_a_text_without_parameters_is_refused_and_no_script(devserver: OmeroServer, text: str, quoted: str) -> None:
    path = f"/tests/{uuid.uuid4().hex[:8]}/Broken.py"
    with devserver.client() as root:
        service = root.sf.getScriptService()
        with pytest.raises(omero.ValidationException, match="Can't find params for") as raised:
            service.uploadOfficialScript(path, text)
        assert quoted in raised.value.message
        folder = path.rpartition("/")[0] + "/"
        [[script]] = rows(root, "select o.id from OriginalFile o where o.path = :path", path=folder)
        assert script not in [one.id.val for one in service.getScripts()]
        assert service.getParams(script) is None
        with pytest.raises(omero.NoProcessorAvailable, match=r"No processor available! \[0 response"):
            service.runScript(script, {}, None)
        assert service.uploadOfficialScript(path, HELLO) != script  # it is in nobody's way


def test_what_is_not_there(client: Any) -> None:
    service = client.sf.getScriptService()
    assert service.getParams(999_999_999) is None
    assert not service.getScriptText(999_999_999)
    assert service.getScriptWithDetails(999_999_999) == {}
    assert service.getScriptID("/nope.py") == -1
    assert service.canRunScript(999_999_999) is False
    with pytest.raises(omero.ValidationException, match="No row with the given identifier exists"):
        service.runScript(999_999_999, {}, None)


def test_official_scripts_are_for_all_and_kept_by_administrators(devserver: OmeroServer, client: Any, hello: int) -> None:
    service = client.sf.getScriptService()
    with pytest.raises(omero.SecurityViolation, match="No permission to upload script"):
        service.uploadOfficialScript("/tests/Mine.py", HELLO)
    script = upload(devserver, HELLO, "Kept.py")
    [found] = [one for one in service.getScripts() if one.id.val == script]
    path = found.path.val + found.name.val
    assert (found.name.val, found.mimetype.val, found.details.owner.id.val) == ("Kept.py", "text/x-python", 0)
    assert service.getScriptID(path) == script
    assert service.getScriptText(script) == HELLO
    assert [*service.getScriptWithDetails(script)] == [HELLO]
    assert service.canRunScript(script)
    assert script in [one.id.val for one in service.getScriptsByMimetype("text/x-python")]
    assert script not in [one.id.val for one in service.getUserScripts([])]
    with pytest.raises(omero.SecurityViolation, match=f"Updating ome.model.core.OriginalFile:Id_{script} not allowed"):
        service.editScript(OriginalFileI(script, False), HELLO)
    with pytest.raises(omero.SecurityViolation, match="No permission to delete script"):
        service.deleteScript(script)
    with devserver.client() as root:
        roots = root.sf.getScriptService()
        with pytest.raises(omero.ApiUsageException, match="Path already exists"):
            roots.uploadOfficialScript(path, HELLO)
        roots.editScript(OriginalFileI(script, False), HELLO.replace('"1.2"', '"1.3"'))
        assert service.getParams(script).version == "1.3"
        roots.deleteScript(script)
        assert roots.getScriptID(path) == -1
        with pytest.raises(omero.ApiUsageException, match=f"No script with id {script} on server"):
            roots.deleteScript(script)


def test_a_script_that_has_run_cannot_be_deleted(devserver: OmeroServer, client: Any) -> None:
    script = upload(devserver, HELLO)
    with pytest.raises(omero.ValidationException, match="Invalid parameters"):
        client.sf.getScriptService().runScript(script, {}, None)
    with devserver.client() as root, pytest.raises(omero.ValidationException, match="fkjoboriginalfilelink_child"):
        root.sf.getScriptService().deleteScript(script)


def test_a_script_that_has_run_is_no_script_any_more_after_it_could_not_be_deleted(devserver: OmeroServer, client: Any) -> None:
    script = upload(devserver, HELLO)
    with pytest.raises(omero.ValidationException, match="Invalid parameters"):
        client.sf.getScriptService().runScript(script, {}, None)
    with devserver.client() as root:
        roots = root.sf.getScriptService()
        with pytest.raises(omero.ValidationException):
            roots.deleteScript(script)
        assert script not in [one.id.val for one in roots.getScripts()]
        assert rows(root, "select o.name from OriginalFile o where o.id = :id", id=script) == [["Script.py"]]


def test_a_script_that_has_run_is_deleted_by_who_sees_its_jobs(devserver: OmeroServer, client: Any) -> None:
    script = upload(devserver, HELLO)
    with pytest.raises(omero.ValidationException, match="Invalid parameters"):
        client.sf.getScriptService().runScript(script, {}, None)
    with devserver.client() as root:
        root.sf.getScriptService().deleteScript(script, {"omero.group": "-1"})
        assert rows(root, "select o.name from OriginalFile o where o.id = :id", id=script) == []


def test_an_administrator_switches_a_script_off_and_on(devserver: OmeroServer, hello: int) -> None:
    with devserver.client() as root:
        scripts, path = root.sf.getScriptService(), path_of(root, hello)
        for mimetype, found in (("text/plain", -1), ("text/x-python", hello)):
            file = root.sf.getQueryService().get("OriginalFile", hello)
            file.mimetype = rstring(mimetype)
            root.sf.getUpdateService().saveObject(file)
            assert scripts.getScriptID(path) == found


def path_of(client: Any, script: int) -> str:
    file = client.sf.getQueryService().get("OriginalFile", script)
    return f"{file.path.val}{file.name.val}"


PROCESSOR = """
import sys
import omero.clients, omero.model, omero.processor
from omero_ext.path import path
host, port, user, password, home = sys.argv[1:]
client = omero.client(host, int(port))
client.createSession(user, password)
me = omero.model.ExperimenterI(client.sf.getAdminService().getEventContext().userId, False)
omero.processor.usermode_processor(client, "mine", home + "/ice.config", [me], omero_home=path(home))
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def own_processor(server: OmeroServer, user: User, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A processor that runs the scripts of one user, and no others."""
    for folder in ("lib/server", "lib/python", "tmp"):
        (home / folder).mkdir(parents=True)
    (home / "ice.config").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESSOR, server.host, str(server.ssl_port), user.name, PASSWORD, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMERO_TMPDIR": str(home / "tmp")},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_users_own_script_needs_a_processor_of_his_own(
    devserver: OmeroServer, client: Any, user: User, silent: int, tmp_path: Path
) -> None:
    service = client.sf.getScriptService()
    script = service.uploadScript("/tests/Own.py", HELLO)
    assert script in [one.id.val for one in service.getUserScripts([ExperimenterI(user.id, False)])]
    assert script not in [one.id.val for one in service.getScripts()]
    assert service.getScriptText(script) == HELLO
    for refused in (service.getParams, lambda number: service.runScript(number, {"Number": rlong(2)}, None)):
        with pytest.raises(omero.NoProcessorAvailable, match=r"No processor available! \[1 response"):
            refused(script)
    assert not service.canRunScript(script)
    other = make_user(devserver)
    with own_processor(devserver, user, tmp_path / "home") as processor:
        assert service.canRunScript(script)
        assert "Number" in service.getParams(script).inputs
        with run(client, script, {"Number": rlong(2)}) as process:
            assert exit_status(process) == 0
            assert process.getResults(1)["Message"].val == "got 2"
        with run(client, silent) as process:  # official ones run as before
            assert exit_status(process) == 0
        with devserver.client(other.name, PASSWORD) as client_of_other:
            assert not client_of_other.sf.getScriptService().canRunScript(script)
        processor.kill()
        processor.wait()
    wait_until(lambda: not service.canRunScript(script))
    with pytest.raises(omero.NoProcessorAvailable):
        service.runScript(script, {"Number": rlong(2)}, None)


def test_a_script_of_somebody_else_is_not_run(devserver: OmeroServer, user: User, client: Any) -> None:
    script = client.sf.getScriptService().uploadScript("/tests/Own.py", HELLO)
    name = f"other-{uuid.uuid4().hex[:8]}"
    devserver.add_user(name, PASSWORD, [user.group])
    with devserver.client(name, PASSWORD) as other, pytest.raises(omero.SecurityViolation, match="Cannot link to object"):
        other.sf.getScriptService().runScript(script, {"Number": rlong(2)}, None)
