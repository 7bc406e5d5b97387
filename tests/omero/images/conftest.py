# SPDX-License-Identifier: GPL-2.0-or-later
"""One user, logged in once, for all tests of a file, each of which has images of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, User, make_user


@pytest.fixture(scope="module")
def user(devserver: OmeroServer) -> User:
    return make_user(devserver)


@pytest.fixture(scope="module")
def client(devserver: OmeroServer, user: User) -> Iterator[Any]:
    with devserver.client(user.name, PASSWORD) as client:
        yield client
