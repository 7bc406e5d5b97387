# SPDX-License-Identifier: GPL-2.0-or-later
"""An attempt that is to end before everything is in: called off, giving way, or because its service ends."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import omero.all
import pytest
from omero.rtypes import rstring

from omero_adi_plugin.errors import AdiError, ConnectionBroken, TargetMissing
from omero_adi_plugin.importers.protocol import OnProgress
from omero_adi_plugin.orders import MARKER_NAMESPACE, Claim, FileStep, LedgerFile, Marker, Route
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay, ShuttingDown
from omero_adi_plugin.pipeline.progress import NO_PLACE, Progress
from omero_adi_plugin.tracking.ledger import Ledger
from tests.fixtures.filesets import made
from tests.fixtures.laboratory import Lab
from tests.fixtures.runs import Runs

FILES = 7
"""Two are brought in by each attempt that gives way as soon as it can, so that one is left to the last."""

CANCELLED, GAVE_WAY, ENDING = Cancelled(by="ada@lab"), GaveWay("gave way"), ShuttingDown()


def left_over(runs: Runs, claim: Claim, file: str, *, half: bool) -> int:
    """Leave a fileset in OMERO as an earlier attempt does that dies: half, or whole and without key-values."""
    fileset = made(runs.lab.session, images=2, half=half, dataset=runs.lab.dataset).fileset
    link, comment = omero.model.FilesetAnnotationLinkI(), omero.model.CommentAnnotationI()
    comment.setNs(rstring(MARKER_NAMESPACE))
    comment.setTextValue(rstring(str(Marker(uuid=claim.lease.order, attempt=1, key=file))))
    link.setParent(omero.model.FilesetI(fileset, False))
    link.setChild(comment)
    runs.lab.session.factory.getUpdateService().saveObject(link)
    line = LedgerFile(entry=file, key=file, route=Route.INPLACE, step=FileStep.VERIFYING, fileset=fileset)
    Ledger(runs.database, claim.lease).record(line)
    return fileset


def check_whole(lab: Lab, claim: Claim, *, count: int) -> None:
    """Check that so many images are in OMERO, complete and annotated, and nothing else of the order."""
    assert len(lab.images()) == count
    assert lab.images_with(claim.lease.order) == lab.images()
    assert [len(lab.key_values(image)) for image in lab.images()] == [1] * count


@pytest.mark.parametrize("why", [CANCELLED, GAVE_WAY, ENDING], ids=lambda why: type(why).__name__)
def test_nothing_new_is_begun_and_what_is_under_way_is_finished(runs: Runs, why: AdiError) -> None:
    begun = threading.Barrier(2)
    names: list[str] = []

    def importing(name: str, _: OnProgress) -> None:
        names.append(name)
        begun.wait(10)  # both are under way
        runs.guard.stop = lambda _: why
        runs.current._stopping.wait(10)

    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(6)))
    with pytest.raises(type(why)) as caught:
        runs.run(claim, on_import=importing)
    assert caught.value is why
    assert sorted(names) == ["0.ome.tif", "1.ome.tif"]
    assert Counter(runs.steps(claim).values())[FileStep.ANNOTATED] == 2
    assert set(runs.steps(claim).values()) <= {FileStep.ANNOTATED, FileStep.PLANNED}
    check_whole(runs.lab, claim, count=2)
    runs.guard.stop = lambda _: None
    runs.run(claim)
    check_whole(runs.lab, claim, count=6)


def test_an_order_that_comes_called_off_imports_nothing_and_is_tidied_up(runs: Runs) -> None:
    whole, half, new = [runs.samples.image(f"{number}.ome.tif") for number in range(3)]
    claim = runs.order(whole, half, new)
    left_over(runs, claim, whole, half=False)
    left_over(runs, claim, half, half=True)
    runs.guard.stop = lambda _: CANCELLED
    Path(whole).unlink()  # nobody looks at the files
    read: list[str] = []
    with pytest.raises(Cancelled):
        runs.run(claim, on_read=read.append)
    assert read == []
    assert runs.lab.markers() == Counter({(claim.lease.order, whole): 1})
    check_whole(runs.lab, claim, count=2)
    assert runs.steps(claim)["0.ome.tif"] is FileStep.ANNOTATED


def test_an_order_called_off_whose_target_is_gone_is_called_off_all_the_same(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise TargetMissing(target="Dataset:1", user="ada", group="lab")

    monkeypatch.setattr("omero_adi_plugin.pipeline.preflight.check_order", gone)
    runs.guard.stop = lambda _: CANCELLED
    with pytest.raises(Cancelled):
        runs.run(runs.order(runs.samples.image()))


def test_trouble_while_it_is_tidied_up_is_told_and_a_later_attempt_calls_it_off(runs: Runs) -> None:
    def importing(name: str, _: OnProgress) -> None:
        runs.guard.stop = lambda _: CANCELLED
        runs.current._stopping.wait(10)
        if name == "0.ome.tif":
            raise ConnectionBroken(doing="importing")

    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(4)))
    with pytest.raises(ConnectionBroken):
        runs.run(claim, on_import=importing)
    with pytest.raises(Cancelled):
        runs.run(claim)
    check_whole(runs.lab, claim, count=len(runs.lab.images()))
    assert set(runs.steps(claim).values()) <= {FileStep.ANNOTATED, FileStep.PLANNED}


def test_who_has_brought_in_everything_does_not_give_way_any_more(runs: Runs) -> None:
    def stop(settled: int) -> AdiError | None:
        return GAVE_WAY if settled or runs.imported.is_set() else None

    runs.guard.stop = stop
    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(2)))
    both = threading.Barrier(2)
    runs.run(claim, on_import=lambda *_: both.wait(10))
    check_whole(runs.lab, claim, count=2)


def test_a_file_that_is_waited_for_is_not_begun_any_more(runs: Runs) -> None:
    runs.settings = runs.settings.model_copy(update={"settle_seconds": 3600})

    def stop(progress: Progress) -> None:
        runs.guard.stop = lambda _: CANCELLED

    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(50)))
    with pytest.raises(Cancelled):
        runs.run(claim, on_progress=stop)
    assert runs.lab.images() == []


def test_a_folder_is_left_while_it_is_still_read(runs: Runs) -> None:
    for number in range(3):
        runs.samples.image(f"{number}.ome.tif")
    read: list[str] = []

    def reading(path: str) -> None:
        read.append(path)
        runs.guard.stop = lambda _: CANCELLED

    with pytest.raises(Cancelled):
        runs.run(runs.order(str(runs.samples.folder)), on_read=reading)
    assert len(read) == 1


def test_of_a_folder_that_was_left_nothing_is_read_or_brought_in_twice(runs: Runs) -> None:
    for number in range(FILES):
        runs.samples.image(f"{number}.ome.tif")
    claim = runs.order(str(runs.samples.folder), names=["for a single one"])
    runs.guard.stop = lambda settled: GAVE_WAY if settled else None
    runs.settings = runs.settings.model_copy(update={"parallel_filesets_per_worker": 1})
    attempts = 0
    while True:
        before = Counter(runs.steps(claim).values())[FileStep.ANNOTATED]
        read: list[str] = []
        seen: list[Progress] = []
        attempts += 1
        try:
            runs.run(claim, on_read=read.append, on_progress=seen.append)
        except GaveWay:
            assert len(read) == FILES - before
        else:
            break
    assert attempts > 2, "it never gave way"
    assert (seen[-1].done, seen[-1].total) == (1, 1)
    check_whole(runs.lab, claim, count=FILES)
    names = runs.lab.session.query("select i.name from Image i where i.details.owner.id = :user", user=runs.lab.session.user_id)
    assert sorted(name for (name,) in names) == [f"{number}.ome.tif" for number in range(FILES)]
    assert set(runs.steps(claim).values()) == {FileStep.ANNOTATED}


def test_no_more_are_under_way_than_there_are_places(runs: Runs) -> None:
    runs.settings = runs.settings.model_copy(update={"parallel_filesets_per_worker": 4})
    runs.guard.most = 2
    both = threading.Event()

    def importing(name: str, _: OnProgress) -> None:
        if runs.under_way.now == 2:
            both.set()
        assert both.wait(10), f"{name} is alone, and two could be under way"

    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(8)))
    runs.run(claim, on_import=importing)
    assert runs.under_way.most == 2
    assert runs.guard.asked[0] == 1
    assert set(runs.guard.asked[1:]) == {4}
    check_whole(runs.lab, claim, count=8)


def test_who_has_one_fileset_asks_for_one_place(runs: Runs) -> None:
    runs.run(runs.order(runs.samples.image()))
    assert runs.guard.asked == [1]


def test_without_a_place_it_waits_and_says_so_and_that_is_no_progress(runs: Runs) -> None:
    runs.guard.most = 0
    seen: list[Progress] = []

    def progress(step: Progress) -> None:
        seen.append(step)
        if step.words == NO_PLACE:
            assert runs.lab.markers() == Counter()
            runs.guard.most = 1

    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(2)))
    runs.run(claim, on_progress=progress)
    assert [step.moved for step in seen if step.words == NO_PLACE] == [False]
    assert all(step.moved for step in seen if step.step in (FileStep.CREATED, FileStep.IMPORTED, FileStep.ANNOTATED))
    check_whole(runs.lab, claim, count=2)


def test_who_waits_for_a_place_can_be_called_off(runs: Runs) -> None:
    runs.guard.most = 0

    def progress(step: Progress) -> None:
        if step.words == NO_PLACE:
            runs.guard.stop = lambda _: CANCELLED

    with pytest.raises(Cancelled):
        runs.run(runs.order(runs.samples.image()), on_progress=progress)
