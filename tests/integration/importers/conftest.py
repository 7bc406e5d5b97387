# SPDX-License-Identifier: GPL-2.0-or-later
"""An order to import, and sample files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.sessions import Logins
from tests.fixtures.importing import Importing
from tests.fixtures.laboratory import furnished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.laboratory import Lab
    from tests.fixtures.omero import ServerHere


@pytest.fixture
def importing(lab: Lab) -> Importing:
    return Importing(lab)


@pytest.fixture
def lab_here(server_here: ServerHere) -> Iterator[Lab]:
    """A lab on the server in this process, in which things can be made to go wrong."""
    with Logins(server_here.account) as logins, furnished(logins, server_here.account) as lab:
        yield lab


@pytest.fixture
def importing_here(lab_here: Lab) -> Importing:
    return Importing(lab_here)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, np.arange(32 * 48, dtype="u2").reshape(32, 48))
    return path


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """Forty files in two folders, with the same names in both; the first is an image."""
    paths = [tmp_path / "many" / folder / f"{number}.tif" for number in range(20) for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, np.zeros((8, 8), "u1"))
    return paths


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "three.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        for number in range(3):
            data = np.full((2, 16, 16), number, "u1")
            writer.write(data, photometric="minisblack", metadata={"axes": "CYX", "Name": f"image {number}"})
    return path
