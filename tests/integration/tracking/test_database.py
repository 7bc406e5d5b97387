# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of the database as ours."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from omero_adi_plugin.errors import ConfigurationError, DatabaseDown, DiskFull
from omero_adi_plugin.tracking.database import Database, is_transient
from omero_adi_plugin.tracking.queue import Queue

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.cluster import Cluster
    from tests.fixtures.producer import Producer

BREAK = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'tests'"


def raises(code: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'trouble' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize("code", ["57P01", "57P03", "53300", "08006", "40P01", "40001", "55P03", "25006", "58030"])
def test_trouble_of_the_surroundings(code: str, database: Database) -> None:
    with pytest.raises(DatabaseDown, match="trouble") as caught, database.begin() as connection:
        connection.execute(text(raises(code)))
    assert isinstance(caught.value.__cause__, DBAPIError)
    assert caught.value.where == database.where


def test_a_server_that_is_stopped_at_once(cluster: Cluster) -> None:
    with closing(Database(cluster.url, name="tests")) as database, database.begin() as connection:
        connection.execute(text("SELECT 1"))
        cluster.stop()
        try:
            with pytest.raises(DBAPIError) as caught:
                connection.execute(text("SELECT 1"))
            assert is_transient(caught.value)
            with pytest.raises(DatabaseDown), database.begin():
                pass
        finally:
            cluster.start()
            connection.rollback()
        with database.begin() as after:
            assert after.execute(text("SELECT 1")).scalar_one() == 1


def test_a_full_disk(database: Database) -> None:
    with pytest.raises(DiskFull, match="tracking database"), database.begin() as connection:
        connection.execute(text(raises("53100")))


def test_a_bug_keeps_its_traceback(database: Database) -> None:
    with pytest.raises(DBAPIError), database.begin() as connection:
        connection.execute(text("SELECT 1 / 0"))


def test_a_connection_that_breaks_in_the_middle_and_the_next_one(database: Database, producer: Producer) -> None:
    with pytest.raises(DatabaseDown), database.begin() as connection:  # noqa: PT012 (broken in the middle, then used)
        producer.sql(BREAK)
        connection.execute(text("SELECT 1"))
    with database.begin() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    producer.sql(BREAK)
    with database.begin() as connection:  # the one in the pool is dead, which nobody has to notice
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_one_statement_is_a_transaction_and_is_run_again_when_its_connection_was_dead(
    database: Database, producer: Producer
) -> None:
    producer.sql("CREATE TABLE lines (number integer)")
    insert = text("INSERT INTO lines VALUES (:number) RETURNING number")
    for number in (1, 2):
        assert [tuple(row) for row in database.at_once(insert, {"number": number})] == [(number,)]
        producer.sql(BREAK)
    assert producer.sql("SELECT number FROM lines ORDER BY number") == [(1,), (2,)]
    with pytest.raises(DatabaseDown, match="trouble"):
        database.at_once(text(raises("57P03")), {})
    with pytest.raises(DBAPIError):
        database.at_once(text("SELECT 1 / 0"), {})


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with closing(Database(f"postgresql://ann:secret@/adi?host={tmp_path}", name="tests")) as database:
        with pytest.raises(DatabaseDown) as caught, database.begin():
            pass
        assert "secret" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)


def test_a_port_where_nobody_listens() -> None:
    with closing(Database("postgresql://ann:secret@127.0.0.1:1/adi", name="tests")) as database:
        with pytest.raises(DatabaseDown, match=r"127\.0\.0\.1:1/adi") as caught, database.begin():
            pass
        assert "secret" not in str(caught.value)


def test_a_database_without_our_tables_says_what_to_do(empty_database_url: str) -> None:
    with closing(Database(empty_database_url, name="tests")) as database, pytest.raises(ConfigurationError, match="db upgrade"):
        Queue(database, lease_seconds=60).pending()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://ann:secret@host/adi", "postgresql://ann:secret@host:port/adi", "sqlite://"]
)
def test_a_url_of_another_kind_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql://user:password@") as caught:
        Database(url, name="tests")
    assert "secret" not in str(caught.value)
