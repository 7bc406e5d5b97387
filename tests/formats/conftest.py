# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix of formats: each file goes through the whole importer, and OMERO must then hold what its maker put in.

Runs against the development server with the real Bio-Formats or, with OMERO_HOST, OMERO_PORT, OMERO_USER and OMERO_PASSWORD, a
real OMERO.server; then OMERO_MANAGED_REPOSITORY names its repository, and OMERO_TEST_DATA a folder that both see, under the
same path. All orders of a run are carried out by one worker's means, and each table is imported in one order.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.sessions import Logins
from tests.fixtures.laboratory import furnished
from tests.fixtures.omero import OmeroServer
from tests.fixtures.postgres import new_database
from tests.fixtures.services import Services, Tracking
from tests.formats import fakes, real, sets
from tests.formats.bench import Bench
from tests.formats.expected import Expected
from tests.formats.table import Table, imported


@pytest.fixture(scope="session")
def bench(postgres_url: str, template: str, devserver: OmeroServer) -> Iterator[Bench]:
    above = os.environ.get("OMERO_TEST_DATA")
    folder = Path(tempfile.mkdtemp(prefix="adi-formats-", dir=above))
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    account = devserver.account
    try:
        with new_database(postgres_url, template) as (_, url), Logins(account) as logins, furnished(logins, account) as lab:
            settings = {
                "ingest_tracking_db": url,
                "omero_host": account.host,
                "omero_port": account.port,
                "omero_user": account.user,
                "omero_password": account.password,
                "base_dir": str(data),
                "log_file_path": str(folder / "app.logs"),
                "parallel_filesets_per_worker": 4,
            }
            bench = Bench(lab, Tracking(url), Services(folder, settings), devserver, data)
            try:
                yield bench
            finally:
                bench.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _by_start(rows: tuple[Expected, ...]) -> dict[str, Expected]:
    return {row.ordered: row for row in rows}


@pytest.fixture(scope="session")
def fake_images(bench: Bench) -> Table:
    folder = bench.folder("fakes")
    fakes.write(folder, fakes.IMAGES)
    return imported(bench, folder, _by_start(fakes.IMAGES), TargetKind.DATASET)


@pytest.fixture(scope="session")
def fake_plates(bench: Bench) -> Table:
    folder = bench.folder("plates")
    fakes.write(folder, fakes.PLATES)
    rows = _by_start(fakes.PLATES) | {name: write(folder) for name, write in sets.PLATES.items()}
    return imported(bench, folder, rows, TargetKind.SCREEN)


@pytest.fixture(scope="session")
def real_files(bench: Bench) -> Table:
    folder = bench.folder("real")
    rows = {name: write(folder) for name, write in (real.FILES | sets.SETS).items()}
    return imported(bench, folder, rows, TargetKind.DATASET)


@pytest.fixture
def dataset(bench: Bench) -> Target:
    return bench.new(TargetKind.DATASET)
