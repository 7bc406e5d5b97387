# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of the dialogs share: one server, one database and one service a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fixtures.laboratory import Lab
from tests.fixtures.office import Office, opened
from tests.fixtures.omero import running_here
from tests.fixtures.postgres import new_database
from tests.fixtures.roles import script_role
from tests.fixtures.samples import Samples


@pytest.fixture(scope="module")
def open_office(
    server_template: Path, postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    with (
        running_here(folder / "omero", template=server_template, step_seconds=0) as server,
        new_database(postgres_url, template) as (_, url),
        opened(folder, server, url, script_role(url)) as office,
    ):
        yield office


@pytest.fixture
def office(open_office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The office; this process finds settings as a script of its Processor does."""
    for name in os.environ:
        if name.startswith(("OMERO_", "ADI_", "INGEST_", "SQLALCHEMY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OMERODIR", str(open_office.settings.parents[1]))
    monkeypatch.chdir(open_office.data)  # no settings file lies there
    return open_office


@pytest.fixture
def lab(office: Office) -> Iterator[Lab]:
    with office.lab() as lab:
        yield lab


@pytest.fixture
def samples(office: Office) -> Samples:
    folder = office.data / uuid4().hex[:8]
    folder.mkdir()
    return Samples(folder)
