# SPDX-License-Identifier: GPL-2.0-or-later
"""Handles, requests of several, and requests that only ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import Ice
import omero
import omero.cmd
import omero.model as m
import pytest
from omero.cmd import Delete2, DoAll, SkipHead, Timing

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, make_user, new_dataset, rows, submit
from tests.fixtures.omero_requests import counts, deleted, exists, link, named, new_image, refusal, save
from tests.fixtures.waiting import wait_until


def finished(client: Any, request: Any) -> Any:
    """The handle of a request that has its response."""
    handle = client.sf.submit(request)
    wait_until(lambda: handle.getResponse() is not None)
    return handle


def test_a_handle_tells_steps_and_flags_and_is_gone_once_closed(client: Any) -> None:
    dataset = new_dataset(client)
    tried = finished(client, Delete2(targetObjects={"Dataset": [dataset]}, dryRun=True)).getStatus()
    assert (tried.steps, tried.currentStep) == (4, 3)
    handle = finished(client, Delete2(targetObjects={"Dataset": [dataset]}))
    status = handle.getStatus()
    assert (status.steps, status.currentStep, list(status.flags)) == (6, 5, [])
    assert status.stopTime >= status.startTime > 0
    assert isinstance(handle.getRequest(), Delete2)
    assert handle.cancel() is False
    handle.close()
    with pytest.raises(Ice.ObjectNotExistException):
        handle.getStatus()
    failed = finished(client, Delete2(targetObjects={"Dataset": [dataset]})).getStatus()
    assert {str(flag) for flag in failed.flags} == {"FAILURE", "CANCELLED"}
    assert (failed.name, failed.category) == ("", "")


def test_a_request_that_waits_can_be_called_off(client: Any) -> None:
    handle = client.sf.submit(Timing(steps=100, millisPerStep=1000))
    wait_until(lambda: handle.getStatus().steps == 100)
    assert handle.cancel() is True
    assert isinstance(handle.getResponse(), omero.cmd.ERR)
    assert isinstance(submit(client, Timing(steps=3, millisPerStep=1)), omero.cmd.OK)
    assert submit(client, Timing(steps=2_000_000, millisPerStep=0)).name == "too-many-steps"


def test_several_requests_are_done_together_or_not_at_all(client: Any) -> None:
    first, second = new_dataset(client), new_dataset(client)
    missing = Delete2(targetObjects={"Dataset": [999999999]})
    text = refusal(submit(client, DoAll([Delete2(targetObjects={"Dataset": [first]}), missing], [])))
    assert text == "cannot read ome.model.containers.Dataset[999999999]"
    assert exists(client, "Dataset", first)
    both = submit(client, DoAll([Delete2(targetObjects={"Dataset": [one]}) for one in (first, second)], []))
    assert [deleted(one) for one in both.responses] == [{"Dataset": 1}] * 2
    nothing = submit(client, DoAll([], []))
    assert (nothing.name, nothing.parameters) == ("no-steps", {})


def test_a_request_can_begin_below_its_target(client: Any) -> None:
    """As `omero delete /Image:…` below a Dataset does: the Dataset stays."""
    saved = save(client, link(m.DatasetImageLinkI, named(m.DatasetI), new_image(client)))
    request = SkipHead(targetObjects={"Dataset": [saved.parent.id.val]}, startFrom=["Image"], request=Delete2())
    found = deleted(submit(client, request))
    assert (found["Image"], found["DatasetImageLink"], "Dataset" in found) == (1, 1, False)
    assert exists(client, "Dataset", saved.parent.id.val)
    assert submit(client, SkipHead(targetObjects={}, startFrom=["Image"])).name == "steps-cancel"
    assert submit(client, SkipHead(targetObjects={}, request=Delete2())).name == "graph-fail"


def test_parents_and_children_are_found_at_any_distance(client: Any) -> None:
    project = named(m.ProjectI)
    dataset = named(m.DatasetI)
    dataset.linkImage(new_image(client))
    project.linkDataset(dataset)
    saved = save(client, project)
    found = submit(
        client, omero.cmd.FindChildren(targetObjects={"Project": [saved.id.val]}, typesOfChildren=["Image", "Channel"])
    )
    assert counts(found.children) == {"Image": 1, "Channel": 1}
    image = found.children["ome.model.core.Image"]
    up = omero.cmd.FindParents(targetObjects={"Image": image}, typesOfParents=["Project", "Dataset"])
    assert submit(client, up).parents == {
        "ome.model.containers.Project": [saved.id.val],
        "ome.model.containers.Dataset": [saved.linkedDatasetList()[0].id.val],
    }
    up.stopBefore = ["Dataset"]
    assert submit(client, up).parents == {}


def test_what_others_own_in_a_group_not_mine_is_not_found(devserver: OmeroServer, client: Any) -> None:
    dataset = save(client, link(m.DatasetImageLinkI, named(m.DatasetI), new_image(client))).parent.id.val
    request = omero.cmd.FindChildren(targetObjects={"Dataset": [dataset]}, typesOfChildren=["Image"])
    assert counts(submit(client, request).children) == {"Image": 1}
    stranger = make_user(devserver)
    with devserver.client(stranger.name, PASSWORD) as other:
        assert submit(other, request).children == {}


def test_files_behind_an_image(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None)
    image = job.run().objects[0].id.val
    used = submit(client, omero.cmd.UsedFilesRequest(imageId=image))
    assert len(used.binaryFilesThisSeries) == 1
    told = submit(client, omero.cmd.ManageImageBinaries(imageId=image))
    assert (told.filesetId.val, told.archivedFiles, told.pixelsPresent) == (job.fileset, [], False)
    assert submit(client, omero.cmd.OriginalMetadataRequest(imageId=image)).filesetId.val == job.fileset
    usage = submit(client, omero.cmd.DiskUsage2(targetObjects={"Image": [image]}))
    sizes = {kind: size for found in usage.bytesUsedByReferer.values() for kind, size in found.items()}
    assert sizes["FilesetEntry"] == one.stat().st_size
    assert sizes["Job"] > 0
    assert sum(usage.totalBytesUsed.values()) == sum(sizes.values())
    assert submit(client, omero.cmd.ManageImageBinaries(imageId=999999999)).name == "no-image"


def test_classes_that_a_request_may_name(client: Any) -> None:
    targets = submit(client, omero.cmd.LegalGraphTargets(Delete2())).targets
    assert {"ome.model.core.Image", "ome.model.annotations.TagAnnotation", "ome.model.annotations.ImageAnnotationLink"} <= set(
        targets
    )
    assert "ome.model.core.Pixels" not in targets


def test_open_sessions_are_listed_and_those_of_others_only_in_part(devserver: OmeroServer, user: User, client: Any) -> None:
    stranger = make_user(devserver)
    with devserver.client(stranger.name, PASSWORD) as other:
        found = submit(other, omero.cmd.CurrentSessionsRequest())
        assert len(found.sessions) == len(found.contexts) == len(found.data)
        by_user = {context.userName: session for session, context in zip(found.sessions, found.contexts, strict=True)}
        assert by_user[user.name] is None
        assert by_user[stranger.name].uuid.val == other.getSessionId()


def test_times_of_a_session_are_changed_and_users_make_none_endless(client: Any) -> None:
    uuid = client.getSessionId()
    change = omero.cmd.UpdateSessionTimeoutRequest(session=uuid, timeToIdle=omero.rtypes.rlong(5000))
    assert isinstance(submit(client, change), omero.cmd.OK)
    assert client.sf.getSessionService().getSession(uuid).timeToIdle.val == 5000
    endless = omero.cmd.UpdateSessionTimeoutRequest(session=uuid, timeToIdle=omero.rtypes.rlong(0))
    assert submit(client, endless).name == "non-admin-disabling"
    assert submit(client, omero.cmd.UpdateSessionTimeoutRequest(session="nobody's")).name == "no-session"


def test_a_forgotten_password_is_refused_by_name(client: Any, user: User) -> None:
    assert submit(client, omero.cmd.ResetPasswordRequest(omename="nosuch", email="a@b.c")).name == "unknown-user"
    assert submit(client, omero.cmd.ResetPasswordRequest(omename=user.name, email="a@b.c")).name == "unknown-email"


def test_objects_are_copied_with_all_below_them(client: Any) -> None:
    dataset = named(m.DatasetI, "original")
    dataset.linkImage(new_image(client))
    annotation = m.MapAnnotationI()
    annotation.setMapValue([m.NamedValue("key", "value")])
    dataset.linkAnnotation(annotation)
    original = save(client, dataset).id.val
    request = omero.cmd.Duplicate(targetObjects={"Dataset": [original]})
    expected = dict.fromkeys(
        (
            *("Dataset", "DatasetImageLink", "Image", "Pixels", "Channel", "LogicalChannel"),
            *("DatasetAnnotationLink", "MapAnnotation"),
        ),
        1,
    )
    request.dryRun = True
    assert counts(submit(client, request).duplicates) == expected
    request.dryRun = False
    made = submit(client, request).duplicates
    assert counts(made) == expected
    copy = made["ome.model.containers.Dataset"][0]
    assert copy != original
    hql = "select l.child.id, p.sizeX from DatasetImageLink l join l.child.pixels p where l.parent.id = :id"
    assert rows(client, hql, id=copy) == [[made["ome.model.core.Image"][0], 4]]
    pairs = client.sf.getQueryService().get("MapAnnotation", made["ome.model.annotations.MapAnnotation"][0]).getMapValue()
    assert [(pair.name, pair.value) for pair in pairs] == [("key", "value")]


def test_copies_leave_out_or_share_what_they_are_told_to(client: Any) -> None:
    saved = save(client, link(m.DatasetAnnotationLinkI, named(m.DatasetI), m.TagAnnotationI()))
    request = omero.cmd.Duplicate(targetObjects={"Dataset": [saved.parent.id.val]}, typesToReference=["Annotation"])
    made = submit(client, request).duplicates
    assert counts(made) == {"Dataset": 1, "DatasetAnnotationLink": 1}
    hql = "select l.child.id from DatasetAnnotationLink l where l.parent.id = :id"
    assert rows(client, hql, id=made["ome.model.containers.Dataset"][0]) == [[saved.child.id.val]]
    request = omero.cmd.Duplicate(targetObjects={"Dataset": [saved.parent.id.val]}, typesToIgnore=["DatasetAnnotationLink"])
    assert counts(submit(client, request).duplicates) == {"Dataset": 1}
    text = refusal(submit(client, omero.cmd.Duplicate(targetObjects={"Dataset": [999999999]})))
    assert text == "cannot read ome.model.containers.Dataset[999999999]"


@pytest.mark.parametrize("alone", [True, False])
def test_a_request_that_waits_holds_nobody_up(client: Any, *, alone: bool) -> None:
    timing = Timing(steps=20, millisPerStep=1000)
    handle = client.sf.submit(timing if alone else DoAll([timing], []))
    wait_until(lambda: handle.getStatus().steps == 20)
    dataset = new_dataset(client)
    assert deleted(submit(client, Delete2(targetObjects={"Dataset": [dataset]}))) == {"Dataset": 1}
    assert handle.getResponse() is None
    handle.cancel()
