# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings file that the former importer was published with is right for us, as it stands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from omero_adi_plugin.settings import Settings
from tests.fixtures.former import Former


def test_the_settings_file_of_the_package_is_right_as_it_stands(former: Former, monkeypatch: pytest.MonkeyPatch) -> None:
    [file] = (former.python.parent.parent / "lib").glob("python3*/site-packages/config/settings.yml")
    command = [sys.executable, "-m", "omero_adi_plugin", "config", "check", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == os.EX_OK, done.stdout + done.stderr
    assert "ttl_for_user_conn" in done.stdout + done.stderr
    for name in [name for name in os.environ if name.startswith(("ADI_", "INGEST_", "OMERO_", "SQLALCHEMY_"))]:
        monkeypatch.delenv(name)
    settings = Settings.load(file)
    assert settings.ingest_tracking_db.get_secret_value() == "postgresql+psycopg2://biomero:biomero@database-biomero:5432/biomero"
    assert (settings.max_workers, settings.parallel_upload_per_worker, settings.skip_all) == (4, 6, True)
    assert {"data_dir_name", "ttl_for_user_conn", "sample_pre_container"} <= set(settings.legacy)
