# SPDX-License-Identifier: GPL-2.0-or-later
"""`orders` and `db`, on a real database."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from omero_adi_plugin.orders import FileStep, LedgerFile, Route, Target, TargetKind
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order
from omero_adi_plugin.tracking.tracks import CONTRACT_HEAD, PLUGIN_HEAD
from tests.fixtures.command import Adi
from tests.fixtures.inside import AdiInside

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

TARGET = Target(kind=TargetKind.DATASET, id=151)


@pytest.fixture
def adi(adi_inside: Callable[..., AdiInside]) -> AdiInside:
    return adi_inside()


def ordered(database: Database, path: str = "/data/a.tif", user: str = "researcher") -> str:
    return submit_order(database, user=user, group="demo-lab", target=TARGET, files=[path])


def failed(database: Database, reason: str) -> str:
    queue = Queue(database, lease_seconds=60)
    claim = submit_claimed(
        database, queue, user="researcher", group="demo-lab", target=TARGET, files=["/data/a.tif"], owner="host:1"
    )
    queue.fail(claim.lease, reason=reason)
    return claim.lease.order


def test_list_prints_the_newest_first_for_programs(adi: AdiInside, database: Database) -> None:
    first, second = ordered(database), ordered(database)
    done = adi("orders", "list", "--json")
    listed = json.loads(done.stdout)
    assert done.returncode == os.EX_OK
    assert [order["uuid"] for order in listed] == [second, first]
    assert set(listed[0]) == {
        "uuid", "state", "stage", "description", "user", "group", "target", "attempt", "next_try", "lease",
    }  # fmt: skip


def test_list_filters(adi: AdiInside, database: Database) -> None:
    bad = failed(database, "No.")
    hers = ordered(database, user="other")
    assert [order["uuid"] for order in json.loads(adi("orders", "list", "--state", "failed", "--json").stdout)] == [bad]
    assert [order["uuid"] for order in json.loads(adi("orders", "list", "--for", "other", "--json").stdout)] == [hers]
    assert len(json.loads(adi("orders", "list", "--limit", "1", "--json").stdout)) == 1
    assert adi("orders", "list", "--limit", "0").returncode == os.EX_USAGE


def test_a_list_in_a_pipe_is_one_plain_line_an_order(adi: AdiInside, database: Database) -> None:
    uuid = failed(database, "The first line\nand \x1b[31mthe second.")
    lines = adi("orders", "list").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["order", uuid]
    assert "\x1b" not in lines[1]


def test_show_prints_what_contract_8_fixes(adi: AdiInside, database: Database) -> None:
    uuid = failed(database, "'/data/a.tif' does not exist on the server.")
    shown = json.loads(adi("orders", "show", uuid, "--json").stdout)
    assert shown["state"] == "failed"
    assert shown["stage"] == "Import Failed"
    assert shown["target"] == "Dataset:151"
    assert shown["attempt"] == 1
    assert shown["lease"] is None
    assert shown["files"] == []
    assert [row["stage"] for row in shown["stages"]] == ["Import Pending", "Import Started", "Import Failed"]
    assert set(shown["stages"][0]) == {"stage", "time", "description"}


def test_show_for_people_has_the_reason(adi: AdiInside, database: Database) -> None:
    uuid = failed(database, "'/data/a.tif' does not exist on the server.")
    done = adi("orders", "show", uuid)
    assert done.returncode == os.EX_OK
    assert "'/data/a.tif' does not exist on the server." in done.stdout


def test_show_for_people_says_who_tried_how_that_ended_and_what_to_do(adi: AdiInside, database: Database) -> None:
    uuid = failed(database, "The disk is a brick.")
    lines = [line.split("\t") for line in adi("orders", "show", uuid).stdout.splitlines()]
    heads = ["attempt", "by", "begun", "ended", "outcome", "why"]
    [attempt] = [after for line, after in pairwise(lines) if line == heads]
    assert [attempt[0], attempt[1], *attempt[4:]] == ["1", "host:1", "failed", "The disk is a brick."]
    advice = f"When the cause is gone, `omero adi orders retry {uuid}` orders it again: only what is missing is imported."
    assert lines[-1] == [advice]
    shown = json.loads(adi("orders", "show", uuid, "--json").stdout)
    assert shown["advice"] == advice
    assert [(each["attempt"], each["owner"], each["outcome"], each["why"]) for each in shown["attempts"]] == [
        (1, "host:1", "failed", "The disk is a brick.")
    ]


def test_list_says_which_attempt_comes_next_and_when(adi: AdiInside, database: Database) -> None:
    queue = Queue(database, lease_seconds=60)
    claim = submit_claimed(database, queue, user="u", group="g", target=TARGET, files=["/data/a.tif"], owner="host:1")
    queue.give_back(claim.lease, note="The disk was busy.", failures=1, after_seconds=86400 * 3)
    ordered(database)
    rows = [line.split("\t") for line in adi("orders", "list").stdout.splitlines()]
    assert rows[0] == ["order", "state", "user", "target", "attempt", "next try", "description"]
    assert rows[1][4:] == ["", "", ""]
    assert rows[2][4] == "1"
    assert datetime.strptime(rows[2][5], "%Y-%m-%d %H:%M").astimezone() > datetime.now(UTC)
    assert rows[2][6] == "The disk was busy."


def test_an_order_of_many_files_is_shown_on_a_screen_with_what_went_wrong_first(adi: AdiInside, database: Database) -> None:
    queue = Queue(database, lease_seconds=60)
    claim = submit_claimed(database, queue, user="u", group="g", target=TARGET, files=["/data"], owner="host:1")
    lines = [file(number, FileStep.ANNOTATED, fileset=number, images=(number,)) for number in range(400)]
    lines[123] = file(123, FileStep.FAILED, error="'/data/123.tif' is damaged.")
    lines[124] = file(124, FileStep.VERIFYING, fileset=124)
    Ledger(database, claim.lease).record(*lines)
    for number in range(30):
        queue.give_back(claim.lease, note=f"gave way {number}", after_seconds=0)
        again = queue.claim(owner=f"host:{number}")
        assert again is not None
        claim = again
    uuid = claim.lease.order
    printed = adi("orders", "show", uuid).stdout.splitlines()
    assert len(printed) <= 50
    assert "files\t400: 1 verifying, 398 annotated, 1 failed" in printed
    begin = printed.index("step\tfileset\timages\tplates\tentry, or what is wrong with it")
    assert printed[begin + 1] == "failed\t\t\t\t'/data/123.tif' is damaged."
    assert printed[begin + 2] == "verifying\t124\t\t\t/data/124.tif"
    assert printed[begin + 3] == "annotated\t0\t0\t\t/data/0.tif"
    shown = int(printed[-3].split()[1])
    assert printed[-3] == f"… {shown} more: --json shows all of them"
    assert sum(line.startswith(("failed\t", "verifying\t", "annotated\t")) for line in printed) == 400 - shown >= 10
    attempts = [line.split("\t") for line in printed[printed.index("attempt\tby\tbegun\tended\toutcome\twhy") + 1 :][:6]]
    assert [row[0] for row in attempts] == ["1", "… 26 more", "28", "29", "30", "31"]
    told = json.loads(adi("orders", "show", uuid, "--json").stdout)
    assert (len(told["files"]), len(told["attempts"]), len(told["stages"])) == (400, 31, 32)
    assert told["files"][123]["error"] == "'/data/123.tif' is damaged."  # as they were planned


def file(number: int, step: FileStep, **facts: Any) -> LedgerFile:
    return LedgerFile(entry=f"/data/{number}.tif", key=f"data/{number}.tif", route=Route.INPLACE, step=step, **facts)


def test_an_order_that_is_not_there_is_65(adi: AdiInside) -> None:
    done = adi("orders", "show", "nobody")
    assert done.returncode == os.EX_DATAERR
    assert done.stderr == "There is no order 'nobody'. `omero adi orders list` shows the newest ones.\n"


def test_wait_ends_with_75_when_its_time_is_over(adi: AdiInside, database: Database) -> None:
    uuid = ordered(database)
    done = adi("orders", "wait", uuid, "--timeout", "0.2")
    assert done.returncode == os.EX_TEMPFAIL
    assert f"Order '{uuid}' has not ended within 0.2 seconds." in done.stderr
    assert adi("orders", "wait", uuid, "--timeout", "-1").returncode == os.EX_USAGE


def test_wait_ends_with_65_when_the_order_failed(adi: AdiInside, database: Database) -> None:
    uuid = failed(database, "The disk is a brick.")
    done = adi("orders", "wait", uuid, "--json")
    assert done.returncode == os.EX_DATAERR
    assert json.loads(done.stdout)["state"] == "failed"
    assert "The disk is a brick." in done.stderr


def test_wait_sees_the_end_of_an_order(database: Database, database_url: str, tmp_path: Path) -> None:
    adi = Adi(database_url, tmp_path)
    queue = Queue(database, lease_seconds=60)
    claim = submit_claimed(database, queue, user="u", group="g", target=TARGET, files=["/data/a.tif"], owner="host:1")
    results: list[subprocess.CompletedProcess[str]] = []
    waiting = threading.Thread(target=lambda: results.append(adi("orders", "wait", claim.lease.order, "--timeout", "30")))
    waiting.start()
    queue.complete(claim.lease)
    waiting.join()
    assert results[0].returncode == os.EX_OK
    assert results[0].stderr.splitlines() == ["Import Pending", "Import Started", "Import Completed"]


def test_a_database_that_is_not_there_is_69_and_its_password_stays_out_of_sight(tmp_path: Path) -> None:
    done = Adi("postgresql://adi:geheim@127.0.0.1:9/nothing", tmp_path)("orders", "list")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "127.0.0.1:9" in done.stderr
    assert "geheim" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_upgrade_makes_the_tables_and_current_says_so(empty_database_url: str, adi_inside: Callable[..., AdiInside]) -> None:
    adi = adi_inside(empty_database_url)
    nothing = {"contract": None, "plugin": None, "trigger": "missing", "needs_upgrade": True}
    assert json.loads(adi("db", "current", "--json").stdout) == nothing
    assert "omero adi db upgrade" in adi("db", "current").stderr
    expected = {"contract": CONTRACT_HEAD, "plugin": PLUGIN_HEAD, "trigger": "present", "needs_upgrade": False}
    for _ in range(2):
        done = adi("db", "upgrade", "--json")
        assert (done.returncode, json.loads(done.stdout)) == (os.EX_OK, expected)
    assert json.loads(adi("db", "current", "--json").stdout) == expected
