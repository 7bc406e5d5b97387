# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations: every database that a site may have becomes one that we and the former importer can use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

import omero_adi_plugin
from omero_adi_plugin import STAGE_NEW_ORDER, IngestionTracking
from omero_adi_plugin.errors import ConfigurationError, DatabaseDown, NotPermitted
from omero_adi_plugin.tracking import contract
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.migrate import current, upgrade
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, CONTRACT_NEWER, PLUGIN_HEAD, TRACKS, Revisions
from tests.fixtures.postgres import PASSWORD_ROLES, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = Revisions(contract=CONTRACT_HEAD, plugin=PLUGIN_HEAD)

BY_HAND = """
CREATE TABLE imports_preprocessing (
    id serial PRIMARY KEY, container varchar NOT NULL, input_file varchar NOT NULL, output_folder varchar NOT NULL,
    alt_output_folder varchar, extra_params json);
CREATE TABLE imports (
    id serial PRIMARY KEY, group_name varchar NOT NULL, user_name varchar NOT NULL, destination_id varchar NOT NULL,
    destination_type varchar NOT NULL, stage varchar NOT NULL, uuid varchar(36) NOT NULL, timestamp timestamptz,
    files text NOT NULL, file_names text, description text, preprocessing_id integer REFERENCES imports_preprocessing (id));
CREATE INDEX ix_imports_user_name ON imports (user_name);
CREATE INDEX ix_imports_uuid ON imports (uuid);
CREATE INDEX imports_ix_uuid_timestamp ON imports (uuid, timestamp);
"""
"""The shared tables as the contract describes them, in words that are not those of our models."""

ORDER = (
    "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files) "
    "VALUES ('Demo', 'ann', '151', 'Dataset', 'Import Pending', 'before', '[\"/a\"]')"
)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def take_in_everything(url: str) -> int:
    with closing(Database(url, name="tests")) as database:
        intake = Intake(database, pending_days=10)
        return intake.reconcile() + intake.take_in()


@contextmanager
def login(server_url: str, database_url: str, password: str) -> Iterator[str]:
    """Give the URL that an account with a password has for a database; the account may read, no more."""
    execute(server_url, f"CREATE ROLE adi_test_login LOGIN IN ROLE {PASSWORD_ROLES} PASSWORD '{password}'")
    try:
        execute(database_url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO adi_test_login")
        yield make_url(database_url).set(username="adi_test_login", password=password).render_as_string(hide_password=False)
    finally:
        execute(database_url, "DROP OWNED BY adi_test_login")
        execute(server_url, "DROP ROLE adi_test_login")


def alembic(url: str, *arguments: str, variable: str = "INGEST_TRACKING_DB_URL") -> subprocess.CompletedProcess[str]:
    ini = Path(omero_adi_plugin.__file__).parent.parent / "migrations" / "alembic.ini"
    environment = {name: value for name, value in os.environ.items() if name not in {"INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL"}}
    return subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(ini), *arguments],
        env={**environment, variable: url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_empty_database_gets_all_tables(empty_database_url: str) -> None:
    assert current(empty_database_url) == Revisions(contract=None, plugin=None)
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD


def test_a_second_upgrade_is_quick(database_url: str) -> None:
    begin = time.perf_counter()
    upgrade(database_url)
    assert time.perf_counter() - begin < 0.1


def test_the_heads_in_the_code_are_those_of_the_files() -> None:
    for track in TRACKS.values():
        ini = Path(omero_adi_plugin.__file__).parent / "migrations" / "alembic.ini"
        assert ScriptDirectory.from_config(Config(ini, ini_section=track.name)).get_heads() == [track.head]


def test_two_services_may_start_at_once(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, ORDER)
    with ThreadPoolExecutor(4) as services:
        list(services.map(upgrade, [empty_database_url] * 4))
    assert current(empty_database_url) == HEAD


@pytest.mark.parametrize("track", TRACKS)
def test_models_and_migrations_are_equal(track: str, database_url: str) -> None:
    described = TRACKS[track]
    options = {"include_name": described.includes_name, "include_object": described.includes}
    options |= {"compare_type": True, "compare_server_default": True}
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), described.metadata) == []
    engine.dispose()


def test_constraints_have_the_names_of_the_models(database_url: str, empty_database_url: str) -> None:
    """Autogenerate does not compare the names of keys and checks."""
    engine = create_engine(empty_database_url)
    for track in TRACKS.values():
        track.metadata.create_all(engine)
    engine.dispose()
    query = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0 ORDER BY 1, 2"
    )
    migrated = [row for row in rows(database_url, query) if not row[0].startswith("alembic")]
    assert migrated == rows(empty_database_url, query)
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname !~ 'alembic|adi_imports' ORDER BY 1"
    assert rows(database_url, indexes) == rows(empty_database_url, indexes)


def test_the_shared_tables_are_those_of_the_contract(database_url: str, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND)
    columns = (
        "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_name ~ '^imports' ORDER BY 1, 2"
    )
    assert rows(database_url, columns) == rows(empty_database_url, columns)
    for kind in ("get_indexes", "get_foreign_keys", "get_pk_constraint"):
        ours, theirs = (engine_inspect(url, kind) for url in (database_url, empty_database_url))
        assert [index for index in ours if index["name"] != "adi_imports_ix_pending"] == theirs


def engine_inspect(url: str, kind: str) -> list[Any]:
    engine = create_engine(url)
    found = getattr(inspect(engine), kind)("imports")
    engine.dispose()
    return sorted(found if isinstance(found, list) else [found], key=lambda thing: thing["name"])


@pytest.mark.parametrize("made_by", ["models", "hand"])
def test_tables_that_another_program_made_are_taken_over(made_by: str, empty_database_url: str) -> None:
    if made_by == "hand":
        execute(empty_database_url, BY_HAND)
    else:
        engine = create_engine(empty_database_url)
        contract.Base.metadata.create_all(engine)
        engine.dispose()
    execute(empty_database_url, ORDER)
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD
    assert take_in_everything(empty_database_url) == 2  # found, and taken in
    assert rows(empty_database_url, "SELECT uuid, state FROM adi_order") == [("before", "waiting")]


def test_tables_of_another_program_can_be_made_after_ours(database_url: str) -> None:
    engine = create_engine(database_url)
    contract.Base.metadata.create_all(engine)
    engine.dispose()
    assert current(database_url) == HEAD


def test_a_database_of_the_former_importer_goes_on(empty_database_url: str) -> None:
    execute(
        empty_database_url,
        BY_HAND,
        ORDER,
        "CREATE TABLE alembic_version_omeroadi (version_num varchar(32) PRIMARY KEY)",
        f"INSERT INTO alembic_version_omeroadi VALUES ('{CONTRACT_HEAD}')",
    )
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD
    assert take_in_everything(empty_database_url) == 2


@pytest.mark.parametrize("recorded", [CONTRACT_NEWER, None])
def test_a_database_of_a_newer_former_importer_is_left_as_it_is(recorded: str | None, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, "ALTER TABLE imports ADD COLUMN import_options text", ORDER)
    if recorded:
        execute(
            empty_database_url,
            "CREATE TABLE alembic_version_omeroadi (version_num varchar(32) PRIMARY KEY)",
            f"INSERT INTO alembic_version_omeroadi VALUES ('{recorded}')",
        )
    upgrade(empty_database_url)
    assert current(empty_database_url) == Revisions(contract=CONTRACT_NEWER, plugin=PLUGIN_HEAD)
    assert take_in_everything(empty_database_url) == 2
    by_hand = alembic(empty_database_url, "--name", "contract", "upgrade", "head")
    assert by_hand.returncode == 0, by_hand.stderr
    assert CONTRACT_NEWER in by_hand.stderr


@pytest.mark.parametrize("recorded", [None, "0123456789ab"])
def test_a_database_from_before_the_description_gets_it(recorded: str | None, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, "ALTER TABLE imports DROP COLUMN description", ORDER)
    if recorded:
        execute(
            empty_database_url,
            "CREATE TABLE alembic_version_omeroadi (version_num varchar(32) PRIMARY KEY)",
            f"INSERT INTO alembic_version_omeroadi VALUES ('{recorded}')",
        )
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD
    assert rows(empty_database_url, "SELECT uuid, description FROM imports") == [("before", None)]


def test_tables_of_unknown_origin_are_not_touched_unless_allowed(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, "DROP INDEX ix_imports_uuid")
    with pytest.raises(ConfigurationError, match="ADI_ALLOW_AUTO_STAMP"):
        upgrade(empty_database_url)
    assert current(empty_database_url) == Revisions(contract=None, plugin=None)
    upgrade(empty_database_url, allow_stamp=True)
    assert current(empty_database_url) == HEAD


@pytest.mark.parametrize("track", TRACKS)
def test_a_revision_from_the_future_is_refused(track: str, database_url: str) -> None:
    table = TRACKS[track].version_table
    execute(database_url, f"UPDATE {table} SET version_num = 'ffffffffffff'")
    with pytest.raises(ConfigurationError, match=table):
        upgrade(database_url)


def test_an_account_that_does_not_own_the_tables_is_told_so(postgres_url: str, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND)
    with login(postgres_url, empty_database_url, "secret") as url:
        execute(empty_database_url, "GRANT ALL ON SCHEMA public TO PUBLIC", "GRANT ALL ON imports TO PUBLIC")
        with pytest.raises(NotPermitted, match="owner of `imports`"):
            upgrade(url)
        assert current(empty_database_url) == Revisions(contract=None, plugin=None)
        execute(empty_database_url, "REVOKE ALL ON SCHEMA public FROM PUBLIC")


@pytest.mark.parametrize("variable", ["INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL"])
def test_the_documented_commands_work_by_hand(variable: str, postgres_url: str, empty_database_url: str) -> None:
    with login(postgres_url, empty_database_url, "p%40ss") as url:
        execute(empty_database_url, "GRANT ALL ON SCHEMA public TO PUBLIC")
        for track in TRACKS:
            done = alembic(url, "--name", track, "upgrade", "head", variable=variable)
            assert done.returncode == 0, done.stderr
            check = alembic(url, "--name", track, "check", variable=variable)
            assert "No new upgrade operations detected" in check.stdout, check.stderr
        assert current(url) == HEAD
        execute(empty_database_url, "REASSIGN OWNED BY adi_test_login TO CURRENT_USER", "DROP OWNED BY adi_test_login")


def test_the_plugin_can_be_taken_off_a_database(database_url: str) -> None:
    execute(database_url, ORDER)
    done = alembic(database_url, "--name", "plugin", "downgrade", "base")
    assert done.returncode == 0, done.stderr
    execute(database_url, ORDER)
    left = rows(
        database_url, "SELECT relname FROM pg_class WHERE relname ~ '^adi_|_adi_' AND relnamespace = 'public'::regnamespace"
    )
    assert left == []
    upgrade(database_url)
    assert current(database_url) == HEAD


def test_a_percent_sign_in_the_password_works(postgres_url: str, database_url: str) -> None:
    with login(postgres_url, database_url, "p%40s%s") as url:
        assert current(url) == HEAD
        with closing(Database(url, name="tests")) as database, database.begin():
            pass
        wrong = url.replace("p%2540s%25s", "wr%40ng")
        with pytest.raises(DatabaseDown, match="password") as caught:
            current(wrong)
        assert "wr@ng" not in str(caught.value)
        assert "wr%40ng" not in str(caught.value)


def test_a_transaction_that_is_open_for_long_is_named_and_the_producers_go_on(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omero_adi_plugin.tracking.migrate.LOCK_SECONDS", 1)
    execute(empty_database_url, BY_HAND)
    with closing(psycopg2.connect(empty_database_url)) as producer, producer.cursor() as cursor:
        cursor.execute(ORDER)
        with pytest.raises(DatabaseDown, match="lock"):
            upgrade(empty_database_url)
        producer.commit()
    upgrade(empty_database_url)
    assert take_in_everything(empty_database_url) == 2


def test_an_order_of_the_models_reaches_the_inbox(database_url: str) -> None:
    engine = create_engine(database_url)
    with Session(engine) as session:
        session.add(
            IngestionTracking(
                group_name="Demo",
                user_name="ann",
                destination_id="1",
                destination_type="Dataset",
                stage=STAGE_NEW_ORDER,
                uuid="u",
                files=["/a"],
            )
        )
        session.commit()
    engine.dispose()
    assert rows(database_url, "SELECT uuid FROM adi_inbox") == [("u",)]
