# SPDX-License-Identifier: GPL-2.0-or-later
"""Secrets: in files of their own, and out of sight everywhere."""

import pickle
import traceback
from pathlib import Path

import pytest

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.secret import shown_url

SECRET = "geheim"
URL = f"postgresql://u:{SECRET}@h/d"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL", "OMERO_PASSWORD", "ADI_OMERO_PASSWORD", "ADI_CONFIG", "OMERODIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str) -> Settings:
    Path("s.yml").write_text(text, encoding="utf-8")
    return Settings.load(Path("s.yml"))


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    return str(caught.value)


def password(settings: Settings) -> str:
    return settings.omero_password.get_secret_value()


@pytest.mark.parametrize("variable", ["INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL", "ADI_INGEST_TRACKING_DB"])
def test_the_database_url_can_stand_in_a_file(clean: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    (clean / "url").write_text(f"{URL}\n")
    monkeypatch.setenv(f"{variable}_FILE", str(clean / "url"))
    assert Settings.load().ingest_tracking_db.get_secret_value() == URL


@pytest.mark.parametrize(
    ("content", "value"),
    [("geheim\n", "geheim"), ("geheim", "geheim"), ("geheim\r\n", "geheim"), (" ge heim \n", " ge heim "), ("a\n\n", "a\n")],
)
def test_only_the_newline_at_the_end_is_no_part_of_the_secret(
    clean: Path, monkeypatch: pytest.MonkeyPatch, content: str, value: str
) -> None:
    (clean / "password").write_bytes(content.encode())
    monkeypatch.setenv("OMERO_PASSWORD_FILE", str(clean / "password"))
    assert password(load(f"ingest_tracking_db: {URL}")) == value


@pytest.mark.parametrize("written", ["0123", "1e5", "yes", "2024-01-01", "0x1F", "1_000", "[geheim", "' ge heim '"])
def test_a_password_is_what_was_written(written: str) -> None:
    quoted = f'"{written}"' if written.startswith("[") else written
    assert password(load(f"ingest_tracking_db: {URL}\nomero_password: {quoted}")) == written.strip("'")


def test_the_settings_file_names_files_with_secrets(clean: Path) -> None:
    (clean / "url").write_text(URL)
    (clean / "password").write_text(f"{SECRET}\n")
    settings = load("ingest_tracking_db_file: url\nomero_password_file: password")
    assert (settings.ingest_tracking_db.get_secret_value(), password(settings)) == (URL, SECRET)


def test_the_environment_goes_over_a_file_that_the_settings_file_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMERO_PASSWORD", "other")
    assert password(load(f"ingest_tracking_db: {URL}\nomero_password_file: none")) == "other"


@pytest.mark.parametrize("variable", ["OMERO_PASSWORD", "ADI_OMERO_PASSWORD"])
def test_a_secret_that_is_given_twice_is_refused(clean: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    (clean / "password").write_text(SECRET)
    monkeypatch.setenv(variable, SECRET)
    monkeypatch.setenv(f"{variable}_FILE", "password")
    says = (
        f"`omero_password` and `omero_password_file` are both given, by {variable} and by {variable}_FILE. Keep one of the two."
    )
    assert refusal(f"ingest_tracking_db: {URL}") == says


def test_a_secret_that_the_settings_file_gives_twice_is_refused() -> None:
    said = refusal(f"ingest_tracking_db: {URL}\nomero_password: {SECRET}\nomero_password_file: password")
    assert said.endswith("are both given, by s.yml:2 and by s.yml:3. Keep one of the two.")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), (b"", "it is empty"), (b"\n", "it is empty"), (b"\xff", "not in UTF-8")],
)
def test_a_file_that_holds_no_secret_is_refused(
    clean: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, why: str
) -> None:
    if content is not None:
        (clean / "password").write_bytes(content)
    monkeypatch.setenv("OMERO_PASSWORD_FILE", "password")
    said = refusal(f"ingest_tracking_db: {URL}\nomero_password: {SECRET}")
    assert said.startswith(
        "`omero_password` cannot be read from the file that OMERO_PASSWORD_FILE names (`omero_password_file`): "
    )
    assert why in said
    assert "Correct the path or the file, or give `omero_password` itself instead." in said


def test_a_url_that_cannot_be_read_is_not_also_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_TRACKING_DB_URL_FILE", "none")
    assert "is missing" not in refusal("")


@pytest.mark.parametrize(
    "text",
    [
        f"omero_password: {SECRET}\nlease_seconds: soon",
        f"omero_password: [{SECRET}]",
        f"omero_password: {{{SECRET}: 1}}",
        f"omero_password: !{SECRET} x",
        f"omero_password: !{SECRET}!x y",
        f"omero_password: *{SECRET}",
        f"omero_password: &{SECRET}",
        f"omero_password: '{SECRET}",
        f'omero_password: "{SECRET}\\{SECRET}"',
        f"omero_password: {SECRET}: {SECRET}",
        f"omero_password: %{SECRET}\n  {SECRET}\n{SECRET}",
        f"omero_password: {SECRET}\x07",
        f"omero_password: @{SECRET}",
        f"omero_password: {SECRET}\nomero_password: {SECRET}2",
        f"omero_pasword: {SECRET}",
        f"omero_password_file: {SECRET}",
        f"omero_password:{SECRET}",
        SECRET,
        f"- {SECRET}",
        f"{{{URL}}}",
        f"{URL}: 5432/d",
        f"{URL}: 5432/d\n{URL}: 5432/d",
        f"ingest_tracking_db: mysql://u:{SECRET}@h/d",
        f"ingest_tracking_db: {SECRET}",
        f"--- {SECRET}\n--- {SECRET}",
        f"<<: *{SECRET}",
        f"? [{SECRET}]\n: {SECRET}",
        "[" * 5000 + SECRET,
        f"%{SECRET}",
    ],
)
def test_no_error_holds_a_secret_not_even_in_what_caused_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    error: BaseException | None = caught.value
    assert SECRET not in "".join(traceback.format_exception(error))
    while error is not None:
        assert SECRET not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__


def test_secrets_stay_out_of_sight_and_settings_travel_to_workers() -> None:
    settings = load(f"ingest_tracking_db: {URL}\nomero_password: {SECRET}\n")
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 (our own bytes)
    assert password(pickle.loads(pickle.dumps(settings))) == SECRET  # noqa: S301


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "postgresql://u:***@h/d"),
        ("postgresql+psycopg2://u:geheim@h:5432/d?sslmode=require", "postgresql+psycopg2://u:***@h:5432/d?sslmode=require"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:@/d?host=/run/postgresql", "postgresql://u:***@/d?host=/run/postgresql"),
        ("postgresql://u:p%40ss@[::1]:5432/d", "postgresql://u:***@[::1]:5432/d"),
        ("postgresql://u:geheim@ge:heim@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:ge/geheim?geheim#geheim@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=geheim&port=1", "postgresql://h/d?user=***&password=***&port=1"),
        ("postgresql://h/d?password=geheim@1", "***"),
        ("postgresql:/u:geheim@h/d", "***"),
        ("geheim", "***"),
        ("postgresql://u:geheim", "***"),
        ("postgresql://h/d#geheim", "***"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown
