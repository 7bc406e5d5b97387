# SPDX-License-Identifier: GPL-2.0-or-later
"""A producer in Python, a service and OMERO."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from omero_adi_plugin import OrderState, OrderStatus, submit_order, wait_for_order
from omero_adi_plugin.errors import DatabaseDown
from tests.fixtures.laboratory import Lab
from tests.fixtures.relay import Break, relayed
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import WAIT_SECONDS

pytestmark = pytest.mark.usefixtures("without_java")


def test_whether_the_commit_was_lost_or_only_its_answer_each_file_is_imported_once(
    lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    services.start(max_workers=1)

    def order(file: str, at: Break) -> OrderStatus:
        uuid = str(uuid4())
        asked: dict[str, Any] = {"user": lab.user, "group": lab.group, "target": f"Dataset:{lab.dataset}", "uuid": uuid}
        with relayed(tracking.url, at=at) as relay:
            with pytest.raises(DatabaseDown):
                submit_order([file], **asked, url=relay.url)
            if tracking.stages(uuid):  # it was written: let it run, so that the second one comes when all is done
                wait_for_order(uuid, timeout_seconds=WAIT_SECONDS, url=tracking.url)
            submit_order([file], **asked, url=relay.url)
        return wait_for_order(uuid, timeout_seconds=WAIT_SECONDS, url=tracking.url)

    ended = [order(samples.image(f"{at.name}.ome.tif"), at) for at in (Break.BEFORE_COMMIT, Break.AFTER_COMMIT)]
    assert [status.state for status in ended] == [OrderState.COMPLETED] * 2
    assert [status.attempt for status in ended] == [1, 2]
    images = [image for status in ended for file in status.files or () for image in file.images]
    assert sorted(images) == lab.images()
    assert [lab.images_with(status.uuid) for status in ended] == [[image] for image in images]
