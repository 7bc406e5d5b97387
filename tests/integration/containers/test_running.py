# SPDX-License-Identifier: GPL-2.0-or-later
"""Converters under podman: what they get, what is heard of them, and how they end."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_adi_plugin.containers import hearing, running, starting
from omero_adi_plugin.containers.streams import LONGEST_KEPT
from omero_adi_plugin.crashpoints import Point
from omero_adi_plugin.errors import (
    ConverterFailed,
    ConverterKilled,
    ConverterNotStarted,
    ConverterTempDown,
    Halted,
    NoRoomToConvert,
)
from tests.fixtures.waiting import wait_until
from tests.integration.containers.conftest import Place

# --- what it gets


def test_a_converter_gets_the_arguments_of_the_contract_and_its_last_line_comes_back(place: Place) -> None:
    line = place.run('echo warming up >&2; echo first; echo "$@"; echo; echo "  "')
    assert line == "--inputfile /data/scan.lif --outputfolder /data/.processed --altoutputfolder /out"
    assert "text=first" in place.log
    assert 'text="warming up"' in place.log
    assert "text=first" not in place.errors
    assert 'stream=stderr text="warming up"' in place.errors
    assert place.heard


def test_what_it_writes_lies_in_the_room_and_the_source_is_not_to_be_changed(place: Place) -> None:
    assert (
        place.run("cp /data/scan.lif /out/a; cp /data/scan.lif /data/.processed/b; rm -f /data/scan.lif; ls /data") == "scan.lif"
    )
    room = place.rooms[-1]
    assert room.temp is not None
    assert (room.temp / "a").read_bytes() == (room.staging / "b").read_bytes() == (place.source / "scan.lif").read_bytes()


def test_writing_beside_the_source_is_for_the_site_to_allow(place: Place) -> None:
    with pytest.raises(ConverterFailed, match=r"said '.*Read-only file system', which `source_mount: rw`"):
        place.run("echo > /data/beside || exit 3")
    assert place.run("echo > /data/beside && echo done", source_mount="rw") == "done"
    assert (place.source / "beside").exists()


def test_a_folder_may_be_called_anything(new_place: Callable[..., Place]) -> None:
    place = new_place("a:b,c=ro '\"\n$(id) é")
    assert place.run("cat /data/scan.lif; cp /data/scan.lif /data/.processed/out") == "as it came from the microscope"
    assert (place.rooms[-1].staging / "out").exists()


def test_it_has_no_network_no_rights_and_nothing_of_our_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMERO_PASSWORD", "secret-of-ours")
    script = """
        ls /sys/class/net > /out/net; env > /out/env; id -u > /out/user; df / > /out/df
        grep -E "^(Cap...|NoNewPrivs|Seccomp):" /proc/self/status > /out/status"""
    place.run(script)
    assert place.made("net").read_text().split() in ([], ["lo"])
    assert not set(place.made("env").read_text().split("=")) & {"OMERO_PASSWORD", "CONTAINER_HOST", "HTTP_PROXY"}
    found = dict(line.split(":\t") for line in place.made("status").read_text().splitlines())
    assert {name: int(value, 16) for name, value in found.items() if name.startswith("Cap")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0
    )
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_a_right_that_it_needs_is_for_the_site_to_give(place: Place) -> None:
    (place.source / "scan.lif").chmod(0o600)
    os.chown(place.source / "scan.lif", 4711, 4711)
    with pytest.raises(ConverterFailed, match=r"Permission denied', which a right in `converter_capabilities`"):
        place.run("cat /data/scan.lif > /out/copy || exit 1")
    place.run("cat /data/scan.lif > /out/copy || exit 1", converter_capabilities="DAC_OVERRIDE")
    assert place.made("copy").exists()


def test_it_has_so_much_memory_and_so_many_processes(place: Place) -> None:
    with pytest.raises(ConverterKilled, match=r"needed more than the 64 MB of memory"):
        place.run("echo filling; exec tail /dev/zero")
    assert "text=filling" in place.log
    assert not Path("oom").exists()  # as podman leaves it wherever its service was started
    with pytest.raises(ConverterFailed, match="fork"):
        place.run("for each in $(seq 40); do sleep 100 & done", converter_pids=20)


# --- what is heard


def test_a_hundred_thousand_lines_do_no_harm(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omero_adi_plugin.containers.streams.LOGGED_BYTES", 100_000)
    items = json.dumps([{"name": "one", "full_path": "/out/one"}, {"name": "two", "full_path": "/out/two"}])
    assert place.run(f"seq 100000; echo '{items}'") == items
    assert 1000 < place.log.count("event=converter.says") < 2000
    assert place.errors.count("converter.not_logged_further") == 1


def test_bytes_that_are_no_text_are_shown_as_they_are(place: Place) -> None:
    assert place.run(r"printf 'a\0b\377\033[31mc\r\n\n\0\n'; printf 'no\0end\376'") == r"no\0end\xfe".replace(r"\0", "\0")
    assert r"a\u0000b\\xff\u001b[31mc" in place.log


def test_a_line_that_does_not_end_is_cut_in_the_log_and_no_result(place: Place) -> None:
    long = f"head -c {LONGEST_KEPT + 1} /dev/zero | tr '\\0' x"
    assert place.run(f"{long}; echo; echo end") == "end"
    assert len(place.log) < 10_000
    assert f"cut_bytes={LONGEST_KEPT + 1 - 4000}" in place.log
    with pytest.raises(ConverterFailed, match=r"last line of its stdout is longer than 16 MB"):
        place.run(long)


def test_one_that_says_too_much_is_ended(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "TOO_MUCH_BYTES", 1_000_000)
    with pytest.raises(ConverterFailed, match="it wrote more than 256 MB"):
        place.run("yes")


# --- how it ends


def test_one_that_fails_is_quoted(place: Place) -> None:
    with pytest.raises(ConverterFailed) as raised:
        place.run("echo out; printf 'Traceback\\n  line\\nValueError: bad\\033 header.\\n' >&2; exit 3")
    assert raised.value.why == "it ended with status 3 and said 'Traceback / line / ValueError: bad  header'"
    with pytest.raises(ConverterFailed, match="it ended with status 1 and said 'on stdout'"):
        place.run("echo on stdout; exit 1")
    with pytest.raises(ConverterFailed, match="it ended with status 1 and said nothing"):
        place.run("exit 1")


def test_one_that_takes_too_long_is_asked_to_end_and_then_killed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    late = r"it took longer than 1 seconds \(`converter_timeout_seconds`\)"
    with pytest.raises(ConverterFailed, match=late):
        place.run("trap 'echo bye > /out/bye; exit 0' TERM; while true; do sleep 0.1; done", converter_timeout_seconds=1)
    assert place.made("bye").exists()
    monkeypatch.setattr(running, "TERM_SECONDS", 0.5)
    with pytest.raises(ConverterFailed, match=late):
        place.run("trap '' TERM; echo started; sleep 1000", converter_timeout_seconds=1)


def test_podman_ends_it_when_nobody_else_does(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omero_adi_plugin.containers.specification.GRACE_SECONDS", -9)
    with pytest.raises(ConverterFailed, match="longer than 10 seconds"):
        place.run("sleep 1000", converter_timeout_seconds=10)


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force", "--time", "0")])
def test_one_that_is_ended_by_somebody_else_may_work_another_time(how: tuple[str, ...], place: Place) -> None:
    image = place.podman.converter("echo started; sleep 1000")
    task = place.task(image)
    killer = threading.Thread(target=lambda: (wait_until(lambda: place.heard), place.podman(*how, task.name)))
    killer.start()
    with pytest.raises(ConverterKilled, match="or somebody has ended it"):
        place.run("echo started; sleep 1000", task=task)
    killer.join()


def test_what_it_leaves_running_ends_with_it(place: Place) -> None:
    assert place.run("(setsid sleep 98765 &) ; echo done") == "done"
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if b"98765" in _read(each)]


def test_one_that_is_not_wanted_any_more_is_gone_at_once(place: Place) -> None:
    def stop() -> None:
        wait_until(lambda: place.heard)
        place.stop.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(Halted):
        place.run("trap '' TERM; echo started; sleep 1000")
    stopper.join()
    with pytest.raises(Halted):  # nor begun
        place.run("echo > /out/begun")
    assert not place.made("begun").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_is_no_fault_of_the_order(place: Place) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place.temp)], check=True)
    try:
        with pytest.raises(NoRoomToConvert):
            place.run("cat /dev/zero > /out/x")
    finally:
        place.rooms[-1].remove()
        subprocess.run(["umount", str(place.temp)], check=True)


def test_one_that_only_says_that_a_disk_is_full_has_failed(place: Place) -> None:
    with pytest.raises(ConverterFailed, match="said 'write /tmp/x: No space left on device'"):
        place.run("echo 'write /tmp/x: No space left on device' >&2; exit 1")


# --- how it begins


@pytest.mark.parametrize("line", ['ENTRYPOINT ["/nothing/here"]', 'ENTRYPOINT ["/etc/passwd"]', "ENTRYPOINT []"])
def test_an_image_that_cannot_be_run_is_a_fault_of_the_converter(place: Place, line: str) -> None:
    with pytest.raises(ConverterFailed, match=r"podman says '.*(exec|command)"):
        place.run("true", changes=(line, "CMD []"))


def test_a_mount_that_fails_is_tried_again(place: Place) -> None:
    task = place.task(place.podman.converter("echo there"))
    gone = task.room.staging.rename(task.room.staging.with_name("gone"))
    with pytest.raises(ConverterNotStarted, match="no such file or directory"):
        place.run("echo there", task=task, podman_bind_retry_attempts=1)

    class Mending(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "container.mount_failed":
                gone.rename(task.room.staging)

    mending = Mending()
    logging.getLogger("omero_adi_plugin").addHandler(mending)
    try:
        assert place.run("echo there", task=task, podman_bind_retry_attempts=1) == "there"
    finally:
        logging.getLogger("omero_adi_plugin").removeHandler(mending)


def test_a_folder_that_goes_away_before_it_is_mounted_is_no_fault_of_the_converter(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = place.task(place.podman.converter("echo there"))

    def go_away(point: Point) -> None:
        if point is Point.CONTAINER_MADE:
            task.room.staging.rename(task.room.staging.with_name("gone"))

    monkeypatch.setattr(starting, "reached", go_away)
    with pytest.raises(ConverterNotStarted):
        place.run("echo there", task=task, podman_bind_retry_attempts=0)


def test_one_of_the_same_name_that_an_attempt_has_left_makes_room(place: Place) -> None:
    image = place.podman.converter("echo there")
    task = place.task(image)
    place.podman("create", "--name", task.name, image)
    assert place.run("echo there", task=task) == "there"


def test_volumes_of_an_image_go_with_the_container(place: Place) -> None:
    assert place.run("echo x > /kept/x; echo there", changes=("VOLUME /kept",)) == "there"
    assert place.podman("volume", "ls", "--quiet") == ""


def test_nobody_can_have_its_words_written_elsewhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[list[str], list[str]]] = []

    def look(point: Point) -> None:
        if point is Point.CONTAINER_MADE:
            found.append(tuple(_files(each) for each in (place.source, place.temp)))  # type: ignore[arg-type]

    monkeypatch.setattr(starting, "reached", look)
    image = place.podman.converter("echo words")
    task = place.task(image, alt_output_folder=None)
    assert place.run("echo words", task=task) == "words"
    assert found == [(["scan.lif"], ["log"])]  # and not beside the source, whose owner could put a link in the way
    assert list(place.temp.iterdir()) == []
    (place.temp / place.order).mkdir()
    os.chown(place.temp / place.order, 4711, 4711)  # as root alone can
    with pytest.raises(ConverterTempDown, match="somebody else's"):
        place.run("echo words", task=task)


@pytest.mark.parametrize("replaced", ["source", "processed"])
def test_a_folder_that_was_replaced_meanwhile_is_shown_to_nobody(
    place: Place, replaced: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task = place.task(place.podman.converter("cp -r /data/. /out"))
    assert task.room.temp is not None
    folder = place.source if replaced == "source" else place.source / ".processed"
    others = place.folder / "others"
    (others / task.room.staging.relative_to(folder)).mkdir(parents=True)
    (others / task.room.staging.relative_to(folder) / "secret").touch()

    def replace(point: Point) -> None:
        if point is Point.CONTAINER_MADE:
            folder.rename(place.folder / "away")
            folder.symlink_to(others)

    monkeypatch.setattr(starting, "reached", replace)
    with pytest.raises(ConverterNotStarted, match="was replaced by something else while it was started"):
        place.run("cp -r /data/. /out", task=task)
    assert list(task.room.temp.iterdir()) == []
    assert [each.levelname for each in caplog.records if each.getMessage() == "security.folder_replaced"] == ["WARNING"]


# --- when podman goes away


def test_a_service_that_is_killed_meanwhile_is_started_again_and_nothing_is_missed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTAINER_HOST")
    monkeypatch.setattr("omero_adi_plugin.containers.engine._usual", lambda: Path("/nobody/listens/here"))
    converters = place.converters()
    image = converters.image(place.podman.converter("echo one; while [ ! -e /out/go ]; do sleep 0.1; done; printf two"))
    task = place.task(image.name)
    assert task.room.temp is not None
    go = task.room.temp / "go"

    def kill() -> None:
        wait_until(lambda: place.heard)
        service = converters._engine._service
        assert service is not None
        assert service._process is not None
        os.kill(service._process.pid, signal.SIGKILL)
        service._process.wait()
        go.touch()

    killer = threading.Thread(target=kill)
    killer.start()
    assert place.carry_out(converters, task, image) == "two"
    killer.join()
    assert place.log.count("text=one") == 1
    assert place.podman.containers() == []


def _files(folder: Path) -> list[str]:
    return [each.name for each in folder.rglob("*") if each.is_file()]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # ended meanwhile
        return b""
