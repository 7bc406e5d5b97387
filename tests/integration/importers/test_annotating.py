# SPDX-License-Identifier: GPL-2.0-or-later
"""Key-values: on each image once, whatever ended in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import ImportInterrupted, TargetMissing, TargetNotWritable
from omero_adi_plugin.importers.annotating import annotate
from omero_adi_plugin.importers.target import check_target
from omero_adi_plugin.orders import Target, TargetKind
from tests.fixtures.importing import delete
from tests.fixtures.laboratory import make_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_adi_plugin.sessions import Logins
    from tests.fixtures.importing import Importing
    from tests.fixtures.laboratory import Lab

NAMESPACE = "omeroadi.import"


def add(lab: Lab, importing: Importing, images: Sequence[int]) -> None:
    values = {"Filepath": "/data/a.tif", "Empty": "", "Größe": "µm"}
    annotate(lab.session, images=images, namespace=NAMESPACE, values=values, uuid=importing.order)


def links(lab: Lab, images: Sequence[int]) -> list[list[int]]:
    hql = "select l.parent.id, l.child.id, l.id from ImageAnnotationLink l where l.child.ns = :ns and l.parent.id in (:ids)"
    return lab.session.query(hql + " order by l.parent.id", ns=NAMESPACE, ids=list(images))


def test_all_images_of_a_fileset_share_one_annotation(
    lab: Lab, importing: Importing, three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = importing.run(importing.plan(three)).images
    add(lab, importing, images)
    assert capsys.readouterr().out == ""
    assert lab.images_with(importing.order) == sorted(images)
    assert len({annotation for _, annotation, _ in links(lab, images)}) == 1
    assert lab.key_values(images[2]) == [{"Filepath": "/data/a.tif", "Empty": "", "Größe": "µm", "UUID": importing.order}]


def test_annotating_again_changes_nothing(lab: Lab, importing: Importing, three: Path) -> None:
    images = importing.run(importing.plan(three)).images
    add(lab, importing, images)
    before = links(lab, images)
    add(lab, importing, images)
    assert links(lab, images) == before


def test_a_half_linked_annotation_gets_its_missing_links(lab: Lab, importing: Importing, three: Path) -> None:
    images = importing.run(importing.plan(three)).images
    add(lab, importing, images[:1])
    annotation = links(lab, images)[0][1]
    add(lab, importing, images)
    assert [found for _, found, _ in links(lab, images)] == [annotation] * 3


def test_another_order_of_the_same_images_gets_an_annotation_of_its_own(lab: Lab, importing: Importing, one: Path) -> None:
    images = importing.run(importing.plan(one)).images
    add(lab, importing, images)
    importing.order = "another"
    add(lab, importing, images)
    assert len(lab.key_values(images[0])) == 2


def test_images_that_went_away_are_worth_another_look(lab: Lab, importing: Importing, one: Path) -> None:
    imported = importing.run(importing.plan(one))
    delete(lab.session, "Fileset", [imported.fileset])
    with pytest.raises(ImportInterrupted):
        add(lab, importing, imported.images)


def test_a_target_must_be_there_of_its_kind_and_in_the_group(lab: Lab, logins: Logins) -> None:
    check_target(lab.session, Target(kind=TargetKind.DATASET, id=lab.dataset))
    check_target(lab.session, Target(kind=TargetKind.SCREEN, id=lab.screen))
    with pytest.raises(TargetMissing):
        check_target(lab.session, Target(kind=TargetKind.DATASET, id=2**62))
    with pytest.raises(TargetMissing):  # there, but in another group than the session's
        check_target(logins.service(), Target(kind=TargetKind.DATASET, id=lab.dataset))


def test_a_colleagues_target_in_a_read_only_group_is_not_writable(lab: Lab, logins: Logins) -> None:
    colleague = make_user(logins.service().factory.getAdminService(), lab.group)
    with logins.act_for(colleague, lab.group) as session, pytest.raises(TargetNotWritable):
        check_target(session, Target(kind=TargetKind.DATASET, id=lab.dataset))
