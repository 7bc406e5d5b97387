# SPDX-License-Identifier: GPL-2.0-or-later
"""Images go into Datasets and plates into Screens: the server itself would import them and link them to nothing."""

import pytest

from omero_adi_plugin.errors import WrongContainer
from omero_adi_plugin.importers.plans import AdmittedFile, FilesetPlan
from omero_adi_plugin.orders import Entry, Target, TargetKind
from omero_adi_plugin.pipeline.preflight import check_fits

DATASET, SCREEN = Target(kind=TargetKind.DATASET, id=1), Target(kind=TargetKind.SCREEN, id=2)


def plan(*, images: int, plates: int, entry: str = "/data/some.file") -> FilesetPlan:
    paths = ("/data/index.file", "/data/some.file")
    files = tuple(AdmittedFile(path=path, source=path, bytes=1, mtime_ns=0) for path in paths)
    reader = "loci.formats.in.FakeReader"
    return FilesetPlan(
        entry=Entry(path=entry), key=paths[0], files=files, reader=reader, format="f", images=images, plates=plates, name=None
    )


def test_what_fits_is_let_through() -> None:
    check_fits(plan(images=3, plates=0), target=DATASET)
    check_fits(plan(images=96, plates=1), target=SCREEN)


@pytest.mark.parametrize(
    ("images", "plates", "target", "says"),
    [
        (1, 0, SCREEN, "is an image, which cannot be put into Screen:2"),
        (3, 0, SCREEN, "is a file of images, which cannot be put into Screen:2"),
        (96, 1, DATASET, "is a plate, which cannot be put into Dataset:1"),
    ],
)
def test_what_does_not_is_named(images: int, plates: int, target: Target, says: str) -> None:
    with pytest.raises(WrongContainer, match=says):
        check_fits(plan(images=images, plates=plates), target=target)


@pytest.mark.parametrize(("entry", "named"), [("/data/some.file", "/data/some.file"), ("/data", "/data/index.file")])
def test_it_is_named_by_the_file_that_was_ordered_or_found_in_the_folder(entry: str, named: str) -> None:
    with pytest.raises(WrongContainer, match=f"^'{named}' is"):
        check_fits(plan(images=1, plates=0, entry=entry), target=SCREEN)
