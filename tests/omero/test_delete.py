# SPDX-License-Identifier: GPL-2.0-or-later
"""Delete2 and IUpdate.deleteObject: what goes along, what stays, what is refused, and what is left on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import omero
import omero.cmd
import omero.cmd.graphs
import omero.model as m
import pytest
from omero.cmd import Delete2
from omero.cmd.graphs import ChildOption
from omero.rtypes import rstring

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User, images_of, make_user, new_dataset, rows, submit
from tests.fixtures.omero_requests import deleted, exists, join, link, named, new_image, refusal, save

FILESET = {
    "CommentAnnotation": 1,
    "FilesetAnnotationLink": 1,
    "OriginalFile": 2,
    "Fileset": 1,
    "FilesetEntry": 1,
    "FilesetJobLink": 4,
    "IndexingJob": 1,
    "JobOriginalFileLink": 1,
    "MetadataImportJob": 1,
    "PixelDataJob": 1,
    "UploadJob": 1,
}


def test_an_imported_dataset_goes_with_links_and_log_and_leaves_the_sources(client: Any, three: Path) -> None:
    dataset = new_dataset(client)
    job = InPlace(client, [three], dataset)
    job.run()
    template = job.template
    log = template.parent / f"{template.name}.log"
    expected = {
        **FILESET,
        **dict.fromkeys(("DatasetImageLink", "Image", "Pixels"), 3),
        **dict.fromkeys(("Channel", "LogicalChannel"), 6),
        "Dataset": 1,
    }
    assert deleted(submit(client, Delete2(targetObjects={"Dataset": [dataset]}, dryRun=True))) == expected
    assert job.links[0].is_symlink()
    assert deleted(submit(client, Delete2(targetObjects={"Dataset": [dataset]}))) == expected
    assert (job.links[0].is_symlink(), log.exists(), template.is_dir(), three.exists()) == (False, False, True, True)


def test_a_fileset_is_not_split(client: Any, three: Path) -> None:
    job = InPlace(client, [three], new_dataset(client))
    job.run()
    fileset, images = job.fileset, [row[0] for row in images_of(client, job.fileset)]
    text = refusal(submit(client, Delete2(targetObjects={"Image": images[:2]})))
    assert text.startswith(f"within Fileset[{fileset}] may not delete Image[")
    assert text.endswith(f" while Image[{images[2]}] remains")
    assert len(images_of(client, fileset)) == 3
    assert deleted(submit(client, Delete2(targetObjects={"Image": images})))["Fileset"] == 1


def test_a_fileset_that_is_deleted_while_it_is_imported_ends_the_import(client: Any, three: Path) -> None:
    job = InPlace(client, [three], new_dataset(client))
    job.link()
    fileset, handle = job.fileset, job.verify()
    found = deleted(submit(client, Delete2(targetObjects={"Fileset": [fileset]})))
    assert found["Fileset"] == 1
    response = job.response(handle)
    assert isinstance(response, omero.cmd.ERR | omero.grid.ImportResponse)
    assert not exists(client, "Fileset", fileset)
    assert images_of(client, fileset) == []


@pytest.mark.parametrize("kept", ["Image", "Dataset"])
def test_excluded_contents_stay(client: Any, kept: str) -> None:
    project = named(m.ProjectI)
    dataset = named(m.DatasetI)
    dataset.linkImage(new_image(client))
    project.linkDataset(dataset)
    saved = save(client, project)
    option = ChildOption(excludeType=[kept])
    found = deleted(submit(client, Delete2(targetObjects={"Project": [saved.id.val]}, childOptions=[option])))
    assert found == {
        "Project": 1,
        "ProjectDatasetLink": 1,
        **({"Dataset": 1, "DatasetImageLink": 1} if kept == "Image" else {}),
    }


def test_an_image_stays_that_another_dataset_holds_unless_images_are_included(client: Any) -> None:
    image = save(client, new_image(client))
    first, second = (save(client, link(m.DatasetImageLinkI, named(m.DatasetI), m.ImageI(image.id.val, False))) for _ in range(2))
    target = {"Dataset": [first.parent.id.val]}
    assert deleted(submit(client, Delete2(targetObjects=target))) == {"Dataset": 1, "DatasetImageLink": 1}
    assert exists(client, "Image", image.id.val)
    third = save(client, link(m.DatasetImageLinkI, named(m.DatasetI), m.ImageI(image.id.val, False)))
    target = {"Dataset": [third.parent.id.val]}
    found = deleted(submit(client, Delete2(targetObjects=target, childOptions=[ChildOption(includeType=["Image"])])))
    assert (found["Image"], found["DatasetImageLink"]) == (1, 2)
    assert exists(client, "Dataset", second.parent.id.val)


def test_a_link_goes_alone(client: Any) -> None:
    saved = save(client, link(m.DatasetImageLinkI, named(m.DatasetI), new_image(client)))
    assert deleted(submit(client, Delete2(targetObjects={"DatasetImageLink": [saved.id.val]}))) == {"DatasetImageLink": 1}
    assert exists(client, "Image", saved.child.id.val)


@pytest.mark.parametrize("kind", [m.TagAnnotationI, m.CommentAnnotationI, m.MapAnnotationI])
def test_an_annotation_goes_with_the_last_that_has_it(client: Any, kind: Any) -> None:
    first = save(client, link(m.DatasetAnnotationLinkI, named(m.DatasetI), kind()))
    annotation = first.child.id.val
    second = save(client, link(m.DatasetAnnotationLinkI, named(m.DatasetI), kind(annotation, False)))
    assert deleted(submit(client, Delete2(targetObjects={"Dataset": [first.parent.id.val]}))) == {
        "Dataset": 1,
        "DatasetAnnotationLink": 1,
    }
    assert exists(client, "Annotation", annotation)
    submit(client, Delete2(targetObjects={"Dataset": [second.parent.id.val]}))
    assert not exists(client, "Annotation", annotation)


def test_options_can_mean_annotations_of_some_namespaces_only(client: Any) -> None:
    dataset = named(m.DatasetI)
    for namespace in ("keep", "lose"):
        comment = m.CommentAnnotationI()
        comment.ns = rstring(namespace)
        dataset.linkAnnotation(comment)
    saved = save(client, dataset)
    option = ChildOption(excludeType=["Annotation"], includeNs=["keep"])
    found = deleted(submit(client, Delete2(targetObjects={"Dataset": [saved.id.val]}, childOptions=[option])))
    assert found == {"Dataset": 1, "DatasetAnnotationLink": 2, "CommentAnnotation": 1}


def plate(client: Any) -> Any:
    """A plate of two wells with one field each, without a fileset, in a screen; returns the link."""
    found, run = named(m.PlateI), m.PlateAcquisitionI()
    found.addPlateAcquisition(run)
    for column in range(2):
        well = m.WellI()
        well.row, well.column = omero.rtypes.rint(0), omero.rtypes.rint(column)
        sample = m.WellSampleI()
        sample.image = new_image(client)
        run.addWellSample(sample)
        well.addWellSample(sample)
        found.addWell(well)
    return save(client, link(m.ScreenPlateLinkI, named(m.ScreenI), found))


def test_a_screen_takes_its_plates_wells_and_images_along(client: Any) -> None:
    saved = plate(client)
    expected = {
        **dict.fromkeys(("Image", "Pixels", "Channel", "LogicalChannel", "Well", "WellSample"), 2),
        **dict.fromkeys(("Screen", "ScreenPlateLink", "Plate", "PlateAcquisition"), 1),
    }
    assert deleted(submit(client, Delete2(targetObjects={"Screen": [saved.parent.id.val]}))) == expected


def test_an_image_of_a_well_does_not_go_alone(client: Any) -> None:
    saved = plate(client)
    hql = "select s.image.id, s.id from WellSample s where s.well.plate.id = :id order by s.id"
    image, sample = rows(client, hql, id=saved.child.id.val)[0]
    text = refusal(submit(client, Delete2(targetObjects={"Image": [image]})))
    assert text == f"may not delete Image[{image}] while WellSample[{sample}] remains"


def test_others_data_are_not_deleted_but_their_comments_on_mine_are(devserver: OmeroServer) -> None:
    alice, bob = make_user(devserver), make_user(devserver)
    join(devserver, bob.name, alice.group)
    with devserver.client(alice.name, PASSWORD) as mine, devserver.client(bob.name, PASSWORD) as theirs:
        dataset = save(mine, named(m.DatasetI)).id.val
        commented = link(m.DatasetAnnotationLinkI, m.DatasetI(dataset, False), m.CommentAnnotationI())
        save(theirs, commented, group=alice.group_id)
        text = refusal(submit(theirs, Delete2(targetObjects={"Dataset": [dataset]})))
        assert text == f"not permitted to delete ome.model.containers.Dataset[{dataset}]"
        with pytest.raises(omero.SecurityViolation, match=r"Deleting ome\.model\.containers\.Dataset"):
            theirs.sf.getUpdateService().deleteObject(m.DatasetI(dataset, False), {"omero.group": str(alice.group_id)})
        found = deleted(submit(mine, Delete2(targetObjects={"Dataset": [dataset]})))
        assert found == {"Dataset": 1, "DatasetAnnotationLink": 1, "CommentAnnotation": 1}


def test_others_tags_stay(devserver: OmeroServer) -> None:
    alice, bob = make_user(devserver), make_user(devserver)
    join(devserver, bob.name, alice.group)
    with devserver.client(alice.name, PASSWORD) as mine, devserver.client(bob.name, PASSWORD) as theirs:
        dataset = save(mine, named(m.DatasetI)).id.val
        tag = save(theirs, link(m.DatasetAnnotationLinkI, m.DatasetI(dataset, False), m.TagAnnotationI()), group=alice.group_id)
        found = deleted(submit(mine, Delete2(targetObjects={"Dataset": [dataset]})))
        assert found == {"Dataset": 1, "DatasetAnnotationLink": 1}
        assert exists(mine, "Annotation", tag.child.id.val)


def test_nonsense_is_answered_and_never_raised(client: Any) -> None:
    assert refusal(submit(client, Delete2(targetObjects={"Image": [999999999]}))) == (
        "cannot read ome.model.core.Image[999999999]"
    )
    assert submit(client, Delete2(targetObjects={})).deletedObjects == {}
    for request, name in (
        (Delete2(targetObjects={"NoSuch": [1]}), "graph-fail"),
        (Delete2(targetObjects={"Pixels": [1]}), "bad-target"),
        (Delete2(targetObjects={"Image": [1]}, childOptions=[ChildOption(excludeType=["NoSuch"])]), "steps-cancel"),
        (Delete2(targetObjects={"Image": [1]}, childOptions=[ChildOption()]), "steps-cancel"),
    ):
        response = submit(client, request)
        assert (type(response), response.name) == (omero.cmd.ERR, name)


def test_delete_object_takes_links_and_not_what_they_lead_to(client: Any, one: Path) -> None:
    dataset = new_dataset(client)
    image = InPlace(client, [one], dataset).run().objects[0].id.val
    tag = save(client, link(m.DatasetAnnotationLinkI, m.DatasetI(dataset, False), m.TagAnnotationI())).child.id.val
    client.sf.getUpdateService().deleteObject(m.DatasetI(dataset, False))
    assert [exists(client, kind, one) for kind, one in (("Dataset", dataset), ("Image", image), ("Annotation", tag))] == [
        False,
        True,
        True,
    ]
    assert rows(client, "select l.id from DatasetImageLink l where l.child.id = :id", id=image) == []


def test_delete_object_of_nothing(client: Any) -> None:
    with pytest.raises(omero.ValidationException, match="No row with the given identifier exists"):
        client.sf.getUpdateService().deleteObject(m.DatasetI(999999999, False))


def test_an_object_of_another_group_of_mine_is_deleted(devserver: OmeroServer, user: User, client: Any) -> None:
    join(devserver, user.name, user.other_group)
    with devserver.client(user.name, PASSWORD) as elsewhere:
        dataset = save(elsewhere, named(m.DatasetI), group=user.other_group_id).id.val
        assert deleted(submit(elsewhere, Delete2(targetObjects={"Dataset": [dataset]}))) == {"Dataset": 1}
