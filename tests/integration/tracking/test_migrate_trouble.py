# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations when something is in the way: other processes, locks, a connection that dies, missing rights, odd schemas."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from omero_adi_plugin.errors import ConfigurationError, DatabaseDown, NotPermitted
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.migrate import current, upgrade
from omero_adi_plugin.tracking.tracks import CONTRACT_FIRST, CONTRACT_HEAD, PLUGIN_HEAD, Revisions
from tests.fixtures.migrating import BY_HAND, LOGIN_ROLE, ORDER, OUR_RELATIONS, ended, in_schema, login, recorded, rows, start
from tests.fixtures.postgres import execute
from tests.fixtures.producer import Producer
from tests.fixtures.waiting import wait_until

HEAD = Revisions(contract=CONTRACT_HEAD, plugin=PLUGIN_HEAD)
NEW = Revisions(contract=None, plugin=None)

WAITS_FOR_A_LOCK = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'omero-adi migrations' AND wait_event_type = 'Lock'
"""


@pytest.mark.parametrize("before", ["empty", "former"])
def test_two_processes_may_start_at_once(before: str, empty_database_url: str) -> None:
    if before == "former":
        execute(empty_database_url, BY_HAND, "ALTER TABLE imports DROP COLUMN description", *recorded(CONTRACT_FIRST), ORDER)
    both = [start(empty_database_url, "omero_adi_plugin", "db", "upgrade", "--json") for _ in range(2)]
    for process in both:
        done = ended(process)
        assert done.returncode == os.EX_OK, done.stderr
    assert current(empty_database_url) == HEAD
    Producer(empty_database_url).pending("after")
    assert rows(empty_database_url, "SELECT uuid FROM adi_inbox") == [("after",)]


def test_an_upgrade_that_dies_in_the_middle_leaves_nothing_half_done(empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND)
    with ThreadPoolExecutor(1) as service, closing(psycopg2.connect(empty_database_url)) as producer, producer.cursor() as cursor:
        cursor.execute(ORDER)
        upgrading = service.submit(upgrade, empty_database_url)
        [(pid,)] = wait_until(lambda: rows(empty_database_url, WAITS_FOR_A_LOCK), what="the upgrade waits for the producer")
        execute(empty_database_url, f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(DatabaseDown):
            upgrading.result(timeout=60)
        assert current(empty_database_url) == NEW
        assert rows(empty_database_url, OUR_RELATIONS) == []
        producer.commit()
    upgrade(empty_database_url)
    assert current(empty_database_url) == HEAD


def test_a_transaction_that_is_open_for_long_is_named_and_the_producers_go_on(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omero_adi_plugin.tracking.migrate.LOCK_SECONDS", 0.2)
    execute(empty_database_url, BY_HAND)
    with ThreadPoolExecutor(1) as service, closing(psycopg2.connect(empty_database_url)) as producer, producer.cursor() as cursor:
        cursor.execute(ORDER)
        with pytest.raises(DatabaseDown, match="lock"):
            service.submit(upgrade, empty_database_url).result(timeout=20)
        producer.commit()
    upgrade(empty_database_url)
    with closing(Database(empty_database_url, name="tests")) as database:
        assert Intake(database, pending_days=10).reconcile() == 1


def test_an_account_that_does_not_own_the_tables_is_told_so(postgres_url: str, empty_database_url: str) -> None:
    execute(empty_database_url, BY_HAND)
    with login(postgres_url, empty_database_url, "secret") as url:
        execute(empty_database_url, f"GRANT ALL ON SCHEMA public TO {LOGIN_ROLE}", f"GRANT ALL ON imports TO {LOGIN_ROLE}")
        with pytest.raises(NotPermitted, match="owner of `imports`"):
            upgrade(url)
        assert current(empty_database_url) == NEW


def test_an_account_that_may_make_no_table_is_told_so(postgres_url: str, empty_database_url: str) -> None:
    execute(empty_database_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # as PostgreSQL 15 and later have it
    with login(postgres_url, empty_database_url, "secret") as url, pytest.raises(NotPermitted, match="schema public"):
        upgrade(url)


def test_a_producer_without_rights_is_told_so(postgres_url: str, database_url: str) -> None:
    with (
        login(postgres_url, database_url, "secret") as url,
        closing(Database(url, name="tests")) as database,
        pytest.raises(NotPermitted, match=r"permission denied for table imports.*grant"),
        database.begin() as connection,
    ):
        connection.exec_driver_sql(ORDER)


def test_a_percent_sign_in_the_password_works(postgres_url: str, database_url: str) -> None:
    with login(postgres_url, database_url, "p%40s%s") as url:
        assert current(url) == HEAD
        upgrade(url)
        wrong = url.replace("p%2540s%25s", "wr%40ng")
        assert wrong != url
        with pytest.raises(DatabaseDown, match="password") as caught:
            current(wrong)
        assert "wr@ng" not in str(caught.value)
        assert "wr%40ng" not in str(caught.value)


def test_each_schema_of_a_database_is_one_of_its_own(empty_database_url: str) -> None:
    here, there = (in_schema(empty_database_url, name) for name in ("here", '"Over-There"'))
    execute(there, BY_HAND, ORDER)
    upgrade(here)
    assert (current(here), current(there), current(empty_database_url)) == (HEAD, NEW, NEW)
    upgrade(there)
    assert current(there) == HEAD
    Producer(here).pending("ours")
    Producer(there).pending("theirs")
    assert rows(here, "SELECT uuid FROM adi_inbox") == [("ours",)]
    assert rows(there, "SELECT uuid FROM adi_inbox") == [("theirs",)]
    assert rows(empty_database_url, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_a_search_path_that_leads_nowhere_is_told_in_a_sentence(empty_database_url: str) -> None:
    url = in_schema(empty_database_url, "here")
    execute(empty_database_url, "DROP SCHEMA here")
    with pytest.raises(ConfigurationError, match="search_path"):
        upgrade(url)
