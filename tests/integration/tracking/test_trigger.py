# SPDX-License-Identifier: GPL-2.0-or-later
"""The trigger: lost or spoilt, it comes back; switched off by a person, it stays off; not wanted, it goes."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest

from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.migrate import condition, upgrade
from omero_adi_plugin.tracking.trigger import TriggerState, state
from tests.fixtures.migrating import LOCK, LOGIN_ROLE, impatient, in_schema, login, rows
from tests.fixtures.postgres import execute
from tests.fixtures.producer import Producer

DROP = "DROP TRIGGER adi_note_pending ON imports"
DEFINITIONS = """
SELECT pg_get_triggerdef(t.oid), t.tgenabled::text, pg_get_functiondef(t.tgfoid), p.proowner::regrole::text, p.proacl::text
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgname = 'adi_note_pending'
"""
FUNCTIONS = "SELECT count(*) FROM pg_proc WHERE proname = 'adi_note_pending'"

SPOILT = {
    "search path": "ALTER FUNCTION adi_note_pending() SET search_path = pg_catalog, elsewhere, pg_temp",
    "no search path": "ALTER FUNCTION adi_note_pending() RESET search_path",
    "rights of the caller": "ALTER FUNCTION adi_note_pending() SECURITY INVOKER",
    "owner": f"ALTER FUNCTION adi_note_pending() OWNER TO {LOGIN_ROLE}",
}
DISABLED = {"for all": "DISABLE TRIGGER", "but for replicas": "ENABLE REPLICA TRIGGER"}


def found(url: str) -> TriggerState:
    with closing(Database(url, name="tests")) as database, database.begin() as connection:
        return state(connection)


def noted(url: str) -> list[str]:
    """Order something; return what the inbox says then."""
    Producer(url).pending("u")
    return [uuid for (uuid,) in rows(url, "SELECT uuid FROM adi_inbox")]


@pytest.mark.parametrize(
    "loss",
    [DROP, "DROP FUNCTION adi_note_pending() CASCADE", f"{DROP}; DROP FUNCTION adi_note_pending()"],
    ids=["trigger", "function", "both"],
)
def test_a_lost_trigger_is_made_again_as_the_migration_made_it(loss: str, database_url: str) -> None:
    before = rows(database_url, DEFINITIONS)
    assert len(before) == 1
    execute(database_url, loss)
    assert found(database_url) is TriggerState.MISSING
    upgrade(database_url)
    assert found(database_url) is TriggerState.PRESENT
    assert rows(database_url, DEFINITIONS) == before
    assert noted(database_url) == ["u"]


@pytest.mark.parametrize("how", SPOILT)
def test_a_function_that_can_note_nothing_is_made_again(how: str, postgres_url: str, database_url: str) -> None:
    before = rows(database_url, DEFINITIONS)
    with login(postgres_url, database_url, "secret"):
        execute(database_url, SPOILT[how])
        assert found(database_url) is TriggerState.BROKEN
        upgrade(database_url)
        assert found(database_url) is TriggerState.PRESENT
        assert rows(database_url, DEFINITIONS) == before


def test_a_schema_that_was_renamed_notes_again(empty_database_url: str) -> None:
    old, new = (in_schema(empty_database_url, name) for name in ("old", "new"))
    upgrade(old)
    execute(empty_database_url, "DROP SCHEMA new", "ALTER SCHEMA old RENAME TO new")
    assert noted(new) == []  # what the function says went wrong nobody hears
    assert found(new) is TriggerState.BROKEN
    upgrade(new)
    assert found(new) is TriggerState.PRESENT
    assert noted(new) == ["u"]


@pytest.mark.parametrize("how", DISABLED)
def test_a_trigger_that_a_person_has_switched_off_stays_off(how: str, database_url: str) -> None:
    execute(database_url, f"ALTER TABLE imports {DISABLED[how]} adi_note_pending")
    before = rows(database_url, DEFINITIONS)
    assert not condition(database_url).needs_upgrade(trigger=True)
    upgrade(database_url)
    assert found(database_url) is TriggerState.DISABLED
    assert rows(database_url, DEFINITIONS) == before
    assert noted(database_url) == []


def test_a_trigger_that_fires_for_replicas_too_is_there(database_url: str) -> None:
    execute(database_url, "ALTER TABLE imports ENABLE ALWAYS TRIGGER adi_note_pending")
    assert found(database_url) is TriggerState.PRESENT


@pytest.mark.parametrize("before", ["SELECT", *(f"ALTER TABLE imports {how} adi_note_pending" for how in DISABLED.values())])
def test_a_trigger_that_is_not_wanted_goes_and_comes_back_when_it_is(before: str, database_url: str) -> None:
    execute(database_url, before)
    assert condition(database_url).needs_upgrade(trigger=False)
    upgrade(database_url, trigger=False)
    assert found(database_url) is TriggerState.MISSING
    assert rows(database_url, FUNCTIONS) == [(1,)]
    assert not condition(database_url).needs_upgrade(trigger=False)
    assert noted(database_url) == []
    upgrade(database_url)
    assert found(database_url) is TriggerState.PRESENT
    assert noted(database_url) == ["u"]


def test_a_new_database_that_does_without_gets_none(empty_database_url: str) -> None:
    upgrade(empty_database_url, trigger=False)
    assert found(empty_database_url) is TriggerState.MISSING
    assert not condition(empty_database_url).needs_upgrade(trigger=False)


def test_looking_at_the_trigger_waits_for_nobody(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as other, other.cursor() as cursor:
        cursor.execute(LOCK)
        cursor.execute("LOCK TABLE imports, adi_inbox IN ACCESS EXCLUSIVE MODE")
        assert found(impatient(database_url)) is TriggerState.PRESENT


def test_each_schema_has_a_trigger_of_its_own(empty_database_url: str) -> None:
    here, there = (in_schema(empty_database_url, name) for name in ("here", "there"))
    upgrade(here)
    upgrade(there)
    execute(there, DROP)
    assert (found(here), found(there)) == (TriggerState.PRESENT, TriggerState.MISSING)
    assert found(empty_database_url) is TriggerState.MISSING
    upgrade(there)
    assert noted(there) == ["u"]
    assert rows(here, "SELECT uuid FROM adi_inbox") == []
