# SPDX-License-Identifier: GPL-2.0-or-later
"""Processors of the development server: its own, those attached by hand, and what happens when one of them goes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import Ice
import omero
import omero.grid
import omero.processor
import pytest
from omero.rtypes import rint

from omero_devserver.scripts import processors
from omero_devserver.scripts.processor import attach, detach, prepared
from omero_devserver.scripts.processors import Processors
from tests.fixtures.omero import OmeroServer, ServerHere, running_here, started
from tests.fixtures.omero_client import PASSWORD, make_user
from tests.fixtures.omero_scripts import HELLO, OBEDIENT, SILENT, Line, Listener, exit_status, run, upload
from tests.fixtures.waiting import freeze, wait_until

ROOT_PASSWORD = "omero"


@pytest.fixture
def without_processors(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    with running_here(tmp_path / "omero", template=server_template, processors=0) as server:
        yield server


@contextmanager
def by_hand(
    server: OmeroServer, *, user: str = "root", password: str = ROOT_PASSWORD, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    """The program, as an administrator starts it on a host. It logs each call: a pipe that nobody reads fills, and blocks it."""
    command = [sys.executable, "-m", "omero_devserver.scripts.processor", "--host", server.host]
    process = subprocess.Popen(
        [*command, "--port", str(server.ssl_port), "--user", user],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "OMERO_PASSWORD": password},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> int:
    """Wait until it takes scripts; returns its process id."""
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready: Processor runs scripts of 127.0.0.1:")
    return process.pid


def parent(client: Any, silent: int) -> int:
    """Run a script; returns the process id of the processor that ran it."""
    with run(client, silent) as process:
        assert exit_status(process) == 0
        return int(process.getResults(1)["Parent"].val)


def begin(client: Any, obedient: int, listener: Listener) -> tuple[Any, Line]:
    process = client.sf.getScriptService().runScript(obedient, {"Port": rint(listener.port)}, None)
    return process, listener.line()


def gone(process_id: int) -> bool:
    try:
        return not Path(f"/proc/{process_id}/cmdline").read_bytes()  # empty: it has ended, and nobody has asked how
    except OSError:
        return True


def test_without_a_processor_nothing_runs(without_processors: OmeroServer) -> None:
    script = upload(without_processors, SILENT)  # its parameters will be found out later
    with without_processors.client() as client:
        with pytest.raises(omero.NoProcessorAvailable, match=r"No processor available! \[0 response\(s\)\]") as raised:
            client.sf.getScriptService().runScript(script, {}, None)
        assert raised.value.processorCount == 0
        with pytest.raises(omero.ApiUsageException, match="Delay is too long"):
            client.sf.getScriptService().runScript(script, {}, rint(181))


def test_processors_take_turns_and_one_that_died_is_left_out(without_processors: OmeroServer, listener: Listener) -> None:
    silent, obedient = (upload(without_processors, text) for text in (SILENT, OBEDIENT))
    with ExitStack() as stack:
        client = stack.enter_context(without_processors.client())
        two = [stack.enter_context(by_hand(without_processors)) for _ in range(2)]
        both = {ready(process) for process in two}
        assert {parent(client, silent) for _ in range(3)} == both
        process, line = begin(client, obedient, listener)
        _, _, its_processor = line.ask()
        os.kill(int(its_processor), signal.SIGKILL)
        with pytest.raises(Ice.Exception):
            wait_until(process.poll, seconds=10)
        line.ask("end")
        left = both - {int(its_processor)}
        assert {parent(client, silent) for _ in range(2)} == left


def test_a_processor_that_hangs_is_not_waited_for(without_processors: OmeroServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "ANSWER_SECONDS", 0.5)
    script = upload(without_processors, HELLO)
    with without_processors.client() as client, by_hand(without_processors) as process:
        freeze(ready(process))
        with pytest.raises(omero.NoProcessorAvailable):
            client.sf.getScriptService().runScript(script, {}, None)
        process.send_signal(signal.SIGCONT)
        assert "Number" in client.sf.getScriptService().getParams(script).inputs


def test_an_answer_that_comes_late_is_waited_for(without_processors: ServerHere) -> None:
    script = upload(without_processors, HELLO)
    with without_processors.client() as client, by_hand(without_processors) as process:
        ready(process)
        without_processors.disturb.delay("ProcessorCallback.isProxyAccepted", seconds=0.5)
        assert "Number" in client.sf.getScriptService().getParams(script).inputs


def test_who_waits_for_a_script_is_forgotten_with_his_session(server_here: ServerHere) -> None:
    def forwarders() -> list[str]:
        every = server_here.server.sessions.all()
        return [name for session in every for name in list(session.services) if name.startswith("ProcessCallback-")]

    class Deaf(omero.grid.ProcessCallback):  # type: ignore[misc]
        def processFinished(self, status: int, current: Any = None) -> None:  # noqa: N802
            pass

    script = upload(server_here, SILENT)
    job = omero.model.ScriptJobI()
    job.linkOriginalFile(omero.model.OriginalFileI(script, False))
    with server_here.client() as client:
        process = client.sf.sharedResources().acquireProcessor(job, 10).execute(omero.rtypes.rmap({}))
        identity = Ice.Identity("waits", client.getCategory())
        callback = client.getAdapter().add(Deaf(), identity)
        for _ in range(2):
            process.registerCallback(omero.grid.ProcessCallbackPrx.uncheckedCast(callback))
        assert len(forwarders()) == 1
        assert exit_status(process) == 0
    wait_until(lambda: forwarders() == [], seconds=20, what="nobody who waits")


def test_a_processor_that_may_not_log_in_says_so_in_one_line(without_processors: OmeroServer) -> None:
    with by_hand(without_processors, password="wrong", stderr=subprocess.PIPE) as process:
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (os.EX_UNAVAILABLE, "")
    assert stderr.splitlines()[-1].startswith(f"processor: Cannot log in at 127.0.0.1:{without_processors.ssl_port}: ")
    assert "Traceback" not in stderr


def test_a_processor_that_is_told_to_end_is_left_out(without_processors: ServerHere) -> None:
    with by_hand(without_processors) as process:
        ready(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == os.EX_OK
    assert without_processors.server.part(Processors).count() == 0


def test_a_processor_that_loses_its_server_ends(server_template: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with running_here(tmp_path / "omero", template=server_template, processors=0) as server:
            process = stack.enter_context(by_hand(server))
            ready(process)
        assert process.wait(8) == os.EX_UNAVAILABLE  # sooner than it would notice by asking


#: A processor as the program is one, which looks after its scripts when it is told to, and not once a minute.
LOOKING_AFTER = """
import sys, threading
import omero.clients
from pathlib import Path
from omero_devserver.scripts.processor import attach, detach, prepared
port, home = sys.argv[1:]
client = omero.client("127.0.0.1", int(port))
client.createSession("root", "omero")
with prepared(Path(home)) as folder:
    processor = attach(client, folder, "test", threading.Event())
    print("attached", flush=True)
    sys.stdin.readline()
    lost = processor.resources.checkAll(processor.resources.copyStuff())
    print("lost", [one.pid for one, *_ in lost if one.isRunning()], flush=True)
    sys.stdin.readline()
    detach(processor)
client.closeSession()
"""


def test_a_processor_looks_after_a_script_without_ending_it(
    without_processors: OmeroServer, tmp_path: Path, listener: Listener
) -> None:
    script = upload(without_processors, OBEDIENT)
    command = [sys.executable, "-c", LOOKING_AFTER, str(without_processors.ssl_port), str(tmp_path / "home")]
    with (
        without_processors.client() as client,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as program,
    ):
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "attached\n"
        process, line = begin(client, script, listener)
        program.stdin.write("look\n")
        assert program.stdout.readline() == "lost []\n"
        assert line.ask("end")[0] == "root"
        assert exit_status(process) == 0


def test_a_processor_keeps_nothing_of_a_script_whose_session_has_ended(without_processors: OmeroServer, tmp_path: Path) -> None:
    def threads_after_one_more(number: int) -> int:
        router = client.getProperty("Ice.Default.Router")
        config = tmp_path / "config"
        config.write_text(f"omero.user=gone-{number}\nomero.pass=gone-{number}\nIce.Default.Router={router}\n")
        process = SimpleNamespace(config_path=config, uuid="gone", logger=logging.getLogger("test"))
        assert omero.processor.ProcessI.tmp_client(process) is None
        return len(list(Path("/proc/self/task").iterdir()))

    with without_processors.client() as client, prepared(tmp_path / "home") as home:
        processor = attach(client, home, "test", threading.Event())
        try:
            first, *_, last = (threads_after_one_more(number) for number in range(5))
        finally:
            detach(processor)
    assert last < first + 12  # a client that is kept has five, four times


def test_a_users_processor_runs_nothing_for_others(without_processors: OmeroServer) -> None:
    script = upload(without_processors, SILENT)
    one, other = make_user(without_processors), make_user(without_processors)
    with (
        without_processors.client(one.name, PASSWORD) as mine,
        without_processors.client(other.name, PASSWORD) as client,
        by_hand(without_processors, user=one.name, password=PASSWORD) as process,
    ):
        ready(process)
        with pytest.raises(omero.NoProcessorAvailable):
            client.sf.getScriptService().runScript(script, {}, None)
        assert parent(mine, script) == process.pid


def test_a_user_cannot_attach_a_processor_that_takes_everything(without_processors: OmeroServer) -> None:
    class Greedy(omero.grid.Processor):  # type: ignore[misc]
        def willAccept(self, user: Any, group: Any, job: Any, callback: Any, current: Any = None) -> None:  # noqa: N802
            asked.append(user.id.val)
            callback.isProxyAccepted(True, "", None)

    asked: list[int] = []
    script = upload(without_processors, SILENT)
    one, other = make_user(without_processors), make_user(without_processors)
    with (
        without_processors.client(one.name, PASSWORD) as mine,
        without_processors.client(other.name, PASSWORD) as client,
    ):
        identity = Ice.Identity("greedy", mine.getCategory())
        proxy = omero.grid.ProcessorPrx.uncheckedCast(mine.getAdapter().add(Greedy(), identity))
        mine.sf.sharedResources().addProcessor(proxy)
        with pytest.raises(omero.NoProcessorAvailable, match=r"\[1 response\(s\)\]"):
            client.sf.getScriptService().runScript(script, {}, None)
        assert asked == [other.id]
        mine.sf.sharedResources().removeProcessor(proxy)
        with pytest.raises(omero.NoProcessorAvailable, match=r"\[0 response\(s\)\]"):
            client.sf.getScriptService().runScript(script, {}, None)


def test_the_servers_own_processor_is_started_again(server_here: OmeroServer, listener: Listener) -> None:
    silent, obedient = (upload(server_here, text) for text in (SILENT, OBEDIENT))
    with server_here.client() as client:
        process, line = begin(client, obedient, listener)
        _, _, its_processor = line.ask()
        os.kill(int(its_processor), signal.SIGKILL)
        with pytest.raises(Ice.Exception):
            wait_until(process.poll, seconds=10)
        line.ask("end")
        assert parent(client, silent) != int(its_processor)


def test_a_script_whose_time_is_over_is_ended(server_template: Path, tmp_path: Path, listener: Listener) -> None:
    options = {"script_seconds": 100, "session_idle_seconds": 300, "session_sync_seconds": 0.1}  # its silence has no limit
    with running_here(tmp_path / "omero", template=server_template, **options) as server:
        script = upload(server, OBEDIENT)
        with server.client() as client:
            assert client.sf.getConfigService().getConfigValue("omero.scripts.timeout") == "100000"
            process, line = begin(client, script, listener)
            assert line.ask()[0] == "root"
            [session] = [one for one in server.server.sessions.all() if one.event_type == "Processing"]
            assert (session.time_to_live, session.time_to_idle) == (100_000, 0)
            session.time_to_live = 1
            assert line.ended()
            assert exit_status(process) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_scripts_and_processors_end_with_the_server(tmp_path: Path, listener: Listener, number: int) -> None:
    with started(tmp_path / "data") as server:
        script = upload(server, OBEDIENT)
        with server.client() as client:
            _, line = begin(client, script, listener)
            _, _, its_processor = line.ask()
            server.stop(number)
            assert line.ended()
            wait_until(lambda: gone(int(its_processor)), seconds=15)


def test_a_processor_that_hangs_ends_with_the_server_and_its_scripts_do_too(tmp_path: Path, listener: Listener) -> None:
    with started(tmp_path / "data") as server:
        script = upload(server, OBEDIENT)
        with server.client() as client:
            _, line = begin(client, script, listener)
            _, its_process, its_processor = line.ask()
            freeze(int(its_processor))
            assert server.stop() == os.EX_OK
            wait_until(lambda: gone(int(its_processor)) and gone(int(its_process)))
