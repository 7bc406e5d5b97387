# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders of which a part cannot be imported: what is said of it, and that no attempt forgets it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import SourceUnreadable
from omero_adi_plugin.pipeline.failures import EntriesFailed
from omero_adi_plugin.pipeline.metadata import MetadataFiles, Pairs
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.intake import Intake
from tests.fixtures.attempts import attempts_of
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking


def carried_out(services: Services) -> Exception | None:
    """What ends an attempt at the one order that there is."""
    with attempts_of(Settings.load(services.config)) as attempts:
        Intake(attempts.database, pending_days=10).take_in()
        claim = attempts.queue.claim(owner="this test")
        assert claim is not None
        return attempts.carry_out(claim)


def again(tracking: Tracking, order: str) -> None:
    """Have an order done again, as operators were always told to."""
    tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", order)


@pytest.fixture
def folder(samples: Samples) -> Path:
    """With one file that is whole, and one that is not."""
    folder = samples.folder / "plate"
    folder.mkdir()
    tifffile.imwrite(folder / "good.tif", np.zeros((16, 16), "u1"))
    whole = folder / "bad.tif"
    tifffile.imwrite(whole, np.ones((3, 64, 64), "u2"), photometric="minisblack")
    whole.write_bytes(whole.read_bytes()[:9000])
    return folder


def test_the_broken_file_of_a_folder_is_not_forgotten_at_the_next_attempt(
    lab: Lab, tracking: Tracking, services: Services, folder: Path
) -> None:
    order = tracking.order(lab, str(folder))
    for _ in range(2):
        error = carried_out(services)
        assert isinstance(error, EntriesFailed)
        assert "bad.tif" in tracking.description(order)
        assert tracking.description(order).startswith("Not all of it could be imported, the rest is in OMERO.")
        assert len(lab.images()) == 1
        again(tracking, order)
    tifffile.imwrite(folder / "bad.tif", np.ones((3, 64, 64), "u2"), photometric="minisblack")
    assert carried_out(services) is None
    assert len(lab.images()) == 2
    assert tracking.sql("SELECT step, error FROM adi_file ORDER BY key") == [("annotated", None)] * 2


def test_what_was_planned_and_is_not_there_any_more_is_forgotten(
    lab: Lab, tracking: Tracking, services: Services, folder: Path
) -> None:
    order = tracking.order(lab, str(folder))
    assert isinstance(carried_out(services), EntriesFailed)
    earlier = str(folder / "of-an-earlier-plan.tif")
    tracking.sql("UPDATE adi_file SET step = 'planned', error = NULL, key = %s WHERE step = 'failed'", earlier)
    (folder / "bad.tif").unlink()
    again(tracking, order)
    assert carried_out(services) is None
    assert tracking.sql("SELECT key, step FROM adi_file") == [(str(folder / "good.tif"), "annotated")]


def test_the_folders_of_an_order_are_not_all_said_to_be_left_out(
    lab: Lab, tracking: Tracking, services: Services, folder: Path
) -> None:
    (other := folder.with_name("other")).mkdir()
    (other / "empty.tif").touch()
    order = tracking.order(lab, str(folder), str(other))
    assert isinstance(carried_out(services), EntriesFailed)
    assert "2 of 2 files and folders could not be imported completely" in tracking.description(order)


def test_a_dry_run_does_not_say_that_anything_is_in_omero(lab: Lab, services: Services, folder: Path) -> None:
    files = [str(folder / name) for name in ("good.tif", "bad.tif")]
    place = ["--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group]
    told = services.run("import", *files, *place, "--dry-run")
    assert told.returncode == os.EX_DATAERR
    assert "1 of 2 files and folders could not be imported completely." in told.stderr
    assert "in OMERO" not in told.stderr
    assert "orders show" not in told.stderr


def test_what_has_its_key_values_does_not_need_what_they_were_read_from(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    (late := samples.folder / "late").mkdir()
    order = tracking.order(lab, samples.image(), str(late / "late.ome.tif"))
    assert isinstance(carried_out(services), EntriesFailed)
    samples.image("late/late.ome.tif", seed=1)
    read = MetadataFiles.of

    def unreadable(files: MetadataFiles, path: str, *, late: str | None = None) -> Pairs:  # as one that root may not read either
        if "late" not in path:
            raise SourceUnreadable(path=f"{samples.folder}/metadata.csv", account="this test")
        return read(files, path, late=late)

    monkeypatch.setattr(MetadataFiles, "of", unreadable)
    again(tracking, order)
    assert carried_out(services) is None
    assert lab.images_with(order) == lab.images()
    assert len(lab.images()) == 2
