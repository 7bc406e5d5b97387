# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left of processes that were killed, and how many converters run for all of those that live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from omero_adi_plugin.containers import running
from omero_adi_plugin.containers.engine import Engine
from omero_adi_plugin.containers.leftovers import remove_containers
from omero_adi_plugin.containers.private import Guarded, private_folder
from omero_adi_plugin.containers.slots import slot, tidy
from omero_adi_plugin.crashpoints import VARIABLE, Point
from omero_adi_plugin.errors import Halted, PodmanDown
from tests.fixtures.podman import Podman
from tests.fixtures.waiting import wait_until
from tests.integration.containers.conftest import Place

PROGRAM = """
import sys, threading
from pathlib import Path
from omero_adi_plugin.containers.converters import Converters, Task
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.settings import Settings
folder, container, order = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
settings = Settings(
    ingest_tracking_db="postgresql://u@h/d", converter_temp=folder / "temp", containers={"allow": [container]}, max_containers=1
)
wanted = Preprocessing(id=1, container=container)
file = folder / "source" / "scan.lif"
room = Room.make(file, preprocessing=wanted, settings=settings, order=order, attempt=1, number=0)
task = Task(order=order, attempt=1, number=0, owner="here:1", path=str(file), room=room, preprocessing=wanted)
converters = Converters(settings)
converters.run(task, image=converters.image(container), stop=threading.Event(), heard=lambda: print("heard", flush=True))
"""

HOLDER = """
import threading
from omero_adi_plugin.containers.slots import slot
with slot(1, stop=threading.Event()):
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files of its own, with a short path; nothing of ours is in it at the end."""
    with tempfile.TemporaryDirectory(prefix="adi-", dir="/tmp") as made:
        monkeypatch.setenv("TMPDIR", made)
        monkeypatch.setattr(tempfile, "tempdir", made)
        yield Path(made)
        assert [str(each) for each in Path(made).rglob("*") if "omero-adi" in str(each)] == []


@contextmanager
def started(program: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    own = {name: value for name, value in os.environ.items() if name != "CONTAINER_HOST"} | environment
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("point", [Point.CONTAINER_MADE, Point.CONTAINER_STARTED, Point.CONTAINER_ENDED])
def test_a_container_whose_worker_was_killed_is_found_and_removed(place: Place, private: Path, point: Point) -> None:
    script = "echo started" if point is Point.CONTAINER_ENDED else "echo started; exec sleep 1000"
    image, file = place.podman.converter(script), place.folder / "died"
    with started(PROGRAM, str(place.folder), image, place.order, **{VARIABLE: f"{point}:{file}"}) as process:
        assert process.wait(30) == -signal.SIGKILL
    name = f"adi-{place.order}-1-0"
    assert place.podman.containers() == [name]
    # its podman went with it, and the folder that it listened in is there
    assert len(list(private.rglob("podman/*/lock"))) == 1
    settings = place.settings()
    assert remove_containers(settings, order="another") == 0
    assert remove_containers(settings, owner="here:1", is_alive=lambda owner: owner == "here:1") == 0
    assert place.podman.containers() == [name]
    assert remove_containers(settings, is_alive=lambda _: False) == 1
    assert place.podman.containers() == []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CONTAINER_HOST")
        patch.setattr("omero_adi_plugin.containers.engine._usual", lambda: Path("/nobody/listens/here"))
        assert remove_containers(settings, order=place.order) == 0  # by a podman of our own, which clears up
    assert not list(private.rglob("lock"))


def test_a_podman_of_our_own_gets_no_secret_and_ends_with_us(
    place: Place, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTAINER_HOST")
    monkeypatch.setenv("OMERO_PASSWORD", "secret-of-ours")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setattr("omero_adi_plugin.containers.engine._usual", lambda: Path("/nobody/listens/here"))
    with Engine(place.settings()) as engine:
        assert engine.facts.version
        assert engine._service is not None
        process = engine._service._process
        assert process is not None
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"CONTAINERS_CONF" in environment
        assert b"secret-of-ours" not in environment
        assert b"NOTIFY_SOCKET" not in environment
        assert process.poll() is None
    assert process.poll() is not None


def test_without_podman_nothing_is_left_and_nothing_can_run(place: Place, private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINER_HOST")
    monkeypatch.setattr("omero_adi_plugin.containers.engine._usual", lambda: Path("/nobody/listens/here"))
    monkeypatch.setenv("PATH", "/nothing/here")
    assert remove_containers(place.settings()) == 0
    with pytest.raises(PodmanDown, match="podman is not installed"):
        place.converters().image("localhost/adi-test/x:1")


@pytest.mark.parametrize("where", ["setting", "variable", "elsewhere"])
def test_a_podman_that_is_named_is_the_one(place: Place, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = place.settings(podman_socket="/nobody/listens/here" if where == "setting" else None)
    if where == "variable":
        monkeypatch.setenv("CONTAINER_HOST", "unix:///nobody/listens/here")
    if where == "elsewhere":
        monkeypatch.setenv("CONTAINER_HOST", "ssh://somebody@elsewhere/run/podman/podman.sock")
    with Engine(settings) as engine, pytest.raises(PodmanDown, match=r"no podman listens|of this host"):
        assert engine.facts


def test_one_that_hangs_is_not_waited_for(podman: Podman, place: Place) -> None:
    service = _service_of(podman)
    with Engine(place.settings()) as engine:
        os.kill(service, signal.SIGSTOP)
        try:
            with pytest.raises(PodmanDown, match="podman does not answer"):
                engine.ask("GET", "/info", seconds=0.2)
        finally:
            os.kill(service, signal.SIGCONT)
        assert engine.facts.version


def test_one_that_hangs_is_not_waited_for_to_remove_what_runs(
    podman: Podman, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = Engine.ask.__kwdefaults__
    assert defaults is not None
    monkeypatch.setattr(running, "REMOVE_SECONDS", 0)
    converters = place.converters()
    image = converters.image(podman.converter("while true; do echo here; sleep 0.2; done"))
    task = place.task(image.name)

    def run() -> None:
        with pytest.raises((Halted, PodmanDown)):
            place.carry_out(converters, task, image)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: place.heard)
    monkeypatch.setitem(defaults, "seconds", 1)  # not before: a slow host takes longer to start a container
    before = place.heard
    wait_until(lambda: place.heard > before, what="the answer to what was asked with more patience")
    service = _service_of(podman)
    os.kill(service, signal.SIGSTOP)
    try:
        place.stop.set()
        thread.join(20)
        assert not thread.is_alive()
    finally:
        os.kill(service, signal.SIGCONT)
    assert remove_containers(place.settings(), order=place.order) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be apart")
def test_where_its_processes_cannot_be_seen_no_converter_runs(podman: Podman, place: Place) -> None:
    image = podman.converter("echo ran > /out/ran")
    apart = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        [*apart, str(place.folder), image, place.order], capture_output=True, text=True, timeout=60, check=False
    )
    assert "PodmanDown" in done.stderr
    assert "`--pid=host`" in done.stderr
    assert not list(place.temp.rglob("ran"))
    assert podman.containers() == []


def test_a_slot_is_waited_for_and_the_kernel_frees_those_of_the_dead(private: Path) -> None:
    got, stop = threading.Event(), threading.Event()

    def take() -> None:
        with slot(1, stop=stop):
            got.set()

    with started(HOLDER) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Halted):
            _wait_a_little(stop)
        stop.clear()
        with slot(2, stop=stop):  # there is a second one
            pass
        waiting = threading.Thread(target=take)
        waiting.start()
        assert not got.wait(0.5)
        holder.kill()
        assert got.wait(10)
        waiting.join()
    tidy()


def test_a_place_that_others_take_away_is_made_again(private: Path) -> None:
    def take_and_let_go() -> None:
        stop = threading.Event()
        for _ in range(300):
            with slot(4, stop=stop):
                pass
            tidy()
            Guarded("podman").close()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(take_and_let_go) for _ in range(4)]:
            done.result()
    assert list(private.iterdir()) == []


def test_nobody_else_gets_into_the_place_for_slots(private: Path) -> None:
    folder = private_folder("slots")
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    folder.parent.chmod(0o755)
    with pytest.raises(PodmanDown, match="not a folder of this account alone"):
        private_folder("slots")
    folder.rmdir()
    folder.parent.rmdir()
    folder.parent.symlink_to("/etc")
    with pytest.raises(PodmanDown, match="not a folder of this account alone"):
        private_folder("slots")
    folder.parent.unlink()


def _wait_a_little(stop: threading.Event) -> None:
    threading.Timer(0.3, stop.set).start()
    with slot(1, stop=stop):
        pass


def _service_of(podman: Podman) -> int:
    asked = f"unix://{podman.socket}".encode()
    return next(int(each.name) for each in Path("/proc").glob("[0-9]*") if asked in _command(each))


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes() if b"podman" in (process / "comm").read_bytes() else b""
    except OSError:
        return b""
