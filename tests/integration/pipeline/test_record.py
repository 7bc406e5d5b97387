# SPDX-License-Identifier: GPL-2.0-or-later
"""What several threads write into the ledger of one order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from omero_adi_plugin.errors import DatabaseDown
from omero_adi_plugin.orders import FileStep, Lease, LedgerFile, Route, Target, TargetKind
from omero_adi_plugin.pipeline.record import Piece, Record
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed


@pytest.fixture
def lease(database: Database, queue: Queue) -> Lease:
    target = Target(kind=TargetKind.DATASET, id=1)
    claim = submit_claimed(database, queue, user="a", group="g", target=target, files=["/d/1", "/d/2"], owner="test:1")
    return claim.lease


def piece(path: str) -> Piece:
    return Piece(entry=path, key=path, original=path, source=path)


def steps(database: Database, lease: Lease) -> dict[str, FileStep]:
    return {line.key: line.step for line in Ledger(database, lease).files()}


class Waiting(Ledger):
    """The real one; its first write waits until it is told to go on."""

    def __init__(self, database: Database, lease: Lease) -> None:
        super().__init__(database, lease)
        self.reached, self.go_on = threading.Event(), threading.Event()

    def record(self, *files: LedgerFile) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(10)
        super().record(*files)


def test_what_is_written_later_is_what_stays(database: Database, lease: Lease) -> None:
    ledger = Waiting(database, lease)
    record = Record(ledger, route=Route.INPLACE)
    record.note(piece("/d/1"), FileStep.CREATED, fileset=1)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(record.write, piece("/d/2"), FileStep.VERIFYING, fileset=2)  # and with it what waits
        assert ledger.reached.wait(10)
        second = threads.submit(record.write, piece("/d/1"), FileStep.VERIFYING, fileset=1)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.5)
        ledger.go_on.set()
        first.result(timeout=10)
        second.result(timeout=10)
    assert steps(database, lease) == {"/d/1": FileStep.VERIFYING, "/d/2": FileStep.VERIFYING}


class Failing(Ledger):
    """The real one, whose first write fails."""

    failed = False

    def record(self, *files: LedgerFile) -> None:
        if not self.failed:
            self.failed = True
            raise DatabaseDown(where="here", why="it is a test")
        super().record(*files)


def test_what_could_not_be_written_is_written_next(database: Database, lease: Lease) -> None:
    record = Record(Failing(database, lease), route=Route.INPLACE)
    record.note(piece("/d/1"), FileStep.PLANNED)
    with pytest.raises(DatabaseDown):
        record.write(piece("/d/2"), FileStep.VERIFYING, fileset=2)
    record.flush()
    assert steps(database, lease) == {"/d/1": FileStep.PLANNED, "/d/2": FileStep.VERIFYING}
