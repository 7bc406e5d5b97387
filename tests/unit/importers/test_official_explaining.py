# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of a file that OMERO's importer has not imported, and whether another attempt is worth it."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_adi_plugin.errors import (
    AdiError,
    EntryFailed,
    FileBroken,
    FileGrowing,
    FileMissing,
    FormatUnknown,
    ImportInterrupted,
    ImportRefused,
    SourceUnreadable,
)
from omero_adi_plugin.importers.official.explaining import explained
from omero_adi_plugin.importers.official.output import Complaint
from tests.fixtures.importing import planned


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    path.write_bytes(b"some")
    return path


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        (None, ImportInterrupted),
        (Complaint(kind="FILE_EXCEPTION", exception="loci.formats.FormatException", words="No IFDs"), FileBroken),
        (Complaint(kind="FILE_EXCEPTION", exception="java.io.EOFException"), FileBroken),
        (Complaint(kind="UNKNOWN_FORMAT"), FormatUnknown),
        (Complaint(kind="UNREADABLE_FILE", exception="java.io.FileNotFoundException"), SourceUnreadable),
        (Complaint(kind="INTERNAL_EXCEPTION", exception="omero.ResourceError"), SourceUnreadable),
        (Complaint(kind="INTERNAL_EXCEPTION", exception="java.lang.RuntimeException", words="Failure response"), ImportRefused),
        (Complaint(kind="INTERNAL_EXCEPTION"), ImportRefused),
        (Complaint(kind="INTERNAL_EXCEPTION", exception="omero.DatabaseBusyException"), ImportInterrupted),
        (Complaint(kind="INTERNAL_EXCEPTION", exception="Ice.ConnectionLostException"), ImportInterrupted),
        (Complaint(kind="FILE_EXCEPTION", exception="Glacier2.SessionNotExistException"), ImportInterrupted),
    ],
)
def test_classes_decide(complaint: Complaint | None, kind: type[AdiError], file: Path) -> None:
    error = explained(planned(file), complaint, status=2)
    assert type(error) is kind
    assert str(file) in str(error)
    assert isinstance(error, EntryFailed) or "tried again by itself" in str(error)


def test_the_words_of_the_importer_are_kept(file: Path) -> None:
    said = Complaint(kind="FILE_EXCEPTION", exception="loci.formats.FormatException", words="Invalid TIFF file: x")
    assert "Invalid TIFF file: x" in str(explained(planned(file), said, status=0))
    silent = Complaint(kind="SOME_TROUBLE")
    assert "some trouble" in str(explained(planned(file), silent, status=0))
    assert "(status 3)" in str(explained(planned(file), None, status=3))


def test_what_the_disk_says_is_surer(file: Path) -> None:
    plan, said = planned(file), Complaint(kind="FILE_EXCEPTION", exception="loci.formats.FormatException")
    file.write_bytes(b"some more")
    assert isinstance(explained(plan, said, status=0), FileGrowing)
    file.unlink()
    assert isinstance(explained(plan, said, status=0), FileMissing)
