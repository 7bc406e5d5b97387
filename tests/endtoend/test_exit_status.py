# SPDX-License-Identifier: GPL-2.0-or-later
"""How commands end at a real shell, with OMERO's command line and without: the status, facts on stdout, the reason on stderr."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order
from tests.fixtures.accounts import account
from tests.fixtures.command import OMERO, PYTHON, Adi

TARGET = Target(kind=TargetKind.DATASET, id=151)
NOBODY = "postgresql://adi:geheim@127.0.0.1:9/nothing"
FAULT = """
# a fake: a bug in one command, which is not to be had on demand
import sys, types
broken = types.ModuleType("omero_adi_plugin.commands.orders")
broken.run = lambda args: {}["a bug made for this test"]
sys.modules[broken.__name__] = broken
"""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How both programs ended, which did the same."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs a command both ways at the same time: it must not change anything."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, url: str, *words: str) -> Ending:
        def run(program: tuple[str, ...]) -> Ending:
            folder = self.folder / program[0]
            folder.mkdir(exist_ok=True)
            done = Adi(url, folder, omero_host="127.0.0.1", omero_port=9)(*words, program=program, environment=self.environment)
            return Ending(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

        with ThreadPoolExecutor(2) as shells:
            plain, through_omero = shells.map(run, (PYTHON, OMERO))
        assert (plain.status, plain.stdout) == (through_omero.status, through_omero.stdout)
        assert "geheim" not in plain.stderr + through_omero.stderr
        if plain.status not in {64, 70}:  # usage names the program, and a traceback the way to the fault
            assert plain.stderr == through_omero.stderr
            assert "Traceback" not in plain.stderr
        return plain


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(folder=tmp_path)


def waiting(database: Database) -> str:
    return submit_order(database, user="u", group="g", target=TARGET, files=["/data/a.tif"])


def failed(database: Database, queue: Queue) -> str:
    claim = submit_claimed(database, queue, user="u", group="g", target=TARGET, files=["/data/a.tif"], owner="host:1")
    queue.fail(claim.lease, reason="The disk is a brick.")
    return claim.lease.order


def test_0_done(shell: Shell, database_url: str, database: Database) -> None:
    uuid = waiting(database)
    done = shell(database_url, "orders", "list", "--json")
    assert (done.status, done.stderr) == (0, "")
    assert [order["uuid"] for order in json.loads(done.stdout)] == [uuid]


def test_64_wrong_usage(shell: Shell, database_url: str, database: Database, queue: Queue) -> None:
    done = shell(database_url, "orders", "cancel")
    assert (done.status, done.stdout) == (64, "")
    assert "the following arguments are required: UUID" in done.stderr
    uuid = failed(database, queue)
    done = shell(database_url, "orders", "cancel", uuid, "--json")
    assert (done.status, done.stdout) == (64, "")


def test_65_an_order_failed_and_its_facts_are_printed_all_the_same(
    shell: Shell, database_url: str, database: Database, queue: Queue
) -> None:
    uuid = failed(database, queue)
    done = shell(database_url, "orders", "wait", uuid, "--json")
    assert (done.status, json.loads(done.stdout)["state"]) == (65, "failed")
    assert done.stderr.splitlines()[-1] == f"Order {uuid} was not completed: The disk is a brick."


def test_65_there_is_no_such_order(shell: Shell, database_url: str) -> None:
    done = shell(database_url, "orders", "cancel", "nobody", "--json")
    assert (done.status, done.stdout) == (65, "")
    assert done.stderr == "There is no order 'nobody'. `omero adi orders list` shows the newest ones.\n"


def test_69_the_database_is_not_there(shell: Shell) -> None:
    done = shell(NOBODY, "check", "--json")
    assert (done.status, done.stdout) == (69, "")
    assert "127.0.0.1:9" in done.stderr


def test_70_a_bug_shows_where_it_is(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAULT)
    done = Shell(folder=tmp_path, environment={"PYTHONPATH": str(tmp_path)})(database_url, "orders", "list")
    assert (done.status, done.stdout) == (70, "")
    assert "KeyError: 'a bug made for this test'" in done.stderr
    assert done.stderr.endswith("Please report it with the lines above.\n")


def test_75_the_time_is_over(shell: Shell, database_url: str, database: Database) -> None:
    uuid = waiting(database)
    done = shell(database_url, "orders", "wait", uuid, "--timeout", "0")
    assert (done.status, done.stdout) == (75, "")
    assert f"Order '{uuid}' has not ended within 0 seconds." in done.stderr


def test_75_the_order_is_being_carried_out(shell: Shell, database_url: str, database: Database, queue: Queue) -> None:
    claim = submit_claimed(database, queue, user="u", group="g", target=TARGET, files=["/data/a.tif"], owner="host:1")
    done = shell(database_url, "orders", "retry", claim.lease.order)
    assert (done.status, done.stdout) == (75, "")
    assert "is being carried out by host:1" in done.stderr


def test_77_the_account_may_not(shell: Shell, database_url: str, empty_database_url: str) -> None:
    with account(empty_database_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC, {account}") as restricted:
        done = shell(restricted, "db", "upgrade")
        assert (done.status, done.stdout) == (77, "")
    with account(database_url, "GRANT INSERT, SELECT ON imports TO {account}") as producer:
        done = shell(producer, "pause")
        assert (done.status, done.stdout) == (77, "")


def test_78_something_is_to_be_seen_to_and_what_it_is_is_on_stdout(shell: Shell, database_url: str) -> None:
    done = shell(database_url, "check", "--json")
    assert done.status == 78
    assert [each["name"] for each in json.loads(done.stdout)["findings"] if each["level"] == "error"] == ["omero"]
    assert done.stderr == "1 finding to see to, listed above with what to do.\n"


def test_78_the_tables_are_not_there(shell: Shell, empty_database_url: str) -> None:
    done = shell(empty_database_url, "pause")
    assert (done.status, done.stdout) == (78, "")
    assert "omero adi db upgrade" in done.stderr
