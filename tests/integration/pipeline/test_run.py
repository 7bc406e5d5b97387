# SPDX-License-Identifier: GPL-2.0-or-later
"""One attempt at an order in place, with an importer that meets trouble with some of its files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from omero_adi_plugin.errors import ConnectionBroken, Halted, ImportInterrupted
from omero_adi_plugin.importers import annotating, existing
from omero_adi_plugin.importers.plans import FilesetPlan
from omero_adi_plugin.importers.protocol import ImportedFileset, KeyValues, OnProgress, Session
from omero_adi_plugin.orders import FileStep, Target
from omero_adi_plugin.pipeline import finishing, skipping
from omero_adi_plugin.pipeline.failures import EntriesFailed
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.pipeline.tally import MOST_INTERRUPTED
from omero_adi_plugin.tracking.ledger import Ledger
from tests.fixtures.filesets import delete
from tests.fixtures.runs import Runs


def test_a_file_that_the_server_chokes_on_keeps_none_of_the_others_waiting(runs: Runs) -> None:
    names = [f"{number}.ome.tif" for number in range(5)]
    claim = runs.order(*(runs.samples.image(name) for name in names))
    with pytest.raises(ImportInterrupted, match=r"1\.ome\.tif"):
        runs.run(claim, odd=lambda name: name == "1.ome.tif")
    assert runs.steps(claim) == dict.fromkeys(names, FileStep.ANNOTATED) | {"1.ome.tif": FileStep.PLANNED}
    runs.run(claim)
    assert runs.steps(claim) == dict.fromkeys(names, FileStep.ANNOTATED)
    assert len(runs.lab.images()) == 5


def test_a_server_that_breaks_off_at_everything_is_left_alone(runs: Runs) -> None:
    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(12)))
    seen: list[Progress] = []
    with pytest.raises(ImportInterrupted):
        runs.run(claim, odd=lambda _: True, on_progress=seen.append)
    assert max(progress.done for progress in seen) == MOST_INTERRUPTED


def test_when_one_fileset_meets_trouble_of_all_the_others_are_not_begun(runs: Runs) -> None:
    begun = threading.Event()

    def importing(name: str, _: OnProgress) -> None:
        if name == "0.ome.tif":
            assert begun.wait(10)
            raise ConnectionBroken(doing="importing")
        assert name == "1.ome.tif"  # the third one has no thread yet
        begun.set()
        runs.current._halted.wait(10)

    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(3)))
    with pytest.raises(ConnectionBroken):
        runs.run(claim, on_import=importing)
    assert runs.lab.images() == []
    assert set(runs.steps(claim).values()) <= {FileStep.PLANNED}
    runs.run(claim)
    assert len(runs.lab.images()) == 3


@pytest.mark.parametrize("trouble", [ConnectionBroken(doing="importing"), KeyboardInterrupt()], ids=["lost", "Ctrl-C"])
def test_whatever_ends_an_attempt_the_ledger_tells_what_it_had_begun(runs: Runs, trouble: BaseException) -> None:
    def importing(*_: object) -> None:
        raise trouble

    claim = runs.order(runs.samples.image("0.ome.tif"))
    with pytest.raises(type(trouble)):
        runs.run(claim, on_import=importing)
    assert runs.steps(claim) == {"0.ome.tif": FileStep.PLANNED}


def test_at_ctrl_c_not_even_what_omero_is_doing_is_waited_for(runs: Runs) -> None:
    given_up = threading.Event()

    def importing(name: str, on_progress: OnProgress) -> None:
        if name == "1.ome.tif":
            for _ in range(100):
                try:
                    on_progress("reading metadata", 0, 5)
                except Halted:
                    given_up.set()
                    raise
                given_up.wait(0.1)

    def interrupt(progress: Progress) -> None:
        if progress.step is FileStep.IMPORTED:
            raise KeyboardInterrupt

    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(2)))
    with pytest.raises(KeyboardInterrupt):
        runs.run(claim, on_import=importing, on_progress=interrupt)
    assert given_up.is_set()


def test_what_is_imported_gets_its_key_values_while_others_are_still_read(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "BATCH_SECONDS", 0)  # nobody waits for others
    first, *others = [runs.samples.image(f"{number:02}.ome.tif") for number in range(20)]
    claim = runs.order(first, *others)
    steps: dict[str, FileStep] = {}

    def read(path: str) -> None:
        if path == others[0]:
            assert runs.imported.wait(10)  # the first one is in OMERO
        if path == others[-1]:
            steps.update(runs.steps(claim))

    runs.run(claim, on_read=read)
    assert steps["00.ome.tif"] is FileStep.ANNOTATED


def test_the_target_is_not_looked_through_for_each_file_that_it_lacks(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [runs.samples.image(f"{number}.ome.tif") for number in range(4)]
    runs.run(runs.order(files[2]))
    asked: list[str] = []

    def held(session: Session, target: Target, plans: Sequence[FilesetPlan]) -> dict[str, ImportedFileset]:
        asked.extend(plan.key for plan in plans)
        return existing.held(session, target, plans)

    monkeypatch.setattr(skipping, "held", held)
    claim = runs.order(*files, "/nonsense/" + "long" * 10000, f"{runs.samples.folder}/none.tif")
    with pytest.raises(EntriesFailed, match="2 of 6"):
        runs.run(claim, skip_existing=True)
    assert asked == [files[2]]
    assert len(runs.lab.images()) == 4


def test_what_was_skipped_and_is_not_there_any_more_is_imported_at_a_retry(runs: Runs) -> None:
    file = runs.samples.image()
    first = runs.order(file)
    runs.run(first)
    claim = runs.order(file)
    for _ in range(2):
        runs.run(claim, skip_existing=True)
        assert runs.steps(claim) == {"image.ome.tif": FileStep.SKIPPED}
    [line] = Ledger(runs.database, first.lease).files()
    assert line.fileset is not None
    delete(runs.lab.session, "Fileset", [line.fileset])
    runs.run(claim, skip_existing=True)
    assert runs.steps(claim) == {"image.ome.tif": FileStep.ANNOTATED}
    assert len(runs.lab.images()) == 1


def test_what_is_there_already_is_looked_through_in_large_parts(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = runs.order(*(runs.samples.image(f"{number}.ome.tif") for number in range(30)))
    runs.run(claim)
    parts: list[int] = []

    def annotate(session: Session, items: Sequence[KeyValues], **given: Any) -> None:
        parts.append(len(items))
        annotating.annotate(session, items, **given)

    monkeypatch.setattr(finishing, "annotate", annotate)
    monkeypatch.setattr(finishing, "BATCH_SECONDS", 60)
    runs.run(claim)
    assert parts == [30]
