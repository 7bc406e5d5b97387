# SPDX-License-Identifier: GPL-2.0-or-later
"""What the check says of a database: each thing that can be wrong is made wrong, and nothing else is complained of."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.tracking import takeover
from omero_adi_plugin.tracking.check import Finding, Level, findings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.migrate import current
from omero_adi_plugin.tracking.operating import cancel, retry
from omero_adi_plugin.tracking.pausing import pause
from omero_adi_plugin.tracking.services import Presence, WorkerState
from tests.fixtures.accounts import account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

NAMES = ["tables", "trigger", "first start", "old orders", "another importer", "inbox", "pause", "services", "silent services"]
NAMES += ["surroundings", "leases", "sweeps"]


@pytest.fixture
def service(database_url: str, database: Database) -> Iterator[Database]:
    """A database with a service connected to it that has started once."""
    takeover.take_over(database, who="host:1")
    with closing(Database(database_url, name="adi service")) as connected:
        connect(connected)
        yield connected


def connect(database: Database) -> None:
    """Have a connection, as a service has that sleeps."""
    with database.begin():
        pass


def look(url: str, database: Database, *, trigger_wanted: bool = True) -> list[Finding]:
    return findings(database, current(url), pending_days=10, sweep_seconds=900, trigger_wanted=trigger_wanted)


def wrong(url: str, database: Database, *, trigger_wanted: bool = True) -> list[Finding]:
    return [each for each in look(url, database, trigger_wanted=trigger_wanted) if each.level is not Level.OK]


def test_where_all_is_well_everything_is_ok(service: Database, database_url: str) -> None:
    found = look(database_url, service)
    assert [each.name for each in found] == NAMES
    assert {each.level for each in found} == {Level.OK}
    assert all(each.words.endswith(".") and not each.remedy for each in found)


def test_old_tables_are_all_that_is_told_of(empty_database_url: str) -> None:
    with closing(Database(empty_database_url, name="tests")) as database:
        (found,) = look(empty_database_url, database)
    assert (found.name, found.level) == ("tables", Level.ERROR)
    assert "omero adi db upgrade" in found.remedy


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("DISABLE TRIGGER adi_note_pending", "disabled"),
        ("ENABLE REPLICA TRIGGER adi_note_pending", "disabled"),
        (None, "missing"),
    ],
)
def test_a_trigger_that_tells_nothing(
    how: str | None, words: str, service: Database, database_url: str, producer: Producer
) -> None:
    producer.sql(f"ALTER TABLE imports {how}" if how else "DROP TRIGGER adi_note_pending ON imports")
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("trigger", Level.WARNING)
    assert words in found.words
    assert found.remedy
    assert wrong(database_url, service, trigger_wanted=False) == []


def test_a_database_on_which_no_service_has_started(database_url: str, database: Database) -> None:
    with closing(Database(database_url, name="adi service")) as service:
        connect(service)
        (found,) = wrong(database_url, database)
        assert (found.name, found.level) == ("first start", Level.WARNING)


def test_old_orders_that_were_left_alone_until_each_is_seen_to(
    service: Database, database_url: str, producer: Producer, intake: Intake
) -> None:
    producer.pending("waits since long ago", timestamp="2020-01-01")
    intake.take_in()
    producer.pending("is in the inbox", timestamp="2020-01-01")
    producer.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    old = [producer.pending(f"old-{number}", timestamp="2020-01-01") for number in range(4)]
    undated = producer.pending("undated", timestamp=None)
    producer.sql("UPDATE adi_control SET taken_over_id = (SELECT max(id) FROM imports)")
    for stage in ("Import Started", "Import Completed"):
        done = producer.pending(timestamp="2020-01-01")
        producer.pending(done, stage=stage, timestamp="2020-01-02")
    producer.pending(producer.pending("again", timestamp="2020-01-01"))
    producer.pending("undated but new", timestamp=None)
    producer.sql("ALTER TABLE imports ENABLE TRIGGER adi_note_pending")
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("old orders", Level.WARNING)
    assert found.words == "5 orders are pending for more than 10 days and left alone: undated, old-3, old-2, …."
    for number, uuid in enumerate([*old, undated]):
        cancel(service, uuid, who="ann@host") if number % 2 else retry(service, uuid, who="ann@host")
    assert wrong(database_url, service) == []
    intake.take_in()
    assert wrong(database_url, service) == []


def test_another_importer_of_the_last_days(service: Database, database_url: str, producer: Producer) -> None:
    tell = (
        "INSERT INTO adi_action (who, action, uuid, at) VALUES ('h:1', 'another importer', %s, now() - make_interval(days => %s))"
    )
    producer.sql(tell, "long ago", 11)
    assert wrong(database_url, service) == []
    producer.sql(tell, "theirs", 9)
    producer.sql(tell, "theirs too", 2)
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("another importer", Level.ERROR)
    assert "2 times" in found.words
    assert "theirs too, theirs." in found.words


def test_an_order_that_could_not_be_taken_in(service: Database, database_url: str, producer: Producer, intake: Intake) -> None:
    producer.sql("ALTER TABLE adi_order ADD CONSTRAINT trouble CHECK (uuid <> 'poison')")
    producer.pending("poison")
    intake.take_in()
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("inbox", Level.ERROR)
    assert "poison" in found.words


def test_a_pause(service: Database, database_url: str) -> None:
    pause(service, who="ann@host")
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("pause", Level.WARNING)
    assert "ann@host" in found.words


def test_a_pause_that_holds_for_what_runs_too(service: Database, database_url: str) -> None:
    pause(service, who="ann@host", drain=True)
    (found,) = wrong(database_url, service)
    assert found.words.endswith("by ann@host, and those that run are given back.")


def services(database_url: str, database: Database) -> Finding:
    (found,) = (each for each in look(database_url, database) if each.name == "services")
    return found


def test_services_say_where_they_are_at_work(database: Database, database_url: str) -> None:
    takeover.take_over(database, who="host:1")
    Presence(database).tell([])
    found = services(database_url, database)
    assert (found.level, found.words) == (Level.OK, f"Services at work: {socket.gethostname()}:{os.getpid()}.")
    assert wrong(database_url, database) == []


def test_a_service_that_fell_silent_is_told_of_until_another_has_taken_its_place(
    service: Database, database_url: str, producer: Producer
) -> None:
    Presence(service).tell([])
    producer.sql("UPDATE adi_service SET started_at = now() - interval '1 day', seen_at = now() - interval '5 minutes'")
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("silent services", Level.WARNING)
    assert f"{socket.gethostname()}:{os.getpid()} (since " in found.words
    assert services(database_url, service).words == "A service is connected to the database."
    Presence(service).tell([])
    assert wrong(database_url, service) == []
    producer.sql("UPDATE adi_service SET host = 'another' WHERE seen_at > now() - interval '1 minute'")
    assert [each.name for each in wrong(database_url, service)] == ["silent services"]


def test_a_service_that_ended_properly_is_not_told_of(service: Database, database_url: str) -> None:
    presence = Presence(service)
    presence.tell([], ending=True)
    presence.leave()
    assert wrong(database_url, service) == []


@pytest.mark.parametrize("of_worker", ["service", "worker"])
def test_a_service_that_is_kept_from_its_work(of_worker: str, service: Database, database_url: str) -> None:
    why = "OMERO.server at omero:4064 cannot be reached."
    presence = Presence(service)
    if of_worker == "worker":
        presence.tell([WorkerState(pid=7, trouble=None), WorkerState(pid=8, trouble=why)])
    else:
        presence.tell([WorkerState(pid=7)], trouble=why)
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("surroundings", Level.ERROR)
    assert found.words.startswith(f"{socket.gethostname()}:{os.getpid()} begins nothing")
    assert found.words.endswith(f": {why}")
    presence.tell([WorkerState(pid=7), WorkerState(pid=8)])
    assert wrong(database_url, service) == []


def waits_in_the_inbox(producer: Producer, intake: Intake) -> None:
    producer.pending()


def waits_in_the_queue(producer: Producer, intake: Intake) -> None:
    producer.pending()
    intake.take_in()


@pytest.mark.parametrize("waits", [waits_in_the_inbox, waits_in_the_queue])
def test_no_service_is_worse_when_somebody_waits_for_one(
    waits: Callable[[Producer, Intake], None], database: Database, database_url: str, producer: Producer, intake: Intake
) -> None:
    takeover.take_over(database, who="host:1")
    (found,) = wrong(database_url, database)
    assert (found.name, found.level) == ("services", Level.WARNING)
    waits(producer, intake)
    (found,) = wrong(database_url, database)
    assert (found.name, found.level) == ("services", Level.ERROR)
    assert "1 order" in found.words


def test_a_service_of_another_account_is_seen(service: Database, database_url: str) -> None:
    grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {account}"
    with account(database_url, grant) as url, closing(Database(url, name="tests")) as restricted:
        assert wrong(url, restricted) == []


def test_an_order_whose_worker_has_long_been_silent(
    service: Database, database_url: str, producer: Producer, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    queue.claim(owner="host:1")
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '10 seconds'")
    assert wrong(database_url, service) == []  # any service takes it over in a moment
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '10 minutes'")
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("leases", Level.ERROR)
    assert uuid in found.words


def test_an_order_that_should_have_been_looked_at_once_more_long_ago(
    service: Database, database_url: str, producer: Producer, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    claim = queue.claim(owner="host:1")
    assert claim is not None
    Ledger(service, claim.lease).suspect()
    queue.complete(claim.lease)
    producer.sql("UPDATE adi_order SET finished_at = now() - interval '1 hour'")
    assert wrong(database_url, service) == []
    producer.sql("UPDATE adi_order SET finished_at = now() - interval '4500 seconds'")
    (found,) = wrong(database_url, service)
    assert (found.name, found.level) == ("sweeps", Level.WARNING)
    assert f"1 order is waiting for that: {uuid}." in found.words
    producer.sql("UPDATE adi_order SET state = 'waiting'")  # ordered again: its next end is looked at
    assert "sweeps" not in [each.name for each in wrong(database_url, service)]
