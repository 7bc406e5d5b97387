# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody reads who has an order carried out and does not sit at a terminal."""

from __future__ import annotations

import os
import sys

import pytest

from omero_adi_plugin.commands.imports import shown_progress
from omero_adi_plugin.orders import FileStep
from omero_adi_plugin.pipeline.progress import Progress


def step(entry: str, words: str, step: FileStep = FileStep.VERIFYING, done: int = 0) -> Progress:
    return Progress(entry=entry, step=step, done=done, total=2, words=words)


def test_each_thing_is_told_once_however_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(2) as show:
        for second in range(100):
            show(step("/d/a", "importing, computing statistics (1 of 5)"))
            show(step("/d/b", "importing, reading metadata (0 of 5)" if second < 50 else "importing, finishing (4 of 5)"))
        show(step("/d/a", "done", FileStep.ANNOTATED, done=1))
    assert capsys.readouterr().err.splitlines() == [
        "0/2 /d/a: importing, computing statistics (1 of 5)",
        "0/2 /d/b: importing, reading metadata (0 of 5)",
        "0/2 /d/b: importing, finishing (4 of 5)",
        "1/2 /d/a: done",
    ]


def test_that_nobody_reads_along_any_more_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", buffering=1) as stderr:  # noqa: PTH123 (a number)
        monkeypatch.setattr(sys, "stderr", stderr)
        with shown_progress(2) as show:
            show(step("/d/a", "reading"))
        monkeypatch.undo()
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (as above)
            os.dup2(nowhere.fileno(), writing)  # for what is still in the buffer
