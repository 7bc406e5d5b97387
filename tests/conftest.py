# SPDX-License-Identifier: GPL-2.0-or-later
"""What all tests share."""

pytest_plugins = [
    "tests.fixtures.omero",
    "tests.fixtures.postgres",
    "tests.fixtures.laboratory",
    "tests.fixtures.samples",
    "tests.fixtures.services",
]
