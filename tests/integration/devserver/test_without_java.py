# SPDX-License-Identifier: GPL-2.0-or-later
"""A development server without Bio-Formats, or with a Java that cannot run: TIFFs go on, the rest is an unknown format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import omero.cmd
import pytest

from omero_devserver.formats import java
from tests.fixtures.omero import OmeroServer, started
from tests.fixtures.omero_client import InPlace


@pytest.fixture(params=["no jar", "too little memory"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OmeroServer, str]]:
    """A server, and a part of what its log has to say."""
    if request.param == "no jar":
        monkeypatch.setenv(java.VARIABLE, str(tmp_path / "none.jar"))
        why = f"no Bio-Formats at {tmp_path}/none.jar"
    else:
        monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xms1g")  # more than it may have; such a Java ends the process that it is in
        why = "Initial heap size set to a larger value than the maximum heap size"
    with started(tmp_path / "data") as running:
        yield running, why


def test_tiffs_are_imported_and_other_files_are_of_no_known_format(
    server: tuple[OmeroServer, str], one: Path, three: Path, tmp_path: Path
) -> None:
    running, why = server
    other = tmp_path / "a&sizeX=8&sizeY=8.fake"
    other.touch()
    with running.client() as client:
        for path, images in ((one, 1), (three, 3)):
            assert len(InPlace(client, [path], None).run().objects) == images
        job = InPlace(client, [other], None)
        refused = job.run()
        assert isinstance(refused, omero.cmd.ERR)
        assert (refused.name, refused.parameters["message"]) == ("error-on-init", f"Unknown file format: {job.links[0]}")
    assert running.log is not None
    said = [line for line in running.log.read_text(encoding="utf-8").splitlines() if why in line]
    assert len(said) >= 1
    assert all("TIFF and OME-TIFF" in line for line in said)
    assert running.stop() == 0
