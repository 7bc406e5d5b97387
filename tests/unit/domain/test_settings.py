# SPDX-License-Identifier: GPL-2.0-or-later
"""Where settings come from, and what is said when one is wrong."""

import pickle
from pathlib import Path

import pytest

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.settings import Settings, find_file


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL", "OMERO_HOST", "OMERO_PORT", "OMERO_USER", "OMERO_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ADI_CONFIG", "OMERODIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_command_line_over_environment_over_file(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(clean / "s.yml", "ingest_tracking_db: postgresql://f@h/d\nmax_workers: 2\nomero_port: 1\nbase_dir: /imaging\n")
    monkeypatch.setenv("OMERO_PORT", "14064")
    monkeypatch.setenv("ADI_MAX_WORKERS", "3")
    settings = Settings.load(file, max_workers=5)
    assert (settings.max_workers, settings.omero_port, settings.base_dir) == (5, 14064, Path("/imaging"))
    assert Settings.load(file).max_workers == 3


def test_a_database_url_may_stand_where_older_programs_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLALCHEMY_URL", "postgresql://s@h/d")
    assert Settings.load().ingest_tracking_db.get_secret_value() == "postgresql://s@h/d"
    monkeypatch.setenv("INGEST_TRACKING_DB_URL", "postgresql://i@h/d")
    assert Settings.load().ingest_tracking_db.get_secret_value() == "postgresql://i@h/d"


def test_the_file_is_looked_for_in_this_order(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_file(None) is None
    server = write(clean / "server" / "etc" / "omero-adi.yml", "")
    monkeypatch.setenv("OMERODIR", str(clean / "server"))
    assert find_file(None) == server
    write(clean / "config" / "settings.yml", "")
    assert find_file(None) == Path("config/settings.yml")
    named = write(clean / "named.yml", "")
    monkeypatch.setenv("ADI_CONFIG", str(named))
    assert find_file(None) == named
    assert find_file(server) == server


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "INGEST_TRACKING_DB_URL. is missing"),
        ("ingest_tracking_db: x\nlease_seconds: soon\n", "`lease_seconds` .ADI_LEASE_SECONDS. is wrong"),
        ("ingest_tracking_db: x\nlease_seconds: 1\n", "`lease_seconds` .ADI_LEASE_SECONDS. is wrong"),
        ("{", "cannot be read"),
        ("- a\n- b\n", "is not made of lines"),
    ],
)
def test_a_wrong_setting_is_named(clean: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Settings.load(write(clean / "s.yml", text))


def test_a_named_file_that_is_not_there_is_an_error(clean: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        Settings.load(clean / "none.yml")


def test_passwords_stay_out_of_sight_and_settings_travel_to_workers(clean: Path) -> None:
    file = write(clean / "s.yml", "ingest_tracking_db: postgresql://u:geheim@h/d\nomero_password: geheim\n")
    settings = Settings.load(file)
    assert "geheim" not in f"{settings!r} {settings}"
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 (our own bytes)
