# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files with secrets every account of the host can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.catalogue import catalogue
from omero_adi_plugin.settings.exposure import exposed

PASSWORDS = "omero_password: secret\n"


@pytest.fixture(autouse=True)
def no_settings_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in catalogue(Settings).values():
        for variable in entry.variables:
            monkeypatch.delenv(variable, raising=False)
            monkeypatch.delenv(f"{variable}_FILE", raising=False)


def written(folder: Path, text: str, *, mode: int = 0o644, name: str = "settings.yml") -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(mode)
    return file


def found(file: Path | None) -> list[Path]:
    return exposed(catalogue(Settings), file)


def test_a_file_with_a_secret_that_all_can_read_is_named(open_to_all: Path) -> None:
    file = written(open_to_all, PASSWORDS)
    assert found(file) == [file]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_one_that_not_all_can_read_is_not(open_to_all: Path, mode: int) -> None:
    assert found(written(open_to_all, PASSWORDS, mode=mode)) == []


def test_one_in_a_folder_that_not_all_can_enter_is_not(open_to_all: Path) -> None:
    file = written(open_to_all, PASSWORDS)
    open_to_all.chmod(0o750)
    assert found(file) == []


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        ("ingest_tracking_db: postgresql://adi:word@host/db\n", True),
        ("ingest_tracking_db: postgresql://adi@host/db?password=word\n", True),
        ("ingest_tracking_db: postgresql://adi@host:5432/db?sslmode=require\n", False),
        ("ingest_tracking_db: ''\nomero_password:\n", False),
        ("max_workers: 4\n", False),
        ("omero_password: [a, b]\n", False),
        ("omero_password: : :\n", False),
        ("", False),
    ],
)
def test_only_what_is_secret_counts(open_to_all: Path, text: str, *, is_secret: bool) -> None:
    file = written(open_to_all, text)
    assert found(file) == ([file] if is_secret else [])


def test_files_that_hold_a_secret_alone_count_wherever_they_are_named(open_to_all: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, kept = (written(open_to_all, "secret\n", name=name) for name in ("one", "other", "kept"))
    kept.chmod(0o600)
    file = written(open_to_all, f"omero_password_file: {one}\n")
    assert found(file) == [one]
    monkeypatch.setenv("INGEST_TRACKING_DB_URL_FILE", str(other))
    assert found(file) == [one, other]
    monkeypatch.setenv("OMERO_PASSWORD_FILE", str(kept))
    assert found(None) == [other]
    other.unlink()
    assert found(None) == []
