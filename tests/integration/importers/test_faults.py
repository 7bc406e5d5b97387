# SPDX-License-Identifier: GPL-2.0-or-later
"""In-place import on a server that does not do what it should: told as what it is, nothing left, and no request too many."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import omero.all
import pytest

from omero_adi_plugin.errors import DiskFull, FileMissing, ImportInterrupted, LeaseLost, ServerTrouble, SourceUnreadable
from omero_adi_plugin.importers import crews, inplace, links
from omero_adi_plugin.importers.contents import contents
from omero_adi_plugin.importers.inplace import STEPS, InPlace
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.orders import FileStep
from omero_devserver.cmd.handle import Handle
from omero_devserver.files import checksums
from omero_devserver.services.raw_files import RawFiles
from omero_devserver.wire.faults import fault
from tests.fixtures.importing import EVERYTHING, QUICK, Importing
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from omero_devserver.wire.servant import Call
    from tests.fixtures.laboratory import Lab
    from tests.fixtures.omero import ServerHere

WAY = {
    "ManagedRepository.importFileset": 1,
    "IQuery.projection": 1,
    "ImportProcess.getUploader": 1,
    "RawFileStore.write": 1,
    "RawFileStore.close": 1,
    "ImportProcess.verifyUpload": 1,
    "Handle.addCallback": 1,
    "Handle.getResponse": 1,
    "Handle.close": 1,
    "ImportProcess.close": 1,
}


def calls(server: ServerHere) -> Counter[str]:
    return Counter(server.server.journal.calls)


@pytest.mark.parametrize("skip", [QUICK, EVERYTHING], ids=["sizes", "sums"])
def test_a_small_file_takes_ten_requests(server_here: ServerHere, lab_here: Lab, one: Path, skip: Any) -> None:
    importing = Importing(lab_here, skip=skip)
    importing.begin(importing.plan(one))  # what is asked once a session
    before = calls(server_here)
    importing.begin(importing.plan(one))
    assert calls(server_here) - before == WAY


def test_a_server_that_took_the_mark_for_the_file_is_made_to_look_again(
    server_here: ServerHere, importing_here: Importing, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RawFiles.write

    def saving(self: RawFiles, call: Call, content: Any, position: int, length: int) -> None:
        write(self, call, content, position, length)
        self.save(call)

    monkeypatch.setattr(RawFiles, "write", saving)
    assert len(importing_here.run(importing_here.plan(one)).images) == 1
    assert calls(server_here)["ImportProcess.verifyUpload"] == 2
    assert calls(server_here)["ImportProcess.getUploader"] == 2


def test_an_upload_that_was_refused_without_a_reason_is_looked_at_again(
    server_here: ServerHere, importing_here: Importing, one: Path
) -> None:
    server_here.disturb.fail("ImportProcess.verifyUpload", exception="Ice.UnknownException")
    assert len(importing_here.run(importing_here.plan(one)).images) == 1
    assert len(importing_here.found()) == 1


def test_an_import_that_began_is_not_begun_again(server_here: ServerHere, importing_here: Importing, one: Path) -> None:
    server_here.disturb.fail("ImportProcess.verifyUpload", exception="Ice.UnknownException", after=True)
    nothing_stays(importing_here, one, ServerTrouble)
    assert calls(server_here)["ImportProcess.verifyUpload"] == 1


@pytest.mark.parametrize(
    ("where", "after"),
    [
        ("ManagedRepository.importFileset", False),
        ("ManagedRepository.importFileset", True),
        ("IQuery.projection", False),
        ("ImportProcess.getUploader", False),
        ("RawFileStore.write", False),
        ("RawFileStore.write", True),
        ("ImportProcess.verifyUpload", False),
    ],
)
def test_a_refused_call_leaves_nothing(
    server_here: ServerHere, importing_here: Importing, one: Path, where: str, *, after: bool
) -> None:
    importing_here.begin(importing_here.plan(one))
    server_here.disturb.fail(where, exception="omero.DatabaseBusyException", after=after)
    importing_here.order = "another"
    nothing_stays(importing_here, one, ServerTrouble)


def test_an_answer_of_importfileset_that_got_lost_leaves_nothing(
    server_here: ServerHere, importing_here: Importing, one: Path
) -> None:
    server_here.disturb.fail("ManagedRepository.importFileset", exception="omero.InternalException", after=True)
    nothing_stays(importing_here, one, ServerTrouble)


def test_a_full_disk_is_nobodys_fault(
    server_here: ServerHere, importing_here: Importing, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_here.disturb.fill_disk("repository")
    nothing_stays(importing_here, one, ServerTrouble)
    monkeypatch.setattr(ManagedRepository, "full", lambda _: True)  # of the real disk of this test it is not so
    nothing_stays(importing_here, one, DiskFull)
    server_here.disturb.clear()
    importing_here.begin(importing_here.plan(one))


def test_a_disk_that_gets_full_while_the_server_imports_is_nobodys_fault(
    server_here: ServerHere, importing_here: Importing, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_here.disturb.fail("import.step.1.in", exception="omero.InternalException", times=None)
    nothing_stays(importing_here, one, ImportInterrupted)
    monkeypatch.setattr(ManagedRepository, "full", lambda _: True)  # of the real disk of this test it is not so
    nothing_stays(importing_here, one, DiskFull)


def test_a_source_that_the_server_may_not_read_is_named(
    importing_here: Importing, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = RawFiles._open

    def refused(*arguments: object) -> Any:  # tests run as root, whom no disk refuses anything
        del arguments
        raise fault(omero.ResourceError, f"{one} (Permission denied)")

    def opening(self: RawFiles) -> int:
        return opened(self) if self._writable else int(refused())

    monkeypatch.setattr(checksums, "digest", refused)
    monkeypatch.setattr(RawFiles, "_open", opening)
    nothing_stays(importing_here, one, SourceUnreadable)


def test_a_call_back_that_gets_lost_costs_no_more_than_a_look(
    importing_here: Importing, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handle, "addCallback", lambda *_: None)
    assert len(importing_here.run(importing_here.plan(one)).images) == 1


def test_the_servers_steps_are_told(server_here: ServerHere, importing_here: Importing, one: Path) -> None:
    server_here.disturb.delay("import.step.1.before")
    told = []

    def on_progress(words: str, done: int, total: int) -> None:
        told.append((words, done, total))
        server_here.disturb.clear()

    importing_here.begin(importing_here.plan(one), on_progress=on_progress)
    assert told[0] == (STEPS[1], 1, 5)


@pytest.mark.parametrize("files", ["one that is large", "several"])
def test_it_is_told_that_files_are_linked_and_may_be_called_off(
    server_here: ServerHere, lab_here: Lab, many: list[Path], monkeypatch: pytest.MonkeyPatch, files: str
) -> None:
    if files == "one that is large":
        monkeypatch.setattr(inplace, "WATCHED_BYTES", 10)
    importing = Importing(lab_here, skip=EVERYTHING, parallel_files=1)
    server_here.disturb.delay("RawFileStore.close")
    told = []

    def on_progress(*words: object) -> None:
        told.append(words)
        server_here.disturb.clear()
        raise LeaseLost(uuid=importing.order)

    chosen = many[:1] if files == "one that is large" else many
    with pytest.raises(LeaseLost):
        importing.begin(importing.plan(*chosen), on_progress=on_progress)
    assert told == [(inplace.LINKING, 0, len(chosen))] if files == "several" else told[0][0] == inplace.READING
    assert importing.found() == ()


def test_a_file_that_is_read_for_its_sum_is_left_at_once_when_it_is_called_off(
    server_here: ServerHere, lab_here: Lab, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inplace, "WATCHED_BYTES", 10)
    monkeypatch.setattr(crews, "LOOK_SECONDS", 0.01)
    begun, pieces = threading.Event(), itertools.count()

    def endless(_: object, on_read: Callable[[int], None]) -> str:
        """A file that has no end, for the sum; the rest of it is real."""
        for _ in pieces:
            on_read(1)
            begun.set()
        return ""

    monkeypatch.setattr(links, "_sum", endless)
    told: list[int] = []

    def on_progress(_: str, done: int, __: int) -> None:
        assert begun.wait(10)
        told.append(done)
        if len(told) > 1 and told[-1] > told[-2]:
            raise LeaseLost(uuid="order")

    importing = Importing(lab_here, skip=EVERYTHING, parallel_files=1)
    with pytest.raises(LeaseLost):
        importing.begin(importing.plan(one), on_progress=on_progress)
    assert importing.found() == ()
    assert one.exists()


def test_who_may_not_wait_any_more_leaves_the_server_at_work(
    server_here: ServerHere, importing_here: Importing, one: Path
) -> None:
    server_here.disturb.delay("import.step.1.before")

    def on_progress(*_: object) -> None:
        raise LeaseLost(uuid=importing_here.order)

    with pytest.raises(LeaseLost):
        importing_here.begin(importing_here.plan(one), on_progress=on_progress)
    server_here.disturb.clear()
    wait_until(lambda: all(found.complete for found in importing_here.found()))
    assert len(importing_here.found()[0].images) == 1


def test_a_server_that_gets_stuck_loses_the_fileset(server_here: ServerHere, lab_here: Lab, one: Path) -> None:
    importing = Importing(lab_here)
    importing.importer = InPlace(lab_here.session, skip=QUICK, patience_seconds=0.1, parallel_files=1, bioformats=None)
    server_here.disturb.delay("import.step.1.before")
    try:
        nothing_stays(importing, one, ImportInterrupted)
    finally:
        server_here.disturb.clear()


def test_the_files_of_a_fileset_are_linked_at_the_same_time(
    server_here: ServerHere, lab_here: Lab, many: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    importing, together, write = Importing(lab_here, parallel_files=4), threading.Barrier(4, timeout=10), RawFiles.write

    def waiting(self: RawFiles, call: Call, content: Any, position: int, length: int) -> None:
        together.wait()
        write(self, call, content, position, length)

    monkeypatch.setattr(RawFiles, "write", waiting)
    fileset = importing.begin(importing.plan(*many))
    hql = "select e.clientPath, f.path, f.name, f.size from FilesetEntry e join e.originalFile f where e.fileset.id = :id"
    rows = importing.session.query(hql, id=fileset)
    assert len(rows) == len(many)
    for path, folder, name, size in rows:
        source = (importing.repository / folder / name).readlink()
        assert (f"/{path}", size) == (str(source), source.stat().st_size)


def test_one_file_of_many_that_goes_away_takes_all_back(lab_here: Lab, many: list[Path]) -> None:
    importing = Importing(lab_here, parallel_files=4)
    plan = importing.plan(*many)
    many[17].unlink()
    with pytest.raises(FileMissing, match=many[17].name):
        importing.begin(plan)
    assert importing.found() == ()
    assert [path for path in importing.repository.rglob("*") if path.is_symlink()] == []


def test_several_filesets_go_through_one_session_at_the_same_time(
    server_here: ServerHere, importing_here: Importing, many: list[Path]
) -> None:
    server_here.disturb.delay("import.step.0.before", times=None)
    under_way = threading.Semaphore(0)

    def on_step(step: FileStep, /, *, fileset: int) -> None:
        if step is FileStep.VERIFYING:
            under_way.release()

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(importing_here.begin, importing_here.plan(path), on_step=on_step) for path in many[:12]]
        for _ in range(4):
            assert under_way.acquire(timeout=10)
        server_here.disturb.clear()
        filesets = [each.result() for each in running]
    assert sorted(filesets) == sorted(found.fileset for found in importing_here.found())
    assert all(len(found.images) == 1 for found in contents(importing_here.session, filesets).values())


def nothing_stays(importing: Importing, source: Path, error: type[Exception]) -> None:
    links = {path for path in importing.repository.rglob("*") if path.is_symlink()}
    with pytest.raises(error):
        importing.begin(importing.plan(source))
    assert importing.found() == ()
    assert {path for path in importing.repository.rglob("*") if path.is_symlink()} == links
