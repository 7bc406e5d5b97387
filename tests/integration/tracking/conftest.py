# SPDX-License-Identifier: GPL-2.0-or-later
"""A migrated database with our classes on it, and a producer that writes into it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.producer import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def producer(database_url: str) -> Producer:
    return Producer(database_url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, name="tests")) as database:
        yield database


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database, lease_seconds=60)


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database, pending_days=10)
