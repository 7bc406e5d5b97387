# SPDX-License-Identifier: GPL-2.0-or-later
"""Key-values: on each image once, whatever ended in between, and in few calls."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import ezomero
import omero.all
import pytest

from omero_adi_plugin.errors import ConnectionBroken, ImportInterrupted, ServerTrouble
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.annotating import annotate
from omero_adi_plugin.importers.protocol import ImportedFileset, KeyValues
from omero_adi_plugin.sessions import Logins
from tests.fixtures.filesets import delete, made, submit
from tests.fixtures.laboratory import Lab, furnished, make_group, make_user
from tests.fixtures.omero import ServerHere

NAMESPACE = "omeroadi.import"
ANNOTATIONS = (
    "select a.id, a.details.owner.id, a.details.group.id from MapAnnotation a join a.mapValue v "
    "where v.name = 'UUID' and v.value = :u"
)


@pytest.fixture
def order() -> str:
    return str(uuid.uuid4())


def values_of(imported: ImportedFileset, *values: tuple[str, str]) -> KeyValues:
    return KeyValues(images=imported.images, plates=imported.plates, values=values)


def add(lab: Lab, order: str, *filesets: ImportedFileset, fresh: bool = False) -> None:
    items = [values_of(each, ("UUID", order), ("Filepath", "/data/a.tif"), ("Number", str(each.fileset))) for each in filesets]
    annotate(lab.session, items, namespace=NAMESPACE, uuid=order, fresh=fresh)


def links(lab: Lab, imported: ImportedFileset) -> list[list[int]]:
    hql = "select l.parent.id, l.child.id, l.id from ImageAnnotationLink l where l.child.ns = :ns and l.parent.id in (:ids)"
    return lab.session.query(hql + " order by l.parent.id", ns=NAMESPACE, ids=list(imported.images))


def annotations_of(lab: Lab, order: str) -> list[list[int]]:
    return lab.session.query(ANNOTATIONS, u=order)


class Calls:
    """Notes what is asked of the query and update services."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        for service, name in (
            (omero.api.IQueryPrx, "projection"),
            (omero.api.IUpdatePrx, "saveArray"),
            (omero.api.IUpdatePrx, "saveAndReturnObject"),
        ):
            monkeypatch.setattr(service, name, self._noted(name, getattr(service, name)))

    def _noted(self, name: str, call: Any) -> Any:
        def noted(*arguments: Any) -> Any:
            self.made.append(name)
            return call(*arguments)

        return noted


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def test_all_images_of_a_fileset_share_one_annotation_of_the_user_in_the_group(
    lab: Lab, order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    imported = made(lab.session, images=3)
    odd = (("Empty", ""), ("Größe", "µm"), ("csv_a", "1"), ("csv_a", "2"), ("long" * 200, "value" * 20_000))
    annotate(lab.session, [values_of(imported, *odd)], namespace=NAMESPACE, uuid=order, fresh=True)
    assert capsys.readouterr().out == ""
    assert lab.images_with(order) == sorted(imported.images)
    ((annotation, owner, group),) = annotations_of(lab, order)
    assert (owner, group) == (lab.session.user_id, lab.session.group_id)
    assert [found for _, found, _ in links(lab, imported)] == [annotation] * 3
    gateway = lab.gateway()
    assert ezomero.get_map_annotation_ids(gateway, "Image", imported.images[2], ns=NAMESPACE) == [annotation]
    assert gateway.getObject("MapAnnotation", annotation).getValue() == [("UUID", order), *odd]


def test_what_omero_cannot_hold_is_written_as_escapes(lab: Lab, order: str) -> None:
    imported = made(lab.session)
    odd = (("k\0", "a\0b"), ("broken", '["\udcff"]'), ("\ud800", "𝄞 \x01\n\t\x7f\uffff"))
    annotate(lab.session, [values_of(imported, *odd)], namespace=NAMESPACE, uuid=order, fresh=True)
    ((annotation, *_),) = annotations_of(lab, order)
    found = lab.gateway().getObject("MapAnnotation", annotation).getValue()
    assert found[1:] == [("k\\u0000", "a\\u0000b"), ("broken", '["\\udcff"]'), ("\\ud800", "𝄞 \x01\n\t\x7f\uffff")]


def test_the_uuid_is_that_of_the_order_whatever_the_values_say(lab: Lab, order: str) -> None:
    imported = made(lab.session)
    annotate(lab.session, [values_of(imported, ("UUID", "x"), ("a", "b"))], namespace=NAMESPACE, uuid=order, fresh=True)
    assert lab.key_values(imported.images[0]) == [{"UUID": order, "a": "b"}]


def test_a_plate_carries_the_key_values_instead_of_its_images(lab: Lab, order: str) -> None:
    imported = made(lab.session, images=2, plate=True, screen=lab.screen)
    for fresh in (True, False):
        add(lab, order, imported, fresh=fresh)
    assert lab.images_with(order) == []
    hql = "select l.parent.id from PlateAnnotationLink l join l.child a join a.mapValue v where v.value = :u"
    assert lab.session.query(hql, u=order) == [[imported.plates[0]]]


def test_a_hundred_filesets_just_imported_cost_one_call(lab: Lab, order: str, calls: Calls) -> None:
    filesets = [made(lab.session) for _ in range(100)]
    calls.made.clear()
    add(lab, order, *filesets, fresh=True)
    assert calls.made == ["saveArray"]
    assert [lab.key_values(each.images[0])[0]["Number"] for each in filesets] == [str(each.fileset) for each in filesets]


def test_annotating_again_asks_and_changes_nothing(lab: Lab, order: str, calls: Calls) -> None:
    filesets = [made(lab.session, images=2) for _ in range(20)]
    add(lab, order, *filesets)
    before = [links(lab, each) for each in filesets]
    calls.made.clear()
    add(lab, order, *filesets)
    assert calls.made == ["projection"] * 2
    assert [links(lab, each) for each in filesets] == before


def test_a_thousand_images_of_one_fileset_share_one_annotation_after_two_calls(lab: Lab, order: str, calls: Calls) -> None:
    imported = made(lab.session, images=1000)
    calls.made.clear()
    add(lab, order, imported, fresh=True)
    assert calls.made == ["saveAndReturnObject", "saveArray"]
    assert len(annotations_of(lab, order)) == 1
    assert len(links(lab, imported)) == 1000


def test_more_text_than_one_message_should_carry_goes_in_several(lab: Lab, order: str, calls: Calls) -> None:
    items = [values_of(made(lab.session), ("csv_text", "x" * 1_000_000)) for _ in range(5)]
    calls.made.clear()
    annotate(lab.session, items, namespace=NAMESPACE, uuid=order, fresh=True)
    assert calls.made == ["saveArray"] * 2
    assert len(annotations_of(lab, order)) == 5


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize(
    ("operation", "call"), [("IUpdate.saveArray", n) for n in (1, 2, 3, 4)] + [("IUpdate.saveAndReturnObject", 1)]
)
def test_cut_off_at_any_call_the_next_attempt_completes_and_doubles_nothing(
    server_here: ServerHere, order: str, monkeypatch: pytest.MonkeyPatch, operation: str, call: int, *, after: bool
) -> None:
    with Logins(server_here.account) as logins, furnished(logins, server_here.account) as lab:
        filesets = [made(lab.session, images=count) for count in (1, 7, 2, 1)]
        monkeypatch.setattr(batches, "OBJECTS", 4)
        server_here.disturb.lose_connection(operation, call=call, after=after)
        with pytest.raises(ConnectionBroken):
            add(lab, order, *filesets, fresh=True)
        with logins.act_for(lab.user, lab.group) as session:
            again = replace(lab, session=session)
            add(again, order, *filesets)
            assert len(annotations_of(again, order)) == 4
            for each in filesets:
                assert [image for image, _, _ in links(again, each)] == list(each.images)
                assert len({annotation for _, annotation, _ in links(again, each)}) == 1


def test_a_half_linked_annotation_gets_its_missing_links(lab: Lab, order: str) -> None:
    whole, half, none = (made(lab.session, images=3) for _ in range(3))
    add(lab, order, whole, ImportedFileset(fileset=half.fileset, images=half.images[1:2], plates=()))
    annotation = links(lab, half)[0][1]
    add(lab, order, whole, half, none)
    assert [found for _, found, _ in links(lab, half)] == [annotation] * 3
    assert len(annotations_of(lab, order)) == 3


def test_another_order_of_the_same_images_gets_an_annotation_of_its_own(lab: Lab, order: str) -> None:
    imported = made(lab.session)
    add(lab, order, imported)
    add(lab, "another", imported)
    assert len(lab.key_values(imported.images[0])) == 2


def test_a_colleagues_annotation_of_the_same_text_is_not_taken_for_ours(lab: Lab, logins: Logins, order: str) -> None:
    imported = made(lab.session)
    colleague = make_user(logins.service().factory.getAdminService(), lab.group)
    with logins.act_for(colleague, lab.group) as session:
        annotate(session, [values_of(imported)], namespace=NAMESPACE, uuid=order, fresh=True)
    add(lab, order, imported)
    assert {owner for _, owner, _ in annotations_of(lab, order)} > {lab.session.user_id}


@pytest.mark.parametrize("fresh", [True, False])
def test_images_that_went_away_are_named_and_worth_another_look(lab: Lab, order: str, *, fresh: bool) -> None:
    filesets = [made(lab.session, images=2) for _ in range(4)]
    delete(lab.session, "Fileset", [each.fileset for each in filesets[1:]])
    with pytest.raises(ImportInterrupted) as caught:
        add(lab, order, *filesets, fresh=fresh)
    gone = [image for each in filesets[1:] for image in each.images]
    assert caught.value.path == f"Image:{gone[0]}, Image:{gone[1]}, Image:{gone[2]} and 3 more"
    assert annotations_of(lab, order) == []


def test_images_that_were_moved_to_another_group_get_theirs_there(lab: Lab, logins: Logins, order: str) -> None:
    admin = logins.service().factory.getAdminService()
    other = make_group(admin)
    admin.addGroups(admin.lookupExperimenter(lab.user), [admin.lookupGroup(other)])
    group = admin.lookupGroup(other).getId().getValue()
    with logins.act_for(lab.user, lab.group) as session:  # a session does not learn of new groups
        here, moved, many = made(session), made(session), made(session, images=1200)
        ids = [moved.fileset, many.fileset]
        submit(session, omero.cmd.Chgrp2(targetObjects={"Fileset": ids}, groupId=group))
        items = [values_of(each) for each in (here, moved, many)]
        annotate(session, items, namespace=NAMESPACE, uuid=order, fresh=False)
        rows = session.query(ANNOTATIONS, all_groups=True, u=order)
        assert sorted(row[2] for row in rows) == sorted([lab.session.group_id, group, group])
        annotate(session, items, namespace=NAMESPACE, uuid=order, fresh=False)
        assert session.query(ANNOTATIONS, all_groups=True, u=order) == rows


def test_a_refusal_for_another_reason_stays_what_it_is(server_here: ServerHere, order: str) -> None:
    with Logins(server_here.account) as logins, furnished(logins, server_here.account) as lab:
        imported = made(lab.session)
        server_here.disturb.fail("IUpdate.saveArray", exception="omero.DatabaseBusyException")
        with pytest.raises(ServerTrouble):
            add(lab, order, imported)


def test_nothing_to_annotate_asks_nobody(lab: Lab, order: str, calls: Calls) -> None:
    for fresh in (True, False):
        add(lab, order, fresh=fresh)
        add(lab, order, ImportedFileset(fileset=1, images=(), plates=()), fresh=fresh)
    assert calls.made == []
