# SPDX-License-Identifier: GPL-2.0-or-later
"""What all tests share."""

import signal

pytest_plugins = [
    "tests.fixtures.garbage",  # first: it keeps the rest of the start short
    "tests.fixtures.omero",
    "tests.fixtures.omero_people",
    "tests.fixtures.omero_pixels",
    "tests.fixtures.omero_scripts",
    "tests.fixtures.podman",
    "tests.fixtures.postgres",
    "tests.fixtures.queueing",
    "tests.fixtures.former",
    "tests.fixtures.laboratory",
    "tests.fixtures.official",
    "tests.fixtures.samples",
    "tests.fixtures.runs",
    "tests.fixtures.services",
    "tests.fixtures.grid",
    "tests.fixtures.spreading",
    "tests.fixtures.inside",
    "tests.fixtures.converted",
    "tests.fixtures.converting",
    "tests.fixtures.open_folder",
    "tests.fixtures.tested",
    "tests.fixtures.cluster",  # last: what it imports must be registered before
]


def pytest_configure() -> None:
    # a shell without job control starts what is in the background with SIGINT ignored, which every child would inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
