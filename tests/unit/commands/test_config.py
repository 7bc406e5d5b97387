# SPDX-License-Identifier: GPL-2.0-or-later
"""`config show` and `config check`: what the settings are, where they come from, what is wrong; and `--set`."""

import json
import os
import pty
import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.commands.exits import Ending, end
from omero_adi_plugin.commands.parser import configure
from omero_adi_plugin.commands.parsing.subcommands import with_our_status
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.catalogue import catalogue

SECRET = "geheim"
URL = f"postgresql://u:{SECRET}@h:5432/d"
GOOD = f"ingest_tracking_db: {URL}\nomero_password: {SECRET}\nmax_workers: 8\nlog_level: debug\n"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in list(os.environ):
        if name.startswith(("ADI_", "OMERO", "INGEST_", "SQLALCHEMY_", "PODMAN_", "USE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def adi(*words: str | Path) -> Ending:
    parser = with_our_status(ArgumentParser)(prog="adi")
    configure(parser, lambda _: None)
    return end(parser.parse_args([str(word) for word in words]))


def good(clean: Path, more: str = "") -> Path:
    file = clean / "adi.yml"
    file.write_text(GOOD + more)
    return file


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """What `config show` printed, by setting: value, source, default, description."""
    return {name: cells for name, *cells in (line.split("\t") for line in capsys.readouterr().out.splitlines()) if cells}


def facts(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_show_has_every_setting_with_value_source_default_and_description(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMERO_HOST", "omero.example.org")
    monkeypatch.setenv("ADI_LEASE_SECONDS", "90")
    file = good(clean)
    assert adi("config", "show", "--config", file, "--set", "lease_seconds=120", "--set", "skip_all=yes") == Ending(status=0)
    shown = rows(capsys)
    known = catalogue(Settings)
    assert list(shown) == ["setting", *known]
    assert [cells[3] for cells in shown.values()] == ["description", *(entry.description for entry in known.values())]
    assert shown["omero_host"][:3] == ["omero.example.org", "OMERO_HOST", "localhost"]
    assert shown["max_workers"][:3] == ["8", f"{file}:3", "4"]
    assert shown["log_level"][:3] == ["DEBUG", f"{file}:4", "INFO"]
    assert shown["lease_seconds"][:3] == ["120", "command line", "60"]
    assert shown["skip_all"][:3] == ["true", "command line", "false"]
    assert shown["log_file_path"][:3] == ["not set", "default", "not set"]
    assert shown["ingest_tracking_db"][:3] == ["postgresql://u:***@h:5432/d", f"{file}:1", "not set"]
    assert shown["omero_password"][:3] == ["***", f"{file}:2", "not set"]
    assert shown["use_register_zarr"][3].startswith("No effect yet: ")


def test_show_names_the_file_first_or_where_it_was_looked_for(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_TRACKING_DB_URL", URL)
    adi("config", "show")
    nowhere = f"file: none; looked for {clean}/config/settings.yml (and below OMERODIR, which is not set)"
    assert capsys.readouterr().out.splitlines()[0] == nowhere
    monkeypatch.setenv("OMERODIR", "/opt/omero")
    adi("config", "show")
    nowhere = f"file: none; looked for {clean}/config/settings.yml and /opt/omero/etc/omero-adi.yml"
    assert capsys.readouterr().out.splitlines()[0] == nowhere
    (clean / "config").mkdir()
    (clean / "config" / "settings.yml").touch()
    adi("config", "show")
    assert capsys.readouterr().out.splitlines()[0] == f"file: {clean}/config/settings.yml"


def test_show_for_programs(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = good(clean, "data_dir_name: x\nuse_register_zarr: true\n")
    assert adi("config", "show", "--config", file, "--json") == Ending(status=0)
    shown = facts(capsys)
    assert (shown["file"], shown["problems"]) == (str(file), [])
    assert shown["legacy"] == [{"key": "data_dir_name", "where": f"{file}:5"}]
    settings = {each["name"]: each for each in shown["settings"]}
    assert settings["max_workers"] == {
        "name": "max_workers",
        "value": 8,
        "default": 4,
        "source": f"{file}:3",
        "environment": ["ADI_MAX_WORKERS"],
        "description": catalogue(Settings)["max_workers"].description,
        "effect": True,
    }
    assert (settings["use_register_zarr"]["value"], settings["use_register_zarr"]["effect"]) == (True, False)
    assert (settings["omero_password"]["value"], settings["omero_password"]["default"]) == ("***", None)
    assert settings["base_dir"]["value"] == "/data"


def test_show_goes_on_when_something_is_wrong(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMERO_PORT", "none")
    file = clean / "adi.yml"
    file.write_text(f"max_workers: 8\nlease_seconds: 1\nomero_pasword: {SECRET}\n")
    ending = adi("config", "show", "--config", file)
    assert ending == Ending(status=os.EX_CONFIG, words="4 findings to see to, listed above with what to do.")
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"file: {file}"
    shown = {line.split("\t")[0]: line.split("\t")[1:3] for line in out.splitlines() if "\t" in line}
    assert shown["max_workers"] == ["8", f"{file}:1"]
    assert shown["omero_port"] == ["none", "OMERO_PORT"]
    assert shown["ingest_tracking_db"] == ["not set", "default"]
    problems = [line for line in out.splitlines() if line.startswith("problem: ")]
    assert [name in line for name, line in zip(("pasword", "ingest", "omero_port", "lease"), problems, strict=True)] == [True] * 4
    adi("config", "show", "--config", file, "--json")
    assert [problem["where"] for problem in facts(capsys)["problems"]] == [f"{file}:3", None, "OMERO_PORT", f"{file}:2"]


@pytest.mark.parametrize("text", ["- a", "{", "max_workers: 8\n\tx: 1"])
def test_show_goes_on_when_the_file_cannot_be_read(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("OMERO_HOST", "omero.example.org")
    file = clean / "adi.yml"
    file.write_text(text)
    assert adi("config", "show", "--config", file).words.startswith("1 finding ")
    assert rows(capsys)["omero_host"][:2] == ["omero.example.org", "OMERO_HOST"]


def test_show_goes_on_when_the_file_is_not_there(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adi("config", "show", "--config", clean / "none.yml").status == os.EX_CONFIG
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "file: none"
    assert last == f"problem: The settings file '{clean / 'none.yml'}' does not exist. Correct --config or ADI_CONFIG."


@pytest.mark.parametrize(
    "words", [("config", "show"), ("config", "show", "--json"), ("config", "check"), ("config", "check", "--json")]
)
@pytest.mark.parametrize(
    "text",
    [GOOD, f"ingest_tracking_db: mysql://u:{SECRET}@h/d", f"ingest_tracking_db: {SECRET}", f"omero_pasword: {SECRET}", SECRET],
)
def test_no_secret_is_printed(clean: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], text: str) -> None:
    file = clean / "adi.yml"
    file.write_text(text)
    ending = adi(*words, "--config", file)
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err + ending.words
    assert captured.out


def test_check_of_one_file_does_not_ask_the_environment(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMERO_PORT", "none")
    monkeypatch.setenv("ADI_MAX_WORKER", "8")
    file = clean / "adi.yml"
    file.write_text("max_workers: 8\nuse_register_zarr: true\nttl_for_user_conn: 6000000\n")
    assert adi("config", "check", file) == Ending(status=0)
    assert capsys.readouterr().out.splitlines() == [
        f"file: {file}",
        f"note: {file}:3: `ttl_for_user_conn` is a setting of the former importer that means nothing here; it can be removed.",
        f"note: {file}:2: `use_register_zarr` has no effect yet.",
        "note: `ingest_tracking_db` is not in the file, so the environment must give it, as INGEST_TRACKING_DB_URL.",
        "no mistakes found",
    ]
    assert adi("config", "check", "--config", file).status == os.EX_CONFIG


def test_check_lists_everything_with_its_line(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = clean / "adi.yml"
    file.write_text("max_worker: 8\nlease_seconds: soon\nomero_host: [a]\n")
    ending = adi("config", "check", file, "--json")
    assert ending == Ending(status=os.EX_CONFIG, words="3 findings to see to, listed above with what to do.")
    shown = facts(capsys)
    assert [(problem["setting"], problem["where"]) for problem in shown["problems"]] == [
        (None, f"{file}:1"),
        ("omero_host", f"{file}:3"),
        ("lease_seconds", f"{file}:2"),
    ]
    adi("config", "check", file)
    out = capsys.readouterr().out
    assert [f"problem: {problem['message']}" for problem in shown["problems"]] == out.splitlines()[1:4]
    assert "no mistakes found" not in out


def test_check_without_a_file_looks_at_what_would_be_used(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert adi("config", "check").status == os.EX_CONFIG
    monkeypatch.setenv("INGEST_TRACKING_DB_URL", URL)
    assert adi("config", "check") == Ending(status=0)
    assert adi("config", "check", "--set", "max_workers=0").status == os.EX_CONFIG
    assert "It comes from the command line." in capsys.readouterr().out


def test_check_of_a_file_that_is_not_there_or_of_two(clean: Path) -> None:
    missing = clean / "none.yml"
    assert adi("config", "check", missing) == Ending(
        status=os.EX_CONFIG, words=f"The settings file '{missing}' does not exist. Correct the path."
    )
    for more in (("--config", missing), ("--set", "max_workers=8")):
        assert adi("config", "check", missing, *more).status == os.EX_USAGE


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("max_worker=8", "--set: there is no setting `max_worker`. Did you mean `max_workers`?"),
        ("OMERO_HOST=h", "--set: there is no setting `OMERO_HOST`. Did you mean `omero_host`?"),
        ("max_workers", "--set needs KEY=VALUE"),
        ("=8", "--set needs KEY=VALUE"),
        ("max_workers=", "--set needs KEY=VALUE"),
        (f"omero_password {SECRET}", "--set needs KEY=VALUE"),
        (
            f"omero_password={SECRET}",
            "Set OMERO_PASSWORD in the environment, or name a file that holds it: --set omero_password_file=FILE.",
        ),
        (f"ingest_tracking_db={URL}", "Set INGEST_TRACKING_DB_URL in the environment"),
    ],
)
@pytest.mark.parametrize("command", [("config", "show"), ("db", "current")])
def test_a_setting_on_the_command_line_that_cannot_be(command: tuple[str, ...], given: str, says: str) -> None:
    ending = adi(*command, "--set", given)
    assert ending.status == os.EX_USAGE
    assert says in ending.words
    assert SECRET not in ending.words


def test_a_secret_on_the_command_line_is_the_name_of_a_file(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clean / "url").write_text(URL)
    assert adi("config", "show", "--set", "ingest_tracking_db_file=url", "--json") == Ending(status=0)
    shown = facts(capsys)["settings"][0]
    assert (shown["value"], shown["source"]) == ("postgresql://u:***@h:5432/d", "command line")


def on_terminal(*words: str, columns: int) -> list[str]:
    """Run a command on a terminal of this width, and return what stands there."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "LINES"} | {
        "COLUMNS": str(columns),
        "TERM": "xterm",
    }
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen([sys.executable, "-m", "omero_adi_plugin", *words], stdout=theirs, env=environment)
        os.close(theirs)
        seen = b""
        try:
            while part := terminal.read(65536):
                seen += part
        except OSError:  # EIO: the other side is closed
            pass
        assert process.wait(60) == os.EX_OK
    return re.sub(r"\x1b\[[\d;]*m", "", seen.decode()).replace("\r\n", "\n").splitlines()


def test_a_narrow_terminal_gets_a_paragraph_a_setting_and_nothing_is_cut(clean: Path) -> None:
    file = good(clean, "log_file_path: /var/log/omero-adi/a-rather-long-name-of-a-log-file.log\n")
    wide = on_terminal("config", "show", "--config", str(file), columns=260)
    assert wide[1].split() == ["setting", "value", "source", "default", "description"]
    narrow = on_terminal("config", "show", "--config", str(file), columns=80)
    assert f"max_workers = 8  ({file}:3; default: 4)" in narrow
    assert f"log_file_path = /var/log/omero-adi/a-rather-long-name-of-a-log-file.log  ({file}:5; default: not set)" in narrow
    described = [line.removeprefix("    ") for line in narrow if line.startswith("    ")]
    descriptions = " ".join(entry.description for entry in catalogue(Settings).values())
    assert " ".join(described) == descriptions
    assert max(map(len, described)) <= 76
    assert {"".join(lines).count("…") for lines in (wide, narrow)} == {descriptions.count("…")}
