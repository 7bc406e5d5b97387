# SPDX-License-Identifier: GPL-2.0-or-later
"""What these tests share."""

import pytest

from tests.fixtures import earlier


@pytest.fixture(autouse=True)
def count_from_here() -> None:
    """Let a test that counts threads and processes count its own."""
    earlier.remember()
