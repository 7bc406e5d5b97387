# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi db …`: facts on stdout, one sentence on stderr, the exit status of the contract."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import closing
from subprocess import CompletedProcess

import pytest

from omero_adi_plugin.commands.exits import end
from omero_adi_plugin.commands.parser import configure
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.migrate import current
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, CONTRACT_NEWER, PLUGIN_HEAD, Revisions
from tests.fixtures.migrating import BY_HAND, rows
from tests.fixtures.postgres import execute
from tests.fixtures.producer import Producer

UP_TO_DATE = {"contract": CONTRACT_HEAD, "plugin": PLUGIN_HEAD, "trigger": "present", "needs_upgrade": False}


Adi = Callable[..., CompletedProcess[str]]


@pytest.fixture
def adi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Adi:
    """Run a command in this process, which takes a tenth of the time; `tests/unit/commands` has what a shell adds to it."""

    def run(url: str, *arguments: str, **environment: str) -> CompletedProcess[str]:
        parser = ArgumentParser()
        configure(parser, lambda _: None)
        with monkeypatch.context() as patch:
            for name, value in {"INGEST_TRACKING_DB_URL": url, **environment}.items():
                patch.setenv(name, value)
            ending = end(parser.parse_args(arguments))
        said = capsys.readouterr()
        return CompletedProcess(arguments, ending.status, said.out, said.err + ending.words)

    return run


def facts(done: CompletedProcess[str]) -> object:
    """Return the JSON that a command has printed, which must have ended well."""
    assert (done.returncode, done.stderr) == (os.EX_OK, "")
    return json.loads(done.stdout)


def test_current_tells_what_upgrade_would_do_and_upgrade_does_it(adi: Adi, empty_database_url: str) -> None:
    assert facts(adi(empty_database_url, "db", "current", "--json")) == {
        "contract": None,
        "plugin": None,
        "trigger": "missing",
        "needs_upgrade": True,
    }
    seen = adi(empty_database_url, "db", "current")
    assert seen.stdout.splitlines()[1:] == [
        f"contract\tnone\tgo to {CONTRACT_HEAD}",
        f"plugin\tnone\tgo to {PLUGIN_HEAD}",
        "trigger\tmissing\tmake it",
    ]
    assert "omero adi db upgrade" in seen.stderr
    assert facts(adi(empty_database_url, "db", "upgrade", "--json")) == UP_TO_DATE
    seen = adi(empty_database_url, "db", "current")
    assert [line.split("\t")[2] for line in seen.stdout.splitlines()[1:]] == ["nothing"] * 3
    assert seen.stderr == ""


def test_current_tells_what_the_tables_of_another_program_look_like(adi: Adi, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, "ALTER TABLE imports ADD COLUMN import_options text")
    assert f"They look like: {CONTRACT_NEWER}" in adi(empty_database_url, "db", "current").stderr


def test_current_tells_of_a_trigger_that_is_switched_off(adi: Adi, database_url: str) -> None:
    execute(database_url, "ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    assert facts(adi(database_url, "db", "current", "--json")) == {**UP_TO_DATE, "trigger": "disabled"}
    assert "ENABLE TRIGGER" in adi(database_url, "db", "current").stderr


def test_a_site_that_scans_has_no_trigger(adi: Adi, database_url: str) -> None:
    scan = {"ADI_INTAKE": "scan"}
    assert facts(adi(database_url, "db", "current", "--json", **scan)) == {**UP_TO_DATE, "needs_upgrade": True}
    assert "trigger\tpresent\tdrop it" in adi(database_url, "db", "current", **scan).stdout
    assert facts(adi(database_url, "db", "upgrade", "--json", **scan)) == {**UP_TO_DATE, "trigger": "missing"}
    assert facts(adi(database_url, "db", "current", "--json")) == {**UP_TO_DATE, "trigger": "missing", "needs_upgrade": True}


def test_tables_of_unknown_origin_are_taken_over_when_the_setting_says_so(adi: Adi, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, "DROP INDEX ix_imports_uuid")
    refused = adi(empty_database_url, "db", "upgrade")
    assert refused.returncode == os.EX_CONFIG
    assert "db stamp" in refused.stderr
    assert facts(adi(empty_database_url, "db", "upgrade", "--json", ADI_ALLOW_AUTO_STAMP="1")) == UP_TO_DATE


def test_stamp_says_which_revision_it_is(adi: Adi, empty_database_url: str) -> None:
    nothing = adi(empty_database_url, "db", "stamp")
    assert (nothing.returncode, "db upgrade" in nothing.stderr) == (os.EX_CONFIG, True)
    execute(empty_database_url, BY_HAND)
    unknown = adi(empty_database_url, "db", "stamp", "--revision", "head")
    assert (unknown.returncode, CONTRACT_HEAD in unknown.stderr) == (os.EX_USAGE, True)
    stamped = {"contract": CONTRACT_HEAD, "plugin": None, "trigger": "missing", "needs_upgrade": True}
    assert facts(adi(empty_database_url, "db", "stamp", "--json")) == stamped
    assert facts(adi(empty_database_url, "db", "stamp", "--revision", CONTRACT_NEWER, "--json")) == {
        **stamped,
        "contract": CONTRACT_NEWER,
    }


def test_detach_gives_the_database_back_and_says_what_it_did(adi: Adi, database_url: str) -> None:
    Producer(database_url).pending("waits")
    with closing(Database(database_url, name="adi service")) as service:
        with service.begin():
            pass
        refused = adi(database_url, "db", "detach")
    assert refused.returncode == os.EX_TEMPFAIL
    assert "Stop all services" in refused.stderr
    done = facts(adi(database_url, "db", "detach", "--json"))
    assert isinstance(done, dict)
    assert (done["trigger"], done["pending"], done["failed"]) == (True, ["waits"], [])
    assert "adi_order" in done["tables"]
    assert current(database_url) == Revisions(contract=CONTRACT_HEAD, plugin=None)
    again = adi(database_url, "db", "detach")
    assert (again.returncode, again.stderr) == (os.EX_OK, "")
    assert "nothing of OMERO ADI" in again.stdout
    assert facts(adi(database_url, "db", "upgrade", "--json")) == UP_TO_DATE


def test_detach_prints_a_table_for_people(adi: Adi, database_url: str) -> None:
    Producer(database_url).pending("waits")
    lines = adi(database_url, "db", "detach").stdout.splitlines()
    assert "trigger\tdropped" in lines
    assert "orders left pending\t1" in lines
    assert "orders failed\tnone" in lines
    assert rows(database_url, "SELECT stage FROM imports") == [("Import Pending",)]


@pytest.mark.parametrize("command", ["current", "upgrade", "stamp", "detach"])
def test_a_database_that_is_not_there_is_69(adi: Adi, command: str) -> None:
    done = adi("postgresql://user:p%40ss@localhost:1/db", "db", command)
    assert done.returncode == os.EX_UNAVAILABLE
    assert "localhost:1/db cannot be reached" in done.stderr
    for word in ("p%40ss", "p@ss", "Traceback"):
        assert word not in done.stderr
