# SPDX-License-Identifier: GPL-2.0-or-later
"""Images go into Datasets and plates into Screens: the server itself would import them and link them to nothing."""

import pytest

from omero_adi_plugin.errors import WrongContainer
from omero_adi_plugin.importers.plans import AdmittedFile, FilesetPlan
from omero_adi_plugin.orders import Entry, Target, TargetKind
from omero_adi_plugin.pipeline.preflight import check_fits

DATASET, SCREEN = Target(kind=TargetKind.DATASET, id=1), Target(kind=TargetKind.SCREEN, id=2)


def plan(*, images: int, plates: int) -> FilesetPlan:
    path = "/data/some.file"
    file = AdmittedFile(path=path, source=path, bytes=1, mtime_ns=0)
    reader = "loci.formats.in.FakeReader"
    return FilesetPlan(
        entry=Entry(path=path), key=path, files=(file,), reader=reader, format="f", images=images, plates=plates, name=None
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
