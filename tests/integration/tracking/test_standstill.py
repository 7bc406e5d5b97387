# SPDX-License-Identifier: GPL-2.0-or-later
"""Standstill: a process or a network that stops without a word holds nobody up for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

import omero_adi_plugin
from omero_adi_plugin.tracking import database as database_module
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.losses import free_lapsed
from tests.fixtures.relay import relayed
from tests.fixtures.waiting import freeze, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

REPOSITORY = Path(omero_adi_plugin.__file__).parent.parent
LAPSE = "UPDATE adi_order SET lease_until = now() - interval '1 second' WHERE state = 'running'"

IN_A_TRANSACTION = """
import sys
from sqlalchemy import text
from omero_adi_plugin.errors import DatabaseDown
from omero_adi_plugin.tracking import database

database.STANDSTILL_SECONDS = 1
try:
    with database.Database(sys.argv[1], name="adi worker").begin() as connection:
        connection.execute(text("SELECT FROM adi_order FOR UPDATE"))
        print("locked", flush=True)
        sys.stdin.readline()
        connection.execute(text("UPDATE adi_order SET note = 'too late'"))
except DatabaseDown as error:
    print(error, flush=True)
"""

BY_A_CABLE = """
import os, subprocess, sys, time
from omero_adi_plugin.errors import DatabaseDown
from omero_adi_plugin.tracking import database
from omero_adi_plugin.tracking.bell import Bell
from tests.fixtures.relay import relayed

database.SILENCE_SECONDS = 6
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with relayed(sys.argv[1]) as relay:
    bell = Bell(relay.url, ["adi_order"])
    assert bell.wait(0)
    print("listens", flush=True)
    assert bell.wait(60)
    print("rang", flush=True)
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    try:
        bell.wait(60)
    except DatabaseDown:
        print("noticed", flush=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    assert bell.wait(0)
    print("listens again", flush=True)
    assert bell.wait(60)
    print("rang again", flush=True)
    bell.close()
"""


@contextmanager
def running(script: str, url: str, *, before: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """Start a script of ours as a process of its own."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", script, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=REPOSITORY,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_that_is_frozen_in_the_middle_of_a_transaction_does_not_keep_its_order(
    producer: Producer, intake: Intake, queue: Queue, database: Database, database_url: str
) -> None:
    uuid = producer.pending()
    intake.take_in()
    assert queue.claim(owner="host:1") is not None
    producer.sql(LAPSE)
    with running(IN_A_TRANSACTION, database_url) as worker:
        assert said(worker) == "locked"
        freeze(worker.pid)
        assert free_lapsed(database) == []
        [lost] = wait_until(lambda: free_lapsed(database), seconds=30, what="the end of the frozen transaction")
        assert lost.uuid == uuid
        worker.send_signal(signal.SIGCONT)
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert said(worker).startswith("The tracking database at ")
    assert producer.sql("SELECT note FROM adi_order") == [("taken over: the lease of host:1 lapsed",)]


def test_every_connection_is_set_so_whatever_the_database_has_for_a_default(producer: Producer, database: Database) -> None:
    name = producer.sql("SELECT current_database()")[0][0]
    producer.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    producer.sql(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = 0")
    limit = text("SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_isolation')")
    expected = (f"{database_module.STANDSTILL_SECONDS}s", "read committed")
    with database.begin() as connection:
        assert tuple(connection.execute(limit).one()) == expected
    assert [tuple(row) for row in database.at_once(limit, {})] == [expected]
    assert 2 * database_module.STANDSTILL_SECONDS <= 30  # well before a lease lapses and another is lost


OWN_NETWORK = ("unshare", "-n") if os.getuid() == 0 else ("unshare", "-rn")


def namespaces_allowed() -> bool:
    """Whether this account may have a network of its own, whose cable it can pull out."""
    try:
        return subprocess.run([*OWN_NETWORK, "ip", "link"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not namespaces_allowed(), reason="needs a network namespace, and iproute2")
def test_a_listener_whose_network_is_gone_without_a_word_notices_and_hears_again(producer: Producer, database_url: str) -> None:
    with running(BY_A_CABLE, database_url, before=OWN_NETWORK) as listener:
        for heard in ("rang", "rang again"):
            assert said(listener).startswith("listens")
            producer.sql("NOTIFY adi_order")
            assert said(listener) == heard
            if heard == "rang":
                assert said(listener) == "noticed"


def test_a_listener_on_a_silent_connection_is_woken_by_its_poll(producer: Producer, intake: Intake, database_url: str) -> None:
    with relayed(database_url) as relay, closing(Bell(relay.url, ["adi_inbox"])) as bell:
        assert bell.wait(0)
        assert relay.swallow("omero-adi bell") == 1
        producer.pending()
        assert not bell.wait(0.1)  # it hears nothing, and its caller looks all the same
        assert intake.take_in() == 1
