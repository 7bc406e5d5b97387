# SPDX-License-Identifier: GPL-2.0-or-later
"""What interrupted attempts have left in OMERO after everybody had looked, and what is done about it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omero.model import ImageI, PlateI, WellI, WellSampleI
from omero.rtypes import rint, rstring
from sqlalchemy import select

from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.importers.inplace import InPlace
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.orders import Claim, FileStep, Marker
from omero_adi_plugin.pipeline.failures import EntriesFailed
from omero_adi_plugin.pipeline.sweeping import sweep
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking import tables
from omero_adi_plugin.tracking.ledger import Ledger
from tests.fixtures.importing import QUICK, planned
from tests.fixtures.runs import Runs


class Late:
    """What a worker does that has lost its order and does not know."""

    def __init__(self, runs: Runs, claim: Claim) -> None:
        self._runs, self.order = runs, claim.text.read()
        self._importer = InPlace(runs.lab.session, skip=QUICK, patience_seconds=60, parallel_files=1, bioformats=None)

    def imports(self, path: str, *, attempt: int, half: bool = False) -> int:
        """Import a file of the order; or leave it when the server has been asked to make its fileset."""
        plan, made = planned(path), []

        class Killed(BaseException):
            pass

        def on_step(step: FileStep, /, *, fileset: int) -> None:
            made.append(fileset)
            if half:
                raise Killed

        taken_back, self._importer._take_back = self._importer._take_back, lambda _: None  # type: ignore[assignment,method-assign]
        try:
            marker = Marker(uuid=self.order.uuid, attempt=attempt, key=plan.key)
            return self._importer.run(plan=plan, target=self.order.target, marker=marker, on_step=on_step)
        except Killed:
            return made[0]
        finally:
            self._importer._take_back = taken_back  # type: ignore[method-assign]


@pytest.fixture
def done(runs: Runs) -> Claim:
    """An order that has been carried out."""
    claim = runs.order(runs.samples.image("0.ome.tif"), runs.samples.image("1.ome.tif"))
    runs.run(claim)
    return claim


def swept(runs: Runs, claim: Claim, *, attempt: int = 2, **given: Any) -> None:
    files = Ledger(runs.database, claim.lease).files()
    known: dict[str, Any] = {"session": runs.lab.session, "settings": runs.settings, "check": lambda: None}
    sweep(claim.text.read(), attempt=attempt, files=files, **(known | given))


def forget(runs: Runs) -> None:
    """Have the ledger be that of another day: restored from a backup, or begun anew."""
    with runs.database.begin() as connection:
        connection.execute(tables.file.delete())


def there(runs: Runs) -> set[int]:
    return {fileset for (fileset,) in runs.lab.session.query("select f.id from Fileset f")}


def test_of_what_was_imported_twice_that_stays_which_the_ledger_names(runs: Runs, done: Claim) -> None:
    before, images = there(runs), runs.lab.images()
    late = Late(runs, done)
    path = done.text.read().entries[0].path
    doubled = {late.imports(path, attempt=1), late.imports(path, attempt=2, half=True)}
    assert there(runs) == before | doubled
    swept(runs, done)
    assert there(runs) == before
    assert runs.lab.images() == images


def test_of_two_of_which_a_person_has_deleted_one_the_other_stays_whichever_the_ledger_names(runs: Runs, done: Claim) -> None:
    path = done.text.read().entries[0].path
    [named] = [line.fileset for line in Ledger(runs.database, done.lease).files() if line.key == path]
    other = Late(runs, done).imports(path, attempt=1)
    assert named is not None
    delete_fileset(runs.lab.session, named)
    swept(runs, done, since=time.time() - 600)
    assert other in there(runs)


def test_what_the_ledger_has_nothing_of_goes_at_last_if_it_was_made_by_these_attempts(runs: Runs) -> None:
    claim = runs.order(runs.samples.image())
    late = Late(runs, claim).imports(claim.text.read().entries[0].path, attempt=1)
    swept(runs, claim)
    swept(runs, claim, since=time.time() + 600)
    assert there(runs) == {late}
    swept(runs, claim, since=time.time() - 600)
    assert there(runs) == set()


@pytest.mark.parametrize("forged", ["forgotten", "planned"])
def test_what_was_known_to_be_complete_stays_whatever_somebody_has_written_into_the_ledger(
    forged: str, runs: Runs, done: Claim
) -> None:
    before = there(runs)
    if forged == "forgotten":
        forget(runs)
    else:
        with runs.database.begin() as connection:
            connection.execute(tables.file.update().values(step="planned", fileset=None))
    swept(runs, done, since=time.time() - 600)
    assert there(runs) == before


def test_with_a_ledger_of_another_day_what_cannot_be_read_any_more_stays(runs: Runs, done: Claim) -> None:
    before = there(runs)
    forget(runs)
    Path(done.text.read().entries[0].path).unlink()
    with pytest.raises(EntriesFailed):
        runs.run(replace(done, lease=replace(done.lease, attempt=2)))
    assert there(runs) == before


def test_what_was_skipped_because_a_lost_worker_had_just_brought_it_stays(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = runs.order(runs.samples.image())
    late, path = Late(runs, claim), claim.text.read().entries[0].path

    def asked(*, settled: int) -> None:  # for the first time when stock was taken
        if not there(runs):
            late.imports(path, attempt=1)

    monkeypatch.setattr(runs.guard, "safe_point", asked)
    runs.run(replace(claim, lease=replace(claim.lease, attempt=2)), skip_existing=True)
    assert set(runs.steps(claim).values()) == {FileStep.SKIPPED}
    swept(runs, claim, since=time.time() - 600)
    assert len(there(runs)) == len(runs.lab.images()) == 1


def test_what_a_later_attempt_has_made_is_left_alone(runs: Runs, done: Claim) -> None:
    before = there(runs)
    newer = Late(runs, done).imports(done.text.read().entries[0].path, attempt=3)
    swept(runs, done, attempt=2)
    assert there(runs) == before | {newer}


def test_other_orders_are_left_alone_whatever_the_ledger_says(runs: Runs, done: Claim) -> None:
    path = done.text.read().entries[0].path
    another = runs.order(path)
    runs.run(another)
    before = there(runs)
    assert len(before) == 3
    swept(runs, done)
    assert there(runs) == before


def test_a_sweep_that_is_not_wanted_any_more_removes_nothing(runs: Runs, done: Claim) -> None:
    def lost() -> None:
        raise LeaseLost(uuid=done.lease.order)

    Late(runs, done).imports(done.text.read().entries[0].path, attempt=1)
    before = there(runs)
    with pytest.raises(LeaseLost):
        swept(runs, done, check=lost)
    assert there(runs) == before


def test_an_order_that_was_interrupted_sweeps_before_it_ends(runs: Runs) -> None:
    claim = runs.order(runs.samples.image("0.ome.tif"), runs.samples.image("1.ome.tif"))
    late = Late(runs, claim)

    def imported(name: str, *_: object) -> None:  # after stock was taken, before the end
        if name == "1.ome.tif":
            late.imports(claim.text.read().entries[0].path, attempt=1)

    runs.run(replace(claim, lease=replace(claim.lease, attempt=2)), on_import=imported)
    assert len(there(runs)) == len(runs.lab.images()) == 2


def test_what_cannot_be_swept_at_the_end_of_an_order_is_left_to_the_later_sweep(runs: Runs, logins: Logins) -> None:
    claim = runs.order(runs.samples.image())
    late, session = Late(runs, claim), runs.lab.session

    def imported(*_: object) -> None:  # and an administrator takes a liking to it
        made = late.imports(claim.text.read().entries[0].path, attempt=1)
        [[image]] = session.query("select i.id from Image i where i.fileset.id = :id", id=made)
        plate, well, sample = PlateI(), WellI(), WellSampleI()
        plate.setName(rstring("of somebody else"))
        well.setRow(rint(0))
        well.setColumn(rint(0))
        sample.setImage(ImageI(image, False))
        well.addWellSample(sample)
        plate.addWell(well)
        logins.service().factory.getUpdateService().saveObject(plate, {"omero.group": str(session.group_id)})

    runs.run(replace(claim, lease=replace(claim.lease, attempt=2)), on_import=imported)
    assert set(runs.steps(claim).values()) == {FileStep.ANNOTATED}
    assert len(there(runs)) == 2
    with runs.database.begin() as connection:
        assert connection.execute(select(tables.order.c.unswept_since)).scalar_one() is not None


def test_an_order_that_was_not_interrupted_asks_no_more(runs: Runs) -> None:
    claim = runs.order(runs.samples.image("0.ome.tif"))
    late = Late(runs, claim)
    runs.run(claim, on_import=lambda *_: late.imports(claim.text.read().entries[0].path, attempt=0))
    assert len(there(runs)) == 2  # nobody could have made it: this only shows that the test above sees the sweep


def test_what_is_gone_is_imported_again_only_if_a_person_says_so(runs: Runs, done: Claim) -> None:
    [gone] = runs.lab.session.query("select min(f.id) from Fileset f")
    delete_fileset(runs.lab.session, gone[0])
    with pytest.raises(EntriesFailed, match="was imported earlier"):
        runs.run(done)
    runs.run(done, again=True)
    assert len(there(runs)) == len(runs.lab.images()) == 2
    assert set(runs.steps(done).values()) == {FileStep.ANNOTATED}
