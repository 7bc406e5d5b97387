# SPDX-License-Identifier: GPL-2.0-or-later
"""Which reader is taken: Bio-Formats where it is, else one for TIFF, which says what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.errors import FormatUnknown
from omero_adi_plugin.importers.reading import jars
from omero_adi_plugin.importers.reading.choose import open_reader
from tests.fixtures.reading import admitted, children


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    path = tmp_path / "a&series=3.fake"
    path.touch()
    return path


def bioformats() -> Path:
    found = jars.find(None)
    assert not isinstance(found, jars.NoBioformats), f"the set-up should have seen to it: {found.why}"
    return Path(found.class_path[0])


def test_bioformats_reads_where_it_is(fake: Path) -> None:
    bioformats()
    with open_reader(bioformats_jar=None, heap_mb=256, patience_seconds=60) as reader:
        assert children() == []
        assert reader.version == "7.3.1"
        assert reader.read(admitted(fake)).images == 3
        assert len(children()) == 1
    assert children() == []


def test_jars_of_omeros_client_serve(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "omero/lib/client"
    client.mkdir(parents=True)
    (client / "formats-bsd.jar").symlink_to(bioformats())
    monkeypatch.setenv("OMERODIR", str(tmp_path / "omero"))
    with open_reader(bioformats_jar=Path("/nonexistent.jar"), heap_mb=256, patience_seconds=60) as reader:
        assert reader.read(admitted(fake)).images == 3
        (child,) = children()
        assert str(client / "formats-bsd.jar").encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")


def test_without_it_tiff_is_read_and_the_reason_said_until_it_comes(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = bioformats()
    monkeypatch.delenv("OMERODIR", raising=False)
    monkeypatch.setattr(jars, "LOOK_SECONDS", 0)
    tiff, later = tmp_path / "a.tif", tmp_path / "later.jar"
    tifffile.imwrite(tiff, np.zeros((8, 8), "u1"))
    with open_reader(bioformats_jar=later, heap_mb=256, patience_seconds=60) as reader:
        assert reader.version is None
        assert reader.read(admitted(tiff)).images == 1
        with pytest.raises(FormatUnknown, match=r"`bioformats_jar` names '.*later\.jar', which has none"):
            reader.read(admitted(fake))
        assert children() == []
        later.symlink_to(jar)
        assert reader.read(admitted(fake)).images == 3
        assert reader.version == "7.3.1"
