# SPDX-License-Identifier: GPL-2.0-or-later
"""Producers: orders placed as other programs place them: by SQL, by a script with the published models, by our function."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

from omero_adi_plugin import Preprocessing, submit_order
from omero_adi_plugin.commands.demo.processes import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.commands.demo.folder import Folder
    from omero_adi_plugin.commands.demo.lab import Lab
    from omero_adi_plugin.commands.demo.postgres import Postgres

SCRIPT = '''\
"""Place one order, as any program can that reaches the database: python order.py GROUP USER DATASET FILE…"""

import os
import sys
import uuid

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from omero_adi_plugin import STAGE_NEW_ORDER, IngestionTracking

group, user, dataset, *files = sys.argv[1:]
engine = create_engine(os.environ["INGEST_TRACKING_DB_URL"])
with sessionmaker(bind=engine).begin() as session:
    order = IngestionTracking(
        group_name=group,
        user_name=user,
        destination_id=dataset,
        destination_type="Dataset",
        stage=STAGE_NEW_ORDER,
        uuid=str(uuid.uuid4()),
        files=files,
    )
    session.add(order)
    print(order.uuid)
'''


def order_by_sql(postgres: Postgres, lab: Lab, path: Path) -> str:
    """Insert the row of an order with psql; return its uuid."""
    uuid = str(uuid4())
    values = (lab.group, lab.user, str(lab.dataset), "Dataset", "Import Pending", uuid, json.dumps([str(path)]))
    columns = "group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp"
    quoted = ", ".join(_quoted(value) for value in values)
    postgres.psql(f"INSERT INTO imports ({columns}) VALUES ({quoted}, now())")  # noqa: S608 (no values but our own, and quoted)
    return uuid


def order_by_script(folder: Folder, postgres: Postgres, lab: Lab, path: Path) -> str:
    """Write the script, run it, and return the uuid that it prints.

    Raises
    ------
    subprocess.CalledProcessError
        The script failed.
    """
    script = folder.path / "order.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), lab.group, lab.user, str(lab.dataset), str(path)],
        env=clean_environment() | {"INGEST_TRACKING_DB_URL": postgres.url},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def order_by_client(postgres: Postgres, lab: Lab, path: Path, *, container: str) -> str:
    """Order with the function for programs in Python, and have a converter make something else of the file first."""
    return submit_order(
        [path],
        user=lab.user,
        group=lab.group,
        target=f"Dataset:{lab.dataset}",
        preprocessing=Preprocessing(container=container),
        url=postgres.url,
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
