# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupted orders are looked at once more: which ones, and that a service does it."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.orders import FileStep
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.intake import Intake
from tests.fixtures.attempts import attempts_of
from tests.fixtures.late import import_late
from tests.fixtures.services import ONCE

if TYPE_CHECKING:
    from omero_adi_plugin.pipeline.progress import Progress
    from omero_adi_plugin.sessions import OmeroSession
    from tests.fixtures.laboratory import Lab
    from tests.fixtures.samples import Samples
    from tests.fixtures.services import Services, Tracking

pytestmark = pytest.mark.usefixtures("without_java")

UNSWEPT = "SELECT attempt, unswept_since IS NOT NULL FROM adi_order"


class Remembering(Logins):
    """The real ones; which sessions for users they made is remembered."""

    made: list[OmeroSession]

    def act_for(self, user: str, group: str) -> OmeroSession:
        self.made.append(super().act_for(user, group))
        return self.made[-1]


def test_an_order_that_lost_its_session_is_looked_at_once_more(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    tracking.order(lab, samples.image())

    def kill(progress: Progress) -> None:
        if progress.step is FileStep.CREATED and len(logins.made) == 1:
            logins.made[0].client.killSession()

    logins = Remembering(lab.account)
    logins.made = []
    with attempts_of(Settings.load(services.config), logins=logins) as attempts:
        Intake(attempts.database, pending_days=10).take_in()
        claim = attempts.queue.claim(owner="this test")
        assert claim is not None
        assert attempts.carry_out(claim, on_progress=kill) is None
    assert len(logins.made) == 2, "the order went on in another session"
    assert tracking.sql(UNSWEPT) == [(1, True)]


def test_a_service_that_drains_removes_what_came_after_the_end_of_an_order_and_does_not_wait_for_what_is_not_due(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    files = [samples.image(f"{number}.ome.tif") for number in range(2)]
    due, not_due = (tracking.order(lab, file) for file in files)
    services.run(*ONCE)
    images = lab.images()
    for order, file in zip((due, not_due), files, strict=True):
        import_late(lab, order=order, path=file)
    tracking.sql("UPDATE adi_order SET unswept_since = now()")
    tracking.sql("UPDATE adi_order SET unswept_since = now() - interval '1 hour' WHERE uuid = %s", due)
    done = services.run(*ONCE)
    assert done.returncode == os.EX_OK, done.stderr
    assert len(lab.images()) == len(images) + 1
    assert lab.markers() == Counter({(due, files[0]): 1, (not_due, files[1]): 2})
    assert tracking.sql("SELECT uuid FROM adi_order WHERE unswept_since IS NOT NULL") == [(not_due,)]
