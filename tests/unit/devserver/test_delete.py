# SPDX-License-Identifier: GPL-2.0-or-later
"""Delete2: what goes along, what stays, what is refused; all of it recorded on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.model as m
import pytest
from omero.rtypes import rint, rstring

from omero_devserver.model.schema import ENTITIES, UnknownEntityError
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.graphrules import ChildOption

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller

    from .conftest import Lab

FILESET = {
    "annotations.CommentAnnotation": 1,
    "annotations.FilesetAnnotationLink": 1,
    "core.OriginalFile": 2,
    "fs.Fileset": 1,
    "fs.FilesetEntry": 1,
    "fs.FilesetJobLink": 4,
    "jobs.IndexingJob": 1,
    "jobs.JobOriginalFileLink": 1,
    "jobs.MetadataImportJob": 1,
    "jobs.PixelDataJob": 1,
    "jobs.UploadJob": 1,
}


def images(number: int) -> dict[str, int]:
    return {**dict.fromkeys(("core.Image", "core.Pixels", "core.Channel", "core.LogicalChannel"), number), **FILESET}


def counts(deletion: Any) -> dict[str, int]:
    return {name.removeprefix("ome.model."): len(ids) for name, ids in deletion.objects.items()}


@pytest.fixture
def alice(lab: Lab) -> Caller:
    return lab.caller("alice", "gro")


def link(lab: Lab, caller: Caller, dataset: Any, image: Any) -> None:
    new = m.DatasetImageLinkI()
    new.parent, new.child = m.DatasetI(dataset.id.val, False), m.ImageI(image.id.val, False)
    lab.save(caller, new)


def annotate(lab: Lab, caller: Caller, image: Any, annotation: Any) -> Any:
    new = m.ImageAnnotationLinkI()
    new.parent, new.child = m.ImageI(image.id.val, False), annotation
    return lab.save(caller, new).child


def plate(lab: Lab, caller: Caller, image: Any) -> Any:
    """An imported plate of two wells with two fields each, in one fileset."""
    found, run, fileset = m.PlateI(), m.PlateAcquisitionI(), m.FilesetI()
    found.name, fileset.templatePrefix = rstring("plate"), rstring("p/")
    found.addPlateAcquisition(run)
    for column in range(2):
        well = m.WellI()
        well.row, well.column = rint(0), rint(column)
        for _ in range(2):
            sample = m.WellSampleI()
            sample.image = image()
            sample.image.fileset = fileset
            run.addWellSample(sample)
            well.addWellSample(sample)
        found.addWell(well)
    return lab.save(caller, found)


@pytest.mark.parametrize("target", ["Image", "Fileset", "Dataset"])
def test_a_fileset_goes_as_a_whole_with_its_files_and_jobs(lab: Lab, alice: Caller, target: str) -> None:
    dataset = lab.dataset(alice)
    lab.imported(alice, 3, dataset)
    ids = [1, 2, 3] if target == "Image" else [1]
    expected = {**images(3), "containers.DatasetImageLink": 3, **({"containers.Dataset": 1} if target == "Dataset" else {})}
    would = lab.store.delete(alice, {target: ids}, dry_run=True)
    assert lab.count("Image") == 3
    done = lab.store.delete(alice, {target: ids})
    assert counts(done) == counts(would) == expected
    assert sorted(done.files) == [("repository", "alice_2/", "a.fake"), ("repository", "alice_2/", "import.log")]
    tables = ("Image", "Pixels", "Fileset", "OriginalFile", "Job", "Annotation", "DatasetImageLink", "LogicalChannel")
    assert {name: lab.count(name) for name in tables} == dict.fromkeys(tables, 0)


@pytest.mark.parametrize("ids", [[1], [1, 2]])
def test_a_part_of_a_fileset_is_refused(lab: Lab, alice: Caller, ids: list[int]) -> None:
    lab.imported(alice, 3)
    with pytest.raises(GraphFailed, match=r"within Fileset\[1\] may not delete Image\[1\] while Image\[\d\] remains"):
        lab.store.delete(alice, {"Image": ids})
    assert lab.count("Image") == 3


def test_images_stay_that_are_in_another_dataset(lab: Lab, alice: Caller) -> None:
    dataset, other = lab.dataset(alice), lab.dataset(alice, "other")
    fileset = lab.imported(alice, 3, dataset)
    link(lab, alice, other, fileset.copyImages()[0])
    assert counts(lab.store.delete(alice, {"Dataset": [dataset.id.val]})) == {
        "containers.Dataset": 1,
        "containers.DatasetImageLink": 3,
    }
    assert lab.count("Image") == 3


def test_included_images_go_from_everywhere(lab: Lab, alice: Caller) -> None:
    dataset, other = lab.dataset(alice), lab.dataset(alice, "other")
    for image in lab.imported(alice, 3, dataset).copyImages():
        link(lab, alice, other, image)
    done = lab.store.delete(alice, {"Dataset": [dataset.id.val]}, options=[ChildOption(include=frozenset({"Image"}))])
    assert counts(done) == {**images(3), "containers.Dataset": 1, "containers.DatasetImageLink": 6}


@pytest.mark.parametrize("excluded", ["Image", "Fileset"])
def test_excluded_children_stay(lab: Lab, alice: Caller, excluded: str) -> None:
    lab.imported(alice, 3, lab.dataset(alice))
    done = lab.store.delete(alice, {"Dataset": [1]}, options=[ChildOption(exclude=frozenset({excluded}))])
    assert counts(done) == {"containers.Dataset": 1, "containers.DatasetImageLink": 3}


def test_a_project_takes_its_datasets_along(lab: Lab, alice: Caller) -> None:
    project = m.ProjectI()
    project.name = rstring("project")
    project.linkDataset(m.DatasetI(lab.dataset(alice).id.val, False))
    lab.imported(alice, 1, m.DatasetI(1, False))
    lab.save(alice, project)
    containers = dict.fromkeys(("Project", "ProjectDatasetLink", "Dataset", "DatasetImageLink"), 1)
    expected = {**images(1), **{f"containers.{name}": number for name, number in containers.items()}}
    assert counts(lab.store.delete(alice, {"Project": [1]})) == expected


@pytest.mark.parametrize("kind", [m.TagAnnotationI, m.CommentAnnotationI, m.MapAnnotationI])
def test_an_annotation_goes_with_the_last_that_has_it(lab: Lab, alice: Caller, image: Any, kind: Any) -> None:
    first, second = lab.store.save(alice, [image("a"), image("b")])
    annotation = annotate(lab, alice, first, kind())
    annotate(lab, alice, second, type(annotation)(annotation.id.val, False))
    assert "annotations." + annotation.ice_id().rpartition("::")[2] not in counts(
        lab.store.delete(alice, {"Image": [first.id.val]})
    )
    lab.store.delete(alice, {"Image": [second.id.val]}, dry_run=True)
    assert lab.count("Annotation") == 1
    lab.store.delete(alice, {"Image": [second.id.val]})
    assert lab.count("Annotation") == lab.count("ImageAnnotationLink") == 0
    assert lab.store.rows("SELECT * FROM map_value WHERE root = 'Annotation'") == []


def test_an_excluded_annotation_stays_and_loses_its_link(lab: Lab, alice: Caller, image: Any) -> None:
    annotate(lab, alice, lab.save(alice, image()), m.TagAnnotationI())
    lab.store.delete(alice, {"Image": [1]}, options=[ChildOption(exclude=frozenset({"Annotation"}))])
    assert (lab.count("Annotation"), lab.count("ImageAnnotationLink")) == (1, 0)


def test_somebody_elses_comment_goes_with_my_image(lab: Lab) -> None:
    alice, bob = lab.caller("alice", "gra"), lab.caller("bob", "gra")
    fileset = lab.imported(alice)
    annotate(lab, bob, fileset.copyImages()[0], m.CommentAnnotationI())
    assert counts(lab.store.delete(alice, {"Image": [1]})) == {
        **images(1),
        "annotations.CommentAnnotation": 2,
        "annotations.ImageAnnotationLink": 1,
    }


def test_an_annotation_in_use_and_a_link_can_be_deleted(lab: Lab, alice: Caller, image: Any) -> None:
    saved = lab.save(alice, image())
    annotate(lab, alice, saved, m.TagAnnotationI())
    assert counts(lab.store.delete(alice, {"Annotation": [1]})) == {
        "annotations.TagAnnotation": 1,
        "annotations.ImageAnnotationLink": 1,
    }
    annotate(lab, alice, saved, m.CommentAnnotationI())
    assert counts(lab.store.delete(alice, {"ImageAnnotationLink": [2]}))["annotations.ImageAnnotationLink"] == 1


@pytest.mark.parametrize("target", ["Plate", "Screen", "PlateAcquisition"])
def test_a_plate_goes_with_its_images(lab: Lab, alice: Caller, image: Any, target: str) -> None:
    screen = m.ScreenI()
    screen.name = rstring("screen")
    screen.linkPlate(m.PlateI(plate(lab, alice, image).id.val, False))
    lab.save(alice, screen)
    done = counts(lab.store.delete(alice, {target: [1]}))
    assert (done["core.Image"], done["fs.Fileset"], done["screen.WellSample"]) == (4, 1, 4)
    left = {"Plate": (0, 1), "Screen": (0, 0), "PlateAcquisition": (1, 1)}[target]
    assert (lab.count("Plate"), lab.count("Screen")) == left
    assert lab.count("Well") == (2 if target == "PlateAcquisition" else 0)


def test_a_well_leaves_its_images(lab: Lab, alice: Caller, image: Any) -> None:
    plate(lab, alice, image)
    assert counts(lab.store.delete(alice, {"Well": [1]})) == {"screen.Well": 1, "screen.WellSample": 2}
    assert lab.count("Image") == 4


def test_a_well_takes_images_that_belong_to_no_fileset(lab: Lab, alice: Caller, image: Any) -> None:
    plate(lab, alice, image)
    for number in range(1, 5):
        lab.store.update("Image", number, r_fileset=None)
    lab.store.delete(alice, {"Well": [1]})
    assert lab.count("Image") == 2


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"Image": [1]}, r"within Fileset\[1\] may not delete Image\[1\] while Image\[2\] remains"),
        ({"Image": [1, 2, 3, 4]}, r"may not delete Image\[1\] while WellSample\[1\] remains"),
        ({"Fileset": [1]}, r"may not delete Image\[1\] while WellSample\[1\] remains"),
    ],
)
def test_images_of_a_plate_do_not_go_alone(
    lab: Lab, alice: Caller, image: Any, targets: dict[str, list[int]], message: str
) -> None:
    plate(lab, alice, image)
    with pytest.raises(GraphFailed, match=message):
        lab.store.delete(alice, targets)
    assert lab.count("Image") == 4


def test_missing_and_unknown_targets(lab: Lab, alice: Caller) -> None:
    with pytest.raises(GraphFailed, match=r"cannot read ome.model.core.Image\[999999\]"):
        lab.store.delete(alice, {"Image": [999999]})
    with pytest.raises(UnknownEntityError):
        lab.store.delete(alice, {"NoSuch": [1]})
    assert lab.store.delete(alice, {}).objects == {}


def test_mine_stays_when_theirs_is_refused(lab: Lab, alice: Caller) -> None:
    mine, theirs = lab.dataset(alice), lab.dataset(lab.caller("bob", "gro"))
    with pytest.raises(GraphFailed, match="not permitted to delete"):
        lab.store.delete(alice, {"Dataset": [mine.id.val, theirs.id.val]})
    assert lab.count("Dataset") == 2


def test_two_deletes_in_one_transaction_are_undone_together(lab: Lab, alice: Caller) -> None:
    mine, theirs = lab.dataset(alice), lab.dataset(lab.caller("bob", "gro"))

    def both() -> None:
        with lab.store.transaction():
            lab.store.delete(alice, {"Dataset": [mine.id.val]})
            lab.store.delete(alice, {"Dataset": [theirs.id.val]})

    with pytest.raises(GraphFailed):
        both()
    assert lab.count("Dataset") == 2


def test_a_delete_works_from_another_group(lab: Lab, alice: Caller) -> None:
    elsewhere = lab.dataset(lab.caller("alice", "grw"))
    assert counts(lab.store.delete(alice, {"Dataset": [elsewhere.id.val]})) == {"containers.Dataset": 1}


def microscope() -> Any:
    """An instrument with one of each device, and a filter set of its own filters."""
    instrument = m.InstrumentI()
    instrument.microscope = m.MicroscopeI()
    instrument.microscope.type = enumeration(m.MicroscopeTypeI, "Upright")
    detector, objective, dichroic, laser, pump = m.DetectorI(), m.ObjectiveI(), m.DichroicI(), m.LaserI(), m.LaserI()
    detector.type = enumeration(m.DetectorTypeI, "CCD")
    objective.immersion, objective.correction = enumeration(m.ImmersionI, "Oil"), enumeration(m.CorrectionI, "UV")
    for light in (laser, pump):
        light.type, light.laserMedium = enumeration(m.LaserTypeI, "Gas"), enumeration(m.LaserMediumI, "Ar")
    laser.pump = pump
    filters = m.FilterI(), m.FilterI()
    for one in filters:
        one.transmittanceRange = m.TransmittanceRangeI()
    filter_set = m.FilterSetI()
    filter_set.dichroic = dichroic
    filter_set.linkEmissionFilter(filters[0])
    instrument.addDetector(detector)
    instrument.addObjective(objective)
    instrument.addDichroic(dichroic)
    instrument.addLightSource(laser)
    instrument.addLightSource(pump)
    instrument.addFilterSet(filter_set)
    for one in filters:
        instrument.addFilter(one)
    return instrument


def enumeration(kind: Any, value: str) -> Any:
    found = kind()
    found.value = rstring(value)
    return found


def with_settings(image: Any, instrument: Any) -> Any:
    """An image that tells how it was taken, its channel through a light path of one filter."""
    image.instrument, image.imagingEnvironment, image.stageLabel = instrument, m.ImagingEnvironmentI(), m.StageLabelI()
    image.stageLabel.name = rstring("place")
    image.objectiveSettings = m.ObjectiveSettingsI()
    image.objectiveSettings.objective = instrument.copyObjective()[0]
    channel = image.getPrimaryPixels().copyChannels()[0].logicalChannel
    channel.detectorSettings, channel.lightSourceSettings = m.DetectorSettingsI(), m.LightSettingsI()
    channel.detectorSettings.detector = instrument.copyDetector()[0]
    channel.lightSourceSettings.lightSource = instrument.copyLightSource()[0]
    channel.lightPath = m.LightPathI()
    channel.lightPath.linkEmissionFilter(instrument.copyFilter()[0])
    return image


DEVICES = {
    **dict.fromkeys(("Instrument", "Microscope", "Detector", "Objective", "Dichroic", "FilterSet"), 1),
    **dict.fromkeys(("Filter", "TransmittanceRange", "Laser"), 2),
    "FilterSetEmissionFilterLink": 1,
}
SETTINGS = dict.fromkeys(
    ("ObjectiveSettings", "DetectorSettings", "LightSettings", "LightPath", "LightPathEmissionFilterLink"), 1
)


def test_an_instrument_goes_with_the_last_image_that_was_taken_with_it(lab: Lab, alice: Caller, image: Any) -> None:
    instrument = microscope()
    first, second = lab.store.save(alice, [with_settings(image("a"), instrument), with_settings(image("b"), instrument)])
    own = {"Image": 1, "Pixels": 1, "Channel": 1, "LogicalChannel": 1, "ImagingEnvironment": 1, "StageLabel": 1}

    def gone(target: Any) -> dict[str, int]:
        return {name.rpartition(".")[2]: n for name, n in counts(lab.store.delete(alice, {"Image": [target.id.val]})).items()}

    assert gone(first) == own
    assert lab.count("Instrument") == 1
    assert gone(second) == {**own, **DEVICES, **dict.fromkeys(SETTINGS, 2)}
    tables = {ENTITIES[name].root for name in (*own, *DEVICES, *SETTINGS)}
    assert {name: lab.count(name) for name in tables} == dict.fromkeys(tables, 0)


def test_a_tag_set_takes_its_tags_along_and_leaves_those_of_others(lab: Lab) -> None:
    alice, bob = lab.caller("alice", "grw"), lab.caller("bob", "grw")
    theirs = lab.save(bob, m.TagAnnotationI())
    group = m.TagAnnotationI()
    group.linkAnnotation(m.TagAnnotationI())
    group.linkAnnotation(m.TagAnnotationI(theirs.id.val, False))
    saved = lab.save(alice, group)
    found = counts(lab.store.delete(alice, {"TagAnnotation": [saved.id.val]}))
    assert found == {"annotations.TagAnnotation": 2, "annotations.AnnotationAnnotationLink": 2}
    assert lab.store.rows("SELECT id FROM t_Annotation")[0][0] == theirs.id.val


def test_a_tag_is_not_taken_off_what_is_not_mine_to_delete(lab: Lab) -> None:
    alice, bob = lab.caller("alice", "gra"), lab.caller("bob", "gra")
    dataset = lab.dataset(alice)
    linked = m.DatasetAnnotationLinkI()
    linked.parent, linked.child = m.DatasetI(dataset.id.val, False), m.TagAnnotationI()
    tag = lab.save(bob, linked).child
    text = rf"may not delete TagAnnotation\[{tag.id.val}\] while Dataset\[{dataset.id.val}\] remains"
    with pytest.raises(GraphFailed, match=text):
        lab.store.delete(bob, {"Annotation": [tag.id.val]})


def test_a_file_in_a_fileset_does_not_go_alone(lab: Lab, alice: Caller) -> None:
    lab.imported(alice)
    with pytest.raises(GraphFailed, match=r"may not delete OriginalFile\[1\] while FilesetEntry\[1\] remains"):
        lab.store.delete(alice, {"OriginalFile": [1]})


def test_regions_go_with_their_image_and_folders_with_what_is_in_them(lab: Lab, alice: Caller, image: Any) -> None:
    saved = image()
    roi = m.RoiI()
    roi.addShape(m.PointI())
    saved.addRoi(roi)
    folder, inner = m.FolderI(), m.FolderI()
    folder.name, inner.name = rstring("outer"), rstring("inner")
    folder.addChildFolders(inner)
    inner.linkImage(saved)
    row_id = lab.save(alice, folder).id.val
    found = counts(lab.store.delete(alice, {"Folder": [row_id]}))
    expected = {"containers.Folder": 2, "containers.FolderImageLink": 1, "core.Image": 1, "roi.Roi": 1, "roi.Point": 1}
    assert expected.items() <= found.items()
