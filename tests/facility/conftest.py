# SPDX-License-Identifier: GPL-2.0-or-later
"""What a facility meets before an import: targets, files, names and people, each case through the whole program.

README: against the development server without any preparation. The same against a real OMERO.server, which must not be one that
people use, as it gets groups, users and images:

    OMERO_HOST=… OMERO_PORT=4064 OMERO_USER=root OMERO_PASSWORD=… OMERO_MANAGED_REPOSITORY=/OMERO/ManagedRepository \\
    OMERO_TEST_DATA=/data/adi-tests python -m pytest tests/facility

On the host of that server, as its own account or as root; OMERO_TEST_DATA is a folder that both see under the same path (default:
the temporary folder). What is written there is removed at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.facility import Facility
from tests.fixtures.gates import open_folder
from tests.fixtures.laboratory import Lab
from tests.fixtures.services import Services, Tracking


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder that the server can read from."""
    with open_folder(os.environ.get("OMERO_TEST_DATA")) as folder:
        yield folder


@pytest.fixture
def facility(lab: Lab, tracking: Tracking, services: Services) -> Facility:
    return Facility(lab, tracking, services)
