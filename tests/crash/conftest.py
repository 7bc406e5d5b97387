# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of crashes share."""

from __future__ import annotations

import pytest

# so that what they compare is shown when they fail
pytest.register_assert_rewrite("tests.fixtures.arena", "tests.fixtures.crowd", "tests.fixtures.doomed")
