# SPDX-License-Identifier: GPL-2.0-or-later
"""Services that ask ready-made questions: containers, annotations, regions, enumerations, searches."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import omero
import omero.model as m
import pytest
from omero.rtypes import rint, rstring

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, InPlace, User
from tests.fixtures.waiting import wait_until


def saved(client: Any, one: Any) -> Any:
    return client.sf.getUpdateService().saveAndReturnObject(one)


def named(kind: Any, name: str) -> Any:
    made = kind()
    made.name = rstring(name)
    return made


def tag(client: Any, text: str, **values: Any) -> Any:
    made = m.TagAnnotationI()
    made.textValue = rstring(text)
    for name, value in values.items():
        setattr(made, name, rstring(value))
    return saved(client, made)


def annotate(client: Any, kind: str, parent: int, child: Any) -> Any:
    link = getattr(m, f"{kind}AnnotationLinkI")()
    link.parent, link.child = getattr(m, f"{kind}I")(parent, False), type(child)(child.id.val, False)
    return saved(client, link)


@pytest.fixture
def tree(client: Any) -> Any:
    """A Project with a Dataset, which is loaded, and a Dataset in none."""
    project = named(m.ProjectI, "project")
    project.linkDataset(named(m.DatasetI, "dataset"))
    saved(client, named(m.DatasetI, "lonely"))
    return saved(client, project)


@pytest.fixture
def images(client: Any, tree: Any, three: Path) -> list[int]:
    """Three images of one file in the Dataset of the Project."""
    return [image.id.val for image in InPlace(client, [three], dataset_of(tree)).run().objects]


def dataset_of(tree: Any) -> int:
    return int(tree.linkedDatasetList()[0].id.val)


def test_a_hierarchy_comes_with_its_datasets_and_with_leaves_also_with_images(client: Any, tree: Any, images: list[int]) -> None:
    containers = client.sf.getContainerService()
    project = containers.loadContainerHierarchy("Project", [tree.id.val], None)[0]
    assert [d.name.val for d in project.linkedDatasetList()] == ["dataset"]
    assert project.linkedDatasetList()[0].sizeOfImageLinks() == -1
    project = containers.loadContainerHierarchy("Project", [tree.id.val], omero.sys.ParametersI().leaves())[0]
    leaves = project.linkedDatasetList()[0].linkedImageList()
    assert sorted(image.id.val for image in leaves) == images
    assert leaves[0].getPrimaryPixels().pixelsType.value.val == "uint8"
    dataset = containers.loadContainerHierarchy("Dataset", [dataset_of(tree)], None)[0]
    assert dataset.sizeOfImageLinks() == -1
    assert containers.loadContainerHierarchy("Project", [-1], None) == []


def test_links_are_deleted_all_or_none(client: Any, tree: Any) -> None:
    containers, link = client.sf.getContainerService(), tree.copyDatasetLinks()[0]
    with pytest.raises(omero.ServerError):
        containers.unlink([link, m.ProjectDatasetLinkI(999999999, False)], None)
    assert containers.getCollectionCount("Project", "datasetLinks", [tree.id.val], None) == {tree.id.val: 1}
    containers.unlink([link], None)
    assert containers.getCollectionCount("Project", "datasetLinks", [tree.id.val], None) == {tree.id.val: 0}


def test_all_hierarchies_of_a_user_and_what_is_in_none(client: Any, tree: Any, user: User) -> None:
    containers = client.sf.getContainerService()
    options = omero.sys.ParametersI().exp(user.id)
    assert [p.id.val for p in containers.loadContainerHierarchy("Project", [], options)] == [tree.id.val]
    found = containers.loadContainerHierarchy("Project", [], options.orphan())
    assert sorted(one.name.val for one in found) == ["lonely", "project"]
    assert containers.loadContainerHierarchy("Project", [], omero.sys.ParametersI().exp(0)) == []
    with pytest.raises(omero.ApiUsageException, match="must be in"):
        containers.loadContainerHierarchy("Image", [1], None)


def test_the_containers_of_images_are_found(client: Any, tree: Any, images: list[int]) -> None:
    containers = client.sf.getContainerService()
    project = containers.findContainerHierarchies("Project", images[:2], None)[0]
    assert project.id.val == tree.id.val
    dataset = project.linkedDatasetList()[0]
    assert sorted(image.id.val for image in dataset.linkedImageList()) == images[:2]
    lonely = saved(client, named(m.ImageI, "lonely"))
    assert [type(one) for one in containers.findContainerHierarchies("Project", [lonely.id.val], None)] == [m.ImageI]
    assert containers.findContainerHierarchies("Project", [], None) == []


def test_the_images_in_containers_are_listed_in_pages(client: Any, tree: Any, images: list[int], user: User) -> None:
    containers = client.sf.getContainerService()
    for kind, identifier in (("Project", tree.id.val), ("Dataset", dataset_of(tree))):
        assert sorted(image.id.val for image in containers.getImages(kind, [identifier], None)) == images
        page = containers.getImages(kind, [identifier], omero.sys.ParametersI().page(1, 1))
        assert [image.id.val for image in page] == images[1:2]
    assert sorted(image.id.val for image in containers.getUserImages(omero.sys.ParametersI().exp(user.id))) == images
    assert containers.getCollectionCount("Dataset", "imageLinks", [dataset_of(tree), -1], None)[dataset_of(tree)] == 3
    for wrong in (("Dataset", "nosuch"), ("NoSuch", "imageLinks")):
        with pytest.raises(omero.ApiUsageException, match="unknown"):
            containers.getCollectionCount(*wrong, [1], None)


def test_filesets_that_lie_partly_within_are_told(client: Any, tree: Any, images: list[int]) -> None:
    containers = client.sf.getContainerService()
    fileset = client.sf.getQueryService().get("Image", images[0]).fileset.id.val
    split = containers.getImagesBySplitFilesets({"Image": images[:1]}, None)
    assert {key: {within: sorted(ids) for within, ids in both.items()} for key, both in split.items()} == {
        fileset: {True: images[:1], False: images[1:]}
    }
    other = named(m.ProjectI, "other")
    other.linkDataset(named(m.DatasetI, "with one of them"))
    other = saved(client, other)
    link = m.DatasetImageLinkI()
    link.parent, link.child = m.DatasetI(dataset_of(other), False), m.ImageI(images[0], False)
    saved(client, link)
    for kind, identifier in (("Project", other.id.val), ("Dataset", dataset_of(other))):
        assert containers.getImagesBySplitFilesets({kind: [identifier]}, None)[fileset][True] == images[:1]
    for whole in ({"Image": images}, {"Project": [tree.id.val]}, {"Image": images[:1], "Fileset": [fileset]}):
        assert containers.getImagesBySplitFilesets(whole, None) == {}


def test_annotations_of_objects_by_type_and_namespace(client: Any, tree: Any) -> None:
    metadata = client.sf.getMetadataService()
    mine, other = tag(client, "mine", ns="test/mine"), tag(client, "other")
    for one in (mine, other):
        annotate(client, "Project", tree.id.val, one)
    found = metadata.loadAnnotations("Project", [tree.id.val], ["TagAnnotation"], [], None)
    assert sorted(one.textValue.val for one in found[tree.id.val]) == ["mine", "other"]
    assert metadata.loadAnnotations("Project", [tree.id.val], ["CommentAnnotation"], [], None)[tree.id.val] == []
    for include, exclude, expected in ((["test/mine"], [], ["mine"]), ([], ["test/mine"], ["other"])):
        linked = metadata.loadSpecifiedAnnotationsLinkedTo("TagAnnotation", include, exclude, "Project", [tree.id.val], None)
        assert [one.textValue.val for one in linked[tree.id.val]] == expected
    assert [one.id.val for one in metadata.loadSpecifiedAnnotations("TagAnnotation", ["test/mine"], [], None)] == [mine.id.val]
    assert metadata.countSpecifiedAnnotations("Annotation", ["test/mine"], [], None).val == 1
    assert [one.textValue.val for one in metadata.loadAnnotation([other.id.val, -1])] == ["other"]


def test_what_a_tag_is_on(client: Any, tree: Any, images: list[int]) -> None:
    metadata = client.sf.getMetadataService()
    one = tag(client, "tag")
    annotate(client, "Project", tree.id.val, one)
    annotate(client, "Image", images[0], one)
    assert metadata.getTaggedObjectsCount([one.id.val], None) == {one.id.val: 2}
    content = metadata.loadTagContent([one.id.val], None)[one.id.val]
    assert {(type(o), o.id.val) for o in content} == {(m.ProjectI, tree.id.val), (m.ImageI, images[0])}


def test_tag_sets_come_with_their_tags(client: Any, user: User) -> None:
    metadata = client.sf.getMetadataService()
    group, inside, alone = (
        tag(client, "set", ns="openmicroscopy.org/omero/insight/tagset"),
        tag(client, "inside"),
        tag(client, "a"),
    )
    link = m.AnnotationAnnotationLinkI()
    link.parent, link.child = m.TagAnnotationI(group.id.val, False), m.TagAnnotationI(inside.id.val, False)
    saved(client, link)
    found = metadata.loadTagSets(omero.sys.ParametersI().exp(user.id))
    assert [(one.textValue.val, [t.textValue.val for t in one.linkedAnnotationList()]) for one in found] == [("set", ["inside"])]
    found = metadata.loadTagSets(omero.sys.ParametersI().exp(user.id).orphan())
    assert sorted(one.id.val for one in found) == sorted([group.id.val, alone.id.val])


def test_tags_of_others_that_a_user_uses_are_counted(client: Any, devserver: OmeroServer, user: User, tree: Any) -> None:
    owner = f"owner-{uuid.uuid4().hex[:8]}"
    devserver.add_user(owner, PASSWORD, [user.group])
    with devserver.client(owner, PASSWORD) as other:
        theirs = tag(other, "theirs")
    metadata = client.sf.getMetadataService()
    annotate(client, "Project", tree.id.val, tag(client, "mine"))
    assert metadata.countAnnotationsUsedNotOwned("TagAnnotation", user.id).val == 0
    annotate(client, "Project", tree.id.val, theirs)
    assert [one.id.val for one in metadata.loadAnnotationsUsedNotOwned("TagAnnotation", user.id)] == [theirs.id.val]
    assert metadata.countAnnotationsUsedNotOwned("TagAnnotation", user.id).val == 1


def test_the_log_of_an_import_is_found(client: Any, images: list[int]) -> None:
    metadata = client.sf.getMetadataService()
    fileset = client.sf.getQueryService().get("Image", images[0]).fileset.id.val
    logs = metadata.loadLogFiles("Fileset", [fileset])
    assert [len(files) for files in logs.values()] == [1]
    assert logs[fileset][0].name.val.endswith(".log")
    assert sorted(metadata.loadLogFiles("Image", images)) == images
    with pytest.raises(omero.ApiUsageException, match="only by Fileset or Image"):
        metadata.loadLogFiles("Dataset", [1])


def test_regions_of_an_image_and_of_a_plane(client: Any, images: list[int]) -> None:
    for plane in (0, 1):
        roi, point = m.RoiI(), m.PointI()
        point.theZ, roi.image = rint(plane), m.ImageI(images[0], False)
        roi.addShape(point)
        saved(client, roi)
    rois = client.sf.getRoiService()
    assert [roi.sizeOfShapes() for roi in rois.findByImage(images[0], None).rois] == [1, 1]
    found = rois.findByPlane(images[0], 1, 0, None).rois
    assert [roi.copyShapes()[0].theZ.val for roi in found] == [1]
    assert rois.findByRoi(found[0].id.val, None).rois[0].id.val == found[0].id.val
    assert rois.findByImage(images[1], None).rois == []


def test_enumerations(client: Any) -> None:
    types = client.sf.getTypesService()
    assert "uint16" in {one.value.val for one in types.allEnumerations("omero.model.PixelsType")}
    assert types.getEnumeration("PixelsType", "float").value.val == "float"
    assert "TagAnnotation" in {name.rpartition(".")[2].removesuffix("I") for name in types.getAnnotationTypes()}
    for kind in ("omero.model.NoSuch", "NoSuch"):
        with pytest.raises(omero.ApiUsageException) as raised:
            types.allEnumerations(kind)
        assert raised.value.message == "omero.model.NoSuch does not specify a valid class."
    with pytest.raises(omero.ApiUsageException, match="does not exist with the value"):
        types.getEnumeration("PixelsType", "no such")


def test_a_search_hands_out_what_it_finds_in_batches(client: Any, user: User) -> None:
    word = f"word{uuid.uuid4().hex}"
    ids = [saved(client, named(m.DatasetI, f"{word}-{number}.tif")).id.val for number in range(3)]
    search = client.sf.createSearchService()
    try:
        with pytest.raises(omero.ApiUsageException):
            search.byFullText(word)
        search.onlyType("Dataset")
        search.setBatchSize(2)
        # A real server's index takes some seconds.
        wait_until(lambda: len(client.sf.getQueryService().findAllByFullText("Dataset", word, None)) == 3, seconds=60)
        search.byFullText(word)
        found = []
        while search.hasNext():
            batch = search.results()
            assert 0 < len(batch) <= 2
            found += [one.id.val for one in batch]
        assert sorted(found) == ids
        with pytest.raises(omero.ApiUsageException):
            search.results()
        search.byLuceneQueryBuilder("name", "20000101", "20000102", "details.creationEvent.time", word)
        assert not search.hasNext()
    finally:
        search.close()


def test_a_search_in_some_fields_leaves_the_values_of_maps_out(client: Any) -> None:
    word = f"word{uuid.uuid4().hex}"
    annotation = m.MapAnnotationI()
    annotation.setMapValue([m.NamedValue("key", word)])
    made = saved(client, annotation).id.val
    wait_until(lambda: client.sf.getQueryService().findAllByFullText("MapAnnotation", word, None), seconds=60)
    search = client.sf.createSearchService()
    try:
        search.onlyType("MapAnnotation")
        search.byLuceneQueryBuilder("description", "", "", "", word)
        assert not search.hasNext()
        search.byLuceneQueryBuilder("", "", "", "", word)
        assert search.next().id.val == made
    finally:
        search.close()
