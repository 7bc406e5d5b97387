# SPDX-License-Identifier: GPL-2.0-or-later
"""The database account of the scripts (`deploy/roles.sql`) can do what they need, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy.engine import make_url

from omero_adi_plugin.errors import ConfigurationError, DatabaseDown, NotPermitted
from omero_adi_plugin.service.keeper import LeaseKeeper
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking import operating, pausing
from omero_adi_plugin.tracking.migrate import upgrade
from tests.fixtures.deeds import DEEDS, Site, carry_out_the_order_that_it_was_launched_for, someone
from tests.fixtures.migrating import in_schema
from tests.fixtures.postgres import PASSWORD_ROLES, execute
from tests.fixtures.producer import Producer
from tests.fixtures.roles import PASSWORD, ROLE, run_roles, script_role
from tests.fixtures.waiting import wait_until

OTHER = f"{ROLE}_other"
"""An account that one test makes."""

GRANTED = """
SELECT whose, what || of_column
  FROM (SELECT relacl AS acl, CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || CAST(oid AS regclass), '' FROM pg_class
        UNION ALL
        SELECT attacl, 'TABLE ' || CAST(attrelid AS regclass), ' (' || quote_ident(attname) || ')' FROM pg_attribute
        UNION ALL
        SELECT nspacl, 'SCHEMA ' || quote_ident(nspname), '' FROM pg_namespace
        UNION ALL
        SELECT datacl, 'DATABASE ' || quote_ident(datname), '' FROM pg_database WHERE datname = current_database()
       ) AS things (acl, whose, of_column), aclexplode(acl) AS rights (grantor, grantee, what, grantable)
 WHERE grantee = to_regrole(%s) ORDER BY 1, 2
"""
"""Every right that an account has by itself, as GRANT has it."""

REFUSED = (
    # the trail
    "DELETE FROM imports",
    "UPDATE imports SET stage = 'Import Pending'",
    "UPDATE imports SET timestamp = now()",
    "INSERT INTO imports (id, uuid) VALUES (1, 'x')",
    "TRUNCATE imports",
    "BEGIN; LOCK TABLE imports IN ACCESS EXCLUSIVE MODE",
    "SELECT 1 FROM imports FOR UPDATE",
    "SELECT setval('imports_id_seq', 1)",
    "DELETE FROM imports_preprocessing",
    "UPDATE imports_preprocessing SET container = 'evil'",
    "TRUNCATE imports_preprocessing CASCADE",
    # the queue, and what belongs to it
    "DELETE FROM adi_order",
    "TRUNCATE adi_order CASCADE",
    "BEGIN; LOCK TABLE adi_order IN ACCESS EXCLUSIVE MODE",
    "UPDATE adi_order SET uuid = 'x'",
    "UPDATE adi_order SET user_name = 'eve'",
    "UPDATE adi_order SET group_name = 'eve'",
    "UPDATE adi_order SET priority = 100",
    "UPDATE adi_order SET created_at = now()",
    "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, priority) VALUES ('x', 1, 'eve', 'eve', 100)",
    "DELETE FROM adi_attempt",
    "UPDATE adi_attempt SET imports_id = NULL",
    "UPDATE adi_attempt SET started_at = now()",
    "TRUNCATE adi_attempt",
    "UPDATE adi_file SET uuid = 'x'",
    "TRUNCATE adi_file",
    "UPDATE adi_inbox SET not_before = 'infinity'",
    "TRUNCATE adi_inbox",
    "DELETE FROM adi_turn",
    "UPDATE adi_turn SET user_name = 'eve'",
    # what people did, what holds for all services, what they say, which version the tables have
    "DELETE FROM adi_action",
    "UPDATE adi_action SET who = 'eve'",
    "INSERT INTO adi_action (at, who, action) VALUES (now(), 'eve', 'paused')",
    "UPDATE adi_control SET paused_at = now(), paused_by = 'eve'",
    "INSERT INTO adi_control (id) VALUES (1)",
    "DELETE FROM adi_control",
    "UPDATE adi_service SET trouble = 'x'",
    "INSERT INTO adi_service (id, host, pid, version) VALUES (gen_random_uuid(), 'x', 1, 'x')",
    "DELETE FROM adi_service",
    "DELETE FROM alembic_version_omeroadi",
    "UPDATE alembic_version_omeroadi_plugin SET version_num = 'x'",
    # what belongs to others
    "SELECT * FROM others",
    "SELECT * FROM elsewhere.secrets",
    # what things are
    "CREATE TABLE mine (word text)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE VIEW mine AS SELECT * FROM imports",
    "CREATE TYPE mine AS (word text)",
    "CREATE SCHEMA mine",
    "CREATE TABLE elsewhere.mine (word text)",
    "ALTER TABLE imports ADD COLUMN mine text",
    "ALTER TABLE imports DISABLE TRIGGER adi_note_pending",
    "ALTER FUNCTION adi_note_pending() SECURITY INVOKER",
    "CREATE TRIGGER mine BEFORE INSERT ON imports FOR EACH ROW EXECUTE FUNCTION adi_note_pending()",
    "CREATE INDEX mine ON imports (stage)",
    "DROP TABLE adi_action",
    "DROP TRIGGER adi_note_pending ON imports",
    "DROP FUNCTION adi_note_pending() CASCADE",
    "DROP SCHEMA public CASCADE",
    # the server, and its accounts
    "CREATE DATABASE mine",
    "CREATE ROLE mine",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "ALTER SYSTEM SET fsync = off",
    "SET session_replication_role = replica",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY imports TO PROGRAM 'true'",
    "COPY imports TO '/tmp/mine'",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_database()::text OR usesysid = 10",
)
"""What must not be: in one statement each, of the account of the scripts."""


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_the_account_can_do_what_scripts_do(deed: Callable[[Site], None], site: Site) -> None:
    deed(site)


def test_a_lease_is_kept_with_it(site: Site) -> None:
    claim = site.running(someone())
    settings = Settings.load(ingest_tracking_db=site.scripts_url, lease_seconds=5, heartbeat_seconds=1)
    with LeaseKeeper(claim, queue=site.queue, settings=settings) as keeper:
        extended = "SELECT 1 FROM adi_order WHERE uuid = %s AND lease_until > %s"
        wait_until(lambda: site.producer.sql(extended, claim.lease.order, claim.lease.until), what="a heartbeat")
        keeper.check()


@pytest.mark.parametrize("statement", REFUSED)
def test_the_account_cannot(statement: str, site: Site) -> None:
    with closing(psycopg2.connect(site.scripts_url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        with pytest.raises(InsufficientPrivilege):
            cursor.execute(statement)


def test_every_right_that_it_has_is_one_that_scripts_need(site: Site) -> None:
    rights = rights_of(site.url, ROLE)
    assert len(rights) > 50
    idle, likely = [], DEEDS
    with nothing_for_everybody(site.url):
        for whose, what in rights:
            with without(site.url, what, whose):
                failed = next((deed for deed in likely if lacks_a_right(deed, site)), None)
            if failed is None:
                idle.append(f"{what} ON {whose}")
            else:  # it is the next one to be tried: rights on one table are needed by one deed, mostly
                likely = (failed, *(deed for deed in likely if deed is not failed))
        for deed in DEEDS:  # it was for want of a right that they failed
            deed(site)
    assert idle == []


def lacks_a_right(deed: Callable[[Site], None], site: Site) -> bool:
    """Do a deed; return whether a right is missing. Without that to a schema its tables seem to be missing."""
    try:
        deed(site)
    except (NotPermitted, ConfigurationError):
        return True
    except DatabaseDown as error:
        assert "permission denied for database" in str(error)  # noqa: PT017 (any other is a fault of the test)
        return True
    return False


@contextmanager
def without(url: str, what: str, whose: str) -> Iterator[None]:
    """Take a right from the account for a while."""
    execute(url, f"REVOKE {what} ON {whose} FROM {ROLE}")
    try:
        yield
    finally:
        execute(url, f"GRANT {what} ON {whose} TO {ROLE}")


@contextmanager
def nothing_for_everybody(url: str) -> Iterator[None]:
    """Have a database that is closed to all whom nobody has let in."""
    places = (f"CONNECT ON DATABASE {make_url(url).database}", "USAGE ON SCHEMA public")
    execute(url, *(f"REVOKE {place} FROM PUBLIC" for place in places))
    try:
        yield
    finally:
        execute(url, *(f"GRANT {place} TO PUBLIC" for place in places))


def test_the_undated_order_of_a_producer_is_left_to_a_service(site: Site) -> None:
    uuid = site.producer.pending(timestamp=None)
    with pytest.raises(NotPermitted, match="when a service is at work"):
        operating.cancel(site.database, uuid, who="ann@OMERO.web")
    assert site.producer.sql("SELECT count(*) FROM adi_inbox WHERE uuid = %s", uuid) == [(1,)]


def test_what_it_may_not_do_is_told_with_its_name_and_what_to_do(site: Site) -> None:
    with pytest.raises(NotPermitted, match=rf"'{ROLE}'.*permission denied for table adi_control.*deploy/roles\.sql"):
        pausing.pause(site.database, who="ann@OMERO.web")


def rights_of(url: str, role: str) -> list[tuple[str, str]]:
    return [(whose, what) for whose, what in Producer(url).sql(GRANTED, role)]


def as_other(url: str, password: str = PASSWORD) -> str:
    """Return the URL of the other account, which has to give its password."""
    execute(url, f"GRANT {PASSWORD_ROLES} TO {OTHER}")
    return make_url(url).set(username=OTHER, password=password).render_as_string(hide_password=False)


class TestTheFile:
    """How an administrator runs it."""

    @pytest.fixture(autouse=True)
    def forget(self, postgres_url: str, database_url: str, empty_database_url: str) -> Iterator[None]:
        try:
            yield
        finally:
            if Producer(postgres_url).sql("SELECT 1 FROM pg_roles WHERE rolname = %s", OTHER):
                for url in (database_url, empty_database_url):
                    execute(url, f"DROP OWNED BY {OTHER}")
                execute(postgres_url, f"DROP ROLE {OTHER}")

    def test_a_new_account_is_asked_for_its_password_and_keeps_it(self, database_url: str) -> None:
        done = run_roles(database_url, role=OTHER, said="one\none\n")
        assert (done.returncode, done.stdout) == (0, "")
        assert run_roles(database_url, role=OTHER).returncode == 0
        assert Producer(as_other(database_url, "one")).sql("SELECT current_user") == [(OTHER,)]
        assert run_roles(database_url, role=OTHER, password="two").returncode == 0
        assert Producer(as_other(database_url, "two")).sql("SELECT current_user") == [(OTHER,)]

    def test_what_an_older_version_granted_is_taken_away(self, database_url: str) -> None:
        run_roles(database_url, role=OTHER, password=PASSWORD)
        rights = rights_of(database_url, OTHER)
        execute(
            database_url,
            f"GRANT ALL ON imports, adi_control, alembic_version_omeroadi TO {OTHER}",
            f"GRANT UPDATE (user_name) ON adi_order TO {OTHER}",
            f"GRANT ALL ON SEQUENCE imports_id_seq TO {OTHER}",
            f"GRANT ALL ON SCHEMA public TO {OTHER}",
        )
        assert rights_of(database_url, OTHER) != rights
        done = run_roles(database_url, role=OTHER)
        assert (done.returncode, done.stderr) == (0, "")
        assert rights_of(database_url, OTHER) == rights

    def test_an_account_with_powers_of_its_own_is_left_as_it_is(self, database_url: str) -> None:
        execute(database_url, f"CREATE ROLE {OTHER} LOGIN", f"GRANT ALL ON imports TO {OTHER}")
        rights = rights_of(database_url, OTHER)
        for power in ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"):
            execute(database_url, f"ALTER ROLE {OTHER} {power}")
            done = run_roles(database_url, role=OTHER, password="two")
            execute(database_url, f"ALTER ROLE {OTHER} NO{power}")
            assert (done.returncode != 0, "--variable=role=NAME" in done.stderr) == (True, True), power
        assert rights_of(database_url, OTHER) == rights

    def test_the_account_of_the_service_is_left_as_it_is(self, database_url: str) -> None:
        execute(database_url, f"CREATE ROLE {OTHER} LOGIN", f"ALTER TABLE imports OWNER TO {OTHER}")
        try:
            done = run_roles(database_url, role=OTHER)
            assert (done.returncode != 0, "owns something" in done.stderr) == (True, True)
        finally:
            execute(database_url, "ALTER TABLE imports OWNER TO CURRENT_USER")

    @pytest.mark.parametrize("grantee", ["PUBLIC", "crowd"])
    def test_what_it_could_do_all_the_same_is_told(self, grantee: str, database_url: str) -> None:
        execute(database_url, f"CREATE ROLE {OTHER} LOGIN")
        if grantee == "crowd":
            grantee = f"{OTHER}_{grantee}"
            execute(database_url, f"CREATE ROLE {grantee}", f"GRANT {grantee} TO {OTHER}")
        execute(database_url, f"GRANT UPDATE (stage) ON imports TO {grantee}")
        try:
            done = run_roles(database_url, role=OTHER)
            assert done.returncode != 0
            assert f"{OTHER} may write to imports" in done.stderr
            assert rights_of(database_url, OTHER) == []
        finally:
            if grantee != "PUBLIC":
                execute(database_url, f"DROP OWNED BY {grantee}", f"DROP ROLE {grantee}")

    def test_who_has_something_in_the_schema_may_create_there_as_before_version_15(self, database_url: str) -> None:
        execute(
            database_url,
            f"CREATE ROLE {OTHER} LOGIN",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "CREATE TABLE theirs (word text)",
            f"ALTER TABLE theirs OWNER TO {OTHER}",
        )
        url = script_role(database_url)
        may = f"SELECT has_schema_privilege('{OTHER}', 'public', 'CREATE'), has_schema_privilege('{ROLE}', 'public', 'CREATE')"
        assert Producer(url).sql(may) == [(True, False)]

    def test_tables_in_another_schema_are_found_by_it(self, empty_database_url: str) -> None:
        url = in_schema(empty_database_url, "lab")
        upgrade(url)
        done = run_roles(empty_database_url, options="-csearch_path=lab", role=OTHER, password=PASSWORD)
        assert (done.returncode, done.stderr) == (0, "")
        with closing(Site(url, as_other(empty_database_url))) as site:
            carry_out_the_order_that_it_was_launched_for(site)

    def test_the_owner_of_the_tables_runs_it_for_an_account_that_is_there(self, empty_database_url: str) -> None:
        execute(
            empty_database_url,
            f"CREATE ROLE {OTHER}_owner LOGIN",
            f"GRANT CREATE ON SCHEMA public TO {OTHER}_owner, PUBLIC",
            f"CREATE ROLE {OTHER} LOGIN PASSWORD '{PASSWORD}'",
        )
        try:
            url = make_url(empty_database_url).set(username=f"{OTHER}_owner").render_as_string(hide_password=False)
            upgrade(url)
            done = run_roles(url, role=OTHER)
            assert (done.returncode != 0, "REVOKE CREATE ON SCHEMA public" in done.stderr) == (True, True)
            execute(empty_database_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            assert run_roles(url, role=OTHER).returncode == 0
            with closing(Site(url, as_other(empty_database_url))) as site:
                carry_out_the_order_that_it_was_launched_for(site)
        finally:
            execute(empty_database_url, f"DROP OWNED BY {OTHER}_owner", f"DROP ROLE {OTHER}_owner")

    def test_a_database_without_tables_is_told_in_a_sentence(self, empty_database_url: str) -> None:
        done = run_roles(empty_database_url, role=OTHER, password=PASSWORD)
        assert done.returncode != 0
        assert "omero adi db upgrade" in done.stderr
        assert Producer(empty_database_url).sql(f"SELECT count(*) FROM pg_roles WHERE rolname = '{OTHER}'") == [(0,)]
