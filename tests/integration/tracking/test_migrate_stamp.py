# SPDX-License-Identifier: GPL-2.0-or-later
"""Stamping: the shared tables get the revision that they look like or that a person names, and nothing else changes."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest

from omero_adi_plugin.errors import ConfigurationError, NotPermitted, UsageError
from omero_adi_plugin.tracking.migrate import current, stamp, upgrade
from omero_adi_plugin.tracking.tracks import CONTRACT_FIRST, CONTRACT_HEAD, CONTRACT_NEWER, CONTRACT_REVISIONS, Revisions
from tests.fixtures.migrating import BY_HAND, OUR_RELATIONS, impatient, login, recorded, rows
from tests.fixtures.postgres import execute

LOOKS = {
    CONTRACT_FIRST: "ALTER TABLE imports DROP COLUMN description",
    CONTRACT_HEAD: "ANALYZE imports",
    CONTRACT_NEWER: "ALTER TABLE imports ADD COLUMN import_options text",
}


@pytest.mark.parametrize("revision", CONTRACT_REVISIONS)
def test_tables_get_the_revision_that_they_look_like(revision: str, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, LOOKS[revision])
    for _ in range(2):
        assert stamp(empty_database_url) == revision
        assert current(empty_database_url) == Revisions(contract=revision, plugin=None)
    assert rows(empty_database_url, OUR_RELATIONS) == []


def test_a_wrong_revision_is_put_right(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, *recorded("0123456789ab"))
    stamp(empty_database_url)
    upgrade(empty_database_url)
    assert current(empty_database_url).contract == CONTRACT_HEAD


@pytest.mark.parametrize("revision", CONTRACT_REVISIONS)
def test_a_person_knows_better(revision: str, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND, "DROP INDEX ix_imports_uuid")
    with pytest.raises(ConfigurationError, match=r"ix_imports_uuid.*--revision"):
        stamp(empty_database_url)
    assert stamp(empty_database_url, revision=revision) == revision
    assert current(empty_database_url).contract == revision


def test_only_known_revisions_can_be_named(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND)
    with pytest.raises(UsageError, match=", ".join(CONTRACT_REVISIONS)):
        stamp(empty_database_url, revision="head")
    assert current(empty_database_url).contract is None


@pytest.mark.parametrize("revision", [None, CONTRACT_HEAD])
def test_without_tables_there_is_nothing_to_stamp(revision: str | None, empty_database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="db upgrade"):
        stamp(empty_database_url, revision=revision)
    assert current(empty_database_url).contract is None


def test_half_of_the_tables_is_refused(empty_database_url: str) -> None:
    execute(empty_database_url, "CREATE TABLE imports (id serial PRIMARY KEY)")
    with pytest.raises(ConfigurationError, match="only imports is there"):
        stamp(empty_database_url, revision=CONTRACT_HEAD)


def test_an_up_to_date_database_stays_so(database_url: str) -> None:
    before = current(database_url)
    stamp(database_url)
    assert current(database_url) == before


def test_producers_in_the_middle_of_a_transaction_are_not_waited_for(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as producer, producer.cursor() as cursor:
        cursor.execute("LOCK TABLE imports IN ROW EXCLUSIVE MODE")
        assert stamp(impatient(database_url)) == CONTRACT_HEAD


def test_an_account_without_rights_is_told_so(postgres_url: str, database_url: str) -> None:
    with login(postgres_url, database_url, "secret") as url, pytest.raises(NotPermitted, match="owner of `imports`"):
        stamp(url)
