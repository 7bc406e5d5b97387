# SPDX-License-Identifier: GPL-2.0-or-later
"""A migrated database, and nothing in the environment that says where it is."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL", "ADI_INGEST_TRACKING_DB", "ADI_CONFIG", "OMERODIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
