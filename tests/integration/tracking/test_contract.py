# SPDX-License-Identifier: GPL-2.0-or-later
"""The models that producers import."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from omero_adi_plugin import STAGE_NEW_ORDER, IngestionTracking, Preprocessing
from omero_adi_plugin.orders import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Engine

    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def test_the_published_example_of_a_manual_insertion_works(engine: Engine, intake: Intake, queue: Queue) -> None:
    session = sessionmaker(bind=engine)()
    order = IngestionTracking(
        group_name="Demo",
        user_name="researcher",
        destination_id="151",
        destination_type="Dataset",
        stage=STAGE_NEW_ORDER,
        uuid="0b7e7a5e-1f0e-4a1c-9a8e-0d6a3f1b2c3d",
        files=["/data/group/image1.tif", "/data/group/image2.tif"],
    )
    preprocessing = Preprocessing(
        container="cellularimagingcf/converter:latest",
        input_file="{Files}",
        output_folder="/data",
        alt_output_folder="/out",
        extra_params={"saveoption": "single"},
    )
    order.preprocessing = preprocessing
    session.add(order)
    session.commit()
    assert order.timestamp is not None
    session.close()
    assert intake.take_in() == 1
    claim = queue.claim(owner="host:1")
    assert claim is not None
    read = claim.text.read()
    assert (read.user, read.target) == ("researcher", Target.parse("Dataset:151"))
    assert read.preprocessing is not None
    asked = read.preprocessing
    assert (asked.container, asked.parameters) == (preprocessing_image(), (("saveoption", "single"),))
    assert (asked.input_file, asked.output_folder, asked.alt_output_folder) == ("{Files}", "/data", "/out")
    assert [entry.path for entry in read.entries] == ["/data/group/image1.tif", "/data/group/image2.tif"]


def preprocessing_image() -> str:
    return "cellularimagingcf/converter:latest"


def test_a_broken_row_does_not_keep_others_from_being_read(engine: Engine, producer: Producer) -> None:
    for files in ("{", '{"a": 1}', '["/a", 1]'):
        producer.pending(files=files)
    with Session(engine) as session:
        orders = session.scalars(select(IngestionTracking).order_by(IngestionTracking.id)).all()
        assert [order.files for order in orders] == [[], [], ["/a", 1]]
        assert orders[0].file_names is None
        orders[0].description = "seen"
        session.commit()
    assert producer.sql("SELECT files FROM imports WHERE description = 'seen'") == [("{",)]


def test_the_package_itself_loads_nothing_heavy(database: Database) -> None:
    code = (
        "import sys, omero_adi_plugin as adi; light = set(sys.modules); assert adi.STAGE_NEW_ORDER == 'Import Pending'; "
        "adi.IngestionTracking; heavy = {'sqlalchemy', 'psycopg2', 'alembic', 'omero', 'Ice', 'podman', 'jpype'}; "
        "print(sorted(heavy & light), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[] ['sqlalchemy']"
