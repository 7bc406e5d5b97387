# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations: every database that a site may have becomes one that we and the former importer can use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.orm import Session

import omero_adi_plugin
from omero_adi_plugin import STAGE_NEW_ORDER, IngestionTracking
from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.tracking import contract
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.migrate import condition, current, upgrade
from omero_adi_plugin.tracking.tracks import CONTRACT_FIRST, CONTRACT_HEAD, CONTRACT_NEWER, PLUGIN_HEAD, TRACKS, Revisions
from omero_adi_plugin.tracking.trigger import TriggerState
from tests.fixtures.migrating import BY_HAND, LOCK, ORDER, impatient, recorded, rows
from tests.fixtures.postgres import execute

HEAD = Revisions(contract=CONTRACT_HEAD, plugin=PLUGIN_HEAD)

COLUMNS = (
    "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
    "FROM information_schema.columns WHERE table_name ~ '^imports' ORDER BY 1, 2"
)


def take_in_everything(url: str) -> int:
    with closing(Database(url, name="tests")) as database:
        intake = Intake(database, pending_days=10)
        return intake.reconcile() + intake.take_in()


def test_an_empty_database_gets_all_tables(empty_database_url: str) -> None:
    assert current(empty_database_url) == Revisions(contract=None, plugin=None)
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD


def test_an_upgrade_with_nothing_to_do_waits_for_nobody(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as other, other.cursor() as cursor:
        cursor.execute(LOCK)
        cursor.execute("LOCK TABLE imports, adi_inbox, adi_order IN ACCESS EXCLUSIVE MODE")
        upgrade(impatient(database_url))


def test_the_heads_in_the_code_are_those_of_the_files() -> None:
    for track in TRACKS.values():
        ini = Path(omero_adi_plugin.__file__).parent / "migrations" / "alembic.ini"
        assert ScriptDirectory.from_config(Config(ini, ini_section=track.name)).get_heads() == [track.head]


@pytest.mark.parametrize("table", ["imports", "imports_preprocessing"])
def test_half_of_the_shared_tables_is_refused(table: str, empty_database_url: str) -> None:
    execute(empty_database_url, f"CREATE TABLE {table} (id serial PRIMARY KEY)")
    with pytest.raises(ConfigurationError, match=f"only {table} is there"):
        upgrade(empty_database_url, allow_stamp=True)
    assert current(empty_database_url) == Revisions(contract=None, plugin=None)


def test_our_tables_without_their_version_table_are_refused(database_url: str) -> None:
    execute(database_url, f"DROP TABLE {TRACKS['plugin'].version_table}")
    with pytest.raises(ConfigurationError, match="adi_order"):
        upgrade(database_url)


def test_what_shared_tables_look_like_can_be_seen_beforehand(empty_database_url: str) -> None:
    assert condition(empty_database_url).likeness is None
    execute(empty_database_url, BY_HAND)
    found = condition(empty_database_url)
    assert found.likeness is not None
    assert (found.likeness.revision, found.trigger) == (CONTRACT_HEAD, TriggerState.MISSING)
    execute(empty_database_url, "DROP INDEX ix_imports_uuid")
    found = condition(empty_database_url)
    assert found.likeness is not None
    assert found.likeness.revision is None
    assert "ix_imports_uuid" in found.likeness.difference


def test_two_services_may_start_at_once(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, ORDER)
    with ThreadPoolExecutor(4) as services:
        list(services.map(upgrade, [empty_database_url] * 4))
    assert current(empty_database_url) == HEAD


@pytest.mark.parametrize("track", TRACKS)
def test_models_and_migrations_are_equal(track: str, database_url: str) -> None:
    described = TRACKS[track]
    options: dict[str, Any] = {"include_name": described.includes_name, "include_object": described.includes}
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
    assert rows(database_url, COLUMNS) == rows(empty_database_url, COLUMNS)
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
    execute(empty_database_url, BY_HAND, ORDER, *recorded(CONTRACT_HEAD))
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD
    assert take_in_everything(empty_database_url) == 2


@pytest.mark.parametrize(
    ("revision", "column"), [(CONTRACT_NEWER, True), (CONTRACT_NEWER, False), (None, True)], ids=["both", "revision", "column"]
)
def test_a_database_of_a_newer_former_importer_is_left_as_it_is(
    revision: str | None, empty_database_url: str, *, column: bool
) -> None:
    execute(empty_database_url, BY_HAND, ORDER, *(recorded(revision) if revision else ()))
    if column:
        execute(empty_database_url, "ALTER TABLE imports ADD COLUMN import_options text")
    before = rows(empty_database_url, COLUMNS)
    upgrade(empty_database_url)
    assert rows(empty_database_url, COLUMNS) == before
    assert current(empty_database_url) == Revisions(contract=CONTRACT_NEWER, plugin=PLUGIN_HEAD)
    assert not condition(empty_database_url).needs_upgrade(trigger=True)
    assert take_in_everything(empty_database_url) == 2


@pytest.mark.parametrize("revision", [None, "0123456789ab", CONTRACT_FIRST])
def test_a_database_from_before_the_description_gets_it(revision: str | None, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, "ALTER TABLE imports DROP COLUMN description", ORDER)
    execute(empty_database_url, *(recorded(revision) if revision else ()))
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD
    assert rows(empty_database_url, "SELECT uuid, description FROM imports") == [("before", None)]


def test_an_empty_version_table_counts_as_none(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, *recorded(CONTRACT_HEAD), "DELETE FROM alembic_version_omeroadi")
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD


def test_a_column_that_a_person_has_added_does_not_hold_us_up(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, *recorded(CONTRACT_HEAD), "ALTER TABLE imports ADD COLUMN note text")
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD
    assert ("imports", "note") in {row[:2] for row in rows(empty_database_url, COLUMNS)}


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
