# SPDX-License-Identifier: GPL-2.0-or-later
"""A site goes over from the former importer: what that left is seen to, once; another importer shows; no trigger is needed."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

DONE = ["Import Pending", "Import Started", "Import Completed"]


def stage(tracking: Tracking, uuid: str, stage: str, *, days_ago: float = 0) -> None:
    """Append a stage to an order, as an importer does that knows nothing of us."""
    tracking.sql(
        "INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp) "
        "SELECT group_name, user_name, destination_id, destination_type, %s, uuid, files, now() - make_interval(secs => %s) "
        "FROM imports WHERE uuid = %s LIMIT 1",
        stage,
        days_ago * 86400,
        uuid,
    )


def findings(services: Services) -> dict[str, dict[str, Any]]:
    """What `check` has to say, by name."""
    done = services.run("check", "--json")
    assert done.returncode in {os.EX_OK, os.EX_CONFIG}, done.stderr
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_the_first_start_sees_to_what_the_former_importer_left(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    tracking.sql("DROP TRIGGER adi_note_pending ON imports")  # as it was before we came
    begun, converting, done = (tracking.order(lab, samples.image(f"{name}.ome.tif")) for name in ("begun", "converting", "done"))
    stage(tracking, begun, "Import Started")
    stage(tracking, converting, "Import Started")
    stage(tracking, converting, "Import Preprocessing")
    stage(tracking, done, "Import Started")
    stage(tracking, done, "Import Completed")
    forgotten = tracking.order(lab, samples.image("forgotten.ome.tif"))
    tracking.sql("UPDATE imports SET timestamp = now() - interval '11 days' WHERE uuid = %s", forgotten)
    waiting = tracking.order(lab, samples.image("waiting.ome.tif"))
    services.start(max_workers=1)
    tracking.wait(waiting)
    assert tracking.stages(waiting) == DONE
    assert len(lab.images()) == 1
    for order in (begun, converting):
        assert tracking.stages(order)[-1] == "Import Failed"
        assert "was running when the former importer stopped: look in OMERO, then order again" in tracking.description(order)
    assert tracking.stages(done)[-1] == "Import Completed"
    assert tracking.stages(forgotten) == ["Import Pending"]
    found = findings(services)
    assert [name for name, finding in found.items() if forgotten in finding["finding"]] == ["old orders"]
    # a second service has nothing of this to do again
    stage(tracking, done, "Import Started")
    services.start(max_workers=1)
    again = tracking.order(lab, samples.image("again.ome.tif"))
    tracking.wait(again)
    assert tracking.stages(done)[-1] == "Import Started"
    assert services.log.read_text().count("event=database.taken_over") == 1


def test_tables_that_somebody_has_changed_are_taken_over_when_the_administrator_says_so(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    assert services.run("db", "detach").returncode == os.EX_OK
    tracking.sql("DROP TABLE alembic_version_omeroadi")
    tracking.sql("ALTER TABLE imports ALTER COLUMN description TYPE varchar(2000)")
    services.config.write_text(services.config.read_text() + "data_dir_name: .omerodata\nttl_for_user_conn: 60000\n")
    order = tracking.order(lab, samples.image())
    refused = services.run(*ONCE)
    assert refused.returncode == os.EX_CONFIG
    assert "ADI_ALLOW_AUTO_STAMP" in refused.stderr
    assert services.run(*ONCE, "--set", "allow_auto_stamp=true").returncode == os.EX_OK
    assert tracking.stages(order) == DONE
    # keys of the former importer's file were named, each once a start
    log = services.log.read_text()
    assert [log.count(f"key={key}") for key in ("data_dir_name", "ttl_for_user_conn")] == [2, 2]


def test_another_importer_on_the_database_is_named_by_log_and_check(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    services.start(max_workers=1, reconcile_seconds=5)
    ours = tracking.order(lab, samples.image("ours.ome.tif"))
    tracking.wait(ours)
    assert findings(services)["another importer"]["level"] == "ok"
    theirs = tracking.order(lab, samples.image("theirs.ome.tif"))
    stage(tracking, theirs, "Import Started")
    wait_until(lambda: "event=importer.another" in services.log.read_text(), what="the log's line about another importer")
    [line] = [line for line in services.log.read_text().splitlines() if "event=importer.another" in line]
    assert "level=error" in line
    assert theirs in line
    assert ours not in line
    done = services.run("check", "--json")
    assert done.returncode == os.EX_CONFIG
    found = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}["another importer"]
    assert (found["level"], theirs in found["finding"]) == ("error", True)
    # in the same way it notices, and says, that orders come of which no trigger told
    assert "event=intake.trigger_was_silent" not in services.log.read_text()
    tracking.sql("ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    tracking.wait(tracking.order(lab, samples.image("untold.ome.tif")))
    assert "level=warning event=intake.trigger_was_silent" in services.log.read_text()


def test_a_site_without_triggers_has_its_orders_carried_out(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    before = tracking.order(lab, samples.image("before.ome.tif"))
    services.start(max_workers=1, intake="scan", poll_seconds=1, reconcile_seconds=3600)
    tracking.wait(before)
    assert tracking.sql("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'imports'::regclass AND tgname ~ '^adi'") == [(0,)]
    after = tracking.order(lab, samples.image("after.ome.tif"))
    tracking.wait(after)
    tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", after)  # retried, as the old documentation says
    wait_until(lambda: tracking.stages(after)[-2:] == ["Import Started", "Import Completed"], what="the retry's end")
    assert len(lab.images()) == 2
    assert services.run("check").returncode == os.EX_OK, "a site that wants no trigger is told that it lacks one"


def test_while_imports_are_paused_nothing_begins_and_afterwards_everything_does(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    services.start(max_workers=1, poll_seconds=3600, reconcile_seconds=3600, lease_seconds=3600)
    tracking.wait(tracking.order(lab, samples.image("before.ome.tif")))
    assert services.run("pause", "--drain").returncode == os.EX_OK
    held = tracking.order(lab, samples.image("held.ome.tif"))
    wait_until(lambda: tracking.sql("SELECT state FROM adi_order WHERE uuid = %s", held) == [("waiting",)], what="the intake")
    refused = services.run("import", samples.image("here.ome.tif"), "--into", f"Dataset:{lab.dataset}", "--for", lab.user)
    assert refused.returncode == os.EX_TEMPFAIL
    assert "paused" in refused.stderr
    once = services.run(*ONCE)
    assert once.returncode == os.EX_TEMPFAIL, once.stderr
    assert tracking.stages(held) == ["Import Pending"]
    assert services.run("resume").returncode == os.EX_OK
    tracking.wait(held, seconds=30)  # long before the poll
    assert tracking.stages(held) == DONE
