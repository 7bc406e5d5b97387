# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi import`, as a person types it."""

from __future__ import annotations

import json
import os

from omero_adi_plugin.commands.person import who
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking


def order(lab: Lab, *files: str) -> list[str]:
    return ["import", *files, "--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group]


def test_without_a_service_it_is_carried_out_here(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> None:
    done = services.run(*order(lab, samples.image(), samples.three_images()), "--json")
    assert done.returncode == os.EX_OK, done.stderr
    report = json.loads(done.stdout)
    assert (report["state"], report["stage"], report["attempt"]) == ("completed", "Import Completed", 1)
    assert sorted(image for file in report["files"] for image in file["images"]) == lab.images()
    assert lab.images_with(report["uuid"]) == lab.images()
    assert [file["step"] for file in report["files"]] == ["annotated", "annotated"]
    [action] = report["actions"]  # whose account ordered it, which is not who it was ordered for
    assert (action["action"], action["who"]) == ("ordered", who())


def test_a_bad_file_fails_it_after_the_others_went_in(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> None:
    broken = samples.broken()
    done = services.run(*order(lab, broken, samples.image()))
    assert done.returncode == os.EX_DATAERR
    assert broken in done.stderr
    assert "order again" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(lab.images()) == 1


def test_queued_it_returns_at_once_and_a_service_carries_it_out(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    queued = services.run(*order(lab, samples.image()), "--queue")
    assert queued.returncode == os.EX_OK, queued.stderr
    uuid = queued.stdout.strip()
    assert services.run("orders", "wait", uuid, "--timeout", "0.1").returncode == os.EX_TEMPFAIL
    assert tracking.stages(uuid) == ["Import Pending"]
    assert tracking.sql("SELECT action, who FROM adi_action WHERE uuid = %s", uuid) == [("ordered", who())]
    services.start(max_workers=1)
    assert services.run("orders", "wait", uuid, "--timeout", "60").returncode == os.EX_OK
    assert len(lab.images_with(uuid)) == 1


def test_it_can_wait_for_a_service(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> None:
    services.start(max_workers=1)
    good = services.run(*order(lab, samples.image()), "--wait")
    assert good.returncode == os.EX_OK, good.stderr
    assert "Import Completed" in good.stdout
    bad = services.run(*order(lab, samples.broken()), "--wait")
    assert bad.returncode == os.EX_DATAERR
    assert "damaged" in bad.stderr


def test_without_a_group_it_goes_into_the_users_default_group(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    done = services.run("import", samples.image(), "--into", f"Dataset:{lab.dataset}", "--for", lab.user)
    assert done.returncode == os.EX_OK, done.stderr
    [[group]] = lab.session.query("select i.details.group.name from Image i where i.id in (:ids)", ids=lab.images())
    assert group == lab.group


def test_the_password_of_nobody_is_seen(lab: Lab, tracking: Tracking, services: Services, samples: Samples) -> None:
    settings = services.config.read_text().replace(f"omero_password: {lab.account.password}", "omero_password: not-that-one")
    services.config.write_text(settings)
    done = services.run(*order(lab, samples.image()))
    assert done.returncode == os.EX_CONFIG
    assert "OMERO_PASSWORD" in done.stderr
    assert "not-that-one" not in done.stderr + done.stdout + services.log.read_text()
    assert lab.images() == []
