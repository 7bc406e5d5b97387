# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving and giving: what is shared, what each user has of an image, privileges, private groups."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero.model as m
import pytest
from omero.rtypes import rbool, rdouble, rint, rlong, rstring

from omero_devserver.store.errors import BadTarget, GraphFailed, NoGroupOwned, NotInGroup
from omero_devserver.store.people import PRIVATE, READ_ONLY
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from types import FrameType

    from omero_devserver.store.caller import Caller

    from .conftest import Lab


@pytest.fixture
def alice(lab: Lab) -> Caller:
    return lab.caller("alice", "gro")


def short(objects: Any) -> dict[str, int]:
    return {name.rpartition(".")[2]: len(ids) for name, ids in objects.items()}


def settings(lab: Lab, who: Caller, image: Any) -> None:
    """What a user has of an image: rendering settings of one channel, and a thumbnail."""
    pixels = image.getPrimaryPixels().id.val
    found = m.RenderingDefI()
    found.pixels, found.defaultZ, found.defaultT = m.PixelsI(pixels, False), rint(0), rint(0)
    found.model, found.quantization = m.RenderingModelI(), m.QuantumDefI()
    found.model.value = rstring("rgb")
    found.quantization.cdStart, found.quantization.cdEnd, found.quantization.bitResolution = rint(0), rint(255), rint(255)
    binding = m.ChannelBindingI()
    binding.active, binding.noiseReduction, binding.coefficient = rbool(True), rbool(False), rdouble(1)
    binding.inputStart, binding.inputEnd, binding.family = rdouble(0), rdouble(1), m.FamilyI()
    binding.family.value = rstring("linear")
    binding.red, binding.green, binding.blue, binding.alpha = (rint(255) for _ in range(4))
    found.addChannelBinding(binding)
    thumbnail = m.ThumbnailI()
    thumbnail.pixels, thumbnail.mimeType = m.PixelsI(pixels, False), rstring("image/jpeg")
    thumbnail.sizeX, thumbnail.sizeY, thumbnail.ref = rint(96), rint(96), rstring("")
    lab.store.save(replace(who, privileged=True), [found, thumbnail])


def test_images_that_share_an_instrument_move_together(lab: Lab, alice: Caller, image: Any) -> None:
    instrument = m.InstrumentI()
    first, second = image("a"), image("b")
    first.instrument = second.instrument = instrument
    lab.store.save(alice, [first, second])
    text = r"may not move Image\[1\] while Image\[2\] remains as they share Instrument\[1\]"
    with pytest.raises(GraphFailed, match=text):
        lab.store.graphs.move(alice, {"Image": [1]}, group=lab.group("grw"))
    done = lab.store.graphs.move(alice, {"Image": [1, 2]}, group=lab.group("grw"))
    assert short(done.included)["Instrument"] == 1
    assert {row[0] for row in lab.store.rows("SELECT group_id FROM t_Instrument")} == {lab.group("grw")}


@pytest.mark.parametrize(("group", "left"), [("grw", 2), ("gpriv", 1)])
def test_settings_of_others_follow_only_where_they_are_seen(lab: Lab, alice: Caller, image: Any, group: str, left: int) -> None:
    saved = lab.save(alice, image())
    settings(lab, alice, saved)
    settings(lab, lab.caller("bob", "gro"), saved)
    done = lab.store.graphs.move(alice, {"Image": [1]}, group=lab.group(group))
    kinds = ("RenderingDef", "Thumbnail", "QuantumDef", "ChannelBinding")
    assert {kind: short(done.included)[kind] for kind in kinds} == dict.fromkeys(kinds, left)
    assert short(done.deleted) == ({} if left == 2 else dict.fromkeys(kinds, 1))
    assert {row[0] for row in lab.store.rows("SELECT group_id FROM t_RenderingDef")} == {lab.group(group)}
    assert [lab.count(kind) for kind in kinds] == [left] * 4


def test_regions_of_others_do_not_follow_into_a_private_group(lab: Lab, image: Any) -> None:
    alice, bob = lab.caller("alice", "gra"), lab.caller("bob", "gra")
    saved = lab.save(alice, image())
    roi = m.RoiI()
    roi.image = m.ImageI(saved.id.val, False)
    roi.addShape(m.PointI())
    lab.save(bob, roi)
    done = lab.store.graphs.move(alice, {"Image": [1]}, group=lab.group("gpriv"))
    assert (short(done.deleted), lab.count("Roi"), lab.count("Shape")) == ({"Roi": 1, "Point": 1}, 0, 0)


def test_external_info_goes_along(lab: Lab, alice: Caller, image: Any) -> None:
    new = image()
    new.details.externalInfo = m.ExternalInfoI()
    new.details.externalInfo.entityType, new.details.externalInfo.entityId = rstring("x"), rlong(1)
    lab.save(alice, new)
    assert short(lab.store.graphs.move(alice, {"Image": [1]}, group=lab.group("grw")).included)["ExternalInfo"] == 1
    assert lab.store.rows("SELECT group_id FROM t_ExternalInfo")[0][0] == lab.group("grw")


def test_a_plate_moves_with_wells_and_images_and_an_image_not_without_its_well(lab: Lab, alice: Caller, image: Any) -> None:
    plate, well, sample = m.PlateI(), m.WellI(), m.WellSampleI()
    plate.name, well.row, well.column = rstring("plate"), rint(0), rint(0)
    sample.image = image()
    well.addWellSample(sample)
    plate.addWell(well)
    lab.save(alice, plate)
    with pytest.raises(GraphFailed, match=r"may not move Image\[1\] while WellSample\[1\] remains"):
        lab.store.graphs.move(alice, {"Image": [1]}, group=lab.group("grw"))
    done = short(lab.store.graphs.move(alice, {"Plate": [1]}, group=lab.group("grw")).included)
    assert (done["Plate"], done["Well"], done["WellSample"], done["Image"]) == (1, 1, 1, 1)


def test_who_may_move_and_give(lab: Lab, alice: Caller) -> None:
    dataset = {"Dataset": [lab.dataset(alice).id.val]}
    bob, gown, root = lab.caller("bob", "gro"), lab.caller("gown", "gro"), lab.caller("root", 0)
    other = lab.store.people.user_id("carol") or -1
    with pytest.raises(NotInGroup):
        lab.store.graphs.move(alice, dataset, group=lab.group("gother"))
    for who in (bob, gown, replace(root, privileges=frozenset({"Chown"}), member_of=(lab.group("grw"),))):
        with pytest.raises(GraphFailed, match=r"does not own ome.model.containers.Dataset\[1\]"):
            lab.store.graphs.move(who, dataset, group=lab.group("grw"))
    for who in (alice, replace(root, privileges=frozenset({"Chgrp"}), leader_of=())):
        with pytest.raises(NoGroupOwned):
            lab.store.graphs.give(who, dataset, user=other)
    with pytest.raises(GraphFailed, match="is not a member of group"):
        lab.store.graphs.give(gown, dataset, user=other)
    lab.store.graphs.give(replace(root, privileges=frozenset({"Chown"})), dataset, user=other)
    lab.store.graphs.move(replace(root, privileges=frozenset({"Chgrp"})), dataset, group=lab.group("gother"))
    row = lab.store.rows("SELECT owner_id, group_id FROM t_Dataset")[0]
    assert tuple(row) == (other, lab.group("gother"))
    with pytest.raises(BadTarget):
        lab.store.graphs.move(alice, {"Pixels": [1]}, group=lab.group("grw"))


@pytest.mark.parametrize(("group", "given"), [("gro", 1), ("grw", 0)])
def test_annotations_are_given_along_where_nobody_else_may_annotate(lab: Lab, group: str, given: int) -> None:
    alice = lab.caller("alice", group)
    linked = m.DatasetAnnotationLinkI()
    linked.parent, linked.child = m.DatasetI(lab.dataset(alice).id.val, False), m.CommentAnnotationI()
    lab.save(alice, linked)
    bob = lab.store.people.user_id("bob") or -1
    done = short(lab.store.graphs.give(lab.caller("root", 0), {"Dataset": [1]}, user=bob).included)
    assert done.get("CommentAnnotation", 0) == given
    assert lab.count("DatasetAnnotationLink") == 1


def test_a_group_does_not_become_private_while_its_users_share_rows(lab: Lab, alice: Caller, image: Any) -> None:
    instrument = lab.save(lab.caller("bob", "gro"), m.InstrumentI())
    saved = lab.save(alice, image())
    lab.store.update("Image", saved.id.val, r_instrument=instrument.id.val)
    with pytest.raises(GraphFailed, match=r"cannot downgrade to private as Image\[1\] uses differently owned Instrument\[1\]"):
        lab.store.graphs.set_permissions(lab.caller("root", 0), [lab.group("gro")], permissions=PRIVATE)
    lab.store.update("Image", saved.id.val, r_instrument=None)
    settings(lab, alice, saved)
    settings(lab, lab.caller("bob", "gro"), saved)
    done = lab.store.graphs.set_permissions(lab.caller("gown", "gro"), [lab.group("gro")], permissions=PRIVATE)
    assert short(done.deleted) == dict.fromkeys(("RenderingDef", "Thumbnail", "QuantumDef", "ChannelBinding"), 1)
    assert lab.store.people.permissions(lab.group("gro")) == PRIVATE


def annotated_region(lab: Lab, who: Caller, image: Any) -> None:
    """A region with a comment that has a comment."""
    comments = [m.CommentAnnotationI(), m.CommentAnnotationI()]
    comments[0].linkAnnotation(comments[1])
    roi = m.RoiI()
    roi.image = m.ImageI(image.id.val, False)
    roi.linkAnnotation(comments[0])
    lab.save(who, roi)


GONE = {"Roi": 1, "RoiAnnotationLink": 1, "CommentAnnotation": 2, "AnnotationAnnotationLink": 1}


def test_regions_of_others_go_with_what_is_on_them(lab: Lab, image: Any) -> None:
    alice, bob, gown = (lab.caller(name, "gra") for name in ("alice", "bob", "gown"))
    saved = lab.save(alice, image())
    annotated_region(lab, bob, saved)
    moved = lab.store.graphs.move(alice, {"Image": [saved.id.val]}, group=lab.group("gpriv"), dry_run=True)
    closed = lab.store.graphs.set_permissions(gown, [lab.group("gra")], permissions=PRIVATE)
    assert short(moved.deleted) == short(closed.deleted) == GONE
    assert [lab.count(root) for root in ("Roi", "Annotation", "AnnotationAnnotationLink")] == [0, 0, 0]


def test_an_annotation_that_is_moved_is_not_deleted_with_what_it_was_on(lab: Lab, image: Any) -> None:
    alice, bob = lab.caller("alice", "gra"), lab.caller("bob", "gra")
    saved = lab.save(alice, image())
    comment = lab.save(alice, m.CommentAnnotationI())
    roi = m.RoiI()
    roi.image = m.ImageI(saved.id.val, False)
    link = m.RoiAnnotationLinkI()
    link.parent, link.child = m.RoiI(lab.save(bob, roi).id.val, False), m.CommentAnnotationI(comment.id.val, False)
    lab.save(alice, link)
    targets = {"Annotation": [comment.id.val], "Image": [saved.id.val]}
    done = lab.store.graphs.move(alice, targets, group=lab.group("gpriv"))
    assert short(done.deleted) == {"Roi": 1, "RoiAnnotationLink": 1}
    assert lab.store.rows("SELECT group_id FROM t_Annotation")[0][0] == lab.group("gpriv")


def test_a_request_that_waits_is_judged_by_what_holds_when_it_runs(lab: Lab, alice: Caller) -> None:
    store, theirs = lab.store, lab.dataset(lab.caller("alice", "grw")).id.val
    bob, root = lab.caller("bob", "grw"), lab.caller("root", 0)
    with ThreadPoolExecutor(1) as threads:
        with store.transaction():
            request = threads.submit(lambda: store.graphs.delete(bob, {"Dataset": [theirs]}))
            wait_until(lambda: any(frame.f_code.co_name == "writing" for frame in others()))
            store.graphs.set_permissions(root, [lab.group("grw")], permissions=READ_ONLY)
        with pytest.raises(GraphFailed, match="not permitted to delete"):
            request.result(30)


def others() -> list[FrameType]:
    """Where the other threads are."""
    return [frame for thread, frame in sys._current_frames().items() if thread != threading.get_ident()]
