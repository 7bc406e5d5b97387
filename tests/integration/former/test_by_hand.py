# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders that people place without the former importer's package: the example of its README, and plain SQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fixtures.producer import Producer

CHANGES = (
    (
        "from omero_adi.utils.ingest_tracker import IngestionTracking, Preprocessing, STAGE_NEW_ORDER\n",
        "import uuid\n\nfrom omero_adi_plugin import IngestionTracking, Preprocessing, STAGE_NEW_ORDER\n",
    ),
    ('"postgresql://user:password@host:port/database"', "{url!r}"),
)
"""What a site changes in the example: the import, which lacked `uuid`, and the URL that it has to fill in anyway."""

MINIMAL = (
    "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files) "
    "VALUES ('Demo', 'researcher', '151', 'Dataset', 'Import Pending', 'by-hand-1', '[\"/data/group/image1.tif\"]')"
)


def run(program: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_readmes_manual_insertion_places_an_order_with_both_rows(
    database_url: str, manual_insertion: str, tmp_path: Path
) -> None:
    program = manual_insertion
    for old, new in CHANGES:
        assert program.count(old) == 1
        program = program.replace(old, new.format(url=database_url) if "{url" in new else new)
    run(program, tmp_path)
    producer = Producer(database_url)
    [[files, has_time, *order]] = producer.sql(
        "SELECT files::json, timestamp IS NOT NULL, group_name, user_name, destination_id, destination_type, stage FROM imports"
    )
    assert order == ["Demo", "researcher", "151", "Dataset", "Import Pending"]
    assert (files, has_time) == (["/data/group/image1.tif", "/data/group/image2.tif"], True)
    assert producer.sql(
        "SELECT container, input_file, output_folder, alt_output_folder, extra_params "
        "FROM imports i JOIN imports_preprocessing p ON p.id = i.preprocessing_id"
    ) == [("cellularimagingcf/converter:latest", "{Files}", "/data", "/out", {"saveoption": "single"})]
    assert producer.sql("SELECT count(*) FROM adi_inbox b JOIN imports i ON i.uuid = b.uuid") == [(1,)]


def test_the_readmes_import_is_light(tmp_path: Path) -> None:
    run(
        "import sys; from omero_adi_plugin import IngestionTracking, Preprocessing, STAGE_NEW_ORDER; "
        "assert not {'omero', 'Ice', 'jpype', 'podman', 'alembic'} & set(sys.modules), sorted(sys.modules)",
        tmp_path,
    )


def test_a_row_of_plain_sql_without_time_and_names_is_an_order(database_url: str) -> None:
    producer = Producer(database_url)
    producer.sql(MINIMAL)
    assert producer.sql("SELECT uuid FROM adi_inbox") == [("by-hand-1",)]
