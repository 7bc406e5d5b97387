# SPDX-License-Identifier: GPL-2.0-or-later
"""What operators type, to order again, call off, pause, resume and check: the words that they read, and the status."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.orders import Claim, Target, TargetKind
from omero_adi_plugin.tracking import takeover
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.pausing import standing_pause
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.services import Presence, WorkerState
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order
from tests.fixtures.inside import AdiInside
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking

TARGET = Target(kind=TargetKind.DATASET, id=151)
NOWHERE = {"omero_host": "127.0.0.1", "omero_port": 9}


@pytest.fixture
def adi(adi_inside: Callable[..., AdiInside]) -> AdiInside:
    return adi_inside(**NOWHERE)


def ordered(database: Database) -> str:
    return submit_order(database, user="researcher", group="demo-lab", target=TARGET, files=["/data/a.tif"])


def running(database: Database, queue: Queue) -> Claim:
    return submit_claimed(database, queue, user="u", group="g", target=TARGET, files=["/data/a.tif"], owner="host:1")


def test_cancel_and_retry_say_what_was_done_and_show_says_who_did_it(adi: AdiInside, database: Database) -> None:
    uuid = ordered(database)
    done = adi("orders", "cancel", uuid)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"order {uuid} is cancelled\n", "")
    done = adi("orders", "retry", uuid, environment={"SUDO_USER": "ann"})
    assert (done.returncode, done.stdout, done.stderr) == (0, f"order {uuid} is ordered again\n", "")
    shown = json.loads(adi("orders", "show", uuid, "--json").stdout)
    account = os.environ.get("SUDO_USER") or getpass.getuser()
    assert [(action["who"], action["action"]) for action in shown["actions"]] == [
        (f"{account}@{socket.gethostname()}", "cancelled"),
        (f"ann@{socket.gethostname()}", "retried"),
    ]
    lines = adi("orders", "show", uuid).stdout.splitlines()
    assert "time\twho\taction\tdetail" in lines
    assert any(line.split("\t")[1:3] == [f"ann@{socket.gethostname()}", "retried"] for line in lines)


def test_for_programs_both_print_where_the_order_stands_then(adi: AdiInside, database: Database) -> None:
    uuid = ordered(database)
    cancelled = json.loads(adi("orders", "cancel", uuid, "--json").stdout)
    assert (cancelled["uuid"], cancelled["state"], cancelled["stage"]) == (uuid, "cancelled", "Import Failed")
    done = adi("orders", "retry", uuid, "--again", "--json")
    assert done.stderr == "What was imported and is not visible in OMERO any more is imported again.\n"
    assert (json.loads(done.stdout)["state"], json.loads(done.stdout)["stage"]) == ("waiting", "Import Pending")


def test_who_waits_for_a_cancelled_order_learns_of_it(adi: AdiInside, database: Database) -> None:
    uuid = ordered(database)
    adi("orders", "cancel", uuid)
    done = adi("orders", "wait", uuid)
    assert done.returncode == os.EX_DATAERR
    assert "Cancelled by" in done.stderr


def test_whoever_looks_at_a_waiting_order_is_told_of_a_pause_once(adi: AdiInside, database: Database) -> None:
    uuids = [ordered(database), ordered(database)]
    assert adi("orders", "list").stderr == ""
    assert adi("pause").returncode == 0
    for words in (("list", "--json"), ("show", uuids[0], "--json"), ("wait", uuids[0], "--timeout", "0"), ("retry", uuids[1])):
        done = adi("orders", *words)
        assert done.stderr.count("All imports are paused since") == 1
        assert not done.stdout or "--json" not in words or json.loads(done.stdout)
    assert "paused" not in adi("orders", "list", "--state", "failed").stderr


def test_pause_and_resume_say_what_holds_and_for_how_long_it_held(adi: AdiInside, database: Database) -> None:
    assert adi("resume").stdout == "Imports were not paused.\n"
    first = adi("pause", environment={"SUDO_USER": "ann"})
    assert first.stdout.startswith("All imports are paused since ")
    assert f"by ann@{socket.gethostname()}" in first.stdout
    again = adi("pause", "--json", environment={"SUDO_USER": "bob"})
    assert again.stderr == "Imports were paused already; that pause stays as it is.\n"
    pause = standing_pause(database)
    assert pause is not None
    assert json.loads(again.stdout) == {"paused": True, "since": pause.since.isoformat(), "by": pause.by, "running": 0}
    assert adi("resume").stdout.startswith("Imports go on; they had been paused since ")
    assert json.loads(adi("resume", "--json").stdout) == {"paused": False, "since": None, "by": None, "running": 0}


def test_pause_drain_ends_when_the_last_order_has_ended(adi: AdiInside, database: Database, queue: Queue) -> None:
    claims = [running(database, queue) for _ in range(2)]
    draining = adi.start("pause", "--drain", "--json")
    assert draining.stderr is not None
    assert draining.stderr.readline() == "2 orders are being carried out.\n"
    queue.complete(claims[0].lease)
    assert draining.stderr.readline() == "1 order is being carried out.\n"
    assert draining.poll() is None
    queue.fail(claims[1].lease, reason="no")
    stdout, stderr = draining.communicate(timeout=30)
    assert (draining.returncode, stderr) == (0, "")
    assert json.loads(stdout)["running"] == 0


def test_cancel_of_an_order_that_is_carried_out_says_who_will_end_it(adi: AdiInside, database: Database, queue: Queue) -> None:
    claim = running(database, queue)
    uuid = claim.lease.order
    done = adi("orders", "cancel", uuid)
    words = f"order {uuid} is being carried out by host:1, which ends it at the next safe point\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, words, "")
    told = json.loads(adi("orders", "cancel", uuid, "--json").stdout)
    assert (told["state"], told["lease"]["owner"]) == ("running", "host:1")
    again = adi("orders", "retry", uuid)
    assert (again.returncode, again.stdout) == (os.EX_TEMPFAIL, "")
    assert f"Order '{uuid}' is being called off by host:1." in again.stderr
    queue.cancel(claim.lease, reason="Cancelled.")
    assert adi("orders", "retry", uuid).returncode == 0


def test_import_takes_a_priority_for_what_a_service_does(adi: AdiInside, database: Database) -> None:
    place = ("--into", "Dataset:151", "--for", "ann", "--in-group", "g")
    done = adi("import", "a.tif", *place, "--queue", "--priority", "7")
    assert (done.returncode, done.stderr) == (0, "")
    with database.begin() as connection:
        rows = connection.exec_driver_sql("SELECT uuid, priority FROM adi_order").all()
    assert [tuple(row) for row in rows] == [(done.stdout.strip(), 7)]
    alone = adi("import", "a.tif", *place, "--priority", "7")
    assert alone.returncode == os.EX_USAGE
    assert "--queue or --wait" in alone.stderr
    assert adi("import", "a.tif", *place, "--queue", "--priority", "101").returncode == os.EX_USAGE


def test_control_c_ends_the_waiting_and_leaves_the_pause(adi: AdiInside, database: Database, queue: Queue) -> None:
    running(database, queue)
    draining = adi.start("pause", "--drain")
    assert draining.stderr is not None
    assert draining.stderr.readline() == "1 order is being carried out.\n"
    draining.send_signal(signal.SIGINT)
    stdout, stderr = draining.communicate(timeout=30)
    assert (draining.returncode, stdout) == (130, "")
    assert stderr.startswith("Imports stay paused")
    assert standing_pause(database) is not None


def test_status_shows_services_workers_and_the_queue(adi: AdiInside, database: Database, queue: Queue) -> None:
    empty = adi("status")
    assert (empty.returncode, empty.stderr) == (0, "")
    facts = dict(line.split("\t") for line in empty.stdout.splitlines())
    assert facts == {
        "imports": "not paused",
        "services": "none is at work: start one with `omero adi serve`",
        "waiting": "0",
        "running": "0",
        "filesets": "0 of 6 may be in flight",
        "last 24 hours": "0 completed, 0 failed, 0 cancelled",
    }
    Presence(database).tell([WorkerState(pid=11), WorkerState(pid=12, trouble="OMERO is\naway")])
    claim = submit_claimed(
        database, queue, user="ann", group="g", target=TARGET, files=["/a"], owner=f"{socket.gethostname()}:11"
    )
    queue.extend(claim.lease, doing="0/1 /a: importing")
    alone = running(database, queue)
    ordered(database)
    adi("pause", "--json")
    shown = adi("status")
    first, _, second = shown.stdout.partition("\n\n")
    facts = dict(line.split("\t") for line in first.splitlines())
    assert facts["imports"].startswith("paused for ")
    assert (facts["services"], facts["running"]) == ("1 at work, with 2 workers, 1 of them busy", "2")
    assert facts["waiting"] == "1 not yet taken in"
    rows = [line.split("\t") for line in second.splitlines()]
    assert rows[0] == ["process", "for", "user", "order", "what it does"]
    assert rows[1][0] == f"{socket.gethostname()}:{os.getpid()}"
    assert rows[1][4].startswith("service, version ")
    assert [(row[0], *row[2:]) for row in rows[2:]] == [
        ("worker 11", "ann", claim.lease.order, "0/1 /a: importing"),
        ("worker 12", "", "", "in trouble: OMERO is\N{REPLACEMENT CHARACTER}away"),
        ("host:1", "u", alone.lease.order, "begins"),
    ]
    told = json.loads(adi("status", "--json").stdout)
    assert [worker["pid"] for worker in told["services"][0]["workers"]] == [11, 12]
    assert told["queue"]["inbox"] == 1


def test_check_names_each_thing_with_what_to_do_and_fails(adi: AdiInside, adi_inside: Callable[..., AdiInside]) -> None:
    done = adi("check")
    assert done.returncode == os.EX_CONFIG
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["level", "check", "finding, and what to do"]
    assert [row[0] for row in rows[1:] if row[1] == "omero"] == ["error"]
    assert done.stderr == "1 finding to see to, listed above with what to do.\n"
    old = adi_inside(**NOWHERE, data_dir_name="data")
    found = json.loads(old("check", "--json").stdout)["findings"]
    assert {frozenset(each) for each in found} == {frozenset({"name", "level", "finding", "remedy"})}
    [settings] = [each for each in found if each["name"] == "settings"]
    assert settings["level"] == "warning"
    assert "data_dir_name" in settings["finding"]


def test_check_is_content_with_a_service_at_work_even_while_it_is_paused(services: Services, database_url: str) -> None:
    def found(command: str) -> dict[str, Any]:
        done = services.run(command, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return {each["name"]: each["level"] for each in json.loads(done.stdout)["findings"]}

    with closing(Database(database_url, name="adi service")) as service:
        takeover.take_over(service, who="host:1")
        assert set(found("check").values()) == {"ok"}
        assert services.run("pause").returncode == 0
        assert {name: level for name, level in found("check").items() if level != "ok"} == {"pause": "warning"}


@pytest.mark.usefixtures("without_java")
def test_what_was_deleted_in_omero_comes_back_only_if_a_person_says_so(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    gone, stays = samples.image("gone.ome.tif"), samples.image("stays.ome.tif")
    order = tracking.order(lab, gone, stays)
    assert services.run(*ONCE).returncode == 0
    [[fileset]] = tracking.sql("SELECT fileset FROM adi_file WHERE uuid = %s AND entry = %s", order, gone)
    before = lab.images()
    delete_fileset(lab.session, fileset)
    once = Counter({(order, stays): 1})
    services.run("orders", "retry", order)
    services.run(*ONCE)
    assert tracking.stages(order)[-1] == "Import Failed"
    assert "omero adi orders retry" in tracking.description(order)
    assert lab.markers() == once
    services.run("orders", "retry", order, "--again")
    services.run(*ONCE)
    assert tracking.stages(order)[-1] == "Import Completed"
    assert lab.markers() == once + Counter({(order, gone): 1})
    assert len(set(lab.images()) & set(before)) == 1
    assert tracking.sql("SELECT count(*) FROM adi_file WHERE error IS NOT NULL") == [(0,)]


def test_a_completed_order_whose_images_are_gone_comes_back_with_one_command(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    gone, stays = samples.image("gone.ome.tif"), samples.image("stays.ome.tif")
    order = tracking.order(lab, gone, stays)
    assert services.run(*ONCE).returncode == 0
    [[fileset]] = tracking.sql("SELECT fileset FROM adi_file WHERE uuid = %s AND entry = %s", order, gone)
    before = lab.images()
    delete_fileset(lab.session, fileset)
    services.run("orders", "retry", order, "--again")
    assert services.run(*ONCE).returncode == 0
    assert lab.markers() == Counter({(order, gone): 1, (order, stays): 1})
    assert len(set(lab.images()) & set(before)) == 1
    assert "Import Failed" not in tracking.stages(order)
