# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and events that end the process in which Bio-Formats opens files: one file is lost at most, and nothing else."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import ConfigurationError, FileBroken, ImportInterrupted, ReaderFailed
from omero_adi_plugin.importers.plans import Reading
from omero_adi_plugin.importers.reading import bioformats, jars, process
from omero_adi_plugin.importers.reading.bioformats import BioformatsReader
from omero_adi_plugin.importers.reading.jars import Jars
from tests.fixtures.reading import (
    PATIENCE_SECONDS,
    Trap,
    admitted,
    bioformats_reader,
    children,
    has_ended,
    is_running,
    takes_all_memory,
    trap,
)
from tests.fixtures.waiting import freeze, wait_until

__all__ = ["trap"]

OWNER = """
import sys, time
from omero_adi_plugin.importers.plans import AdmittedFile
from omero_adi_plugin.importers.reading.choose import open_reader

reader = open_reader(bioformats_jar=None, heap_mb=256, patience_seconds=60)
for path in sys.argv[1:]:
    reader.read(AdmittedFile(path=path, source=path, bytes=0, mtime_ns=0))
    print("read", flush=True)
time.sleep(60)
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good&series=2.fake"
    path.touch()
    return path


def in_the_background(read: Callable[[], Reading]) -> Future[Reading]:
    """Start a reading that will not end by itself."""
    future: Future[Reading] = Future()

    def run() -> None:
        try:
            future.set_result(read())
        except Exception as error:  # noqa: BLE001  whatever it is, it is for who waits
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def only_child() -> int:
    (child,) = children()
    return child


def test_one_child_serves_many_files_and_ends_with_its_reader(good: Path) -> None:
    with bioformats_reader() as reader:
        assert children() == []  # nothing is started before it is needed
        reader.read(admitted(good))
        child = only_child()
        assert [reader.read(admitted(good)).images for _ in range(5)] == [2] * 5
        assert only_child() == child
    assert not is_running(child)


def test_a_file_that_hangs_costs_its_patience_and_nothing_else(good: Path, tmp_path: Path, trap: Trap) -> None:
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)  # whoever opens it waits for somebody who writes
    with bioformats_reader(patience_seconds=1) as reader:
        for path in (pipe, trap.path):
            with pytest.raises(ReaderFailed, match="opening it took longer than 1 s") as failed:
                reader.read(admitted(path))
            assert failed.value.path == str(path)
            assert children() == []
        assert reader.read(admitted(good)).images == 2


def test_a_child_that_stands_still_is_replaced(good: Path) -> None:
    with bioformats_reader(patience_seconds=1) as reader:
        reader.read(admitted(good))
        frozen = only_child()
        freeze(frozen)
        with pytest.raises(ReaderFailed, match="longer than 1 s"):
            reader.read(admitted(good))
        assert not is_running(frozen)
        assert reader.read(admitted(good)).images == 2


def test_a_child_that_was_killed_while_idle_is_nobodys_fault(good: Path) -> None:
    killed = []
    with bioformats_reader() as reader:
        assert reader.read(admitted(good)).images == 2
        for by in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            killed.append(child := only_child())
            os.kill(child, by)
            wait_until(partial(has_ended, child))
            assert reader.read(admitted(good)).images == 2
    temporary = Path(tempfile.gettempdir())
    for child in killed:
        left = [Path("/") / f"hs_err_pid{child}.log", temporary / f"hs_err_pid{child}.log", temporary / f".java_pid{child}"]
        assert not any(path.exists() for path in left)


def test_a_file_in_whose_middle_the_child_is_killed_is_read_again(trap: Trap) -> None:
    with bioformats_reader() as reader:
        read = in_the_background(lambda: reader.read(admitted(trap.path)))
        child = trap.wait_for_victim()
        trap.path.unlink()
        trap.path.write_bytes(bytes(100))
        os.kill(child, signal.SIGKILL)
        with pytest.raises(FileBroken, match="Zip file does not contain any valid files"):
            read.result(PATIENCE_SECONDS)


def test_a_file_over_which_two_children_end_is_blamed(good: Path, trap: Trap) -> None:
    with bioformats_reader() as reader:
        read = in_the_background(lambda: reader.read(admitted(trap.path)))
        first = trap.wait_for_victim()
        os.kill(first, signal.SIGABRT)  # with what a crash of Java ends; at SIGSEGV it writes a report first, and may hang in it
        wait_until(lambda: not is_running(first))
        os.kill(trap.wait_for_victim(), signal.SIGABRT)
        with pytest.raises(ReaderFailed, match=r"Bio-Formats crashed over it, twice \(it was ended by SIG(SEGV|ABRT)\)"):
            read.result(PATIENCE_SECONDS)
        assert reader.read(admitted(good)).images == 2


def test_a_file_that_takes_all_memory_names_the_setting(good: Path, tmp_path: Path) -> None:
    path = takes_all_memory(tmp_path / "huge.tif")
    with bioformats_reader(heap_mb=64) as reader:
        reader.read(admitted(good))
        with pytest.raises(ReaderFailed, match=r"more than 64 MB of memory \(setting `reader_heap_mb`\)"):
            reader.read(admitted(path))
        assert reader.read(admitted(good)).images == 2


def test_a_broken_bioformats_is_not_the_files_fault(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMERODIR", raising=False)
    found = jars.find(None)
    assert not isinstance(found, jars.NoBioformats), f"the set-up should have seen to it: {found.why}"
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / "bioformats_package.jar").symlink_to(found.class_path[0])
    with zipfile.ZipFile(folder / "a.jar", "w") as jar:  # goes before the right one
        jar.writestr("loci/formats/tiff/TiffIFDEntry.class", b"no class")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), "u1"))
    reader = BioformatsReader(Jars(folder), heap_mb=256, patience_seconds=PATIENCE_SECONDS)
    try:
        with pytest.raises(ReaderFailed, match=r"Bio-Formats failed over it \(ClassFormatError: "):
            reader.read(admitted(path))
        assert children() == []
        assert reader.read(admitted(good)).images == 2
    finally:
        reader.close()


def test_nonsense_instead_of_an_answer_ends_the_child(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "reading/child.py"
    program.parent.mkdir()
    with bioformats_reader() as reader:
        for nonsense in (b"\xff\n", b"[1]\n", b"{}\n{}\n"):
            program.write_text(
                f'import os, sys, time\nos.write(1, b\'{{"version": "1"}}\\n\')\nsys.stdin.readline()\n'
                f"os.write(1, {nonsense!r})\ntime.sleep(60)"
            )
            monkeypatch.setattr(process, "_PROGRAM", program)
            with pytest.raises(ReaderFailed, match="makes no sense"):
                reader.read(admitted(good))
            assert children() == []
        monkeypatch.undo()
        assert reader.read(admitted(good)).images == 2


@pytest.mark.parametrize(
    ("options", "words"), [("-XX:NoSuchOption", "Unrecognized VM option 'NoSuchOption'"), ("-XX:MaxMetaspaceSize=1m", "")]
)
def test_a_java_that_does_not_start_is_the_administrators_to_see_to(
    good: Path, options: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", options)
    with bioformats_reader() as reader:
        with pytest.raises(ConfigurationError, match="Bio-Formats cannot be started: ") as told:
            reader.read(admitted(good))
        assert words in str(told.value)
        assert children() == []


def test_what_java_prints_does_not_mix_with_the_answers(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xlog:class+load=info")  # 500 kB of it
    with bioformats_reader() as reader:
        assert [reader.read(admitted(good)).images for _ in range(3)] == [2] * 3


def test_jars_without_bioformats_are_the_administrators_to_see_to(good: Path, tmp_path: Path) -> None:
    jar = tmp_path / "bioformats_package.jar"
    jar.write_bytes(b"no jar")
    reader = BioformatsReader(Jars(jar), heap_mb=64, patience_seconds=PATIENCE_SECONDS)
    try:
        with pytest.raises(ConfigurationError, match="Bio-Formats cannot be started: "):
            reader.read(admitted(good))
    finally:
        reader.close()


def test_new_jars_get_a_new_child_and_lost_ones_are_said(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "LOOK_SECONDS", 0)
    monkeypatch.delenv("OMERODIR", raising=False)
    found = jars.find(None)
    assert not isinstance(found, jars.NoBioformats), f"the set-up should have seen to it: {found.why}"
    jar = tmp_path / "bioformats_package.jar"
    jar.symlink_to(found.class_path[0])
    reader = BioformatsReader(Jars(tmp_path), heap_mb=256, patience_seconds=PATIENCE_SECONDS)
    try:
        reader.read(admitted(good))
        before = only_child()
        jar.rename(tmp_path / "bioformats_package-7.3.1.jar")
        reader.read(admitted(good))
        after = only_child()
        assert after != before
        reader.read(admitted(good))
        assert only_child() == after
        (tmp_path / "bioformats_package-7.3.1.jar").unlink()
        with pytest.raises(ConfigurationError, match="cannot be used any more"):
            reader.read(admitted(good))
    finally:
        reader.close()


def test_a_reading_that_was_broken_off_gives_no_answer_to_the_next_question(good: Path, trap: Trap) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with bioformats_reader() as reader:
            reader.read(admitted(good))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Alarm):
                reader.read(admitted(trap.path))
            assert reader.read(admitted(good)).used == (str(good),)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_closing_breaks_off_the_file_that_is_being_opened(trap: Trap) -> None:
    with bioformats_reader() as reader:
        read = in_the_background(lambda: reader.read(admitted(trap.path)))
        child = trap.wait_for_victim()
        reader.close()
        with pytest.raises(ImportInterrupted):
            read.result(PATIENCE_SECONDS)
        assert not is_running(child)
        assert children() == []
        with pytest.raises(ImportInterrupted):
            reader.read(admitted(trap.path))
        reader.close()  # a second time does no harm


def test_the_child_outlives_the_thread_that_asked_first(good: Path) -> None:
    with bioformats_reader() as reader:
        asking = threading.Thread(target=lambda: reader.read(admitted(good)))
        asking.start()
        asking.join()
        child = only_child()
        assert reader.read(admitted(good)).images == 2
        assert only_child() == child


def test_threads_get_the_answers_to_their_own_questions(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}&series={number}.fake" for number in range(1, 9)]
    for path in paths:
        path.touch()
    with bioformats_reader() as reader, ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda path: reader.read(admitted(path)), paths * 10))
        assert [read.images for read in found] == list(range(1, 9)) * 10
        assert len(children()) == 1


@pytest.mark.parametrize("busy", [False, True])
def test_a_child_dies_with_its_owner(good: Path, trap: Trap, *, busy: bool) -> None:
    arguments = [good, trap.path] if busy else [good]
    owner = subprocess.Popen([sys.executable, "-c", OWNER, *arguments], stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"read\n"
        (child,) = children(owner.pid)
        if busy:
            trap.wait_for_victim(owner.pid)
    finally:
        owner.kill()
        owner.communicate()
    wait_until(lambda: not is_running(child))


def test_a_child_learns_none_of_our_secrets(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMERO_PASSWORD", "hidden")
    monkeypatch.setenv("INGEST_TRACKING_DB_URL", "postgresql://hidden")
    with bioformats_reader() as reader:
        reader.read(admitted(good))
        assert b"hidden" not in Path(f"/proc/{only_child()}/environ").read_bytes()


def test_a_child_that_has_failed_often_is_replaced(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bioformats, "MOST_FAILURES", 3)
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0\0\0\0\0")
    with bioformats_reader() as reader:
        seen = []
        for path in (broken, good, broken, good, broken, good):
            with suppress(FileBroken):
                reader.read(admitted(path))
            seen.append(only_child())
        assert len(set(seen[:5])) == 1
        assert seen[5] != seen[4]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_children_leave_no_descriptors_behind(good: Path) -> None:
    with bioformats_reader() as reader:
        counts = []
        for _ in range(3):
            reader.read(admitted(good))
            counts.append(descriptors())
            child = only_child()
            os.kill(child, signal.SIGKILL)
            wait_until(partial(has_ended, child))
    gc.collect()
    assert len(set(counts)) == 1
    assert descriptors() < counts[0]


def test_a_thousand_files_take_no_more_memory_than_a_hundred(good: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0\0\0\0\0")
    plate = tmp_path / "plate&plates=1&plateRows=2&plateCols=2&fields=1&plateAcqs=1.fake"
    plate.touch()
    with bioformats_reader() as reader:

        def read(count: int) -> int:
            for number in range(count):
                if number % 10 == 5:
                    with pytest.raises(FileBroken):
                        reader.read(admitted(broken))
                else:
                    reader.read(admitted(plate if number % 10 == 7 else good))
            return int(Path(f"/proc/{only_child()}/statm").read_text().split()[1])

        after_a_hundred = read(100)
        assert read(900) < 1.2 * after_a_hundred  # most of it is what Java has compiled meanwhile
