# SPDX-License-Identifier: GPL-2.0-or-later
"""Where an import's images go: targets of every kind, owner and group; as recorded on a real server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Ice
import omero
import pytest
from omero.constants.namespaces import NSAUTOCLOSE, NSTARGETTEMPLATE
from omero.model import DatasetI, ImageI, PlateI, ProjectI, ScreenI
from omero.rtypes import rstring

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, images_of, new_dataset, rows
from tests.fixtures.waiting import wait_until


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """alice and bob in a group of each kind, carol in one of her own; gown owns the read-only group."""

    server: OmeroServer
    suffix: str
    groups: dict[str, int]

    def name(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    @contextmanager
    def session(self, name: str, group: str | None = None) -> Iterator[Any]:
        if name == "root":
            with self.server.client() as client:
                yield client
            return
        chosen = self.name(group) if group is not None else None
        with self.server.client(self.name(name), PASSWORD, group=chosen) as client:
            yield client

    def dataset(self, name: str, group: str | None = None) -> int:
        with self.session(name, group) as client:
            return new_dataset(client)


@pytest.fixture(scope="module")
def laboratory(devserver: OmeroServer) -> Laboratory:
    suffix = uuid.uuid4().hex[:8]
    kinds = {"ro": "rwr---", "ra": "rwra--", "rw": "rwrw--", "private": "rw----", "carols": "rwr---"}
    groups = {name: devserver.add_group(f"{name}-{suffix}", permissions) for name, permissions in kinds.items()}
    shared = [f"{name}-{suffix}" for name in ("ro", "ra", "rw", "private")]
    for name in ("alice", "bob"):
        devserver.add_user(f"{name}-{suffix}", PASSWORD, shared)
    devserver.add_user(f"gown-{suffix}", PASSWORD, [f"ro-{suffix}"])
    devserver.set_owner(f"gown-{suffix}", f"ro-{suffix}")
    devserver.add_user(f"carol-{suffix}", PASSWORD, [f"carols-{suffix}"])
    return Laboratory(server=devserver, suffix=suffix, groups=groups)


OWNERS = (
    "select i.details.owner.omeName, i.details.group.name, l.details.owner.omeName, l.details.group.name"
    " from DatasetImageLink l join l.child i where l.parent.id = :id"
)


@pytest.mark.parametrize(
    ("importer", "group", "owner", "dataset_group"),
    [
        ("alice", "ro", "alice", "ro"),
        ("alice", "rw", "bob", "rw"),
        ("gown", "ro", "alice", "ro"),
        ("alice", "ro", "root", None),  # root's group is `system`: a link across groups, without a word
    ],
)
def test_a_dataset_that_takes_the_images(
    laboratory: Laboratory, one: Path, importer: str, group: str, owner: str, dataset_group: str | None
) -> None:
    dataset = laboratory.dataset(owner, dataset_group)
    with laboratory.session(importer, group) as client:
        assert len(InPlace(client, [one], dataset).run().objects) == 1
    with laboratory.session("root") as root:
        mine = [laboratory.name(importer), laboratory.name(group)]
        assert rows(root, OWNERS, id=dataset) == [[*mine, *mine]]


@pytest.mark.parametrize(
    ("importer", "group", "owner", "dataset_group"),
    [
        ("alice", "ro", "bob", "ro"),
        ("alice", "ra", "bob", "ra"),
        ("alice", "private", "bob", "private"),
        ("alice", "ro", "alice", "rw"),
        ("alice", "ro", "carol", "carols"),
        ("root", None, "alice", "ro"),
    ],
)
def test_a_dataset_that_the_importer_may_not_link_to(
    laboratory: Laboratory, one: Path, importer: str, group: str | None, owner: str, dataset_group: str
) -> None:
    dataset = laboratory.dataset(owner, dataset_group)
    with laboratory.session(importer, group) as client:
        job = InPlace(client, [one], dataset)
        response = job.run()
        assert (response.name, response.parameters["message"]) == ("import-request-failure", "omero.SecurityViolation")
        assert_all_but_images(client, job)


def assert_all_but_images(client: Any, job: InPlace) -> None:
    assert images_of(client, job.fileset) == []
    entries = "select e.originalFile.size, e.originalFile.hash from FilesetEntry e where e.fileset.id = :id"
    assert rows(client, entries, id=job.fileset) == [[job.paths[0].stat().st_size, job.hashes()[0]]]
    assert job.links[0].is_symlink()
    assert (job.template.parent / f"{job.template.name}.log").stat().st_size > 1000


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda: DatasetI(999999, False), "omero.ValidationException"),
        (lambda: ProjectI(1, False), "Unable to handle target: omero.model.Project"),
        (lambda: ImageI(1, False), "Unable to handle target: omero.model.Image"),
        (lambda: PlateI(1, False), "Unable to handle target: omero.model.Plate"),
        (DatasetI, 'Cannot invoke "omero.RLong.getValue()" because the return value of'),
    ],
)
def test_a_target_of_another_kind(client: Any, one: Path, target: Any, message: str) -> None:
    job = InPlace(client, [one], None, userSpecifiedTarget=target())
    response = job.run()
    assert response.name == "import-request-failure"
    assert response.parameters["message"].startswith(message)
    assert_all_but_images(client, job)


def test_a_screen_takes_no_plain_image(client: Any, one: Path) -> None:
    screen = ScreenI()
    screen.name = rstring("screen")
    saved = client.sf.getUpdateService().saveAndReturnObject(screen)
    response = InPlace(client, [one], None, userSpecifiedTarget=ScreenI(saved.id.val, False)).run()
    assert len(response.objects) == 1
    assert rows(client, "select count(l) from ScreenPlateLink l where l.parent.id = :id", id=saved.id.val) == [[0]]


def test_a_dataset_deleted_after_the_upload(client: Any, one: Path) -> None:
    dataset = new_dataset(client)
    job = InPlace(client, [one], dataset)
    job.link()
    client.sf.getUpdateService().deleteObject(DatasetI(dataset, False))
    response = job.response(job.verify())
    assert (response.name, response.parameters["message"]) == ("import-request-failure", "omero.ValidationException")
    assert_all_but_images(client, job)


def test_the_group_of_an_import_is_that_of_its_session(laboratory: Laboratory, one: Path) -> None:
    dataset = laboratory.dataset("alice", "rw")
    with laboratory.session("alice") as client:
        client.sf.setSecurityContext(omero.model.ExperimenterGroupI(laboratory.groups["rw"], False))
        InPlace(client, [one], dataset).run()
    with laboratory.session("root") as root:
        assert [row[1] for row in rows(root, OWNERS, id=dataset)] == [laboratory.name("rw")]


def test_an_import_in_a_session_made_by_an_administrator(laboratory: Laboratory, one: Path) -> None:
    dataset = laboratory.dataset("alice", "ro")
    with laboratory.session("root") as root:
        principal = omero.sys.Principal(laboratory.name("alice"), laboratory.name("ro"), "User", None)
        made = root.sf.getSessionService().createSessionWithTimeouts(principal, 0, 60_000)
        client = omero.client(laboratory.server.host, laboratory.server.ssl_port)
        client.joinSession(made.uuid.val)
        try:
            InPlace(client, [one], dataset).run()
        finally:
            client.killSession()
        mine = [laboratory.name("alice"), laboratory.name("ro")]
        assert rows(root, OWNERS, id=dataset) == [[*mine, *mine]]


# What annotations of the settings say to the server.


def annotation(client: Any, namespace: str, text: str, description: str | None = None) -> Any:
    note = omero.model.CommentAnnotationI()
    note.ns, note.textValue = rstring(namespace), rstring(text)
    note.description = rstring(description) if description is not None else None
    saved = client.sf.getUpdateService().saveAndReturnObject(note)
    return omero.model.CommentAnnotationI(saved.id.val, False)


def names_of_containers(client: Any, response: Any) -> list[str]:
    hql = "select l.parent.name from DatasetImageLink l where l.child.id = :id"
    return [name for (name,) in rows(client, hql, id=response.objects[0].id.val)]


def test_a_template_names_the_dataset(client: Any, one: Path) -> None:
    def imported(text: str) -> Any:
        note = annotation(client, NSTARGETTEMPLATE, text, "/data/project x/day 1")
        return InPlace(client, [one], None, userSpecifiedAnnotationList=[note]).run()

    pattern = ".*/(?<Container1>[^/]+)/[^/]+"
    counted = "select count(d) from Dataset d where d.name = 'project x' and d.details.owner.id = :id"
    me = client.sf.getAdminService().getEventContext().userId
    for text, datasets in (
        (f"regex:{pattern}", 1),  # made
        (f"regex:+name:{pattern}", 1),  # found
        (f"regex:@name:{pattern}", 2),  # another one in any case
    ):
        assert names_of_containers(client, imported(text)) == ["project x"], text
        assert rows(client, counted, id=me) == [[datasets]], text
    mine = "select d.id from Dataset d where d.name = 'project x' and d.details.owner.id = :id order by d.id"
    (oldest,), (newest,) = rows(client, mine, id=me)
    for sign, chosen in (("+", newest), ("-", oldest)):
        image = imported(f"regex:{sign}name:{pattern}").objects[0].id.val
        assert rows(client, "select l.parent.id from DatasetImageLink l where l.child.id = :id", id=image) == [[chosen]]
    for text in (f"regex:%name:{pattern}", f"regex:nonsense:{pattern}", "regex:no such path(?<Container1>.)"):
        assert names_of_containers(client, imported(text)) == [], text


def test_a_chosen_target_comes_before_a_template(client: Any, one: Path) -> None:
    note = annotation(client, NSTARGETTEMPLATE, "regex:(?<Container1>.*)", "other")
    response = InPlace(client, [one], new_dataset(client), userSpecifiedAnnotationList=[note]).run()
    assert names_of_containers(client, response) == ["data"]


def test_a_template_that_makes_no_sense(client: Any, one: Path) -> None:
    for text, description in (("regex:(?<Container1>", "a"), ("regex:(a)", "a"), ("regex:(?<Container1>a)", None)):
        note = annotation(client, NSTARGETTEMPLATE, text, description)
        response = InPlace(client, [one], None, userSpecifiedAnnotationList=[note]).run()
        assert response.name == "error-on-init", text


def test_an_annotation_that_is_not_there(client: Any, one: Path) -> None:
    missing = [omero.model.TagAnnotationI(999999, False)]
    response = InPlace(client, [one], None, userSpecifiedAnnotationList=missing).run()
    assert response.name == "error-on-init"
    assert response.parameters["message"].endswith('because "ann" is null')


def test_an_import_that_closes_by_itself(client: Any, one: Path) -> None:
    job = InPlace(client, [one], None, userSpecifiedAnnotationList=[annotation(client, NSAUTOCLOSE, "yes")])
    job.link()
    fileset = job.fileset
    handle = job.verify()

    def gone() -> bool:
        for call in (handle.getStatus, lambda: job.process.getUploadOffset(0)):
            try:
                call()
            except Ice.ObjectNotExistException:
                continue
            return False
        return True

    wait_until(gone, what="the end of handle and process")
    assert len(images_of(client, fileset)) == 1
