# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving graphs of objects; texts of the refusals are those recorded on a real server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero
import omero.model as m
import pytest
from omero.rtypes import rint, rlong, rstring

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller

    from .conftest import Lab


@pytest.fixture
def alice(lab: Lab) -> Caller:
    return lab.caller("alice", "gro")


def info(lsid: str | None = "/data/x.zarr", entity_id: int | None = 3) -> Any:
    found = m.ExternalInfoI()
    found.lsid = None if lsid is None else rstring(lsid)
    found.entityId = None if entity_id is None else rlong(entity_id)
    found.entityType = rstring("com.glencoesoftware.ngff:multiscales")
    return found


def test_a_saved_object_tells_whose_it_is(lab: Lab, alice: Caller) -> None:
    dataset = lab.dataset(alice)
    details = dataset.details
    assert (details.owner.omeName.val, details.group.name.val) == ("alice", "gro")
    assert details.creationEvent.isLoaded()
    assert details.creationEvent.id.val == details.updateEvent.id.val
    assert str(details.permissions) == "rwr---"
    assert dataset._imageLinksLoaded
    assert dataset.version is None


def test_an_image_with_all_it_has_and_a_link_goes_in_at_once(lab: Lab, alice: Caller, image: Any) -> None:
    dataset = lab.dataset(alice)
    new = image("zarr", channels=2)
    new.details.externalInfo = info()
    link = m.DatasetImageLinkI()
    link.parent, link.child = m.DatasetI(dataset.id.val, False), new
    saved, saved_link = lab.store.save(alice, [new, link])
    assert (type(saved), type(saved_link)) == (m.ImageI, m.DatasetImageLinkI)
    assert saved_link.child.id.val == saved.id.val
    assert [c.logicalChannel.name.val for c in saved.getPrimaryPixels().copyChannels()] == ["ch0", "ch1"]
    assert saved.getPrimaryPixels().pixelsType.id.val == lab.store.enumeration("PixelsType", "uint8")
    assert (saved.series.val, saved.fileset, saved.format) == (0, None, None)
    text = "select i from Image i join fetch i.details.externalInfo"
    assert lab.store.objects(alice, text, None)[0].details.externalInfo.lsid.val == "/data/x.zarr"


def test_a_fileset_takes_its_entries_jobs_annotations_and_images_along(lab: Lab, alice: Caller) -> None:
    fileset = lab.imported(alice, 3)
    assert fileset.sizeOfImages() == 3
    assert fileset.getFilesetEntry(0).originalFile.name.val == "a.fake"
    assert [type(job) for job in fileset.linkedJobList()] == [
        m.UploadJobI,
        m.MetadataImportJobI,
        m.PixelDataJobI,
        m.IndexingJobI,
    ]
    assert fileset.linkedAnnotationList()[0].ns is None
    assert lab.count("Event") == 1


def test_a_plate_with_wells_goes_in_at_once(lab: Lab, alice: Caller, image: Any) -> None:
    plate, run = m.PlateI(), m.PlateAcquisitionI()
    plate.name = rstring("plate")
    plate.addPlateAcquisition(run)
    for number in range(6):
        well, sample = m.WellI(), m.WellSampleI()
        well.row, well.column = rint(number // 3), rint(number % 3)
        sample.image = image(f"field {number}")
        run.addWellSample(sample)
        well.addWellSample(sample)
        plate.addWell(well)
    lab.save(alice, plate)
    text = "select count(distinct i) from Plate p join p.wells w join w.wellSamples s join s.image i join s.plateAcquisition r"
    assert lab.store.project(alice, text, None)[0][0].val == 6


def test_a_map_annotation_keeps_order_doubles_and_long_values(lab: Lab, alice: Caller) -> None:
    annotation = m.MapAnnotationI()
    annotation.setMapValue([m.NamedValue("k", None), m.NamedValue("k", "2"), m.NamedValue("x" * 300, "y" * 300)])
    saved = lab.save(alice, annotation)
    assert [(v.name, v.value) for v in saved.getMapValue()] == [("k", ""), ("k", "2"), ("x" * 300, "y" * 300)]
    saved.setMapValue([m.NamedValue("new", "value")])
    lab.save(alice, saved)
    assert [(v.name, v.value) for v in lab.store.get(alice, "MapAnnotation", [1])[0].getMapValue()] == [("new", "value")]


def test_a_length_keeps_its_unit(lab: Lab, alice: Caller, image: Any) -> None:
    new = image()
    new.getPrimaryPixels().physicalSizeX = m.LengthI(3.0, "NANOMETER")
    lab.save(alice, new)
    size = lab.store.get(alice, "Pixels", [1])[0].physicalSizeX
    assert (size.getValue(), size.getUnit().name, size.getSymbol()) == (3.0, "NANOMETER", "nm")
    found = lab.store.project(alice, "select p.physicalSizeX, p.physicalSizeX.unit from Pixels p", None)[0]
    assert (found[0].val["value"].val, found[0].val["symbol"].val, found[1].val) == (3.0, "nm", "NANOMETER")


def test_an_object_shared_or_given_twice_is_saved_once(lab: Lab, alice: Caller, image: Any) -> None:
    images = lab.store.save(alice, [image("a"), image("b")])
    tag = m.TagAnnotationI()
    links = [m.ImageAnnotationLinkI() for _ in images]
    for link, saved in zip(links, images, strict=True):
        link.parent, link.child = m.ImageI(saved.id.val, False), tag
    assert len({link.child.id.val for link in lab.store.save(alice, links)}) == 1
    dataset = m.DatasetI()
    dataset.name = rstring("once")
    assert len({d.id.val for d in lab.store.save(alice, [dataset, dataset])}) == 1


def test_nothing_of_an_array_with_one_bad_object_stays(lab: Lab, alice: Caller) -> None:
    good = m.DatasetI()
    good.name = rstring("one-bad")
    with pytest.raises(omero.ValidationException):
        lab.store.save(alice, [good, m.DatasetI()])
    assert lab.count("Dataset") == 0
    assert lab.count("Event") == 0


def test_an_unloaded_object_comes_back_as_it_is_and_nothing_from_nothing(lab: Lab, alice: Caller) -> None:
    dataset = lab.dataset(alice)
    back = lab.save(alice, m.DatasetI(dataset.id.val, False))
    assert (type(back), back.id.val) == (m.DatasetI, dataset.id.val)
    assert lab.store.save(alice, []) == []
    with pytest.raises(omero.SecurityViolation, match=r"Cannot read ome\.model\.containers\.Dataset"):
        lab.save(lab.caller("carol", "gother"), m.DatasetI(dataset.id.val, False))


def test_an_id_of_another_class_is_no_row(lab: Lab, alice: Caller) -> None:
    marked = lab.save(alice, m.MapAnnotationI()).id.val
    for loaded in (True, False):
        with pytest.raises(omero.ValidationException, match=rf"No row .*\[ome.model.annotations.TagAnnotation#{marked}\]"):
            lab.save(alice, m.TagAnnotationI(marked, loaded))


def a_link(child: Any) -> Any:
    link = m.DatasetImageLinkI()
    link.parent, link.child = m.DatasetI(1, False), child
    return link


def a_channel() -> Any:
    channel = m.ChannelI()
    channel.pixels = m.PixelsI(1, False)
    return channel


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (m.DatasetI, "containers.Dataset.name"),
        (m.ImageI, "core.Image.name"),
        (m.PlateI, "screen.Plate.name"),
        (m.WellI, "screen.Well.plate"),
        (a_channel, "core.Channel.logicalChannel"),
        (lambda: info(entity_id=None), "meta.ExternalInfo.entityId"),
        (lambda: a_link(None), "containers.DatasetImageLink.child"),
    ],
)
def test_what_may_not_be_null_is_named(lab: Lab, alice: Caller, image: Any, make: Any, field: str) -> None:
    lab.dataset(alice)
    lab.save(alice, image())
    with pytest.raises(
        omero.ValidationException, match=f"not-null property references a null or transient value: ome.model.{field}"
    ):
        lab.save(alice, make())


def test_missing_rows_doubled_links_and_bad_text_are_refused(lab: Lab, alice: Caller, image: Any) -> None:
    lab.dataset(alice)
    saved = m.ImageI(lab.save(alice, image()).id.val, False)
    with pytest.raises(omero.ValidationException, match=r"\[ome.model.core.Image#999999\]"):
        lab.save(alice, a_link(m.ImageI(999999, False)))
    lab.save(alice, a_link(saved))
    with pytest.raises(omero.ValidationException, match=r"constraint \[datasetimagelink_parent_child_owner_id_key\]"):
        lab.save(alice, a_link(saved))
    assert lab.count("DatasetImageLink") == 1
    with pytest.raises(omero.ValidationException):
        lab.dataset(alice, "a\0b")
    named = m.MapAnnotationI()
    named.mapValue = [m.NamedValue("key", "a\0b")]
    with pytest.raises(omero.ValidationException):
        lab.save(alice, named)
    with pytest.raises(omero.ValidationException):
        lab.save(alice, info(lsid="x" * 300))
    assert lab.dataset(alice, "x" * 300).name.val == "x" * 300
    assert lab.dataset(alice, "").name.val == ""
    with pytest.raises(omero.ApiUsageException, match="Argument to save cannot be null"):
        lab.store.save(alice, [None])


def test_two_wells_do_not_share_a_position(lab: Lab, alice: Caller) -> None:
    plate = m.PlateI()
    plate.name = rstring("plate")
    for _ in range(2):
        well = m.WellI()
        well.row, well.column = rint(0), rint(0)
        plate.addWell(well)
    with pytest.raises(omero.ValidationException, match=r"constraint \[well_col_row\]"):
        lab.save(alice, plate)
    assert lab.count("Plate") == 0


def test_a_stale_copy_is_refused_and_an_annotated_one_is_not_stale(lab: Lab, alice: Caller) -> None:
    dataset = lab.dataset(alice)
    first, second, third = (lab.store.get(alice, "Dataset", [dataset.id.val])[0] for _ in range(3))
    link = m.DatasetAnnotationLinkI()
    link.parent, link.child = m.DatasetI(dataset.id.val, False), m.CommentAnnotationI()
    lab.save(alice, link)
    first.name = rstring("first")
    lab.save(alice, first)
    second.name = rstring("second")
    with pytest.raises(
        omero.OptimisticLockException, match=r"to change the update event for ome\.model\.containers\.Dataset:Id_1"
    ):
        lab.save(alice, second)
    events = lab.count("Event")
    third.name = rstring("first")
    lab.save(alice, third)  # no change, no conflict, no event
    assert lab.count("Event") == events


def test_external_info_can_be_replaced_and_removed_but_not_changed(lab: Lab, alice: Caller, image: Any) -> None:
    text = "select i from Image i left outer join fetch i.details.externalInfo"
    new = image()
    new.details.externalInfo = info()
    lab.save(alice, new)
    loaded = lab.store.objects(alice, text, None)[0]
    loaded.details.externalInfo.lsid = rstring("changed")
    lab.save(alice, loaded)
    loaded = lab.store.objects(alice, text, None)[0]
    assert loaded.details.externalInfo.lsid.val == "/data/x.zarr"
    loaded.details.externalInfo = info("/replaced")
    lab.save(alice, loaded)
    loaded = lab.store.objects(alice, text, None)[0]
    assert loaded.details.externalInfo.lsid.val == "/replaced"
    loaded.details.externalInfo = None
    lab.save(alice, loaded)
    assert lab.store.objects(alice, text, None)[0].details.externalInfo is None


def test_system_types_are_not_for_users(lab: Lab, alice: Caller) -> None:
    new = m.FormatI()
    new.value = rstring("MyFormat")
    with pytest.raises(omero.SecurityViolation, match=r"ome.model.enums.Format:MyFormat:Id_\d+ is a System-type"):
        lab.save(alice, new)
    known = lab.store.get(alice, "PixelsType", [1])[0]
    known.value = rstring("changed")
    with pytest.raises(omero.SecurityViolation, match=r"Updating ome\.model\.enums\.PixelsType:changed:Id_1 not allowed"):
        lab.save(alice, known)


def test_a_save_needs_a_group(lab: Lab, alice: Caller) -> None:
    everywhere = replace(alice, group=-1)
    with pytest.raises(omero.ApiUsageException, match="No valid permissions available! DUMMY"):
        lab.dataset(everywhere)
    copy = lab.dataset(alice)
    copy.name = rstring("changed")
    with pytest.raises(omero.ApiUsageException, match="No valid permissions available! DUMMY"):
        lab.save(everywhere, copy)


def test_owner_and_group_are_for_administrators_to_set(lab: Lab, alice: Caller) -> None:
    bob, root = lab.caller("bob", "gro"), lab.caller("root", "gro")
    for name, value, kind in (
        ("group", m.ExperimenterGroupI(lab.group("grw"), False), "ExperimenterGroup"),
        ("owner", m.ExperimenterI(bob.user, False), "Experimenter"),
    ):
        dataset = m.DatasetI()
        dataset.name = rstring("data")
        setattr(dataset.details, name, value)
        with pytest.raises(omero.SecurityViolation, match=f"not authorized to set the {kind} for ome.model.containers.Dataset"):
            lab.save(alice, dataset)
    dataset = m.DatasetI()
    dataset.name = rstring("for bob")
    dataset.details.owner = m.ExperimenterI(bob.user, False)
    assert lab.save(root, dataset).details.owner.omeName.val == "bob"
    for name, value in (("group", m.ExperimenterGroupI(999999, False)), ("owner", m.ExperimenterI(999999, False))):
        dataset = m.DatasetI()
        dataset.name = rstring("nobody's")
        setattr(dataset.details, name, value)
        with pytest.raises(omero.ValidationException, match="#999999"):
            lab.save(root, dataset)


def test_the_server_saves_in_a_users_name_what_the_user_may_not(lab: Lab, alice: Caller) -> None:
    theirs = m.DatasetI(lab.dataset(lab.caller("bob", "gro")).id.val, False)
    link = m.ProjectDatasetLinkI()
    link.parent, link.child = m.ProjectI(), theirs
    link.parent.name = rstring("mine")
    with pytest.raises(omero.SecurityViolation):
        lab.save(alice, link)
    assert lab.save(replace(alice, privileged=True), link).details.owner.id.val == alice.user
