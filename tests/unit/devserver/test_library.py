# SPDX-License-Identifier: GPL-2.0-or-later
"""What the server knows of Bio-Formats before it reads a file, with and without its jar."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_devserver.formats import java
from omero_devserver.repository import library

IN_A_FOLDER = ["/x/Images/a.tif", "/x/Images/b.tif"]


def test_the_version_is_named_as_omero_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (library.version() or "").startswith("version: 7.3.1 revision: 41e12f6")
    monkeypatch.setenv(java.VARIABLE, str(tmp_path / "none"))
    assert library.version() is None


@pytest.mark.parametrize(
    ("reader", "folders"),
    [
        ("loci.formats.in.TiffDelegateReader", 0),
        ("loci.formats.in.OperettaReader", 1),  # one that looks at the folders' names
        ("loci.formats.in.NoSuchReader", None),
        ("loci.formats.FormatReader", None),
        ("java.lang.String", None),
        ("", None),
        (None, None),
    ],
)
def test_how_many_folders_a_reader_needs(reader: str | None, folders: int | None) -> None:
    assert library.required_folders(reader, IN_A_FOLDER) == folders


@pytest.mark.parametrize("content", [None, b"PK\3\4 cut off"])
def test_without_bioformats_whatever_looks_like_a_reader_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    monkeypatch.setenv(java.VARIABLE, str(tmp_path / "jar"))
    if content is not None:
        (tmp_path / "jar").write_bytes(content)
    assert library.version() is None
    assert library.required_folders("loci.formats.in.NoSuchReader", IN_A_FOLDER) == 0
    assert library.required_folders("NoSuchReader", IN_A_FOLDER) is None
