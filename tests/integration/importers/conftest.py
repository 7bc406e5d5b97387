# SPDX-License-Identifier: GPL-2.0-or-later
"""An order to import, and sample files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from tests.fixtures.importing import Importing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.laboratory import Lab


@pytest.fixture
def importing(lab: Lab) -> Importing:
    return Importing(lab)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, np.arange(32 * 48, dtype="u2").reshape(32, 48))
    return path


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "three.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        for number in range(3):
            data = np.full((2, 16, 16), number, "u1")
            writer.write(data, photometric="minisblack", metadata={"axes": "CYX", "Name": f"image {number}"})
    return path
