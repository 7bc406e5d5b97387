# SPDX-License-Identifier: GPL-2.0-or-later
"""Chgrp2, Chown2 and Chmod2: what moves along, what is cut off, who may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omero.model as m
import pytest
from omero.cmd import Chgrp2, Chmod2, Chown2
from omero.gateway import BlitzGateway

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, images_of, make_user, new_dataset, rows, submit
from tests.fixtures.omero_requests import counts, exists, join, link, named, new_image, refusal, save
from tests.fixtures.waiting import wait_until


@dataclass(frozen=True)
class Pair:
    """alice's group has bob in it; alice is in a second group, too."""

    alice: User
    bob: User
    mine: Any
    theirs: Any


@pytest.fixture
def pair(devserver: OmeroServer) -> Iterator[Pair]:
    alice, bob = make_user(devserver), make_user(devserver)
    join(devserver, bob.name, alice.group)
    join(devserver, alice.name, alice.other_group)
    with devserver.client(alice.name, PASSWORD) as mine, devserver.client(bob.name, PASSWORD) as theirs:
        yield Pair(alice, bob, mine, theirs)


def group_of(client: Any, kind: str, row_id: int) -> int:
    return int(rows(client, f"select x.details.group.id from {kind} x where x.id = :id", id=row_id)[0][0])


def owner_of(client: Any, kind: str, row_id: int) -> int:
    return int(rows(client, f"select x.details.owner.id from {kind} x where x.id = :id", id=row_id)[0][0])


def test_an_imported_dataset_moves_with_everything_and_its_files_stay_where_they_are(pair: Pair, three: Path) -> None:
    dataset = new_dataset(pair.mine)
    job = InPlace(pair.mine, [three], dataset)
    job.run()
    to = pair.alice.other_group_id
    response = submit(pair.mine, Chgrp2(targetObjects={"Dataset": [dataset]}, groupId=to))
    found = counts(response.includedObjects)
    assert (found["Image"], found["DatasetImageLink"], found["OriginalFile"], found["Fileset"]) == (3, 3, 2, 1)
    assert (found["FilesetJobLink"], found["JobOriginalFileLink"], response.deletedObjects) == (4, 1, {})
    assert {group_of(pair.mine, "Image", image[0]) for image in images_of(pair.mine, job.fileset)} == {to}
    hql = "select distinct e.originalFile.details.group.id from FilesetEntry e where e.fileset.id = :id"
    assert rows(pair.mine, hql, id=job.fileset) == [[to]]
    assert job.links[0].is_symlink()


def test_an_image_leaves_a_dataset_that_stays_and_a_tag_that_others_have(pair: Pair) -> None:
    dataset = save(pair.mine, named(m.DatasetI)).id.val
    first, second = (save(pair.mine, new_image(pair.mine)).id.val for _ in range(2))
    save(pair.mine, link(m.DatasetImageLinkI, m.DatasetI(dataset, False), m.ImageI(first, False)))
    tag = save(pair.mine, link(m.ImageAnnotationLinkI, m.ImageI(first, False), m.TagAnnotationI())).child.id.val
    save(pair.mine, link(m.ImageAnnotationLinkI, m.ImageI(second, False), m.TagAnnotationI(tag, False)))
    response = submit(pair.mine, Chgrp2(targetObjects={"Image": [first]}, groupId=pair.alice.other_group_id))
    assert counts(response.deletedObjects) == {"DatasetImageLink": 1, "ImageAnnotationLink": 1}
    assert counts(response.includedObjects) == dict.fromkeys(("Image", "Pixels", "Channel", "LogicalChannel"), 1)
    assert group_of(pair.mine, "Annotation", tag) == pair.alice.group_id


def test_a_tag_of_nothing_else_moves_along(pair: Pair) -> None:
    saved = save(pair.mine, link(m.DatasetAnnotationLinkI, named(m.DatasetI), m.TagAnnotationI()))
    to = pair.alice.other_group_id
    response = submit(pair.mine, Chgrp2(targetObjects={"Dataset": [saved.parent.id.val]}, groupId=to))
    assert counts(response.includedObjects) == {"Dataset": 1, "DatasetAnnotationLink": 1, "TagAnnotation": 1}
    assert group_of(pair.mine, "Annotation", saved.child.id.val) == to


def test_others_comments_do_not_follow_into_a_group_of_mine(pair: Pair) -> None:
    dataset = save(pair.mine, named(m.DatasetI)).id.val
    commented = link(m.DatasetAnnotationLinkI, m.DatasetI(dataset, False), m.CommentAnnotationI())
    comment = save(pair.theirs, commented, group=pair.alice.group_id).child.id.val
    response = submit(pair.mine, Chgrp2(targetObjects={"Dataset": [dataset]}, groupId=pair.alice.other_group_id))
    assert counts(response.deletedObjects) == {"CommentAnnotation": 1, "DatasetAnnotationLink": 1}
    assert not exists(pair.theirs, "Annotation", comment)


def test_a_move_that_is_only_tried_changes_nothing(pair: Pair) -> None:
    dataset = save(pair.mine, named(m.DatasetI)).id.val
    request = Chgrp2(targetObjects={"Dataset": [dataset]}, groupId=pair.alice.other_group_id, dryRun=True)
    assert counts(submit(pair.mine, request).includedObjects) == {"Dataset": 1}
    assert group_of(pair.mine, "Dataset", dataset) == pair.alice.group_id


def test_moves_that_are_refused(pair: Pair, three: Path) -> None:
    job = InPlace(pair.mine, [three], None)
    job.run()
    image, mine, theirs = images_of(pair.mine, job.fileset)[0][0], pair.alice.other_group_id, pair.bob.other_group_id
    text = refusal(submit(pair.mine, Chgrp2(targetObjects={"Image": [image]}, groupId=mine)))
    assert text.startswith(f"within Fileset[{job.fileset}] may not move Image[{image}] while Image[")
    for group in (theirs, 999999999):
        response = submit(pair.mine, Chgrp2(targetObjects={"Image": [image]}, groupId=group))
        assert response.name == "not-in-group"
        assert response.parameters["message"] == "not a member of the chgrp destination group"
    dataset = save(pair.mine, named(m.DatasetI)).id.val
    request = Chgrp2(targetObjects={"Dataset": [dataset]}, groupId=pair.bob.group_id)
    assert refusal(submit(pair.theirs, request)) == f"does not own ome.model.containers.Dataset[{dataset}]"
    assert group_of(pair.mine, "Image", image) == pair.alice.group_id


def test_root_moves_into_a_group_that_the_owner_is_not_in(devserver: OmeroServer, pair: Pair) -> None:
    dataset = save(pair.mine, named(m.DatasetI)).id.val
    with devserver.client() as root:
        submit(root, Chgrp2(targetObjects={"Dataset": [dataset]}, groupId=pair.bob.group_id))
        assert group_of(root, "Dataset", dataset) == pair.bob.group_id


def test_data_are_given_by_root_and_by_owners_of_the_group_only(devserver: OmeroServer, pair: Pair) -> None:
    saved = save(pair.mine, link(m.DatasetImageLinkI, named(m.DatasetI), new_image(pair.mine)))
    dataset, image = saved.parent.id.val, saved.child.id.val
    request = Chown2(targetObjects={"Dataset": [dataset]}, userId=pair.bob.id)
    response = submit(pair.mine, request)
    assert response.name == "steps-cancel"
    assert response.parameters["message"].endswith("GraphException(message=not an owner of any group)")
    with devserver.client() as root:
        found = counts(submit(root, request).includedObjects)
        assert (found["Dataset"], found["Image"], found["DatasetImageLink"]) == (1, 1, 1)
        assert owner_of(root, "Image", image) == pair.bob.id
        response = submit(root, Chown2(targetObjects={"Dataset": [dataset]}, userId=999999999))
        assert (response.name, response.parameters["message"]) == ("graph-fail", "could not execute update query")
    devserver.set_owner(pair.alice.name, pair.alice.group)
    with devserver.client(pair.alice.name, PASSWORD) as leader:
        submit(leader, Chown2(targetObjects={"Dataset": [dataset]}, userId=pair.alice.id))
        assert owner_of(leader, "Image", image) == pair.alice.id
        outside = submit(leader, Chown2(targetObjects={"Dataset": [dataset]}, userId=0))
        assert refusal(outside) == f"user 0 is not a member of group {pair.alice.group_id}"


def test_everything_of_a_user_is_given(devserver: OmeroServer, pair: Pair) -> None:
    saved = save(pair.mine, link(m.DatasetImageLinkI, named(m.DatasetI), new_image(pair.mine)))
    with devserver.client() as root:
        submit(root, Chown2(targetObjects={}, targetUsers=[pair.alice.id], userId=pair.bob.id))
        assert owner_of(root, "Dataset", saved.parent.id.val) == owner_of(root, "Image", saved.child.id.val) == pair.bob.id


def test_a_group_that_becomes_private_loses_what_ties_its_users_data_together(devserver: OmeroServer, pair: Pair) -> None:
    dataset = save(pair.mine, named(m.DatasetI)).id.val
    own = save(pair.mine, link(m.DatasetAnnotationLinkI, m.DatasetI(dataset, False), m.CommentAnnotationI()))
    commented = link(m.DatasetAnnotationLinkI, m.DatasetI(dataset, False), m.CommentAnnotationI())
    other = save(pair.theirs, commented, group=pair.alice.group_id)
    group = {"ExperimenterGroup": [pair.alice.group_id]}
    request = Chmod2(targetObjects=group, permissions="rw----")
    assert refusal(submit(pair.mine, request)) == (
        f"not permitted to change permissions on ome.model.meta.ExperimenterGroup[{pair.alice.group_id}]"
    )
    with devserver.client() as root:
        response = submit(root, request)
        assert counts(response.includedObjects) == {"ExperimenterGroup": 1}
        assert counts(response.deletedObjects) == {"DatasetAnnotationLink": 1, "CommentAnnotation": 1}
        assert exists(root, "DatasetAnnotationLink", own.id.val)
        assert not exists(root, "Annotation", other.child.id.val)
        submit(root, Chmod2(targetObjects=group, permissions="rwrw--"))
        assert submit(root, Chmod2(targetObjects=group, permissions="nonsense")).name == "bad-permissions"
        assert submit(root, Chmod2(targetObjects={"Dataset": [dataset]}, permissions="rwra--")).name == "bad-target"
    permissions = pair.theirs.sf.getAdminService().getGroup(pair.alice.group_id).details.permissions
    assert str(permissions) == "rwrw--"


def test_a_gateway_moves_images_into_a_dataset_of_the_other_group(devserver: OmeroServer, pair: Pair) -> None:
    images = [save(pair.mine, new_image(pair.mine)).id.val for _ in range(2)]
    dataset = save(pair.mine, named(m.DatasetI), group=pair.alice.other_group_id).id.val
    gateway = BlitzGateway(client_obj=pair.mine)
    handle = gateway.chgrpObjects("Image", images, pair.alice.other_group_id, container_id=dataset)
    wait_until(lambda: handle.getResponse() is not None)
    kinds = [type(one).__name__ for one in handle.getResponse().responses]
    assert kinds == ["Chgrp2Response", "SaveRsp", "SaveRsp"]
    linked = rows(pair.mine, "select l.child.id from DatasetImageLink l where l.parent.id = :id order by l.child.id", id=dataset)
    assert linked == [[image] for image in images]
    handle = gateway.chgrpObjects("Image", images, pair.alice.group_id, container_id=999999999)
    wait_until(lambda: handle.getResponse() is not None)
    assert handle.getResponse().name == "failed"
    assert {group_of(pair.mine, "Image", image) for image in images} == {pair.alice.other_group_id}
