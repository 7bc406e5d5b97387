# SPDX-License-Identifier: GPL-2.0-or-later
"""Timeline: what was made when, as OMERO.web's history asks."""

from __future__ import annotations

from typing import Any

import omero
import pytest
from omero.rtypes import rlong, rstring, rtime

from tests.fixtures.omero_client import User, new_dataset


def whose(user: User, limit: int | None = None) -> Any:
    parameters = omero.sys.ParametersI().exp(rlong(user.id))
    return parameters if limit is None else parameters.page(0, limit)


def image(client: Any, acquired: int) -> int:
    made = omero.model.ImageI()
    made.name, made.acquisitionDate = rstring("image"), rtime(acquired)
    return int(client.sf.getUpdateService().saveAndReturnObject(made).id.val)


def test_objects_are_listed_and_counted_by_period(client: Any, user: User) -> None:
    timeline = client.sf.getTimelineService()
    now = client.sf.getConfigService().getServerTime().val
    datasets = [new_dataset(client), new_dataset(client)]
    old, new = image(client, 1_000), image(client, now)
    recently = (rtime(now - 60_000), rtime(now + 600_000))
    assert timeline.countByPeriod(["Image", "Dataset"], *recently, whose(user)) == {"Image": 1, "Dataset": 2}
    found = timeline.getByPeriod(["Image", "Dataset"], *recently, whose(user), False)
    assert [one.id.val for one in found["Dataset"]] == datasets[::-1]
    assert [one.id.val for one in found["Image"]] == [new]
    assert timeline.countByPeriod(["Image"], rtime(0), rtime(2_000), whose(user)) == {"Image": 1}
    assert [one.id.val for one in timeline.getMostRecentObjects(["Image"], whose(user), False)["Image"]] == [new, old]
    assert timeline.countByPeriod(["Dataset"], *recently, whose(user).page(5, 1)) == {"Dataset": 2}
    merged = timeline.getMostRecentObjects(["Image", "Dataset"], whose(user, limit=2), True)
    assert sum(len(listed) for listed in merged.values()) == 2


def test_what_happened_is_told_as_events(client: Any, user: User) -> None:
    timeline = client.sf.getTimelineService()
    now = client.sf.getConfigService().getServerTime().val
    dataset, made = new_dataset(client), image(client, now)
    logs = timeline.getEventLogsByPeriod(rtime(now - 60_000), rtime(now + 600_000), whose(user))
    assert {(log.entityType.val, log.entityId.val, log.action.val) for log in logs} == {
        ("ome.model.containers.Dataset", dataset, "INSERT"),
        ("ome.model.core.Image", made, "INSERT"),
    }
    assert all(log.event.time.val >= now - 60_000 for log in logs)


def test_the_latest_annotations_come_as_links(client: Any, user: User) -> None:
    link = omero.model.DatasetAnnotationLinkI()
    link.parent = omero.model.DatasetI(new_dataset(client), False)
    link.child = omero.model.TagAnnotationI()
    link.child.ns, link.child.textValue = rstring("test/timeline"), rstring("tag")
    client.sf.getUpdateService().saveObject(link)
    timeline = client.sf.getTimelineService()
    found = timeline.getMostRecentAnnotationLinks(["Dataset"], ["TagAnnotation"], ["test/timeline"], whose(user))
    assert [one.child.textValue.val for one in found] == ["tag"]
    assert timeline.getMostRecentAnnotationLinks(["Dataset"], [], ["other"], whose(user)) == []
    link.child = omero.model.CommentAnnotationI()
    client.sf.getUpdateService().saveObject(link)
    found = timeline.getMostRecentAnnotationLinks(["Dataset"], ["TagAnnotation"], [], whose(user, limit=1))
    assert [type(one.child) for one in found] == [omero.model.TagAnnotationI]
    with pytest.raises(omero.ServerError):
        timeline.getMostRecentAnnotationLinks([], ["TagAnnotation", "CommentAnnotation"], [], whose(user))
