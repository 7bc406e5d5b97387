# SPDX-License-Identifier: GPL-2.0-or-later
"""A file that is still being written is not imported, and many new files wait together."""

import os
import threading
import time
from pathlib import Path

import pytest

from omero_adi_plugin.errors import FileGrowing, FileMissing
from omero_adi_plugin.pipeline.gate import FileGate
from tests.fixtures.gates import gate_of

SECONDS = 1


class Asked(Exception):
    """The waiting was to end."""


def nothing() -> None:
    """Let it go on."""


def never() -> None:
    raise AssertionError("it waited")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "data"
    base.mkdir()
    return base


def file(base: Path, name: str = "a.dat", *, age_seconds: float = 0) -> str:
    path = base / name
    path.write_bytes(b"pixels")
    when = time.time() - age_seconds
    os.utime(path, (when, when))
    return str(path)


def gate(base: Path, seconds: int = SECONDS) -> FileGate:
    return gate_of(base, settle_seconds=seconds)


def test_old_files_pass_at_once(base: Path) -> None:
    at = gate(base, 3600)
    files = [at.admit(file(base, f"{number}.dat", age_seconds=4000)) for number in range(3)]
    at.settle(files, check=never)


def test_a_new_file_waits_until_it_has_been_the_same_for_long_enough(base: Path) -> None:
    at = gate(base)
    admitted = at.admit(file(base))
    asked: list[float] = []
    at.settle([admitted], check=lambda: asked.append(time.time() - admitted.mtime_ns / 1e9))
    assert asked
    assert asked[-1] >= SECONDS


def test_it_waits_only_for_what_is_left_of_that_time(base: Path) -> None:
    asked = []

    def count() -> None:
        asked.append(1)
        assert len(asked) < 20, "it waits from the first look on"

    at = gate(base, 3600)
    at.settle([at.admit(file(base, age_seconds=3599))], check=count)


def test_a_file_that_has_changed_meanwhile_is_growing_and_one_that_is_gone_is_missing(base: Path) -> None:
    at = gate(base)
    grown, touched, gone = (at.admit(file(base, name)) for name in ("grown.dat", "touched.dat", "gone.dat"))
    with Path(grown.path).open("ab") as more:
        more.write(b"more")
    os.utime(grown.path, ns=(grown.mtime_ns, grown.mtime_ns))
    os.utime(touched.path, ns=(0, touched.mtime_ns + 1))
    Path(gone.path).unlink()
    for each in (grown, touched):
        with pytest.raises(FileGrowing, match="still being written"):
            at.settle([each], check=nothing)
    with pytest.raises(FileMissing):
        at.settle([gone], check=nothing)


def test_an_old_file_that_has_changed_since_is_noticed_without_waiting(base: Path) -> None:
    at = gate(base, 3600)
    admitted = at.admit(file(base, age_seconds=4000))
    Path(admitted.path).write_bytes(b"other pixels")
    with pytest.raises(FileGrowing):
        at.settle([admitted], check=never)


def test_a_link_that_has_taken_the_place_of_a_file_is_noticed_however_alike_it_is(base: Path) -> None:
    at = gate(base, 3600)
    admitted = at.admit(file(base, age_seconds=4000))
    other = base.parent / "of-others.dat"
    Path(admitted.path).rename(other)
    Path(admitted.path).symlink_to(other)
    with pytest.raises(FileGrowing):
        at.settle([admitted], check=never)


def test_whoever_asks_may_end_the_waiting(base: Path) -> None:
    def end() -> None:
        raise Asked

    at = gate(base, 3600)
    with pytest.raises(Asked):
        at.settle([at.admit(file(base))], check=end)


def test_many_new_files_wait_once_together(base: Path) -> None:
    at = gate(base)
    files = [at.admit(file(base, f"{number}.dat")) for number in range(20)]
    asked = []
    for each in files:  # one after the other, as one thread imports filesets
        at.settle([each], check=lambda: asked.append(1))
    assert len(asked) < 30  # of 40 or more if each waited by itself
    late = [at.admit(each.path) for each in files]  # an order that is planned file by file: they are old enough by now
    for each in late:
        at.settle([each], check=never)


def test_several_threads_wait_at_the_same_time(base: Path) -> None:
    at = gate(base)
    files = [at.admit(file(base, f"{number}.dat")) for number in range(4)]
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            at.settle(files[number:], check=nothing)
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_time_in_the_future_counts_as_new_and_not_for_ever(base: Path) -> None:
    at = gate(base)
    asked = []
    at.settle([at.admit(file(base, age_seconds=-1000))], check=lambda: asked.append(1))
    assert 1 <= len(asked) <= 2 * SECONDS + 2


@pytest.mark.parametrize(("age_seconds", "changing"), [(0, True), (-10, True), (4000, False), (-86400, False)])
def test_what_may_still_be_on_its_way_has_changed_lately(base: Path, age_seconds: float, *, changing: bool) -> None:
    assert gate(base, 3600).changing(file(base, age_seconds=age_seconds)) is changing
    assert not gate(base, 0).changing(file(base, age_seconds=age_seconds))


def test_nothing_else_is_on_its_way(base: Path) -> None:
    at = gate(base, 3600)
    file(base.parent, "outside.dat")
    os.mkfifo(base / "pipe")
    for path in (base.parent / "outside.dat", base / "none", base / "pipe", base):
        assert not at.changing(str(path))


def test_zero_takes_files_as_they_are(base: Path) -> None:
    at = gate(base, 0)
    admitted = at.admit(file(base))
    Path(admitted.path).unlink()
    at.settle([admitted], check=never)
