# SPDX-License-Identifier: GPL-2.0-or-later
"""The documented Alembic commands, typed by a person: the same database as by a service, nothing of others touched."""

from __future__ import annotations

import ast
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

import omero_adi_plugin
from omero_adi_plugin.tracking.migrate import current, upgrade
from omero_adi_plugin.tracking.tracks import (
    CONTRACT_FIRST,
    CONTRACT_HEAD,
    CONTRACT_NEWER,
    PLUGIN_HEAD,
    TRACKS,
    Revisions,
)
from tests.fixtures.migrating import BY_HAND, LOCK, LOGIN_ROLE, ORDER, OUR_RELATIONS, alembic, ended, login, recorded, rows, start
from tests.fixtures.postgres import execute
from tests.fixtures.waiting import wait_until

HEAD = Revisions(contract=CONTRACT_HEAD, plugin=PLUGIN_HEAD)


def done(run: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed, which must have ended well."""
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("variable", ["INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL"])
def test_upgrade_and_check_work_with_any_password(variable: str, postgres_url: str, empty_database_url: str) -> None:
    with login(postgres_url, empty_database_url, "p%40ss") as url:
        assert "p%2540ss" in url
        execute(empty_database_url, f"GRANT ALL ON SCHEMA public TO {LOGIN_ROLE}")
        for track in TRACKS:
            done(alembic(url, "--name", track, "upgrade", "head", variable=variable))
            assert "No new upgrade operations detected" in done(alembic(url, "--name", track, "check", variable=variable))
        assert current(url) == HEAD


@pytest.mark.parametrize("track", TRACKS)
def test_autogenerate_finds_nothing_to_do(track: str, database_url: str, tmp_path: Path) -> None:
    execute(database_url, "CREATE TABLE a_table_of_others (id int)", "CREATE INDEX adi_of_ours ON imports (stage)")
    folder = tmp_path / "migrations"
    shutil.copytree(Path(omero_adi_plugin.__file__).parent / "migrations", folder)
    before = set(folder.rglob("*.py"))
    done(alembic(database_url, "--name", track, "revision", "--autogenerate", "-m", "try", folder=folder))
    [made] = set(folder.rglob("*.py")) - before
    assert made.parent == folder / track / "versions"
    functions = [node for node in ast.parse(made.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["upgrade", "downgrade"]
    for function in functions:
        assert [type(node) for node in function.body] == [ast.Expr, ast.Pass]  # a docstring, and nothing


@pytest.mark.parametrize("track", TRACKS)
def test_history_and_current_tell_the_head(track: str, database_url: str) -> None:
    head = TRACKS[track].head
    assert f"{head} (head)" in done(alembic(database_url, "--name", track, "history"))
    assert f"{head} (head)" in done(alembic(database_url, "--name", track, "current"))


def test_shared_tables_of_another_program_can_be_stamped(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, ORDER)
    done(alembic(empty_database_url, "--name", "contract", "stamp", "head"))
    assert current(empty_database_url) == Revisions(contract=CONTRACT_HEAD, plugin=None)
    done(alembic(empty_database_url, "--name", "plugin", "upgrade", "head"))
    assert current(empty_database_url) == HEAD


def test_the_contract_goes_one_down_and_up_again(database_url: str) -> None:
    execute(database_url, ORDER)
    done(alembic(database_url, "--name", "contract", "downgrade", CONTRACT_FIRST))
    assert current(database_url) == Revisions(contract=CONTRACT_FIRST, plugin=PLUGIN_HEAD)
    upgrade(database_url)
    assert current(database_url) == HEAD
    assert rows(database_url, "SELECT uuid, description FROM imports") == [("before", None)]


def test_the_record_of_all_imports_is_dropped_by_no_migration(database_url: str) -> None:
    execute(database_url, ORDER)
    refused = alembic(database_url, "--name", "contract", "downgrade", "base")
    assert refused.returncode != 0
    assert "the record of all imports" in refused.stderr
    assert current(database_url) == HEAD  # nor is it half gone
    assert rows(database_url, "SELECT uuid, description FROM imports") == [("before", None)]


def test_the_plugin_can_be_taken_off_a_database(database_url: str) -> None:
    execute(database_url, ORDER)
    done(alembic(database_url, "--name", "plugin", "downgrade", "base"))
    execute(database_url, ORDER)
    left = [name for (name,) in rows(database_url, OUR_RELATIONS)]
    assert left == ["alembic_version_omeroadi_plugin", "alembic_version_omeroadi_plugin_pkc"]  # Alembic keeps its own
    upgrade(database_url)
    assert current(database_url) == HEAD


def test_the_plugin_can_be_taken_off_when_trigger_and_function_are_lost(database_url: str) -> None:
    execute(database_url, "DROP FUNCTION adi_note_pending() CASCADE")
    done(alembic(database_url, "--name", "plugin", "downgrade", "base"))
    assert current(database_url) == Revisions(contract=CONTRACT_HEAD, plugin=None)


def test_a_newer_revision_of_the_former_importer_is_left_as_it_is(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, *recorded(CONTRACT_NEWER))
    run = alembic(empty_database_url, "--name", "contract", "upgrade", "head")
    done(run)
    assert CONTRACT_NEWER in run.stderr
    assert current(empty_database_url).contract == CONTRACT_NEWER


def test_by_hand_waits_for_a_service_that_migrates(empty_database_url: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    with closing(psycopg2.connect(empty_database_url)) as service, service.cursor() as cursor:
        cursor.execute(LOCK)
        typed = start(empty_database_url, "alembic", "-c", "migrations/alembic.ini", "--name", "contract", "upgrade", "head")
        wait_until(lambda: rows(empty_database_url, waiting) == [(1,)], what="Alembic waits for the lock")
    done(ended(typed))
    assert current(empty_database_url).contract == CONTRACT_HEAD


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "Which database? Set INGEST_TRACKING_DB_URL"),
        ("mysql://user:p%40ss@host/db", "not of the form postgresql://"),
        ("postgresql://user:p%40ss@localhost:1/db", "localhost:1/db cannot be reached"),
    ],
    ids=["none", "of another kind", "not there"],
)
def test_a_url_that_leads_nowhere_is_told_in_a_sentence(url: str, words: str) -> None:
    run = alembic(url, "--name", "contract", "upgrade", "head")
    assert run.returncode != 0
    assert words in run.stderr + run.stdout
    assert "Traceback" not in run.stderr
    assert "p%40ss" not in run.stderr + run.stdout


def test_writing_out_sql_is_refused(database_url: str) -> None:
    run = alembic(database_url, "--name", "plugin", "upgrade", "head", "--sql")
    assert run.returncode != 0
    assert "cannot be written out with --sql" in run.stderr + run.stdout
