# SPDX-License-Identifier: GPL-2.0-or-later
"""What all tests share."""

import os
import signal

import pytest

pytest_plugins = [
    "tests.fixtures.omero",
    "tests.fixtures.omero_people",
    "tests.fixtures.omero_pixels",
    "tests.fixtures.omero_scripts",
    "tests.fixtures.postgres",
    "tests.fixtures.queueing",
    "tests.fixtures.former",
    "tests.fixtures.laboratory",
    "tests.fixtures.official",
    "tests.fixtures.samples",
    "tests.fixtures.runs",
    "tests.fixtures.services",
    "tests.fixtures.inside",
    "tests.fixtures.tested",
    "tests.fixtures.cluster",  # last: what it imports must be registered before
]


def pytest_configure() -> None:
    # a shell without job control starts what is in the background with SIGINT ignored, which every child would inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, which not everybody has who runs a single test
def pytest_xdist_auto_num_workers() -> int:
    """With --numprocesses=auto: one more than there are processors.

    A process of tests waits a third of its time, for services to start, leases to lapse and servers to come back.
    """
    return len(os.sched_getaffinity(0)) + 1
