# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix of formats: each file goes through the whole importer, and OMERO must then hold what its maker put in.

Runs against the development server with the real Bio-Formats or, with OMERO_HOST, OMERO_PORT, OMERO_USER and OMERO_PASSWORD, a
real OMERO.server; then OMERO_MANAGED_REPOSITORY names its repository, and OMERO_TEST_DATA a folder that both see, under the
same path. All orders of a run are carried out by one worker's means, and each table is imported in one order.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.sessions import Logins
from tests.fixtures.gates import open_folder
from tests.fixtures.laboratory import furnished
from tests.fixtures.omero import OmeroServer
from tests.fixtures.postgres import new_database
from tests.fixtures.services import Services, Tracking
from tests.formats import bad, fakes, real, sets
from tests.formats.bench import Bench, aged
from tests.formats.expected import Expected
from tests.formats.table import Mixed, Table, imported


@pytest.fixture(scope="session")
def bench(postgres_url: str, template: str, devserver: OmeroServer) -> Iterator[Bench]:
    account = devserver.account
    with (
        open_folder(os.environ.get("OMERO_TEST_DATA")) as data,
        tempfile.TemporaryDirectory(prefix="adi-formats-") as folder,
        new_database(postgres_url, template) as (_, url),
        Logins(account) as logins,
        furnished(logins, account) as lab,
    ):
        settings = {
            "ingest_tracking_db": url,
            "omero_host": account.host,
            "omero_port": account.port,
            "omero_user": account.user,
            "omero_password": account.password,
            "base_dir": str(data),
            "log_file_path": f"{folder}/app.logs",
            "parallel_filesets_per_worker": 4,
        }
        with closing(Bench(lab, Tracking(url), Services(Path(folder), settings), devserver, data)) as bench:
            yield bench


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


@pytest.fixture(scope="session")
def mixed(bench: Bench) -> Mixed:
    """An order of more than 60 files of all kinds, good and bad ones, some twice, some by another file of their set."""
    folder = bench.folder("mixed")
    chosen = fakes.IMAGES[::2]
    fakes.write(folder, chosen)
    writers = dict(list(real.FILES.items())[::2]) | sets.SETS
    rows = _by_start(chosen) | {name: write(folder) for name, write in writers.items()}
    refused = {name: write(folder) for name, write in bad.BAD.items()}
    aged(folder)
    good = [row.ordered for row in rows.values()]
    others = [file for row in rows.values() for file in row.files[1:]]
    ordered = [*good, *(each.path for each in refused.values())]
    ordered = ordered[::3] + ordered[1::3] + ordered[2::3] + others + good[:5]
    paths = [str(folder / name) for name in ordered]
    into = bench.new(TargetKind.DATASET)
    foreseen = bench.foresee(*paths, into=into)
    return Mixed(
        folder=folder, rows=rows, refused=refused, ordered=paths, foreseen=foreseen, done=bench.carry_out(*paths, into=into)
    )
